/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The node's own routing decision about a rewritten packet, asked of the kernel. */
#pragma once
#include "maps.h"
#include "parse.h"

enum way {
	WAY_UP,        /* up the stack, which always works */
	WAY_OUT,       /* straight out of a device, neighbour known */
	WAY_NEIGHBOUR, /* straight out of a device that must resolve the neighbour first (tc alone)
			*/
	WAY_DEFER,     /* XDP cannot, tc can */
};

#define ROUTE_TO_CLIENT 1u /* else to the endpoint */
#define ROUTE_BOTH 2u      /* the way back as well */

/* Where a packet leaves: destination and source MAC as they stand in the frame. */
struct exit {
	__u32 ifindex;
	__u8 mac[2 * ETH_ALEN];
};

static __always_inline void route_exit(const struct bpf_fib_lookup *fib, struct exit *ret_exit)
{
	ret_exit->ifindex = fib->ifindex;
	__builtin_memcpy(ret_exit->mac, fib->dmac, ETH_ALEN);
	__builtin_memcpy(ret_exit->mac + ETH_ALEN, fib->smac, ETH_ALEN);
}

static __always_inline void route_fill(struct bpf_fib_lookup *fib, const struct pkt *pkt,
				       const __u32 *saddr, const __u32 *daddr, __u32 ifindex,
				       __u16 length)
{
	fib->ifindex = ifindex;
	fib->l4_protocol = pkt->protocol;
	fib->tot_len = length;
	if (pkt->family == 4) {
		fib->family = 2; /* AF_INET */
		fib->tos = pkt->tos;
		fib->ipv4_src = saddr[0];
		fib->ipv4_dst = daddr[0];
	} else {
		fib->family = 10; /* AF_INET6 */
		__builtin_memcpy(fib->ipv6_src, saddr, 16);
		__builtin_memcpy(fib->ipv6_dst, daddr, 16);
	}
}

static __always_inline __u32 route_device(__u32 ifindex)
{
	__u32 *flags = bpf_map_lookup_elem(&sl_devices, &ifindex);

	return flags ? *flags : 0;
}
