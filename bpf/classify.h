/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet to decision. The only place that orders the look-ups; it reads tables and writes nothing.
 * What the decision asks for is done by act.h.
 */
#pragma once
#include "decide.h"

/* A SYN opens; with an RST it opens nothing (RFC 9293, 3.10.7: the RST is looked at first). */
static __always_inline int is_opening(const struct pkt *pkt)
{
	return pkt->kind == PKT_WHOLE && pkt->protocol == IPPROTO_TCP &&
	       (pkt->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN;
}

/*
 * A packet that no flow claims: a service's, or not ours. Global, as are all the larger steps: the
 * verifier then judges each once for any input, and not again for every path that leads to it.
 */
__noinline int classify_new(const struct pkt *pkt, struct decision *decision)
{
	struct sl_service *service;
	struct sl_split split;
	__u32 revision;

	if (!pkt || !decision)
		return 0;
	revision = revision_active(decision);
	service = service_find(pkt, revision);

	if (!service) {
		decision->note = 0;
		return decide(decision, ACT_PASS, SL_pass_unmatched);
	}
	decision->origin =
		pkt->protocol == IPPROTO_UDP || is_opening(pkt) ? ORIGIN_OPEN : ORIGIN_ADOPT;
	split_find(pkt, service, &split);
	if (split.flags & SL_SPLIT_NONE)
		return decide(decision, ACT_REFUSE, SL_refuse_no_rule);
	return pick(pkt, &split, service->vip, decision);
}

/*
 * Endpoint to client. Ingress leaves a flow of the stack alone: connection tracking must see it as
 * the endpoint sent it.
 */
static __always_inline int classify_reply(const struct pkt *pkt, __u64 word, __u32 door,
					  struct decision *decision)
{
	/*
	 * The client's port may serve a direct connection to the endpoint by now. Its SYN-ACK
	 * tells: one of ours answers a flow that waits for it.
	 */
	if (pkt->kind == PKT_WHOLE && pkt->protocol == IPPROTO_TCP &&
	    (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
		__u64 opener = flow_find_slow(flow_tag_opener(pkt, word), flow_home(pkt, 1));

		if (!opener || opener & SL_FLOW_CLOSED)
			return decide(decision, ACT_DISOWN, SL_pass_unmatched);
	}
	if (door != SL_DOOR_OUT && !(word & SL_FLOW_REDIRECT))
		return decide(decision, ACT_PASS, SL_reply_up);
	return decide(decision, ACT_TO_CLIENT, 0);
}

/* A later fragment has no ports; the first one left them. Returns 0 when they are known now. */
__noinline int fragment_find(struct pkt *pkt)
{
	struct sl_fragment_key key = {};
	struct sl_fragment *fragment;

	if (!pkt)
		return -1;
	key.id = pkt->fragment_id;
	key.protocol = pkt->protocol;
	key.family = pkt->family;
	__builtin_memcpy(key.saddr, pkt->saddr, 16);
	__builtin_memcpy(key.daddr, pkt->daddr, 16);
	fragment = bpf_map_lookup_elem(&sl_fragments, &key);
	if (!fragment)
		return -1;
	pkt->sport = fragment->sport;
	pkt->dport = fragment->dport;
	return 0;
}

static __always_inline int pass(const struct pkt *pkt, struct decision *decision)
{
	return decide(decision, ACT_PASS,
		      pkt->kind == PKT_ICMP       ? SL_pass_icmp
		      : pkt->kind == PKT_FRAGMENT ? SL_pass_fragment
						  : SL_pass_unmatched);
}

/*
 * Decides about one packet. `decision` is zeroed by the caller; its word is the packet's own flow,
 * unless it decides anew. The tc egress door only undoes what the stack carried back: it opens
 * nothing.
 */
static __always_inline int classify(struct pkt *pkt, __u32 door, struct decision *decision)
{
	int is_to, is_found;
	__u64 word = 0, tag;

	if (pkt->kind == PKT_FRAGMENT && fragment_find(pkt))
		return decide(decision, ACT_PASS, SL_pass_fragment);
	is_to = known_has(pkt->daddr, pkt->dport, pkt->family);
	if (!is_to && !known_has(pkt->saddr, pkt->sport, pkt->family))
		return pass(pkt, decision);
	tag = flow_tag_of(pkt);
	is_found = flow_find(tag, flow_home(pkt, !is_to), &word);
	if (!is_found && is_to && known_has(pkt->saddr, pkt->sport, pkt->family)) {
		/* Who sends is known, and who receives: the first was not the client. */
		word = flow_find_slow(tag, flow_home(pkt, 1));
		is_found = word != 0;
	}
	if (is_found && !(word & SL_FLOW_UDP && flow_is_over(word, flow_clock()))) {
		decision->word = word;
		if (word & SL_FLOW_REPLY)
			return classify_reply(pkt, word, door, decision);
		/*
		 * A SYN decides anew: the port may be used again, and the weights may have moved
		 * (promise 7).
		 */
		if (door != SL_DOOR_OUT && !is_opening(pkt))
			return decide(decision, ACT_TO_ENDPOINT, 0);
	}
	if (pkt->kind != PKT_WHOLE || door == SL_DOOR_OUT)
		return pass(pkt, decision);
	return classify_new(pkt, decision);
}
