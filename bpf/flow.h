/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: our own, in an array. A hit costs one cache line and no lock, a new flow two.
 *
 * A way is written by whoever turned its tag to SL_WAY_TAKEN, and read without a lock: tag, word,
 * and the tag once more, so that a way that is given to another flow meanwhile is not read as this
 * one's. Flags and `seen` of a live way change by atomic operations on its word.
 */
#pragma once
#include "maps.h"
#include "parse.h"
#include "settings.h"
#include "stats.h"

#define HALF (SL_WAYS / 2) /* ways in a cache line */
#define FLOW_PUT_TRIES 3
#define WORTH_OWN 1u           /* 0: empty */
#define WORTH_OVER (1u << 16) /* plus how recent */
#define WORTH_LIVE (2u << 16)
#define WORTH_ONE_WAY (3u << 16) /* UDP that nobody has to answer: logs, metrics */
#define WORTH_ANSWERED (4u << 16)
#define WORTH_TAKEN 0xffffffffu

/* A way as it was found. */
struct hit {
	struct sl_way *way;
	__u64 word;
};

static __always_inline __u16 flow_clock(void)
{
	return bpf_jiffies64() >> settings.seen_shift;
}

static __always_inline __u64 flow_tag(__u8 family, const __u32 *saddr, const __u32 *daddr,
				      __be16 sport, __be16 dport, __u8 protocol)
{
	return way_tag(&settings.flow_keys, family, saddr, daddr, sport, dport, protocol);
}

static __always_inline __u64 flow_tag_of(const struct pkt *pkt)
{
	return flow_tag(pkt->family, pkt->saddr, pkt->daddr, pkt->sport, pkt->dport,
			pkt->protocol);
}

/* Without a bit, neither end of the packet is a VIP or endpoint that a revision or flow names. */
static __always_inline int known_has(const __u32 *addr, __be16 port, __u8 family)
{
	__u32 bit = way_known_bit(addr, port, family) & settings.known_mask, word = bit >> 6;
	__u64 *bits = bpf_map_lookup_elem(&sl_known, &word);

	return bits && *bits >> (bit & 63) & 1;
}

static __always_inline __u32 flow_home(const struct pkt *pkt, int is_reply)
{
	return way_home(&settings.flow_keys, pkt->family, is_reply ? pkt->daddr : pkt->saddr,
			is_reply ? pkt->dport : pkt->sport, pkt->protocol);
}

static __always_inline struct sl_bucket *flow_bucket(__u32 home)
{
	__u32 at = home & settings.flow_mask;

	return bpf_map_lookup_elem(&sl_flows, &at);
}

static __always_inline __u64 *spilled_word(__u32 home)
{
	__u32 at = (home & settings.flow_mask) >> 6;

	return bpf_map_lookup_elem(&sl_spilled, &at);
}

static __always_inline int flow_has_spilled(__u32 home)
{
	__u64 *word = spilled_word(home);

	return word && *word >> (home & settings.flow_mask & 63) & 1;
}

/* The word of a way that is the tag's, else 0. */
static __always_inline int way_read(struct sl_way *way, __u64 tag, __u64 *ret_word)
{
	if (*(volatile __u64 *)&way->tag != tag)
		return 0;
	*ret_word = *(volatile __u64 *)&way->word;
	return *(volatile __u64 *)&way->tag == tag;
}

static __always_inline int bucket_find(struct sl_bucket *bucket, __u32 home, __u64 tag,
				       __u64 *ret_word)
{
	struct sl_way *own, *other;

	if (!bucket)
		return 0;
	own = &bucket->way[home >> 31 ? HALF : 0];
	other = &bucket->way[home >> 31 ? 0 : HALF];
#pragma unroll
	for (__u32 i = 0; i < HALF; i++)
		if (way_read(own + i, tag, ret_word))
			return 1;
#pragma unroll
	for (__u32 i = 0; i < HALF; i++)
		if (way_read(other + i, tag, ret_word))
			return 1;
	return 0;
}

/* A bucket's place of a tag's way, or SL_WAYS. */
static __always_inline __u32 bucket_at(__u32 home, __u64 tag)
{
	struct sl_bucket *bucket = flow_bucket(home);

	if (!bucket)
		return SL_WAYS;
#pragma unroll
	for (__u32 i = 0; i < SL_WAYS; i++)
		if (*(volatile __u64 *)&bucket->way[i].tag == tag)
			return i;
	return SL_WAYS;
}

/*
 * Where a tag's way is: bucket << 8 | place, or FLOW_NOWHERE. Which it is stays in here: the
 * verifier would judge all that follows once for each.
 */
#define FLOW_NOWHERE (~0ull)
__noinline __u64 flow_at(__u64 tag, __u32 home)
{
	__u32 at = bucket_at(home, tag);

	if (at < SL_WAYS)
		return (__u64)home << 8 | at;
	if (!flow_has_spilled(home))
		return FLOW_NOWHERE;
	at = bucket_at(tag, tag);
	return at < SL_WAYS ? (tag & 0xffffffff) << 8 | at : FLOW_NOWHERE;
}

/* The way itself, for those who change it. */
static __always_inline int flow_hit(__u64 tag, __u32 home, struct hit *ret_hit)
{
	__u64 at = flow_at(tag, home);
	struct sl_bucket *bucket = flow_bucket(at >> 8);

	if (at == FLOW_NOWHERE || !bucket)
		return 0;
	ret_hit->way = &bucket->way[at & (SL_WAYS - 1)];
	return way_read(ret_hit->way, tag, &ret_hit->word);
}

__noinline __u64 flow_find_slow(__u64 tag, __u32 home)
{
	struct hit hit = {};

	return flow_hit(tag, home, &hit) ? hit.word : 0;
}

/* The word of a flow. Its client's own cache line first; most of all flows are there. */
static __always_inline int flow_find(__u64 tag, __u32 home, __u64 *ret_word)
{
	if (bucket_find(flow_bucket(home), home, tag, ret_word))
		return 1;
	if (!flow_has_spilled(home))
		return 0;
	*ret_word = flow_find_slow(tag, home);
	return *ret_word != 0;
}

static __always_inline int flow_is_over(__u64 word, __u16 now)
{
	return word & SL_FLOW_CLOSED ||
	       (word & SL_FLOW_UDP && way_age(word, now) > settings.udp_idle_units);
}

/*
 * Who gives way to a new flow: empty first, then those that have ended, then those that nobody has
 * answered (in a flood, the flood's own; TCP before UDP), then the one that has been silent longest.
 * Less is worse.
 */
static __always_inline __u32 way_worth(__u64 tag, __u64 word, __u16 now)
{
	__u32 silent = 0xffff - way_age(word, now);

	if (tag == SL_WAY_EMPTY)
		return 0;
	if (tag == SL_WAY_TAKEN)
		return WORTH_TAKEN;
	if (flow_is_over(word, now))
		return WORTH_OVER | silent;
	if (word & SL_FLOW_ANSWERED)
		return WORTH_ANSWERED | silent;
	return (word & SL_FLOW_UDP ? WORTH_ONE_WAY : WORTH_LIVE) | silent;
}

/*
 * The place in a bucket that a tag gets, its own if it has one, and above it what that was worth.
 * Not that of `companion`, the connection's other way, put down a moment ago.
 */
__noinline __u64 flow_place(__u32 home, __u64 tag, __u64 companion, __u16 now)
{
	struct sl_bucket *bucket = flow_bucket(home);
	__u32 least = WORTH_TAKEN, at = 0;

	if (!bucket)
		return (__u64)WORTH_TAKEN << 32;
#pragma unroll
	for (__u32 i = 0; i < SL_WAYS; i++) {
		__u32 here = (i + (home >> 31 ? HALF : 0)) & (SL_WAYS - 1); /* its own line first */
		struct sl_way *way = &bucket->way[here];
		__u64 held = *(volatile __u64 *)&way->tag;
		__u32 worth = way_worth(held == companion ? SL_WAY_TAKEN : held,
					*(volatile __u64 *)&way->word, now);

		if (held == tag)
			return (__u64)WORTH_OWN << 32 | here;
		if (worth < least)
			least = worth, at = here;
	}
	return (__u64)least << 32 | at;
}

enum put {
	PUT_DONE,
	PUT_EVICTED, /* a live flow lost its way */
	PUT_FULL,
	PUT_AGAIN, /* another CPU was faster */
};

/* Into a place that flow_place gave. */
__noinline int way_put(__u32 home, __u64 place, __u64 tag, __u64 word)
{
	struct sl_bucket *bucket = flow_bucket(home);
	struct sl_way *way;
	__u64 held;

	if (!bucket || place >> 32 == WORTH_TAKEN)
		return PUT_FULL;
	way = &bucket->way[place & (SL_WAYS - 1)];
	if (place >> 32 == WORTH_OWN) {
		*(volatile __u64 *)&way->word = word;
		return PUT_DONE;
	}
	held = *(volatile __u64 *)&way->tag;
	if (held == SL_WAY_TAKEN ||
	    __sync_val_compare_and_swap(&way->tag, held, SL_WAY_TAKEN) != held)
		return PUT_AGAIN;
	*(volatile __u64 *)&way->word = word;
	__sync_lock_test_and_set(&way->tag, tag);
	return place >> 32 >= WORTH_LIVE ? PUT_EVICTED : PUT_DONE;
}

/*
 * Gives the tag a way, its own if it has one; in the second bucket when the first holds live
 * connections alone and the second does not. Returns an enum put. Global, so that the verifier
 * judges it once.
 */
__noinline int flow_put(__u64 tag, __u32 home, __u64 word, __u64 companion)
{
	int put = PUT_AGAIN;

	for (int try = 0; try < FLOW_PUT_TRIES && put == PUT_AGAIN; try++) {
		__u64 place = flow_place(home, tag, companion, way_seen(word)), second, *spilled;
		__u32 bucket = home, worth = place >> 32;

		/* Also with room in the first: a tag in both would come back when one is gone. */
		if (worth >= WORTH_ONE_WAY || (worth != WORTH_OWN && flow_has_spilled(home))) {
			second = flow_place(tag, tag, companion, way_seen(word));
			spilled = spilled_word(home);
			if (spilled && (second >> 32 == WORTH_OWN ||
					(worth >= WORTH_ONE_WAY && second >> 32 < worth))) {
				/* The bit first: no way must be where nobody looks for it. */
				__sync_fetch_and_or(spilled,
						    1ull << (home & settings.flow_mask & 63));
				bucket = tag;
				place = second;
			}
		}
		put = way_put(bucket, place, tag, word);
	}
	return put == PUT_AGAIN ? PUT_FULL : put;
}

static __always_inline void flow_drop(struct sl_way *way, __u64 tag)
{
	__sync_val_compare_and_swap(&way->tag, tag, SL_WAY_EMPTY);
}

/* --- from one way of a connection to the other --- */

/* The tag of what the endpoint answers to the packet's sender. 0: no such endpoint. */
static __always_inline __u64 flow_tag_reply(const struct pkt *pkt, __u32 index)
{
	struct sl_endpoint *endpoint = bpf_map_lookup_elem(&sl_endpoints, &index);

	if (!endpoint)
		return 0;
	return flow_tag(pkt->family, pkt->family == 4 ? endpoint->addr + 3 : endpoint->addr,
			pkt->saddr, endpoint->port, pkt->sport, pkt->protocol);
}

/* The tag of what the receiver of a reply sends. 0: no such VIP. */
static __always_inline __u64 flow_tag_opener(const struct pkt *pkt, __u64 word)
{
	__u32 index = way_vip(word);
	struct sl_vip *vip = bpf_map_lookup_elem(&sl_vips, &index);

	if (!vip)
		return 0;
	return flow_tag(pkt->family, pkt->daddr, pkt->family == 4 ? vip->addr + 3 : vip->addr,
			pkt->dport, vip->port, pkt->protocol);
}

static __always_inline void way_mark(const struct hit *hit, __u16 now)
{
	/* Another CPU's change wins: the next packet marks it. */
	__sync_val_compare_and_swap(&hit->way->word, hit->word, way_seen_set(hit->word, now));
}
