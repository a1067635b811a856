/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference's hash: SipHash-c-d as section 2 of the paper has it (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012), over a string of bytes, and the strings that stand for
 * a connection and for a client. bpf/pick.h has it unrolled over words; nothing is shared.
 */
#pragma once
#include <linux/types.h>
#include <stdbool.h>

struct sip {
	__u64 v[4];
};

static inline __u64 little_endian(const __u8 *at, unsigned count)
{
	__u64 number = 0;

	for (unsigned i = 0; i < count; i++)
		number |= (__u64)at[i] << 8 * i;
	return number;
}

static inline void put_little_endian(__u8 *at, __u64 number)
{
	for (int i = 0; i < 8; i++)
		at[i] = number >> 8 * i;
}

static inline __u64 turned_left(__u64 number, int bits)
{
	return number << bits | number >> (64 - bits);
}

/* Figure 2.1: two halves, which then change partners. */
static inline void sip_half(struct sip *sip, int a, int b, int turn, bool is_swapped)
{
	sip->v[a] += sip->v[b];
	sip->v[b] = turned_left(sip->v[b], turn) ^ sip->v[a];
	if (is_swapped)
		sip->v[a] = turned_left(sip->v[a], 32);
}

static inline void sip_rounds(struct sip *sip, int count)
{
	for (int i = 0; i < count; i++) {
		sip_half(sip, 0, 1, 13, true);
		sip_half(sip, 2, 3, 16, false);
		sip_half(sip, 2, 1, 17, true);
		sip_half(sip, 0, 3, 21, false);
	}
}

static inline void sip_word(struct sip *sip, __u64 word, int rounds)
{
	sip->v[3] ^= word;
	sip_rounds(sip, rounds);
	sip->v[0] ^= word;
}

/* `compress` rounds a word, `finish` rounds in the end: c and d of the paper. */
static inline __u64 sip_hash(const __u8 key[16], const __u8 *in, unsigned count, int compress,
			     int finish)
{
	static const char begin[] = "somepseudorandomlygeneratedbytes"; /* big-endian words */
	struct sip sip = {};
	unsigned at = 0;

	for (int i = 0; i < 32; i++)
		sip.v[i / 8] = sip.v[i / 8] << 8 | (__u8)begin[i];
	for (int i = 0; i < 4; i++)
		sip.v[i] ^= little_endian(i % 2 ? key + 8 : key, 8);
	for (; at + 8 <= count; at += 8)
		sip_word(&sip, little_endian(in + at, 8), compress);
	sip_word(&sip, little_endian(in + at, count - at) | (__u64)count << 56, compress);
	sip.v[2] ^= 0xff;
	sip_rounds(&sip, finish);
	return sip.v[0] ^ sip.v[1] ^ sip.v[2] ^ sip.v[3];
}

/* Appendix A of the paper: key 00 .. 0f, message 00 .. 0e, SipHash-2-4. */
static inline bool sip_is_the_papers(void)
{
	__u8 bytes[16];

	for (int i = 0; i < 16; i++)
		bytes[i] = i;
	return sip_hash(bytes, bytes, 15, 2, 4) == 0xa129ca6149be45e5ull;
}
