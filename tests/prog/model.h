/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference: what the design says of a packet, in plain user-space code that shares nothing
 * with bpf/ but the contract's names and the hash. Tables are structs, a split is a list of slots,
 * flows are a list of connections' halves under their 5-tuples. It knows the doors without
 * redirect.
 */
#pragma once
#include "model_bytes.h"

#include "bpf/pick.h"

#define MODEL_SLOTS 64
#define MODEL_FLOWS 8192
#define MODEL_FRAGMENTS 512
#define MODEL_IDLE_S 4  /* a UDP flow that is older has ended */
#define MODEL_TOUCH_S 1 /* a flow that is older is made young by its next packet */

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
	unsigned age_s;
	bool fin_in, fin_out, closed, adopted, answered; /* of the opener's half */
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

struct model {
	__u8 mac[ETH_ALEN];  /* the device's own */
	bool answers_at_xdp; /* the device takes XDP frames */
	bool active_unknown; /* the active word names no revision: the first is used */
	unsigned active;     /* of two revisions */
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
	struct seen seen;
	__u8 bytes[WIRE_MAX * 2];
	unsigned count;
};

/* --- flows --- */

static inline struct model_flow *model_find(struct model *model, const struct tuple *key)
{
	for (unsigned i = model->flow_count; i--;)
		if (!model->flows[i].is_gone && !memcmp(&model->flows[i].key, key, sizeof(*key)))
			return &model->flows[i];
	return NULL;
}

static inline struct model_flow *model_put(struct model *model, const struct model_flow *flow)
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

static inline struct model_flow *model_find_opener(struct model *model,
						   const struct model_flow *reply)
{
	struct tuple key = tuple_of_opener(reply);

	return model_find(model, &key);
}

static inline void model_put_reply(struct model *model, const struct model_flow *opener)
{
	struct model_flow reply = { .key = tuple_of_reply(&opener->key, &opener->peer),
				    .is_reply = true,
				    .version = opener->version,
				    .peer.port = opener->key.dport };

	memcpy(reply.peer.addr, opener->key.dst, 16);
	model_put(model, &reply);
}

/* Takes the reply half of a flow away, if it is still that flow's. */
static inline void model_forget_reply(struct model *model, const struct model_flow *opener)
{
	struct tuple key = tuple_of_reply(&opener->key, &opener->peer), back;
	struct model_flow *reply = model_find(model, &key);

	if (!reply || !reply->is_reply)
		return;
	back = tuple_of_opener(reply);
	reply->is_gone = !memcmp(&back, &opener->key, sizeof(back));
}

/* A packet makes both halves young; the reply half is put back when it was lost. */
static inline void model_touch(struct model *model, struct model_flow *flow, struct wanted *wanted)
{
	struct model_flow *other;
	struct tuple key;

	flow->age_s = 0;
	if (flow->is_reply) {
		other = model_find_opener(model, flow);
		if (other)
			other->age_s = 0;
		return;
	}
	key = tuple_of_reply(&flow->key, &flow->peer);
	other = model_find(model, &key);
	if (other) {
		other->age_s = 0;
		return;
	}
	wanted->notes |= 1u << (SL_note_reply_restored - SL_VERDICT_COUNT);
	model_put_reply(model, flow);
}

static inline void model_tcp_state(struct model *model, struct model_flow *flow, __u8 flags)
{
	struct model_flow *opener = flow->is_reply ? model_find_opener(model, flow) : flow;
	bool ends;

	if (!opener)
		return;
	opener->fin_in |= (flags & 1 && !flow->is_reply) || flags & 4;
	opener->fin_out |= (flags & 1 && flow->is_reply) || flags & 4;
	opener->answered |= flow->is_reply && (flags & 18) == 18;
	ends = opener->fin_in && opener->fin_out && !opener->closed;
	opener->closed |= ends;
	if (ends && !opener->adopted)
		model->stats[opener->version->index].closed++;
	if (ends && flow->is_reply && flags & 4)
		model->stats[opener->version->index].reset++;
}

static inline void model_book(struct model *model, struct model_flow *flow, struct wanted *wanted)
{
	struct model_stats *stats = &model->stats[flow->version->index];
	const struct seen *seen = &wanted->seen;

	if (seen->kind == SEEN_ERROR)
		return;
	*(flow->is_reply ? &stats->packets_out : &stats->packets_in) += 1;
	*(flow->is_reply ? &stats->bytes_out : &stats->bytes_in) += seen->ip_len;
	if (seen->kind == SEEN_WHOLE && seen->tuple.protocol == IPPROTO_TCP)
		model_tcp_state(model, flow, seen->tcp_flags);
	if (flow->age_s >= MODEL_TOUCH_S)
		model_touch(model, flow, wanted);
}

/* --- fragments --- */

static inline struct model_fragment *model_fragment(struct model *model, const struct seen *seen)
{
	struct tuple key = seen->tuple;

	key.sport = key.dport = 0;
	for (unsigned i = 0; i < model->fragment_count; i++)
		if (model->fragments[i].id == seen->id &&
		    !memcmp(&model->fragments[i].key, &key, sizeof(key)))
			return &model->fragments[i];
	return NULL;
}

static inline void model_fragment_put(struct model *model, const struct seen *seen)
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

/* --- services --- */

static inline const struct model_service *model_service(const struct model *model,
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

static inline __u64 model_hash(const struct model *model, const struct tuple *tuple, bool by_client)
{
	__u64 saddr[2] = { number_of(tuple->src, 8), number_of(tuple->src + 8, 8) };
	__u64 daddr[2] = { number_of(tuple->dst, 8), number_of(tuple->dst + 8, 8) };
	struct pick_key key = {};

	if (tuple->family == 4)
		pick_key4(&key, saddr[0] >> 32, daddr[0] >> 32, tuple->sport, tuple->dport,
			  tuple->protocol, by_client);
	else
		pick_key6(&key, saddr, daddr, tuple->sport, tuple->dport, tuple->protocol,
			  by_client);
	return pick_hash(&key, model->seed);
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

static inline void model_send(struct model *model, struct wanted *wanted, bool is_dst,
			      const struct model_endpoint *to, __u32 verdict)
{
	const struct seen *seen = &wanted->seen;

	if (seen->first && seen->kind == SEEN_WHOLE)
		model_fragment_put(model, seen);
	model_rewrite(seen, wanted->bytes, wanted->count, is_dst, to->addr, to->port);
	if (seen->kind == SEEN_ERROR)
		verdict = SL_icmp_stack;
	else if (seen->kind == SEEN_LATER)
		verdict = SL_fragment_stack;
	wanted->verdict = verdict;
}

static inline void model_refuse(struct model *model, struct wanted *wanted, __u32 door,
				__u32 verdict, const struct model_version *empty)
{
	__u8 out[sizeof(wanted->bytes)];
	unsigned count;

	wanted->verdict = SL_pass_deferred;
	if (door == SL_DOOR_XDP && !model->answers_at_xdp)
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

/* A connection begins, or one that was under way before us is taken up. */
static inline void model_begin(struct model *model, struct wanted *wanted,
			       const struct model_version *version,
			       const struct model_endpoint *endpoint, bool adopts)
{
	const struct seen *seen = &wanted->seen;
	struct model_flow fresh = {
		.key = seen->tuple, .peer = *endpoint, .version = version, .adopted = adopts
	};
	struct model_flow *old = model_find(model, &seen->tuple);
	struct model_stats *stats = &model->stats[version->index];
	bool is_same, again = false;

	if (old && old->is_reply)
		old = NULL;
	is_same = old && !memcmp(&old->peer, endpoint, sizeof(*endpoint));
	if (old && !old->closed && !old->adopted) {
		/* The same SYN, sent again, is the same connection. */
		again = is_same && old->version == version && !old->answered &&
			seen->tuple.protocol == IPPROTO_TCP;
		model->stats[old->version->index].closed += !again;
	}
	if (old && !is_same)
		model_forget_reply(model, old);
	stats->opened += !adopts && !again;
	stats->packets_in++, stats->bytes_in += seen->ip_len;
	if (seen->tuple.protocol == IPPROTO_TCP && seen->tcp_flags & 4)
		return;
	model_put_reply(model, &fresh);
	model_put(model, &fresh);
}

static inline void model_new(struct model *model, struct wanted *wanted, __u32 door, bool is_syn)
{
	const struct tuple *tuple = &wanted->seen.tuple;
	const struct model_service *service = model_service(model, tuple);
	bool opens = is_syn || tuple->protocol == IPPROTO_UDP, spilled;
	__u32 unknown = model->active_unknown << (SL_note_active_unknown - SL_VERDICT_COUNT);
	const struct model_version *version, *first;
	const struct model_split *split;
	struct model_endpoint to;
	__u64 hash;

	if (!service) {
		wanted->verdict = SL_pass_unmatched;
		return;
	}
	wanted->notes |= unknown;
	split = model_split(service, tuple);
	if (split->is_none) {
		model_refuse(model, wanted, door, SL_refuse_no_rule, NULL);
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
		model_refuse(model, wanted, door, SL_refuse_empty, first);
		return;
	}
	if (spilled)
		wanted->notes = 1u << (SL_note_spilled - SL_VERDICT_COUNT);
	to = version->endpoints[(hash >> 32) * version->count >> 32];
	model_begin(model, wanted, version, &to, !opens);
	model_send(model, wanted, true, &to, opens ? SL_open_stack : SL_adopt_stack);
}

static inline void model_reply(struct model *model, struct wanted *wanted, __u32 door,
			       struct model_flow *flow)
{
	const struct seen *seen = &wanted->seen;
	struct model_endpoint vip = flow->peer;

	if (seen->kind == SEEN_WHOLE && seen->tuple.protocol == IPPROTO_TCP &&
	    (seen->tcp_flags & 18) == 18) {
		struct model_flow *opener = model_find_opener(model, flow);

		wanted->verdict = SL_pass_unmatched;
		if (!opener || opener->closed)
			return;
	}
	wanted->verdict = SL_reply_up;
	if (door != SL_DOOR_OUT)
		return;
	model_book(model, flow, wanted);
	model_send(model, wanted, false, &vip, SL_reply_stack);
}

static inline __u32 verdict_of_unknown(enum seen_kind kind)
{
	if (kind == SEEN_ERROR)
		return SL_pass_icmp;
	return kind == SEEN_LATER ? SL_pass_fragment : SL_pass_unmatched;
}

/* A packet that was parsed: a flow's, a service's, or nobody's. */
static inline void model_ip(struct model *model, struct wanted *wanted, __u32 door)
{
	struct seen *seen = &wanted->seen;
	struct model_fragment *fragment = model_fragment(model, seen);
	bool is_tcp = seen->kind == SEEN_WHOLE && seen->tuple.protocol == IPPROTO_TCP;
	bool is_syn = is_tcp && (seen->tcp_flags & (2 | 4 | 16)) == 2;
	struct model_flow *flow;
	struct model_endpoint to;

	wanted->verdict = verdict_of_unknown(seen->kind);
	if (seen->kind == SEEN_LATER && !fragment)
		return;
	if (seen->kind == SEEN_LATER)
		seen->tuple.sport = fragment->sport, seen->tuple.dport = fragment->dport;
	flow = model_find(model, &seen->tuple);
	if (flow && seen->tuple.protocol == IPPROTO_UDP && flow->age_s > MODEL_IDLE_S)
		flow = NULL;
	if (flow && flow->is_reply) {
		model_reply(model, wanted, door, flow);
	} else if (door == SL_DOOR_OUT) {
		return;
	} else if (flow && !is_syn) {
		to = flow->peer;
		model_book(model, flow, wanted);
		model_send(model, wanted, true, &to, SL_forward_stack);
	} else if (seen->kind == SEEN_WHOLE) {
		model_new(model, wanted, door, is_syn);
	}
}

static inline void model_packet(struct model *model, __u32 door, const __u8 *in, unsigned count,
				struct wanted *wanted)
{
	bool is_other = door == SL_DOOR_XDP ? in[0] & 1 : memcmp(in, model->mac, ETH_ALEN);

	memcpy(wanted->bytes, in, count);
	wanted->count = count;
	wanted->notes = 0;
	wanted->seen = seen_parse(in, count);
	wanted->verdict = SL_pass_not_for_us;
	if (is_other && door != SL_DOOR_OUT)
		return;
	wanted->verdict = wanted->seen.verdict;
	if (wanted->seen.verdict < 0)
		model_ip(model, wanted, door);
}
