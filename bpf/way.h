/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One way of a flow: its tag and its word. PURE: the doors, the user half's walks and the tests
 * compile these lines.
 *
 * The tag is two 32-bit Multilinear-HM hashes side by side (Lemire and Kaser, "Strongly universal
 * string hashing is fast", 2014): for any two tuples and random keys, the tags are equal with a
 * probability of 2^-64, whoever chose the tuples. So a tag stands for its tuple: with a million
 * live flows a new one takes another's place once in 2^44. Who does not know the keys can neither
 * aim at a tag nor at a bucket.
 */
#pragma once
#include "abi.h"

#define WAY_INLINE static inline __attribute__((always_inline))
#define WAY_WORDS 10 /* 32-bit words of the longest tuple: two IPv6 addresses, ports, protocol */

#define WAY_MIX 0x9e3779b97f4a7c15ull
#define WAY_HOME_WORDS 6 /* of a client: its address, port, protocol */

struct way_keys {
	__u64 high[WAY_WORDS + 1], low[WAY_WORDS + 1], home[WAY_HOME_WORDS + 1];
};

/* Which bucket a client's connections are in, before the mask. */
WAY_INLINE __u32 way_home(const volatile struct way_keys *keys, __u8 family, const __u32 *addr,
			  __be16 port, __u8 protocol)
{
	__u64 sum = keys->home[0] +
		    (keys->home[1] + addr[0]) * (keys->home[2] + ((__u32)port << 8 | protocol));

	if (family == 6) {
		sum += (keys->home[3] + addr[1]) * (keys->home[4] + addr[2]);
		sum += (keys->home[5] + addr[3]) * (keys->home[6] + 6);
	}
	/*
	 * Clients come in rows of ports and addresses, and a product takes a row to a row: under
	 * one key of a hundred to a few buckets alone. One more product breaks it.
	 */
	sum ^= sum >> 32;
	sum *= WAY_MIX;
	return sum >> 32;
}

/* The product of two words, each with a key of its own: a step of both hashes. */
#define WAY_STEP(i, a, b)                                                                          \
	do {                                                                                       \
		high += (keys->high[(i) + 1] + (a)) * (keys->high[(i) + 2] + (b));                 \
		low += (keys->low[(i) + 1] + (a)) * (keys->low[(i) + 2] + (b));                    \
	} while (0)

WAY_INLINE __u64 way_tag_end(__u64 high, __u64 low)
{
	__u64 tag = (high & 0xffffffff00000000ull) | low >> 32;

	return tag > SL_WAY_TAKEN ? tag : tag + 2;
}

/* Addresses and ports as they lie in the packet. */
WAY_INLINE __u64 way_tag4(const volatile struct way_keys *keys, __u32 saddr, __u32 daddr,
			  __be16 sport, __be16 dport, __u8 protocol)
{
	__u64 high = keys->high[0], low = keys->low[0];

	WAY_STEP(0, saddr, daddr);
	WAY_STEP(2, (__u32)sport << 16 | dport, (__u32)protocol << 8 | 4);
	return way_tag_end(high, low);
}

WAY_INLINE __u64 way_tag6(const volatile struct way_keys *keys, const __u32 *saddr,
			  const __u32 *daddr, __be16 sport, __be16 dport, __u8 protocol)
{
	__u64 high = keys->high[0], low = keys->low[0];

	WAY_STEP(0, saddr[0], daddr[0]);
	WAY_STEP(2, (__u32)sport << 16 | dport, (__u32)protocol << 8 | 6);
	WAY_STEP(4, saddr[1], daddr[1]);
	WAY_STEP(6, saddr[2], daddr[2]);
	WAY_STEP(8, saddr[3], daddr[3]);
	return way_tag_end(high, low);
}

/* IPv4 addresses alone in [0]. */
WAY_INLINE __u64 way_tag(const volatile struct way_keys *keys, __u8 family, const __u32 *saddr,
			 const __u32 *daddr, __be16 sport, __be16 dport, __u8 protocol)
{
	return family == 4 ? way_tag4(keys, saddr[0], daddr[0], sport, dport, protocol)
			   : way_tag6(keys, saddr, daddr, sport, dport, protocol);
}

/*
 * --- the word: flags, and in both ways the same: endpoint + 1, VIP, seen. None is 0. What stands
 * where is told to other releases by the pinned record (sl_layout), which is made of these lines.
 * Flags are the lowest eight bits. ---
 */

#define WAY_SEEN_AT 8
#define WAY_SEEN_BITS 16
#define WAY_VIP_AT 24
#define WAY_VIP_BITS 18
#define WAY_ENDPOINT_AT 42
#define WAY_ENDPOINT_BITS 22

#define WAY_MASK(field) ((1ull << WAY_##field##_BITS) - 1)
#define WAY_GET(word, field) ((word) >> WAY_##field##_AT & WAY_MASK(field))
#define WAY_PUT(value, field) (((__u64)(value)&WAY_MASK(field)) << WAY_##field##_AT)

WAY_INLINE __u64 way_word(__u32 endpoint, __u32 vip, __u16 seen, __u8 flags)
{
	return WAY_PUT(endpoint + 1, ENDPOINT) | WAY_PUT(vip, VIP) | WAY_PUT(seen, SEEN) | flags;
}

WAY_INLINE __u32 way_endpoint(__u64 word)
{
	return (__u32)WAY_GET(word, ENDPOINT) - 1;
}

WAY_INLINE __u32 way_vip(__u64 word)
{
	return WAY_GET(word, VIP);
}

/* The same endpoint and VIP: ways of one connection, or of two of the same client's. */
WAY_INLINE int way_is_same(__u64 word, __u64 other)
{
	return !((word ^ other) & (WAY_PUT(~0ull, ENDPOINT) | WAY_PUT(~0ull, VIP)));
}

WAY_INLINE __u16 way_seen(__u64 word)
{
	return WAY_GET(word, SEEN);
}

WAY_INLINE __u64 way_seen_set(__u64 word, __u16 seen)
{
	return (word & ~WAY_PUT(~0ull, SEEN)) | WAY_PUT(seen, SEEN);
}

/*
 * Units since the last packet. A way may be marked by a CPU whose tick came a moment earlier:
 * the last values before the clock's turn count as none.
 */
#define WAY_AGE_MAX 0xfff0u
WAY_INLINE __u16 way_age(__u64 word, __u16 now)
{
	__u16 age = now - way_seen(word);

	return age > WAY_AGE_MAX ? 0 : age;
}

/* --- which addresses may be ours: the bit of an address and port in `known` --- */

WAY_INLINE __u32 way_known_bit(const __u32 *addr, __be16 port, __u8 family)
{
	__u64 x = (addr[0] ^ (__u64)port << 32) * 0x9e3779b97f4a7c15ull;

	if (family == 6) {
		x += addr[1] * 0xbf58476d1ce4e5b9ull;
		x ^= x >> 29;
		x += ((__u64)addr[2] << 32 | addr[3]) * 0x94d049bb133111ebull;
	}
	return x >> 32;
}
