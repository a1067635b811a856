/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decision to deed: remember, rewrite, send, refuse, count. The door that includes this defines,
 * before:
 *
 *   door_ctx                                 its context's type
 *   door_frame                               struct view of the frame, its headers in reach
 *   door_store, door_l3_csum, door_l4_csum   bytes (see rewrite.h)
 *   door_load, door_store_slow, door_resize  bytes of a frame whose length changes
 *   door_route, door_exit                    one way out (see route.h); writing its MAC addresses
 * and TTL door_up, door_drop, door_back            return codes: up the stack, dropped, back where
 * it came from door_defer                               true when the packet must be left to
 * another door
 */
#pragma once
#include "classify.h"
#include "refuse.h"
#include "rewrite.h"

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
	if (decision->origin == ORIGIN_OPEN)
		return SL_open_stack;
	return decision->origin == ORIGIN_ADOPT ? SL_adopt_stack : SL_forward_stack;
}

/*
 * SYN-ACK, FIN and RST of a flow: FIN of both or RST of one closes, once; the SYN-ACK gives the
 * handshake's time. The state is in the opener's entry, whichever way the packet goes.
 */
__noinline int flow_tcp_note(const struct pkt *pkt)
{
	const __u32 both = SL_FLOW_FIN_IN | SL_FLOW_FIN_OUT;
	struct sl_flow *opener;
	struct sl_stats *stats;
	int from_client = 1;
	__u32 old, add = 0;

	if (!pkt)
		return 0;
	opener = flow_find(pkt);
	if (opener && opener->flags & SL_FLOW_REPLY) {
		from_client = 0;
		opener = flow_find_opener(pkt, opener);
	}
	if (!opener)
		return 0;
	if (pkt->tcp_flags & TCP_FIN)
		add |= from_client ? SL_FLOW_FIN_IN : SL_FLOW_FIN_OUT;
	if (pkt->tcp_flags & TCP_RST)
		add |= both;
	if (!from_client && (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		add |= SL_FLOW_ANSWERED;
	stats = stats_of(opener->version);
	if (!add || !stats)
		return 0;

	old = __sync_fetch_and_or(&opener->flags, add);
	if (add & SL_FLOW_ANSWERED && !(old & (SL_FLOW_ANSWERED | SL_FLOW_ADOPTED)))
		stats_handshake(stats, bpf_ktime_get_ns() - opener->opened_ns);
	if (((old | add) & both) != both)
		return 0;
	if (__sync_fetch_and_or(&opener->flags, SL_FLOW_CLOSED) & SL_FLOW_CLOSED)
		return 0;
	if (!(old & SL_FLOW_ADOPTED))
		stats->closed++;
	if (!from_client && pkt->tcp_flags & TCP_RST)
		stats->reset++;
	return 0;
}

/*
 * Books a packet of a known flow: bytes, state, age. ICMP errors are not the connection's own
 * bytes.
 */
static __always_inline void flow_book(const struct pkt *pkt, const struct sl_flow *flow, __u32 door,
				      __u64 now, int from_client)
{
	struct sl_stats *stats = stats_of(flow->version);
	__u64 seen_ns = flow->seen_ns;

	if (pkt->kind == PKT_ICMP || !stats)
		return;
	if (from_client) {
		stats->packets_in++;
		stats->bytes_in += pkt->ip_len;
	} else {
		stats->packets_out++;
		stats->bytes_out += pkt->ip_len;
	}
	if (pkt->tcp_flags & (TCP_FIN | TCP_SYN | TCP_RST))
		flow_tcp_note(pkt);
	if (now > seen_ns && now - seen_ns >= flow_touch_ns(settings.udp_idle_ns) &&
	    flow_touch(pkt, now))
		count(door, SL_note_reply_restored);
}

/*
 * Writes a new flow down, after what stood under its tuple has been closed. Returns 1 when there
 * was no room.
 */
__noinline int flow_begin(const struct pkt *pkt, struct decision *decision, __u64 now)
{
	struct sl_stats *stats, *before;
	struct sl_flow *old, *fresh;
	int again = 0;

	if (!pkt || !decision)
		return 0;
	fresh = &decision->fresh;
	fresh->seen_ns = now;
	fresh->opened_ns = bpf_ktime_get_ns();
	if (decision->origin == ORIGIN_ADOPT)
		fresh->flags |= SL_FLOW_ADOPTED;
	old = flow_find(pkt);
	if (old && !(old->flags & (SL_FLOW_CLOSED | SL_FLOW_ADOPTED))) {
		/* The same SYN once more: one connection, its handshake measured from the first. */
		again = old->endpoint == fresh->endpoint && old->version == fresh->version &&
			!(old->flags & SL_FLOW_ANSWERED) && pkt->protocol == IPPROTO_TCP;
		before = stats_of(old->version);
		if (again)
			fresh->opened_ns = old->opened_ns;
		else if (before)
			before->closed++;
	}
	if (old && old->endpoint != fresh->endpoint)
		flow_forget_reply(pkt, old);
	stats = stats_of(fresh->version);
	if (stats) {
		stats->opened += decision->origin == ORIGIN_OPEN && !again;
		stats->packets_in++;
		stats->bytes_in += pkt->ip_len;
	}
	/* A stray RST is delivered, but is nothing to remember. */
	if (pkt->tcp_flags & TCP_RST)
		return 0;
	return flow_remember(pkt, fresh) != 0;
}

__noinline int fragment_remember(const struct pkt *pkt)
{
	struct sl_fragment_key key = {};
	struct sl_fragment fragment = {};

	if (!pkt)
		return 0;
	key.id = pkt->fragment_id;
	key.protocol = pkt->protocol;
	key.family = pkt->family;
	__builtin_memcpy(key.saddr, pkt->saddr, 16);
	__builtin_memcpy(key.daddr, pkt->daddr, 16);
	fragment.sport = pkt->sport;
	fragment.dport = pkt->dport;
	return bpf_map_update_elem(&sl_fragments, &key, &fragment, BPF_ANY);
}

__noinline int frame_parse(door_ctx *ctx, struct pkt *pkt)
{
	struct view view;

	if (!pkt)
		return SL_pass_truncated;
	view = door_frame(ctx);
	return parse(&view, pkt);
}

/*
 * Which way a rewritten packet goes. For a new flow the way back is asked too, and both must be
 * straight: connection tracking sees both halves of a connection or none.
 */
__noinline int frame_route(door_ctx *ctx, const struct pkt *pkt, const struct target *to, __u32 how,
			   struct exit *exit)
{
	struct exit back = {};
	int way;

	if (!pkt || !to || !exit)
		return WAY_UP;
	if (how & ROUTE_TO_CLIENT)
		return door_route(ctx, pkt, to->addr, pkt->daddr, 0, exit);
	way = door_route(ctx, pkt, pkt->saddr, to->addr, 0, exit);
	if (!(how & ROUTE_BOTH) || way == WAY_UP || way == WAY_DEFER)
		return way;
	return door_route(ctx, pkt, to->addr, pkt->saddr, exit->ifindex, &back) == WAY_UP ? WAY_UP
											  : way;
}

__noinline int frame_rewrite(door_ctx *ctx, const struct pkt *pkt, const struct target *to,
			     int is_dst)
{
	struct view view;

	if (!pkt || !to)
		return -1;
	if (pkt->kind != PKT_ICMP)
		return rewrite_packet(ctx, pkt, is_dst, to);
	view = door_frame(ctx);
	return rewrite_icmp(ctx, &view, pkt, is_dst, to);
}

__noinline int frame_refuse(door_ctx *ctx, const struct pkt *pkt)
{
	return pkt ? refuse(ctx, pkt) : -1;
}

static __always_inline int act_rewrite(door_ctx *ctx, const struct pkt *pkt,
				       struct decision *decision, const struct sl_flow *known,
				       __u32 door, __u64 now)
{
	const struct sl_flow *flow = known ? known : &decision->fresh;
	int is_dst = decision->action == ACT_TO_ENDPOINT, way = WAY_UP;
	int may_redirect = settings.redirect && !pkt->vlan && door != SL_DOOR_OUT;
	__u32 verdict = sent_verdict(pkt, decision);
	struct exit exit = {};
	struct target to = {};

	__builtin_memcpy(to.addr, flow->peer, 16);
	to.port = flow->port;
	if (may_redirect && (!known || known->flags & SL_FLOW_REDIRECT)) {
		way = frame_route(ctx, pkt, &to,
				  (is_dst ? 0 : ROUTE_TO_CLIENT) | (known ? 0 : ROUTE_BOTH), &exit);
		if (way == WAY_DEFER) {
			count(door, SL_pass_deferred);
			return door_up(ctx);
		}
		if (known && way == WAY_UP)
			count(door, SL_note_no_route);
		if (!known && way != WAY_UP)
			decision->fresh.flags |= SL_FLOW_REDIRECT;
	}
	/*
	 * A reply that cannot go straight goes up as it is: the stack knows why (too big, no route)
	 * and answers the endpoint in its own terms; the egress door rewrites what comes through.
	 */
	if (way == WAY_UP && !is_dst && door != SL_DOOR_OUT) {
		count(door, SL_reply_up);
		return door_up(ctx);
	}

	/* Not of an ICMP error: the ports in `pkt` are those of the packet that it quotes. */
	if (pkt->first_fragment && pkt->kind == PKT_WHOLE)
		fragment_remember(pkt);
	if (known)
		flow_book(pkt, known, door, now, is_dst);
	else if (flow_begin(pkt, decision, now))
		count(door, SL_note_flow_full);
	if (frame_rewrite(ctx, pkt, &to, is_dst)) {
		count(door, SL_drop_rewrite);
		return door_drop();
	}
	if (way == WAY_UP) {
		count(door, verdict);
		return door_up(ctx);
	}
	count(door, verdict + 1);
	return door_exit(ctx, pkt, &exit, way);
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
	stats = decision->verdict == SL_refuse_empty ? stats_of(decision->fresh.version) : 0;
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
	__u64 now = bpf_ktime_get_coarse_ns();
	struct decision decision = {};
	struct sl_flow *known = 0;

	classify(pkt, door, now, &decision, &known);
	if (decision.note)
		count(door, decision.note);
	switch (decision.action) {
	case ACT_TO_ENDPOINT:
	case ACT_TO_CLIENT:
		return act_rewrite(ctx, pkt, &decision, decision.origin == ORIGIN_FLOW ? known : 0,
				   door, now);
	case ACT_REFUSE:
		return act_refuse(ctx, pkt, &decision, door);
	case ACT_DROP:
		count(door, decision.verdict);
		return door_drop();
	default:
		count(door, decision.verdict);
		return door_up(ctx);
	}
}
