/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Incremental Internet checksum (RFC 1624). PURE. Words are taken as they lie in memory, in any
 * byte order.
 */
#pragma once
#include "abi.h"

/* One's complement sum of two partial sums. */
static inline __attribute__((always_inline)) __u32 csum_add(__u32 a, __u32 b)
{
	__u64 sum = (__u64)a + b;

	return (__u32)sum + (__u32)(sum >> 32);
}

/* What a 32-bit word's change adds to a sum. */
static inline __attribute__((always_inline)) __u32 csum_delta32(__u32 sum, __u32 old, __u32 new)
{
	return csum_add(csum_add(sum, ~old), new);
}

static inline __attribute__((always_inline)) __u32 csum_delta16(__u32 sum, __u16 old, __u16 new)
{
	return csum_add(csum_add(sum, (__u16)~old), new);
}

static inline __attribute__((always_inline)) __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* The checksum field after the covered bytes changed by `delta` (RFC 1624, equation 3). */
static inline __attribute__((always_inline)) __u16 csum_apply(__u16 field, __u32 delta)
{
	return csum_fold(csum_add((__u16)~field, delta));
}
