// SPDX-License-Identifier: Apache-2.0
/*
 * The flows of another release's table, written into ours. A way's tag stays what it is, and so
 * does its bucket, where both releases find buckets alike.
 */
#include "../base/cleanup.h"
#include "other.h"

#include <errno.h>
#include <time.h>

/* --- one way --- */

static uint64_t bits_get(uint64_t word, struct sl_layout_bits bits)
{
	return word >> bits.at & (~0ull >> (64 - bits.count));
}

static uint8_t flags_ours(const struct sl_layout *layout, uint64_t word)
{
	uint8_t flags = 0;
	int i = 0;

#define FLAG(name) flags |= word & layout->flag[i++] ? SL_FLOW_##name : 0;
	SL_LAYOUT_FLAGS(FLAG)
#undef FLAG
	return flags;
}

/* Both clocks at one moment. */
struct clocks {
	uint32_t theirs; /* units of their `seen` */
	uint16_t ours;
	uint64_t their_unit_ns, our_unit_ns;
};

static void clocks_now(const struct other *other, struct clocks *ret_clocks)
{
	const struct sl_control *control = control_of(other->kernel);
	const struct sl_layout *layout = &other->layout;
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	ret_clocks->theirs =
		(uint32_t)(ns / layout->tick_ns + layout->tick_offset) >> layout->seen_shift;
	ret_clocks->ours =
		(uint32_t)(ns / control->tick_ns + control->tick_offset) >> control->seen_shift;
	ret_clocks->their_unit_ns = (uint64_t)layout->tick_ns << layout->seen_shift;
	ret_clocks->our_unit_ns = (uint64_t)control->tick_ns << control->seen_shift;
}

static uint16_t seen_ours(const struct other *other, const struct clocks *clocks, uint64_t word)
{
	/* As many bits as both clocks have: ours is read from one of 32. */
	uint64_t most =
		~0ull >> (64 - other->layout.seen.count) & UINT32_MAX >> other->layout.seen_shift;
	uint64_t age = (clocks->theirs - bits_get(word, other->layout.seen)) & most;

	/* One that was marked a moment ahead of us has no age. */
	age = age > most - (most >> 12) ? 0 : age * clocks->their_unit_ns / clocks->our_unit_ns;
	return clocks->ours - (age < WAY_AGE_MAX ? age : WAY_AGE_MAX);
}

static int word_ours(struct other *other, const struct clocks *clocks, uint64_t word,
		     uint64_t *ret_word)
{
	uint32_t endpoint, vip;
	uint64_t index = bits_get(word, other->layout.endpoint) - other->layout.endpoint_more;
	int err = endpoint_ours(other, (uint32_t)index, &endpoint);

	if (!err)
		err = vip_ours(other, bits_get(word, other->layout.vip), &vip);
	if (err)
		return err;
	*ret_word = endpoint == NOWHERE || vip == NOWHERE
			    ? 0
			    : way_word(endpoint, vip, seen_ours(other, clocks, word),
				       flags_ours(&other->layout, word));
	return 0;
}

/* --- into our table, while the doors may use it --- */

static uint32_t bucket_mask(const struct other *other)
{
	return other->kernel->map[MAP_FLOWS].entries - 1;
}

static struct sl_way *way_find(struct other *other, uint32_t bucket, uint64_t tag)
{
	struct sl_way *way = other->ways.at + (size_t)bucket * SL_WAYS;

	for (uint32_t i = 0; i < SL_WAYS; i++, way++)
		if (__atomic_load_n(&way->tag, __ATOMIC_ACQUIRE) == tag)
			return way;
	return NULL;
}

/* An empty place, or that of a connection that has ended. */
static bool way_take(struct sl_way *way, bool may_end, uint64_t tag, uint64_t word)
{
	__u64 held = __atomic_load_n(&way->tag, __ATOMIC_ACQUIRE);

	if (held == SL_WAY_TAKEN ||
	    (held != SL_WAY_EMPTY &&
	     !(may_end && __atomic_load_n(&way->word, __ATOMIC_ACQUIRE) & SL_FLOW_CLOSED)))
		return false;
	if (!__atomic_compare_exchange_n(&way->tag, &held, SL_WAY_TAKEN, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	__atomic_store_n(&way->word, word, __ATOMIC_RELEASE);
	__atomic_store_n(&way->tag, tag, __ATOMIC_RELEASE);
	return true;
}

static bool bucket_put(struct other *other, uint32_t bucket, uint64_t tag, uint64_t word)
{
	struct sl_way *way = other->ways.at + (size_t)bucket * SL_WAYS;
	bool is_put = false;

	for (uint32_t i = 0; !is_put && i < SL_WAYS; i++)
		is_put = way_take(way + i, false, tag, word);
	for (uint32_t i = 0; !is_put && i < SL_WAYS; i++)
		is_put = way_take(way + i, true, tag, word);
	return is_put;
}

static void spill_note(struct other *other, uint32_t bucket)
{
	other->our_spilled[bucket / 64] |= 1ull << bucket % 64;
}

/*
 * What is there already. While no packet has met our doors, the other's word is the newer. Then the
 * younger is, and of two words of one connection each knows what the other does not.
 */
static void way_merge(struct sl_way *way, struct other_pass pass, uint16_t now, uint64_t word)
{
	__u64 held = __atomic_load_n(&way->word, __ATOMIC_ACQUIRE), merged;

	do {
		bool is_same = way_is_same(held, word);
		uint16_t theirs = way_age(word, now), ours = way_age(held, now);

		merged = word;
		if (pass.ours_counts && (is_same ? ours < theirs : ours <= theirs))
			return;
		/* The tuple was used again: what has ended there is the connection before. */
		if (pass.ours_counts && word & SL_FLOW_CLOSED && !(held & SL_FLOW_CLOSED) &&
		    ours == theirs)
			return;
		if (pass.ours_counts && is_same)
			merged = word | (uint8_t)held;
	} while (!__atomic_compare_exchange_n(&way->word, &held, merged, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
}

/* Returns false when there is no place. */
static bool way_write(struct other *other, uint32_t home, uint64_t tag, uint64_t word,
		      const struct clocks *clocks, struct other_pass pass, bool *ret_is_known)
{
	uint32_t second = tag & bucket_mask(other);
	struct sl_way *way = way_find(other, home, tag);

	if (!way && second != home)
		way = way_find(other, second, tag);
	*ret_is_known = way != NULL;
	if (way) {
		way_merge(way, pass, clocks->ours, word);
		return true;
	}
	if (bucket_put(other, home, tag, word))
		return true;
	if (second == home)
		return false;
	/* The bit first: no way must be where nobody looks for it. */
	spill_note(other, home);
	return bucket_put(other, second, tag, word);
}

/* --- all of them --- */

/* A way as the other's doors leave it. False: no flow, or one that changes hands just now. */
static bool theirs_read(const struct other *other, uint32_t bucket, uint32_t i, uint64_t *ret_tag,
			uint64_t *ret_word)
{
	const struct sl_layout *layout = &other->layout;
	const uint8_t *way = record_at(&other->flows, bucket) + (size_t)i * layout->way_size;
	const uint64_t *tag = (const uint64_t *)(way + layout->tag_at);
	const uint64_t *word = (const uint64_t *)(way + layout->word_at);

	*ret_tag = __atomic_load_n(tag, __ATOMIC_ACQUIRE);
	if (*ret_tag < layout->tag_least)
		return false;
	*ret_word = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	return __atomic_load_n(tag, __ATOMIC_ACQUIRE) == *ret_tag;
}

static int theirs_move(struct other *other, const struct clocks *clocks, uint32_t bucket,
		       uint32_t i, struct other_pass pass, struct other_count *count)
{
	uint64_t tag, theirs, word;
	bool is_known = false, is_put = false;
	uint32_t home;
	int err;

	if (!theirs_read(other, bucket, i, &tag, &theirs))
		return 0;
	err = word_ours(other, clocks, theirs, &word);
	if (err || (word & SL_FLOW_CLOSED && !pass.is_last))
		return err;
	home = other->has_our_homes ? bucket : tag & bucket_mask(other);
	if (word)
		is_put = way_write(other, home, tag, word, clocks, pass, &is_known);
	if (flags_ours(&other->layout, theirs) & SL_FLOW_REPLY)
		return 0;
	count->moved += is_put && !is_known;
	count->known += is_known;
	count->misfit += !is_put;
	return 0;
}

/* Where buckets are not the same, all that is copied is in its second. */
static void spilled_copy(struct other *other)
{
	const uint64_t *theirs = (const uint64_t *)other->spilled.at;
	uint32_t words = other->kernel->map[MAP_SPILLED].entries;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = other->has_our_homes && i < other->spilled.entries
					? __atomic_load_n(&theirs[i], __ATOMIC_ACQUIRE)
					: ~0ull;

		if (bits)
			other->our_spilled[i] |= bits;
	}
}

int other_copy(struct other *other, struct other_pass pass, struct other_count *ret_count)
{
	struct other_count count = {};
	struct clocks clocks;
	int err = 0;

	clocks_now(other, &clocks);
	spilled_copy(other);
	for (uint32_t bucket = 0; !err && bucket < other->flows.entries; bucket++)
		for (uint32_t i = 0; !err && i < other->layout.ways; i++)
			err = theirs_move(other, &clocks, bucket, i, pass, &count);
	*ret_count = count;
	return err;
}
