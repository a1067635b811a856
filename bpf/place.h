/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who gets a place in the flow table, and who gives way. */
#pragma once
#include "flow.h"

#define FLOW_PUT_TRIES 3
#define WORTH_OWN 0u
#define WORTH_EMPTY 1u
#define WORTH_OVER (1u << 16) /* plus how recent */
#define WORTH_LIVE (2u << 16)
#define WORTH_OPENING (3u << 16) /* so young that its answer may be on the way */
#define WORTH_ONE_WAY (4u << 16) /* UDP that nobody has to answer: logs, metrics */
#define WORTH_ANSWERED (5u << 16)
#define WORTH_TAKEN 0xffffffffu
#define OPENING_UNITS 1
#define OPENING_MAX 5u /* ways: of two connections, and the newcomer's first */

/*
 * Who gives way to a new flow: empty first, then those that have ended, then those that nobody has
 * answered (in a flood, the flood's own; TCP before UDP), then the one that has been silent
 * longest. Less is worse.
 */
static __always_inline __u32 way_worth(__u64 tag, __u64 word, __u16 now)
{
	__u32 silent = 0xffff - way_age(word, now);

	if (tag == SL_WAY_EMPTY)
		return WORTH_EMPTY;
	if (tag == SL_WAY_TAKEN)
		return WORTH_TAKEN;
	if (flow_is_over(word, now))
		return WORTH_OVER | silent;
	if (word & SL_FLOW_ANSWERED)
		return WORTH_ANSWERED | silent;
	if (word & SL_FLOW_UDP)
		return WORTH_ONE_WAY | silent;
	return (way_age(word, now) <= OPENING_UNITS ? WORTH_OPENING : WORTH_LIVE) | silent;
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

/*
 * Where more than these wait for answers it is a flood: none of them is protected, and nobody looks
 * for better places.
 */
__noinline int bucket_is_flooded(__u32 home, __u16 now)
{
	struct sl_bucket *bucket = flow_bucket(home);
	__u32 count = 0;

	if (!bucket)
		return 1;
#pragma unroll
	for (__u32 i = 0; i < SL_WAYS; i++) {
		__u64 word = *(volatile __u64 *)&bucket->way[i].word;
		__u32 is_udp = (word & SL_FLOW_UDP) / SL_FLOW_UDP;
		__u32 periods = (__u16)(now - way_seen(word)) / (OPENING_UNITS + 1);

		/* No branch: the verifier would follow each of 2^8 paths. UDP may wait for ever. */
		periods = (periods & (is_udp - 1)) | (word & (SL_FLOW_ANSWERED | SL_FLOW_CLOSED));
		count += (periods - 1) >> 31;
	}
	return count > OPENING_MAX;
}

enum put {
	PUT_DONE,
	PUT_EVICTED, /* a live flow lost its way */
	PUT_FULL,
	PUT_CROWDED, /* a flow that is dear would lose its way, and may not yet */
	PUT_AGAIN,   /* another CPU was faster */
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
		/* Another CPU may have given it to another flow, or be moving it. */
		if (!way_read(way, tag, &held) ||
		    __sync_val_compare_and_swap(&way->word, held, word) != held)
			return PUT_AGAIN;
		return *(volatile __u64 *)&way->tag == tag ? PUT_DONE : PUT_AGAIN;
	}
	held = *(volatile __u64 *)&way->tag;
	if (held == SL_WAY_TAKEN ||
	    __sync_val_compare_and_swap(&way->tag, held, SL_WAY_TAKEN) != held)
		return PUT_AGAIN;
	*(volatile __u64 *)&way->word = word;
	__sync_lock_test_and_set(&way->tag, tag);
	return place >> 32 >= WORTH_LIVE ? PUT_EVICTED : PUT_DONE;
}

static __always_inline void flow_drop(struct sl_way *way, __u64 tag)
{
	__sync_val_compare_and_swap(&way->tag, tag, SL_WAY_EMPTY);
}

/* The bit first: no way must be where nobody looks for it. */
static __always_inline int spilled_set(__u32 home)
{
	__u64 *spilled = spilled_word(home);

	if (spilled)
		__sync_fetch_and_or(spilled, 1ull << (home & settings.flow_mask & 63));
	return spilled != 0;
}

/*
 * Gives the tag a way, its own if it has one; in the second bucket when the first holds live
 * connections alone and the second does not. Returns an enum put. Global, so that the verifier
 * judges it once. SL_WAY_TAKEN is no flow's tag: nothing is put.
 */
__noinline int flow_put(__u64 tag, __u32 home, __u64 word, __u64 companion, int may_evict)
{
	int put = tag == SL_WAY_TAKEN ? PUT_DONE : PUT_AGAIN;

	for (int try = 0; try < FLOW_PUT_TRIES && put == PUT_AGAIN; try++) {
		__u64 place = flow_place(home, tag, companion, way_seen(word)), second;
		__u32 bucket = home, least = place >> 32;

		if (least < WORTH_OPENING ||
		    (least < WORTH_ANSWERED && bucket_is_flooded(home, way_seen(word)))) {
			may_evict = 1;
			/* Who gives way here is not dear, or no dearer than others of its kind. */
			least = least < WORTH_ONE_WAY ? WORTH_EMPTY : WORTH_ONE_WAY;
		}
		/* Also with room in the first: a tag in both would come back when one is gone. */
		if (least > WORTH_EMPTY || (place >> 32 != WORTH_OWN && flow_has_spilled(home))) {
			second = flow_place(tag, tag, companion, way_seen(word));
			if (second >> 32 < least && spilled_set(home)) {
				bucket = tag;
				place = second;
			}
		}
		if (!may_evict && place >> 32 >= WORTH_OPENING && place >> 32 != WORTH_TAKEN)
			return PUT_CROWDED;
		put = way_put(bucket, place, tag, word);
	}
	return put == PUT_AGAIN ? PUT_FULL : put;
}

/*
 * Moves a way from its first bucket to its second, where that has a place that nobody needs.
 * Whoever looks for it meanwhile finds one of the two. Returns an enum put: PUT_FULL, it stays.
 */
__noinline int way_move(__u32 home, __u32 at, __u16 now)
{
	struct sl_bucket *bucket = flow_bucket(home), *second;
	__u64 tag, word, late, place;
	struct sl_way *way, *copy;
	int put;

	if (!bucket)
		return PUT_FULL;
	way = &bucket->way[at & (SL_WAYS - 1)];
	tag = *(volatile __u64 *)&way->tag;
	second = flow_bucket(tag);
	/* One that is here as its second bucket has no other that its tag tells. */
	if (tag == SL_WAY_EMPTY || tag == SL_WAY_TAKEN || second == bucket || !second ||
	    !way_read(way, tag, &word))
		return PUT_FULL;
	place = flow_place(tag, tag, tag, now);
	if (place >> 32 >= WORTH_OPENING || place >> 32 == WORTH_OWN || !spilled_set(home))
		return PUT_FULL;
	put = way_put(tag, place, tag, word);
	if (put == PUT_FULL || put == PUT_AGAIN)
		return PUT_FULL;
	copy = &second->way[place & (SL_WAYS - 1)];
	if (__sync_val_compare_and_swap(&way->tag, tag, SL_WAY_TAKEN) != tag) {
		flow_drop(copy, tag); /* moved or pushed out by another CPU */
		return PUT_FULL;
	}
	late = *(volatile __u64 *)&way->word;
	/* Of a SYN that gave the tag to another endpoint meanwhile, more than flags. */
	if (late != word && __sync_val_compare_and_swap(&copy->word, word, late) != word)
		__sync_fetch_and_or(&copy->word, (__u8)late);
	__sync_lock_test_and_set(&way->tag, SL_WAY_EMPTY);
	return put;
}

/*
 * Room for a connection's two ways in a bucket where all are answered: some of them have room in
 * their second buckets. Returns the worse enum put.
 */
__noinline int flow_make_room(__u32 home, __u16 now)
{
	int made = 0, worst = PUT_DONE;

	for (__u32 i = 0; i < SL_WAYS && made < 2; i++) {
		int put = way_move(home, i, now);

		made += put != PUT_FULL;
		if (put == PUT_EVICTED)
			worst = put;
	}
	return worst;
}
