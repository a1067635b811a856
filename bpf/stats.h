/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters: per CPU, so that a packet never waits for another CPU's. */
#pragma once
#include "maps.h"

static __always_inline void count(__u32 door, __u32 counter)
{
	__u64 *counters = bpf_map_lookup_elem(&sl_verdicts, &door);

	if (counters && counter < SL_COUNTER_COUNT)
		counters[counter]++;
}

static __always_inline struct sl_stats *stats_of(__u32 version)
{
	return bpf_map_lookup_elem(&sl_stats, &version);
}

/* A SYN-ACK came `ns` after its SYN. */
static __always_inline void stats_handshake(struct sl_stats *stats, __u64 ns)
{
	__u64 us = ns / 1000;
	__u32 bucket = 0;

	/*
	 * log2 by halving: a shift by a variable costs the verifier more than five compares cost
	 * the packet.
	 */
	if (us >> 32)
		us = 0xffffffff;
	if (us >> 16)
		bucket += 16, us >>= 16;
	if (us >> 8)
		bucket += 8, us >>= 8;
	if (us >> 4)
		bucket += 4, us >>= 4;
	if (us >> 2)
		bucket += 2, us >>= 2;
	if (us >> 1)
		bucket += 1;
	if (bucket >= SL_HANDSHAKE_BUCKETS)
		bucket = SL_HANDSHAKE_BUCKETS - 1;
	stats->handshake_us[bucket]++;
}
