/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference: what the design says of a packet, in plain user-space code that shares nothing
 * with bpf/ but the contract's names.
 */
#pragma once
#include "model_flows.h"
#include "model_hash.h"

/* --- services --- */

static inline const struct model_service *model_service(const struct reference *model,
							const struct tuple *tuple)
{
	unsigned revision = model->active_unknown ? 0 : model->active;

	for (unsigned i = 0; i < model->service_count[revision]; i++) {
		const struct model_service *service = &model->services[revision][i];

		if (service->family == tuple->family && service->protocol == tuple->protocol &&
		    service->port == tuple->dport && !memcmp(service->vip, tuple->dst, 16))
			return service;
	}
	return NULL;
}

static inline const struct model_split *model_split(const struct model_service *service,
						    const struct tuple *tuple)
{
	unsigned bits = service->bits;

	for (unsigned i = 0; i < bits; i++)
		if ((service->prefix[i / 8] ^ tuple->src[i / 8]) & 0x80 >> i % 8)
			return &service->otherwise;
	return bits ? &service->ruled : &service->otherwise;
}

static inline __u64 number_of(const __u8 *bytes, unsigned count)
{
	__u64 number = 0;

	for (unsigned i = 0; i < count; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* What is hashed, as 64-bit numbers: of a client its address alone, of a connection all five. */
static inline unsigned hashed_numbers(const struct tuple *tuple, bool by_client, __u64 *ret_numbers)
{
	__u64 ports = (__u64)tuple->sport << 32 | (__u64)tuple->dport << 16 |
		      (__u64)tuple->protocol << 8 | tuple->family;
	unsigned count = 0;

	if (tuple->family == 4) {
		ret_numbers[0] = number_of(tuple->src, 4);
		if (!by_client)
			ret_numbers[0] = ret_numbers[0] << 32 | number_of(tuple->dst, 4);
		ret_numbers[1] = by_client ? 4 : ports;
		return 2;
	}
	ret_numbers[count++] = number_of(tuple->src, 8);
	ret_numbers[count++] = number_of(tuple->src + 8, 8);
	if (by_client)
		return count;
	ret_numbers[count++] = number_of(tuple->dst, 8);
	ret_numbers[count++] = number_of(tuple->dst + 8, 8);
	ret_numbers[count++] = ports;
	return count;
}

static inline __u64 model_hash(const struct reference *model, const struct tuple *tuple,
			       bool by_client)
{
	__u64 numbers[5];
	unsigned count = hashed_numbers(tuple, by_client, numbers);
	__u8 key[16], in[sizeof(numbers)];

	put_little_endian(key, model->seed[0]);
	put_little_endian(key + 8, model->seed[1]);
	for (unsigned i = 0; i < count; i++)
		put_little_endian(in + (size_t)8 * i, numbers[i]);
	return sip_hash(key, in, 8 * count, 1, 3);
}

/* The version of a split for a hash, and whether it took over another's share. NULL: nobody has an
 * endpoint. */
static inline const struct model_version *model_version(const struct model_split *split, __u64 hash,
							bool *ret_spilled)
{
	const struct model_version *version = split->slots[(__u32)hash % MODEL_SLOTS];

	*ret_spilled = !version->count;
	if (version->count || !split->spills)
		return version->count ? version : NULL;
	for (__u32 i = 1; i <= SL_SPILL_TRIES; i++) {
		version = split->slots[((__u32)hash + i * 0x9e3779b1u) % MODEL_SLOTS];
		if (version->count)
			return version;
	}
	for (unsigned i = 0; i < split->member_count; i++)
		if (split->members[i]->count)
			return split->members[i];
	return NULL;
}

/* --- verdicts --- */

static inline __u32 note_bit(__u32 note)
{
	return 1u << (note - SL_VERDICT_COUNT);
}

static inline __u32 straight_verdict(__u32 verdict)
{
	switch (verdict) {
	case SL_open_stack:
		return SL_open_redirect;
	case SL_adopt_stack:
		return SL_adopt_redirect;
	case SL_forward_stack:
		return SL_forward_redirect;
	case SL_reply_stack:
		return SL_reply_redirect;
	case SL_icmp_stack:
		return SL_icmp_redirect;
	default:
		return SL_fragment_redirect;
	}
}

/* Where a packet goes that is rewritten to `to`, or from it: then it goes to its own destination.
 */
static inline const __u8 *sent_to(const struct wanted *wanted, bool is_dst,
				  const struct model_endpoint *to)
{
	return is_dst ? to->addr : wanted->seen.tuple.dst;
}

static inline enum model_way way_to(const struct reference *model, const struct wanted *wanted,
				    const __u8 *dst)
{
	return model_way_to(model->links, &wanted->seen, wanted->bytes, wanted->count,
			    wanted->door == SL_DOOR_XDP, dst);
}

/* A new connection's: the way back must go straight too, for connection tracking must see both or
 * none. */
static inline enum model_way way_of_new(const struct reference *model, const struct wanted *wanted,
					const struct model_endpoint *to)
{
	if (!model->redirects || wanted->seen.first ||
	    way_to(model, wanted, wanted->seen.tuple.src) == BY_STACK)
		return BY_STACK;
	return way_to(model, wanted, to->addr);
}

/* A known flow's: as it began. What began straight and finds no way goes by the stack, and that is
 * noted; a VLAN is not a lost way, and the stack's own door has none. */
static inline enum model_way way_of_flow(const struct reference *model, struct wanted *wanted,
					 const struct model_flow *flow)
{
	bool is_dst = !flow->is_reply;
	enum model_way way;

	if (!flow->straight || wanted->door == SL_DOOR_OUT || wanted->seen.l3 != ETH_HLEN)
		return BY_STACK;
	/* Fragments stay together, with those that are too large. */
	if (is_dst && (wanted->seen.kind == SEEN_LATER || wanted->seen.first))
		return BY_STACK;
	way = way_to(model, wanted, sent_to(wanted, is_dst, &flow->peer));
	if (way == BY_STACK)
		wanted->notes |= note_bit(SL_note_no_route);
	return way;
}

static inline void model_send(struct reference *model, struct wanted *wanted, bool is_dst,
			      const struct model_endpoint *to, __u32 verdict, enum model_way way)
{
	const struct seen *seen = &wanted->seen;

	if (seen->first && seen->kind == SEEN_WHOLE)
		model_fragment_put(model, seen);
	model_rewrite(seen, wanted->bytes, wanted->count, is_dst, to->addr, to->port);
	if (seen->kind == SEEN_ERROR)
		verdict = SL_icmp_stack;
	else if (seen->kind == SEEN_LATER)
		verdict = SL_fragment_stack;
	wanted->verdict = way == BY_STACK ? verdict : straight_verdict(verdict);
	if (way != BY_STACK)
		model_forward(model->links, seen, wanted->bytes, way, sent_to(wanted, is_dst, to));
}

static inline void model_refuse(struct reference *model, struct wanted *wanted, __u32 verdict,
				const struct model_version *empty)
{
	__u8 out[sizeof(wanted->bytes)];
	unsigned count;

	wanted->verdict = SL_pass_deferred;
	if (wanted->door == SL_DOOR_XDP && !wanted->from->takes_xdp)
		return;
	if (empty)
		model->stats[empty->index].refused++;
	count = model_answer(&wanted->seen, wanted->bytes, out);
	wanted->verdict = count ? verdict : SL_drop_refused;
	if (!count)
		return;
	memcpy(wanted->bytes, out, count);
	wanted->count = count;
}

/* Does the endpoint talk to this client's port already, in the name of another service? */
static inline bool is_busy(struct reference *model, const struct tuple *tuple,
			   const struct model_endpoint *endpoint)
{
	struct tuple key = tuple_of_reply(tuple, endpoint);
	const struct model_flow *flow = model_find(model, &key);

	if (!flow || !flow->is_reply || model_is_over(model, flow) ||
	    (tuple->protocol == IPPROTO_TCP && !flow->answered && flow->age > model->syn_idle))
		return false;
	return memcmp(flow->peer.addr, tuple->dst, 16) || flow->peer.port != tuple->dport;
}

/* A connection begins, or one that was under way before us is taken up. */
static inline void model_begin(struct reference *model, struct wanted *wanted,
			       const struct model_version *version,
			       const struct model_endpoint *endpoint, bool adopts, bool straight)
{
	const struct seen *seen = &wanted->seen;
	struct model_flow fresh = { .key = seen->tuple,
				    .peer = *endpoint,
				    .version = version,
				    .adopted = adopts,
				    .straight = straight };
	struct model_flow *old = model_find(model, &seen->tuple);
	struct model_stats *stats = &model->stats[version->index];
	bool is_same, again = false;

	if (old && old->is_reply)
		old = NULL;
	is_same =
		old && old->version == version && !memcmp(&old->peer, endpoint, sizeof(*endpoint));
	if (old && !old->closed && !old->adopted) {
		/* The same SYN, sent again, is the same connection. */
		again = is_same && !old->answered && seen->tuple.protocol == IPPROTO_TCP;
		model->stats[old->version->index].closed += !again;
	}
	if (old && !is_same)
		model_forget_reply(model, old);
	stats->opened += !adopts && !again;
	stats->packets_in++, stats->bytes_in += seen->ip_len;
	if (seen->tuple.protocol == IPPROTO_TCP && seen->tcp_flags & 4)
		return;
	/* Datagrams to an endpoint that answers another VIP's go one way. */
	if (seen->tuple.protocol != IPPROTO_UDP || !is_busy(model, &seen->tuple, endpoint))
		model_put_reply(model, &fresh);
	model_put(model, &fresh);
}

/* The first of eight places whose endpoint is not busy; of datagrams the first of all, else. */
static inline bool model_endpoint(struct reference *model, const struct tuple *tuple,
				  const struct model_version *version, __u64 hash,
				  struct model_endpoint *ret_endpoint)
{
	for (unsigned i = 0; i < 8; i++) {
		__u64 other = hash + i * 0x9e3779b97f4a7c15ull;

		*ret_endpoint = version->endpoints[(other >> 32) * version->count >> 32];
		if (!is_busy(model, tuple, ret_endpoint))
			return true;
	}
	*ret_endpoint = version->endpoints[(hash >> 32) * version->count >> 32];
	return tuple->protocol == IPPROTO_UDP;
}

static inline void model_new(struct reference *model, struct wanted *wanted, bool is_syn)
{
	const struct tuple *tuple = &wanted->seen.tuple;
	const struct model_service *service = model_service(model, tuple);
	bool opens = is_syn || tuple->protocol == IPPROTO_UDP, spilled;
	const struct model_version *version, *first;
	const struct model_split *split;
	struct model_endpoint to;
	enum model_way way;
	__u64 hash;

	if (!service) {
		wanted->verdict = SL_pass_unmatched;
		return;
	}
	wanted->notes |= model->active_unknown ? note_bit(SL_note_active_unknown) : 0;
	split = model_split(service, tuple);
	if (split->is_none) {
		model_refuse(model, wanted, SL_refuse_no_rule, NULL);
		return;
	}
	if (split->is_broken) {
		wanted->verdict = SL_drop_table;
		return;
	}
	hash = model_hash(model, tuple, split->by_client);
	first = split->slots[(__u32)hash % MODEL_SLOTS];
	version = model_version(split, hash, &spilled);
	if (!version) {
		model_refuse(model, wanted, SL_refuse_empty, first);
		return;
	}
	if (spilled)
		wanted->notes = note_bit(SL_note_spilled);
	if (!model_endpoint(model, tuple, version, hash, &to)) {
		model_refuse(model, wanted, SL_refuse_empty, version);
		return;
	}
	way = way_of_new(model, wanted, &to);
	wanted->verdict = SL_pass_deferred;
	if (way == LEFT_TO_TC)
		return;
	model_begin(model, wanted, version, &to, !opens, way != BY_STACK);
	model_send(model, wanted, true, &to, opens ? SL_open_stack : SL_adopt_stack, way);
}

/* A SYN-ACK that no opener waits for answers somebody else's SYN to the endpoint itself. */
static inline bool is_disowned(struct reference *model, const struct seen *seen,
			       const struct model_flow *flow)
{
	const struct model_flow *opener;

	if (seen->kind != SEEN_WHOLE || seen->tuple.protocol != IPPROTO_TCP ||
	    (seen->tcp_flags & 18) != 18)
		return false;
	opener = model_find_opener(model, flow);
	return !opener || opener->closed;
}

/* A packet of a known flow, once it is clear that it is one; a reply of the stack's is left alone
 * until it leaves the stack. */
static inline void model_known(struct reference *model, struct wanted *wanted,
			       struct model_flow *flow)
{
	bool is_reply = flow->is_reply, is_in = wanted->door != SL_DOOR_OUT;
	struct model_endpoint peer = flow->peer;
	enum model_way way = way_of_flow(model, wanted, flow);

	wanted->verdict = SL_pass_deferred;
	if (way == LEFT_TO_TC)
		return;
	wanted->verdict = SL_reply_up;
	if (is_reply && is_in && way == BY_STACK)
		return;
	model_book(model, flow, wanted);
	model_send(model, wanted, !is_reply, &peer, is_reply ? SL_reply_stack : SL_forward_stack,
		   way);
}

static inline __u32 verdict_of_unknown(enum seen_kind kind)
{
	if (kind == SEEN_ERROR)
		return SL_pass_icmp;
	return kind == SEEN_LATER ? SL_pass_fragment : SL_pass_unmatched;
}

/* A packet that was parsed: a flow's, a service's, or nobody's. */
static inline void model_ip(struct reference *model, struct wanted *wanted)
{
	struct seen *seen = &wanted->seen;
	struct model_fragment *fragment = model_fragment(model, seen);
	bool is_tcp = seen->kind == SEEN_WHOLE && seen->tuple.protocol == IPPROTO_TCP;
	bool is_syn = is_tcp && (seen->tcp_flags & (2 | 4 | 16)) == 2;
	struct model_flow *flow;

	wanted->verdict = verdict_of_unknown(seen->kind);
	if (seen->kind == SEEN_LATER && !fragment)
		return;
	if (seen->kind == SEEN_LATER)
		seen->tuple.sport = fragment->sport, seen->tuple.dport = fragment->dport;
	flow = model_find(model, &seen->tuple);
	if (flow && seen->tuple.protocol == IPPROTO_UDP && flow->age > model->idle)
		flow = NULL;
	if (flow && flow->is_reply && is_disowned(model, seen, flow)) {
		wanted->verdict = SL_pass_unmatched;
		flow->is_gone = true;
	} else if (flow && (flow->is_reply || (wanted->door != SL_DOOR_OUT && !is_syn))) {
		model_known(model, wanted, flow);
	} else if (wanted->door != SL_DOOR_OUT && seen->kind == SEEN_WHOLE) {
		model_new(model, wanted, is_syn);
	}
}

/* `count` bytes through a door, of the link `from`. At XDP nobody knows the device's own address.
 */
static inline void model_packet(struct reference *model, __u32 door, unsigned from, const __u8 *in,
				unsigned count, struct wanted *wanted)
{
	bool is_other;

	wanted->door = door;
	wanted->from = &model->links[from];
	is_other = door == SL_DOOR_XDP ? count >= ETH_ALEN && in[0] & 1
				       : memcmp(in, wanted->from->mac, ETH_ALEN);
	memcpy(wanted->bytes, in, count);
	wanted->count = count;
	wanted->notes = 0;
	wanted->seen = seen_parse(in, count);
	wanted->verdict = SL_pass_not_for_us;
	if (is_other && door != SL_DOOR_OUT && (count >= ETH_HLEN || door == SL_DOOR_XDP))
		return;
	wanted->verdict = wanted->seen.verdict;
	if (wanted->seen.verdict < 0)
		model_ip(model, wanted);
}
