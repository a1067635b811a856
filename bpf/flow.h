/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table. Two entries a connection, in one LRU hash a family: under the 5-tuple that the
 * client sends, and under the one that the endpoint answers with. The second holds what a reply
 * needs; the connection's state is in the first.
 */
#pragma once
#include "maps.h"
#include "parse.h"

/*
 * How stale `seen_ns` may grow: a store per packet would bounce the line, a rare one would end a
 * live UDP flow.
 */
static __always_inline __u64 flow_touch_ns(__u64 udp_idle_ns)
{
	return udp_idle_ns < 4000000000ull ? udp_idle_ns / 4 : 1000000000ull;
}

union flow_key {
	struct sl_tuple4 v4;
	struct sl_tuple6 v6;
};

static __always_inline void flow_key_fill(union flow_key *key, __u8 family, const __u32 *saddr,
					  const __u32 *daddr, __be16 sport, __be16 dport,
					  __u8 protocol)
{
	__builtin_memset(key, 0, sizeof(*key));
	if (family == 4) {
		key->v4.saddr = saddr[0];
		key->v4.daddr = daddr[0];
		key->v4.sport = sport;
		key->v4.dport = dport;
		key->v4.protocol = protocol;
	} else {
		__builtin_memcpy(key->v6.saddr, saddr, 16);
		__builtin_memcpy(key->v6.daddr, daddr, 16);
		key->v6.sport = sport;
		key->v6.dport = dport;
		key->v6.protocol = protocol;
	}
}

static __always_inline struct sl_flow *flow_get(const union flow_key *key, __u8 family)
{
	return family == 4 ? bpf_map_lookup_elem(&sl_flows4, &key->v4)
			   : bpf_map_lookup_elem(&sl_flows6, &key->v6);
}

static __always_inline long flow_put(const union flow_key *key, __u8 family,
				     const struct sl_flow *flow)
{
	return family == 4 ? bpf_map_update_elem(&sl_flows4, &key->v4, flow, BPF_ANY)
			   : bpf_map_update_elem(&sl_flows6, &key->v6, flow, BPF_ANY);
}

static __always_inline void flow_drop(const union flow_key *key, __u8 family)
{
	if (family == 4)
		bpf_map_delete_elem(&sl_flows4, &key->v4);
	else
		bpf_map_delete_elem(&sl_flows6, &key->v6);
}

/* The entry of a packet's own 5-tuple, either way. */
static __always_inline struct sl_flow *flow_find(const struct pkt *pkt)
{
	union flow_key key;

	flow_key_fill(&key, pkt->family, pkt->saddr, pkt->daddr, pkt->sport, pkt->dport,
		      pkt->protocol);
	return flow_get(&key, pkt->family);
}

/* From a reply and its entry to the entry that holds the connection's state. */
static __always_inline struct sl_flow *flow_find_opener(const struct pkt *pkt,
							const struct sl_flow *reply)
{
	union flow_key key;
	__u32 vip[4];

	__builtin_memcpy(vip, reply->peer, 16);
	flow_key_fill(&key, pkt->family, pkt->daddr, vip, pkt->dport, reply->port, pkt->protocol);
	return flow_get(&key, pkt->family);
}

static __always_inline void flow_reply_key(union flow_key *key, const struct pkt *pkt,
					   const struct sl_flow *flow)
{
	__u32 endpoint[4];

	__builtin_memcpy(endpoint, flow->peer, 16);
	flow_key_fill(key, pkt->family, endpoint, pkt->saddr, flow->port, pkt->sport,
		      pkt->protocol);
}

/* The reply way's entry, made from the opener's and the opener's packet. */
static __always_inline long flow_put_reply(const struct pkt *pkt, const struct sl_flow *flow)
{
	struct sl_flow reply = *flow;
	union flow_key key;

	flow_reply_key(&key, pkt, flow);
	reply.flags = SL_FLOW_REPLY | (flow->flags & SL_FLOW_REDIRECT);
	__builtin_memcpy(reply.peer, pkt->daddr, 16);
	reply.port = pkt->dport;
	return flow_put(&key, pkt->family, &reply);
}

/*
 * Both entries of a new connection. The reply's goes first: an answer must never find the other
 * alone.
 */
static __always_inline long flow_remember(const struct pkt *pkt, const struct sl_flow *flow)
{
	union flow_key key;
	long err = flow_put_reply(pkt, flow);

	if (err)
		return err;
	flow_key_fill(&key, pkt->family, pkt->saddr, pkt->daddr, pkt->sport, pkt->dport,
		      pkt->protocol);
	return flow_put(&key, pkt->family, flow);
}

/*
 * The reply entry of a connection that a SYN has given to another endpoint; unless it is another
 * connection's by now: the same client port talks to a second service, which has the same endpoint.
 */
static __always_inline void flow_forget_reply(const struct pkt *pkt, const struct sl_flow *flow)
{
	struct sl_flow *reply;
	union flow_key key;

	flow_reply_key(&key, pkt, flow);
	reply = flow_get(&key, pkt->family);
	if (reply && reply->flags & SL_FLOW_REPLY && reply->port == pkt->dport &&
	    reply->peer[0] == pkt->daddr[0] && reply->peer[1] == pkt->daddr[1] &&
	    reply->peer[2] == pkt->daddr[2] && reply->peer[3] == pkt->daddr[3])
		flow_drop(&key, pkt->family);
}

/*
 * Keeps both entries of a live flow young: the LRU judges each by its own look-ups, and a one-sided
 * stream would lose the other half. Returns 1 when the reply half had been evicted and was put
 * back.
 */
__noinline int flow_touch(const struct pkt *pkt, __u64 now)
{
	struct sl_flow *flow, *other;
	struct sl_flow copy;
	union flow_key key;

	if (!pkt)
		return 0;
	flow = flow_find(pkt);
	if (!flow)
		return 0;
	flow->seen_ns = now;
	if (flow->flags & SL_FLOW_REPLY) {
		other = flow_find_opener(pkt, flow);
		if (other)
			other->seen_ns = now;
		return 0;
	}
	copy = *flow; /* the insertion below may recycle the very entry that it copies */
	flow_reply_key(&key, pkt, &copy);
	other = flow_get(&key, pkt->family);
	if (!other)
		return !flow_put_reply(pkt, &copy);
	other->seen_ns = now;
	return 0;
}
