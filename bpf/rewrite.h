/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writing one address and port over another, with every checksum that covers them: what both doors
 * share of it, and ICMP errors. The door's own primitives (door_store, door_l3_csum, door_l4_csum)
 * do the bytes: XDP in place, tc through the helpers that know of offloads. Each function returns
 * 0, or non-zero when the kernel refused.
 */
#pragma once
#include "target.h"

/* The address of the IP header at `l3`; the header's own checksum follows for IPv4. */
static __always_inline long rewrite_addr(door_ctx *ctx, __u8 family, __u32 l3, int is_dst,
					 const __u32 *addr, __u32 delta)
{
	if (family == 4)
		return door_store(ctx, l3 + (is_dst ? 16 : 12), addr, 4) ||
		       door_l3_csum(ctx, l3 + 10, delta);
	return door_store(ctx, l3 + (is_dst ? 24 : 8), addr, 16);
}

/*
 * An ICMP error. The quoted packet went the other way, so what is the destination of the outer
 * header is the source of the quoted one. The outer address changes only where it is the flow's: an
 * error that a router on the way sends keeps the router's address, or a traceroute through us would
 * show every hop as the VIP.
 */
static __always_inline long rewrite_icmp(door_ctx *ctx, const struct view *view,
					 const struct pkt *pkt, int is_dst, const struct target *to)
{
	const __u32 *old = is_dst ? pkt->daddr : pkt->saddr;
	__be16 port = is_dst ? pkt->dport : pkt->sport;
	__u32 delta = addr_delta(old, to->addr, pkt->family);
	__u32 ports = csum_delta16(0, port, to->port);
	__u32 quoted = 0; /* what the quoted bytes' change adds to the ICMP checksum */
	__u32 *outer =
		view_at(view, pkt->l3 + (pkt->family == 4 ? (is_dst ? 16 : 12) : (is_dst ? 24 : 8)),
			16); /* of IPv4 too: behind its header there is at least another */
	__be16 *check = view_at(view, pkt->in_l4 + 6, 2);
	__u16 udp_old = 0, udp_new = 0;
	int is_ours;

	if (!outer || !check)
		return -1;
	is_ours = outer[0] == old[0];
	if (pkt->family == 6)
		is_ours = is_ours && outer[1] == old[1] && outer[2] == old[2] && outer[3] == old[3];
	if (pkt->protocol == IPPROTO_UDP && *check) {
		udp_old = *check;
		udp_new = csum_apply(udp_old, csum_add(delta, ports));
		udp_new = udp_new ? udp_new : 0xffff;
	}

	/*
	 * IPv4: the quoted header's checksum takes the address's change back, so the ICMP sum does
	 * not see it.
	 */
	if (pkt->family == 6)
		quoted = delta;
	quoted = csum_add(quoted, ports);
	if (udp_old)
		quoted = csum_delta16(quoted, udp_old, udp_new);

	if (rewrite_addr(ctx, pkt->family, pkt->in_l3, !is_dst, to->addr, delta) ||
	    door_store(ctx, pkt->in_l4 + (is_dst ? 0 : 2), &to->port, 2))
		return -1;
	if (udp_old && door_store(ctx, pkt->in_l4 + 6, &udp_new, 2))
		return -1;
	if (door_l4_csum(ctx, pkt->l4 + 2, quoted, 0))
		return -1;
	if (!is_ours)
		return 0;
	if (rewrite_addr(ctx, pkt->family, pkt->l3, is_dst, to->addr, delta))
		return -1;
	return pkt->family == 6 ? door_l4_csum(ctx, pkt->l4 + 2, delta, CSUM_PSEUDO | CSUM_V6) : 0;
}
