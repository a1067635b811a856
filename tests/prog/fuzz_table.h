/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors' flow table beside the reference's list. The reference knows no buckets and forgets no
 * flow, so no packet may be sent that must push one out (such are rows of rows_settings.h); and
 * in the end the table must hold the reference's flows, each once, and nothing else.
 */
#pragma once
#include "model.h"
#include "world.h"

static inline __u64 table_tag(const struct world *world, const struct tuple *tuple)
{
	__u32 src[4], dst[4];

	memcpy(src, tuple->src, 16), memcpy(dst, tuple->dst, 16);
	return way_tag(&world->settings.flow_keys, tuple->family, src, dst, htons(tuple->sport),
		       htons(tuple->dport), tuple->protocol);
}

static inline struct sl_way *table_bucket(const struct world *world, __u32 hash)
{
	return &world->ways[(__u64)(hash & world->settings.flow_mask) * SL_WAYS];
}

/* The bucket of the client, which is the tuple's source or, on the reply way, its destination. */
static inline struct sl_way *table_home(const struct world *world, const struct tuple *tuple,
					bool is_reply)
{
	__u32 client[4];

	memcpy(client, is_reply ? tuple->dst : tuple->src, 16);
	return table_bucket(world, way_home(&world->settings.flow_keys, tuple->family, client,
					    htons(is_reply ? tuple->dport : tuple->sport),
					    tuple->protocol));
}

static inline struct sl_way *table_way_in(struct sl_way *bucket, __u64 tag)
{
	for (unsigned i = 0; i < SL_WAYS; i++)
		if (bucket[i].tag == tag)
			return &bucket[i];
	return NULL;
}

static inline struct sl_way *table_way(const struct world *world, const struct tuple *tuple,
				       bool is_reply)
{
	__u64 tag = table_tag(world, tuple);

	return table_way_in(table_home(world, tuple, is_reply), tag)
		       ?: table_way_in(table_bucket(world, tag), tag);
}

/* No way of an earlier round is in a second bucket. */
static inline void table_unspill(const struct world *world)
{
	__u32 count = bpf_map__max_entries(world->tc->maps.sl_spilled);

	for (__u32 i = 0; i < count; i++)
		world_put(world_fd(world, spilled), &i, &(__u64){ 0 });
}

/* --- room --- */

static inline unsigned table_free(const struct sl_way *bucket)
{
	unsigned count = 0;

	for (unsigned i = 0; i < SL_WAYS; i++)
		count += bucket[i].tag == SL_WAY_EMPTY;
	return count;
}

/* Those that stay where they are when a new flow wants a place: answered, and not over. */
static inline unsigned table_living(const struct world *world, const struct sl_way *bucket)
{
	__u16 now = world_clock(world);
	unsigned count = 0;

	for (unsigned i = 0; i < SL_WAYS; i++) {
		__u64 word = bucket[i].word;

		count += bucket[i].tag != SL_WAY_EMPTY && word & SL_FLOW_ANSWERED &&
			 !(word & SL_FLOW_CLOSED) &&
			 !(word & SL_FLOW_UDP &&
			   way_age(word, now) > world->settings.udp_idle_units);
	}
	return count;
}

/* Have the second buckets room for both ways of a connection, whichever endpoint it gets? */
static inline bool table_has_second(const struct world *world, const struct reference *model,
				    const struct tuple *tuple)
{
	if (table_free(table_bucket(world, table_tag(world, tuple))) < 2)
		return false;
	for (unsigned i = 0; i < model->version_count; i++)
		for (unsigned k = 0; k < model->versions[i].count; k++) {
			struct tuple reply =
				tuple_of_reply(tuple, &model->versions[i].endpoints[k]);

			if (table_free(table_bucket(world, table_tag(world, &reply))) < 2)
				return false;
		}
	return true;
}

/* Would a new connection of this tuple push another out, be it one that is over? */
static inline bool table_is_crowded(const struct world *world, const struct reference *model,
				    const struct tuple *tuple)
{
	const struct sl_way *home = table_home(world, tuple, false);
	unsigned free = table_free(home);

	if (free >= 2)
		return false;
	return free + table_living(world, home) != SL_WAYS ||
	       !table_has_second(world, model, tuple);
}

/* --- ways of nobody, that live and are answered --- */

#define FILLER 0xf111e50000000000ull /* of their tags; the rest is the place in the table */

static inline bool is_filler(const struct sl_way *way)
{
	return way->tag >> 40 == FILLER >> 40;
}

/* All free places in a client's bucket. */
static inline void table_fill(const struct world *world, const struct tuple *tuple)
{
	struct sl_way *home = table_home(world, tuple, false);
	__u16 now = world_clock(world);

	for (unsigned i = 0; i < SL_WAYS; i++)
		if (home[i].tag == SL_WAY_EMPTY)
			home[i] = (struct sl_way){ FILLER | (__u64)(home + i - world->ways),
						   way_word(0, 0, now, SL_FLOW_ANSWERED) };
}

static inline void table_clear(const struct world *world, const struct tuple *tuple)
{
	struct sl_way *home = table_home(world, tuple, false);

	for (unsigned i = 0; i < SL_WAYS; i++)
		if (is_filler(&home[i]))
			home[i].tag = SL_WAY_EMPTY;
}

/* --- what is in it --- */

static inline __u8 table_flags(const struct model_flow *flow)
{
	__u8 flags = (flow->is_reply ? SL_FLOW_REPLY : 0) | (flow->adopted ? SL_FLOW_ADOPTED : 0) |
		     (flow->answered ? SL_FLOW_ANSWERED : 0) | (flow->closed ? SL_FLOW_CLOSED : 0);

	if (flow->straight)
		flags |= SL_FLOW_REDIRECT;
	return flow->key.protocol == IPPROTO_UDP ? flags | SL_FLOW_UDP : flags;
}

static inline bool table_addr_is(const __u32 *mapped, const __u8 *addr, int family)
{
	return family == 4 ? !memcmp(mapped + 3, addr, 4) : !memcmp(mapped, addr, 16);
}

/* What a way says against what the reference's flow says. NULL: the same. */
static inline const char *table_flow_differs(const struct world *world,
					     const struct model_flow *flow)
{
	const struct sl_way *way = table_way(world, &flow->key, flow->is_reply);
	const __u8 *seen_addr = flow->is_reply ? flow->key.src : flow->peer.addr;
	__u16 seen_port = flow->is_reply ? flow->key.sport : flow->peer.port;
	const __u8 *vip_addr = flow->is_reply ? flow->peer.addr : flow->key.dst;
	__u16 vip_port = flow->is_reply ? flow->peer.port : flow->key.dport;
	struct sl_endpoint endpoint;
	struct sl_vip vip;
	__u32 index;

	if (!way)
		return "a flow is not in the table";
	index = way_endpoint(way->word);
	if (bpf_map_lookup_elem(world_fd(world, endpoints), &index, &endpoint))
		return "a flow names no endpoint";
	index = way_vip(way->word);
	if (bpf_map_lookup_elem(world_fd(world, vips), &index, &vip))
		return "a flow names no VIP";
	if (!table_addr_is(endpoint.addr, seen_addr, flow->key.family) ||
	    ntohs(endpoint.port) != seen_port || endpoint.version != flow->version->index)
		return "a flow names another endpoint";
	if (!table_addr_is(vip.addr, vip_addr, flow->key.family) || ntohs(vip.port) != vip_port ||
	    vip.protocol != flow->key.protocol)
		return "a flow names another VIP";
	if ((way->word & 0xff & ~(SL_FLOW_FIN_IN | SL_FLOW_FIN_OUT)) != table_flags(flow))
		return "a flow has other flags";
	if (!flow->is_reply && (!(way->word & SL_FLOW_FIN_IN) != !flow->fin_in ||
				!(way->word & SL_FLOW_FIN_OUT) != !flow->fin_out))
		return "a flow has other FINs";
	return NULL;
}

static inline const char *table_differs(const struct world *world, const struct reference *model,
					__u64 *spilled)
{
	__u64 ways = (world->settings.flow_mask + 1ull) * SL_WAYS, used = 0, wanted = 0;
	const char *why;

	for (unsigned i = 0; i < model->flow_count; i++) {
		if (model->flows[i].is_gone)
			continue;
		wanted++;
		why = table_flow_differs(world, &model->flows[i]);
		if (why)
			return why;
		*spilled += !table_way_in(
			table_home(world, &model->flows[i].key, model->flows[i].is_reply),
			table_tag(world, &model->flows[i].key));
	}
	for (__u64 i = 0; i < ways; i++)
		used += world->ways[i].tag != SL_WAY_EMPTY && !is_filler(&world->ways[i]);
	return used == wanted ? NULL : "the table has ways that are no flow's";
}
