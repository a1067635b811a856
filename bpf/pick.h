/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Key and seed to slot, and to place in a ring. PURE: the kernel, `sluice explain` and the tests
 * compile these lines.
 *
 * The hash is SipHash-1-3 (Aumasson and Bernstein): keyed, so that a client that does not know the
 * seed cannot aim its ports at a version; it runs for a connection's first packet alone. Its low
 * half picks the slot, its high half the place in the ring, so that the two stages do not
 * correlate.
 */
#pragma once
#include "abi.h"

struct pick_key {
	__u64 word[5];
	__u32 count; /* words in use */
};

#define PICK_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define PICK_ROUND                                                                                 \
	do {                                                                                       \
		v0 += v1;                                                                          \
		v2 += v3;                                                                          \
		v1 = PICK_ROTL(v1, 13);                                                            \
		v3 = PICK_ROTL(v3, 16);                                                            \
		v1 ^= v0;                                                                          \
		v3 ^= v2;                                                                          \
		v0 = PICK_ROTL(v0, 32);                                                            \
		v2 += v1;                                                                          \
		v0 += v3;                                                                          \
		v1 = PICK_ROTL(v1, 17);                                                            \
		v3 = PICK_ROTL(v3, 21);                                                            \
		v1 ^= v2;                                                                          \
		v3 ^= v0;                                                                          \
		v2 = PICK_ROTL(v2, 32);                                                            \
	} while (0)

/* The first two words, or all five: the counts that the keys below have. */
static inline __attribute__((always_inline)) __u64 pick_hash(const struct pick_key *key,
							     const __u64 seed[2])
{
	__u64 v0 = seed[0] ^ 0x736f6d6570736575ull, v1 = seed[1] ^ 0x646f72616e646f6dull;
	__u64 v2 = seed[0] ^ 0x6c7967656e657261ull, v3 = seed[1] ^ 0x7465646279746573ull;
	__u64 last = (__u64)(key->count * 8) << 56;

#define PICK_WORD(w)                                                                               \
	do {                                                                                       \
		v3 ^= (w);                                                                         \
		PICK_ROUND;                                                                        \
		v0 ^= (w);                                                                         \
	} while (0)
	PICK_WORD(key->word[0]);
	PICK_WORD(key->word[1]);
	if (key->count == 5) {
		PICK_WORD(key->word[2]);
		PICK_WORD(key->word[3]);
		PICK_WORD(key->word[4]);
	}
	PICK_WORD(last);
#undef PICK_WORD
	v2 ^= 0xff;
	PICK_ROUND;
	PICK_ROUND;
	PICK_ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/*
 * IPv4: addresses as they lie in the packet, read as big-endian numbers so that every machine picks
 * alike.
 */
static inline __attribute__((always_inline)) void pick_key4(struct pick_key *key, __u32 saddr,
							    __u32 daddr, __u16 sport, __u16 dport,
							    __u8 protocol, int by_client)
{
	key->count = 2;
	key->word[0] = by_client ? saddr : (__u64)saddr << 32 | daddr;
	key->word[1] = by_client ? 4 : (__u64)sport << 32 | (__u32)dport << 16 | protocol << 8 | 4;
}

/* IPv6: addresses as pairs of big-endian 64-bit numbers. */
static inline __attribute__((always_inline)) void pick_key6(struct pick_key *key,
							    const __u64 saddr[2],
							    const __u64 daddr[2], __u16 sport,
							    __u16 dport, __u8 protocol,
							    int by_client)
{
	key->count = by_client ? 2 : 5;
	key->word[0] = saddr[0];
	key->word[1] = saddr[1];
	key->word[2] = by_client ? 0 : daddr[0];
	key->word[3] = by_client ? 0 : daddr[1];
	key->word[4] = by_client ? 0 : (__u64)sport << 32 | (__u32)dport << 16 | protocol << 8 | 6;
}

/* Slot of a table of mask + 1 slots. `attempt` walks to other slots when a version spills. */
static inline __attribute__((always_inline)) __u32 pick_slot(__u64 hash, __u32 mask, __u32 attempt)
{
	return ((__u32)hash + attempt * 0x9e3779b1u) & mask;
}

/*
 * Place in a ring of `size` words: multiply and shift, so that no size is favoured and nothing is
 * divided. `attempt` walks to others where an endpoint cannot take the connection.
 */
static inline __attribute__((always_inline)) __u32 pick_place(__u64 hash, __u32 size, __u32 attempt)
{
	hash += attempt * 0x9e3779b97f4a7c15ull;
	return (__u32)(((hash >> 32) * size) >> 32);
}
