/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a door is told before it is loaded. Read-only data, so the verifier drops the branches that
 * cannot run.
 */
#pragma once
#include "way.h"

struct sl_settings {
	struct way_keys flow_keys;
	__u32 flow_mask;      /* buckets of `flows` - 1; a power of two, as are the next */
	__u32 known_mask;     /* bits of `known` - 1 */
	__u32 udp_idle_units; /* a UDP flow without a packet for so long has ended; units of `seen`
			       */
	__u32 syn_idle_units; /* the same of a TCP connection that was never answered */
	__u32 seen_shift;     /* ticks to units */
	__u32 second_ticks;
	__u8 redirect; /* 0: every rewritten packet goes up the stack */
	__u8 pad[7];
};

#define SL_UDP_IDLE_NS_DEFAULT 30000000000ull
#define SL_SYN_IDLE_NS 120000000000ull /* longer than clients repeat a SYN */
