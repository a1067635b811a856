/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decision to deed: remember, rewrite, send, refuse, count. The door that includes this defines,
 * before:
 *
 *   door_ctx                                 its context's type
 *   door_frame                               struct view of the frame, its headers in reach
 *   door_rewrite                             an address, port, TTL and their checksums
 *   door_store, door_l3_csum, door_l4_csum   the same piece by piece (see rewrite.h)
 *   door_load, door_store_slow, door_resize  bytes of a frame whose length changes
 *   door_exit                                MAC addresses, and out of the device
 *   door_up, door_drop, door_back            return codes: up the stack, dropped, back where it
 *                                            came from
 *   door_defer                               true when the packet must be left to another door
 */
#pragma once
#include "book.h"
#include "refuse.h"
#include "rewrite.h"
#include "route.h"

/* open_stack .. fragment_redirect come in pairs: stack, redirect. */
_Static_assert(SL_open_redirect == SL_open_stack + 1 && SL_adopt_redirect == SL_adopt_stack + 1 &&
		       SL_forward_redirect == SL_forward_stack + 1 &&
		       SL_reply_redirect == SL_reply_stack + 1 &&
		       SL_icmp_redirect == SL_icmp_stack + 1 &&
		       SL_fragment_redirect == SL_fragment_stack + 1,
	       "verdict pairs");

static __always_inline __u32 sent_verdict(const struct pkt *pkt, const struct decision *decision)
{
	if (pkt->kind == PKT_ICMP)
		return SL_icmp_stack;
	if (pkt->kind == PKT_FRAGMENT)
		return SL_fragment_stack;
	if (decision->action == ACT_TO_CLIENT)
		return SL_reply_stack;
	if (decision->origin >= ORIGIN_OPEN)
		return SL_open_stack;
	return decision->origin == ORIGIN_ADOPT ? SL_adopt_stack : SL_forward_stack;
}

__noinline int frame_parse(door_ctx *ctx, struct pkt *pkt)
{
	struct view view;

	if (!pkt)
		return SL_pass_truncated;
	view = door_frame(ctx);
	return parse(&view, pkt, 0);
}

/* The usual packet here, any other in the function above: `pkt` is zeroed. */
static __always_inline int frame_read(door_ctx *ctx, struct pkt *pkt)
{
	struct view view = door_frame(ctx);
	int verdict = parse(&view, pkt, 1);

	if (verdict != PARSE_UNUSUAL)
		return verdict;
	__builtin_memset(pkt, 0, sizeof(*pkt));
	return frame_parse(ctx, pkt);
}

/*
 * A new flow's way, and its way back: both must be straight, because connection tracking sees both
 * halves of a connection or none.
 */
__noinline int frame_route_new(door_ctx *ctx, const struct pkt *pkt, const struct target *to,
			       struct exit *exit)
{
	struct exit back = {};
	int way;

	if (!pkt || !to || !exit)
		return WAY_UP;
	way = route(ctx, pkt, to, to->addr, TRIP_TO_ENDPOINT, exit);
	if (way == WAY_UP)
		return way;
	back.ifindex = exit->ifindex;
	return route(ctx, pkt, to, pkt->saddr, TRIP_BACK, &back) == WAY_UP ? WAY_UP : way;
}

__noinline int frame_rewrite_icmp(door_ctx *ctx, const struct pkt *pkt, const struct target *to,
				  int is_dst)
{
	struct view view = door_frame(ctx);

	return pkt && to ? rewrite_icmp(ctx, &view, pkt, is_dst, to) : -1;
}

__noinline int frame_refuse(door_ctx *ctx, const struct pkt *pkt)
{
	return pkt ? refuse(ctx, pkt) : -1;
}

/* The address and port to write. Returns the endpoint's version, or -1 when a table disagrees. */
static __always_inline int target_find(const struct pkt *pkt, __u64 word, int is_dst,
				       struct target *ret_to)
{
	__u32 index = way_endpoint(word);
	struct sl_endpoint *endpoint = bpf_map_lookup_elem(&sl_endpoints, &index);
	struct sl_vip *vip;
	const __u32 *addr;

	if (!endpoint)
		return -1;
	addr = endpoint->addr;
	ret_to->port = endpoint->port;
	if (!is_dst) {
		index = way_vip(word);
		vip = bpf_map_lookup_elem(&sl_vips, &index);
		if (!vip)
			return -1;
		addr = vip->addr;
		ret_to->port = vip->port;
	}
	if (pkt->family == 4)
		ret_to->addr[0] = addr[3];
	else
		__builtin_memcpy(ret_to->addr, addr, 16);
	return endpoint->version;
}

/* Which way a rewritten packet goes; notes of a new flow that it is straight. */
static __always_inline int way_find(door_ctx *ctx, const struct pkt *pkt, struct decision *decision,
				    __u32 door, const struct target *to, struct exit *ret_exit)
{
	int is_dst = decision->action == ACT_TO_ENDPOINT, way;

	if (!settings.redirect || pkt->vlan || door == SL_DOOR_OUT)
		return WAY_UP;
	/*
	 * One fragment may fit where another does not. All go the same way, or the stack would wait
	 * for those that went straight.
	 */
	if (is_dst && (pkt->kind == PKT_FRAGMENT || pkt->first_fragment))
		return WAY_UP;
	ret_exit->ifindex = door_ifindex(ctx);
	if (decision->origin != ORIGIN_FLOW) {
		way = frame_route_new(ctx, pkt, to, ret_exit);
		decision->word |= way == WAY_UP ? 0 : SL_FLOW_REDIRECT;
		return way;
	}
	if (!(decision->word & SL_FLOW_REDIRECT))
		return WAY_UP;
	way = route(ctx, pkt, to, is_dst ? to->addr : pkt->daddr,
		    is_dst ? TRIP_TO_ENDPOINT : TRIP_TO_CLIENT, ret_exit);
	if (way == WAY_UP)
		count(door, SL_note_no_route);
	return way;
}

static __always_inline void act_remember(const struct pkt *pkt, const struct decision *decision,
					 __u32 version, __u32 door)
{
	int put;

	/* Not of an ICMP error: the ports in `pkt` are those of the packet that it quotes. */
	if (pkt->first_fragment && pkt->kind == PKT_WHOLE)
		fragment_remember(pkt);
	if (decision->origin == ORIGIN_FLOW) {
		flow_book(pkt, decision->word, version, door);
		return;
	}
	flow_begin(pkt, decision);
	/* A stray RST is delivered, but is nothing to remember. */
	if (pkt->tcp_flags & TCP_RST)
		return;
	put = flow_remember(pkt, decision);
	if (put)
		count(door, put == PUT_FULL ? SL_note_flow_full : SL_note_flow_evicted);
}

static __always_inline int act_rewrite(door_ctx *ctx, const struct pkt *pkt,
				       struct decision *decision, __u32 door)
{
	int is_dst = decision->action == ACT_TO_ENDPOINT, way, version;
	__u32 verdict = sent_verdict(pkt, decision);
	struct exit exit = {};
	struct target to = {};

	version = target_find(pkt, decision->word, is_dst, &to);
	if (version < 0) {
		count(door, SL_drop_table);
		return door_drop();
	}
	way = way_find(ctx, pkt, decision, door, &to, &exit);
	if (way == WAY_DEFER) {
		count(door, SL_pass_deferred);
		return door_up(ctx);
	}
	/*
	 * A reply that cannot go straight goes up as it is: the stack knows why (too big, no route)
	 * and answers the endpoint in its own terms; the egress door rewrites what comes through.
	 */
	if (way == WAY_UP && !is_dst && door != SL_DOOR_OUT) {
		count(door, SL_reply_up);
		return door_up(ctx);
	}
	act_remember(pkt, decision, version, door);
	if (pkt->kind == PKT_ICMP ? frame_rewrite_icmp(ctx, pkt, &to, is_dst) ||
					    (way != WAY_UP && door_lower_ttl(ctx, pkt))
				  : door_rewrite(ctx, pkt, &to, is_dst, way != WAY_UP)) {
		count(door, SL_drop_rewrite);
		return door_drop();
	}
	if (way == WAY_UP) {
		count(door, verdict);
		return door_up(ctx);
	}
	count(door, verdict + 1);
	return door_exit(ctx, &exit, way);
}

static __always_inline int act_refuse(door_ctx *ctx, const struct pkt *pkt,
				      const struct decision *decision, __u32 door)
{
	int err = door_defer(ctx) ? REFUSE_NO_ROOM : frame_refuse(ctx, pkt);
	struct sl_stats *stats;

	if (err == REFUSE_NO_ROOM && door == SL_DOOR_XDP) {
		count(door, SL_pass_deferred);
		return door_up(ctx);
	}
	stats = decision->verdict == SL_refuse_empty ? stats_of(decision->version) : 0;
	if (stats)
		stats->refused++;
	if (err) {
		count(door, SL_drop_refused);
		return door_drop();
	}
	count(door, decision->verdict);
	return door_back(ctx);
}

/* The whole way of one packet through one door. */
static __always_inline int door_run(door_ctx *ctx, struct pkt *pkt, __u32 door)
{
	struct decision decision = {};

	classify(pkt, door, &decision);
	if (decision.note)
		count(door, decision.note);
	switch (decision.action) {
	case ACT_TO_ENDPOINT:
	case ACT_TO_CLIENT:
		return act_rewrite(ctx, pkt, &decision, door);
	case ACT_REFUSE:
		return act_refuse(ctx, pkt, &decision, door);
	case ACT_DROP:
		count(door, decision.verdict);
		return door_drop();
	case ACT_DISOWN:
		flow_disown(pkt);
		break;
	}
	count(door, decision.verdict);
	return door_up(ctx);
}
