/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reference knows: its tables as structs, a split as a list of slots; and what it
 * remembers: flows as a list of connections' halves under their 5-tuples, and fragments.
 */
#pragma once
#include "model_route.h"

#define MODEL_SLOTS 64
#define MODEL_FLOWS 8192
#define MODEL_FRAGMENTS 512

struct model_endpoint {
	__u8 addr[16];
	__u16 port;
};

struct model_version {
	__u32 index; /* in the kernel's tables */
	unsigned count;
	struct model_endpoint endpoints[4];
};

struct model_split {
	const struct model_version *slots[MODEL_SLOTS];
	const struct model_version *members[4];
	unsigned member_count;
	bool by_client, spills, is_none, is_broken;
};

struct model_service {
	__u8 family, protocol, vip[16];
	__u16 port;
	__u8 prefix[16]; /* the one rule's source, `bits` long; 0 bits: no rule */
	unsigned bits;
	struct model_split ruled, otherwise;
};

struct model_flow {
	struct tuple key;
	bool is_reply, is_gone;
	struct model_endpoint peer; /* what to write: the endpoint, or on the reply way the VIP */
	const struct model_version *version;
	unsigned age; /* units of the doors' clock; from 1 on its next packet makes it young */
	bool fin_in, fin_out; /* of the opener's half */
	bool adopted, answered, closed, straight;
};

struct model_fragment {
	struct tuple key; /* without ports */
	__u32 id;
	__u16 sport, dport;
};

struct model_stats {
	__u64 opened, closed, refused, reset, packets_in, bytes_in, packets_out, bytes_out;
};

#define MODEL_VERSIONS 32
#define MODEL_SERVICES 64

struct reference {
	bool redirects; /* else no packet goes straight */
	struct model_link links[MODEL_LINKS];
	bool active_unknown; /* the active word names no revision: the first is used */
	unsigned active;     /* of two revisions */
	unsigned idle;       /* a UDP flow that is older has ended */
	unsigned syn_idle;   /* a TCP flow that is older, and was never answered, holds nothing */
	__u64 seed[2];
	struct model_version versions[MODEL_VERSIONS];
	unsigned version_count;
	struct model_service services[2][MODEL_SERVICES];
	unsigned service_count[2];
	struct model_flow flows[MODEL_FLOWS];
	unsigned flow_count;
	struct model_fragment fragments[MODEL_FRAGMENTS];
	unsigned fragment_count;
	struct model_stats stats[MODEL_VERSIONS];
};

/* What a packet must come to. */
struct wanted {
	__u32 verdict, notes; /* notes: one bit each, from the first */
	__u32 door;
	const struct model_link *from; /* the link that it came in by */
	struct seen seen;
	__u8 bytes[WIRE_MAX * 2];
	unsigned count;
};

/* --- flows --- */

static inline struct model_flow *model_find(struct reference *model, const struct tuple *key)
{
	for (unsigned i = model->flow_count; i--;)
		if (!model->flows[i].is_gone && !memcmp(&model->flows[i].key, key, sizeof(*key)))
			return &model->flows[i];
	return NULL;
}

static inline struct model_flow *model_put(struct reference *model, const struct model_flow *flow)
{
	struct model_flow *place = model_find(model, &flow->key);

	for (unsigned i = 0; !place && i < model->flow_count; i++)
		if (model->flows[i].is_gone)
			place = &model->flows[i];
	if (!place && model->flow_count < MODEL_FLOWS)
		place = &model->flows[model->flow_count++];
	if (place)
		*place = *flow;
	return place;
}

static inline struct tuple tuple_of_reply(const struct tuple *opener,
					  const struct model_endpoint *endpoint)
{
	struct tuple reply = *opener;

	memcpy(reply.src, endpoint->addr, 16), reply.sport = endpoint->port;
	memcpy(reply.dst, opener->src, 16), reply.dport = opener->sport;
	return reply;
}

static inline struct tuple tuple_of_opener(const struct model_flow *reply)
{
	struct tuple opener = reply->key;

	memcpy(opener.src, reply->key.dst, 16), opener.sport = reply->key.dport;
	memcpy(opener.dst, reply->peer.addr, 16), opener.dport = reply->peer.port;
	return opener;
}

static inline struct model_flow *model_find_opener(struct reference *model,
						   const struct model_flow *reply)
{
	struct tuple key = tuple_of_opener(reply);

	return model_find(model, &key);
}

static inline void model_put_reply(struct reference *model, const struct model_flow *opener)
{
	struct model_flow reply = { .key = tuple_of_reply(&opener->key, &opener->peer),
				    .is_reply = true,
				    .version = opener->version,
				    .peer.port = opener->key.dport,
				    .adopted = opener->adopted,
				    .answered = opener->answered,
				    .closed = opener->closed,
				    .straight = opener->straight };

	memcpy(reply.peer.addr, opener->key.dst, 16);
	model_put(model, &reply);
}

/* Are they halves of one connection? Else one was lost, and its other half outlived it. */
static inline bool model_is_pair(const struct model_flow *opener, const struct model_flow *reply)
{
	struct tuple forth = tuple_of_reply(&opener->key, &opener->peer);
	struct tuple back = tuple_of_opener(reply);

	return reply->is_reply && opener->version == reply->version &&
	       !memcmp(&forth, &reply->key, sizeof(forth)) &&
	       !memcmp(&back, &opener->key, sizeof(back));
}

/* The reply half, if it is still that flow's. */
static inline struct model_flow *model_find_reply(struct reference *model,
						  const struct model_flow *opener)
{
	struct tuple key = tuple_of_reply(&opener->key, &opener->peer);
	struct model_flow *reply = model_find(model, &key);

	return reply && model_is_pair(opener, reply) ? reply : NULL;
}

static inline void model_forget_reply(struct reference *model, const struct model_flow *opener)
{
	struct model_flow *reply = model_find_reply(model, opener);

	if (reply)
		reply->is_gone = true;
}

/* What goes on after a reset was not reset; after both ends' FIN it is over. */
static inline void model_revive(struct model_flow *opener, struct model_flow *reply, __u8 flags)
{
	if (!opener || !opener->closed || (opener->fin_in && opener->fin_out) || flags & 7)
		return;
	opener->closed = false, opener->adopted = true;
	if (reply)
		reply->closed = false, reply->adopted = true;
}

static inline bool model_is_over(const struct reference *model, const struct model_flow *flow)
{
	return flow->closed || (flow->key.protocol == IPPROTO_UDP && flow->age > model->idle);
}

/* A packet makes both halves young; the reply half is put back when it was lost. */
static inline void model_touch(struct reference *model, struct model_flow *flow,
			       struct wanted *wanted)
{
	struct model_flow *other;
	struct tuple key;
	bool is_pair;

	flow->age = 0;
	key = flow->is_reply ? tuple_of_opener(flow) : tuple_of_reply(&flow->key, &flow->peer);
	other = model_find(model, &key);
	is_pair =
		other && (flow->is_reply ? model_is_pair(other, flow) : model_is_pair(flow, other));
	if (flow->is_reply)
		model_revive(is_pair ? other : NULL, flow, wanted->seen.tcp_flags);
	else
		model_revive(flow, is_pair ? other : NULL, wanted->seen.tcp_flags);
	if (is_pair)
		other->age = 0;
	/* The half of another that lives stays its own. */
	if (is_pair || flow->is_reply || (other && !model_is_over(model, other)))
		return;
	wanted->notes |= 1u << (SL_note_reply_restored - SL_VERDICT_COUNT);
	model_put_reply(model, flow);
}

/* FIN of both sides or RST of one closes; `flags` are 0 when it is not TCP. */
static inline void model_state(struct reference *model, struct model_flow *flow, __u8 flags)
{
	struct model_flow *opener = flow->is_reply ? model_find_opener(model, flow) : flow;
	struct model_flow *reply = flow->is_reply ? flow : model_find_reply(model, flow);
	bool ends;

	if (!opener || (reply && !model_is_pair(opener, reply)))
		return;
	opener->fin_in |= flags & 1 && !flow->is_reply;
	opener->fin_out |= flags & 1 && flow->is_reply;
	if (flow->is_reply && !opener->answered)
		flow->answered = opener->answered = true;
	ends = ((opener->fin_in && opener->fin_out) || flags & 4) && !opener->closed;
	opener->closed |= ends;
	if (ends && reply)
		reply->closed = true;
	if (ends && !opener->adopted)
		model->stats[opener->version->index].closed++;
	if (ends && flow->is_reply && flags & 4)
		model->stats[opener->version->index].reset++;
}

static inline void model_book(struct reference *model, struct model_flow *flow,
			      struct wanted *wanted)
{
	struct model_stats *stats = &model->stats[flow->version->index];
	const struct seen *seen = &wanted->seen;

	if (seen->kind == SEEN_ERROR)
		return;
	*(flow->is_reply ? &stats->packets_out : &stats->packets_in) += 1;
	*(flow->is_reply ? &stats->bytes_out : &stats->bytes_in) += seen->ip_len;
	model_state(model, flow, seen->tcp_flags);
	if (flow->age)
		model_touch(model, flow, wanted);
}

/* --- fragments --- */

static inline struct model_fragment *model_fragment(struct reference *model,
						    const struct seen *seen)
{
	struct tuple key = seen->tuple;

	key.sport = key.dport = 0;
	for (unsigned i = 0; i < model->fragment_count; i++)
		if (model->fragments[i].id == seen->id &&
		    !memcmp(&model->fragments[i].key, &key, sizeof(key)))
			return &model->fragments[i];
	return NULL;
}

static inline void model_fragment_put(struct reference *model, const struct seen *seen)
{
	struct model_fragment *fragment = model_fragment(model, seen);

	if (!fragment && model->fragment_count == MODEL_FRAGMENTS)
		return;
	if (!fragment)
		fragment = &model->fragments[model->fragment_count++];
	fragment->key = seen->tuple;
	fragment->key.sport = fragment->key.dport = 0;
	fragment->id = seen->id;
	fragment->sport = seen->tuple.sport, fragment->dport = seen->tuple.dport;
}
