/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet goes: what is written into it, and the way it takes. */
#pragma once
#include "csum.h"
#include "maps.h"
#include "parse.h"

#define CSUM_PSEUDO 1u /* the change is of an address in the pseudo header */
#define CSUM_UDP 2u    /* zero means none */
#define CSUM_V6 4u

struct target {
	__u32 addr[4];
	__be16 port;
};

static __always_inline __u32 addr_delta(const __u32 *old, const __u32 *new, __u8 family)
{
	__u32 delta = csum_delta32(0, old[0], new[0]);

	if (family == 6) {
		delta = csum_delta32(delta, old[1], new[1]);
		delta = csum_delta32(delta, old[2], new[2]);
		delta = csum_delta32(delta, old[3], new[3]);
	}
	return delta;
}

enum way {
	WAY_UP,        /* up the stack, which always works */
	WAY_OUT,       /* straight out of a device, neighbour known */
	WAY_NEIGHBOUR, /* straight out of a device that must resolve the neighbour first (tc alone)
			*/
	WAY_DEFER,     /* XDP cannot, tc can */
};

/* Where a packet leaves: destination and source MAC as they stand in the frame. */
struct exit {
	__u32 ifindex;
	__u32 device; /* SL_DEVICE_* */
	__u8 mac[2 * ETH_ALEN];
	__u8 is_unresolved; /* no neighbour, and so no MAC addresses yet */
	__u8 pad[3];
};

static __always_inline __u32 device_flags(__u32 ifindex)
{
	__u32 *flags = bpf_map_lookup_elem(&sl_devices, &ifindex);

	return flags ? *flags : 0;
}
