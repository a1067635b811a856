// SPDX-License-Identifier: Apache-2.0
#include "slots.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SLOTS_SIZE_MAX 65536u
#define ROUND_ALONE_MAX 3

/*
 * Rounding, first way: up to three versions. Each but the stable one is rounded to the nearest on
 * its own, and the stable one takes what is left, so that a change between it and one other leaves
 * the rounding of a third alone. Halves go down for the first and up for the second: their errors
 * then never add up to a whole slot.
 */
static void quota_round(const uint32_t *weights, size_t count, uint64_t sum, size_t size,
			uint32_t *quota)
{
	quota[0] = (uint32_t)size;
	for (size_t i = 1; i < count; i++) {
		uint64_t scaled = weights[i] * (uint64_t)size, rest = scaled % sum;
		bool is_up = i == 1 ? 2 * rest > sum : 2 * rest >= sum;

		quota[i] = (uint32_t)(scaled / sum) + (is_up ? 1 : 0);
		quota[0] -= quota[i];
	}
}

/* weights[a] / (quota[a] + 1/2) > weights[b] / (quota[b] + 1/2), without a division */
static bool is_owed_more(const uint32_t *weights, const uint32_t *quota, size_t a, size_t b)
{
	return weights[a] * (2 * (uint64_t)quota[b] + 1) >
	       weights[b] * (2 * (uint64_t)quota[a] + 1);
}

/*
 * Rounding, second way: more versions, whose errors could add up. All are rounded down, and the
 * slots left over go to those cut short, one each, by Webster's measure (Sainte-Lague). The largest
 * remainder, which is the usual measure, lets a version grow because of what happens between two
 * others, and thereby take keys from one that is growing.
 */
static void quota_apportion(const uint32_t *weights, size_t count, uint64_t sum, size_t size,
			    uint32_t *quota)
{
	bool is_short[SLOTS_VERSIONS_MAX];
	size_t left = size;

	for (size_t i = 0; i < count; i++) {
		uint64_t scaled = weights[i] * (uint64_t)size;

		quota[i] = (uint32_t)(scaled / sum);
		is_short[i] = scaled % sum;
		left -= quota[i];
	}
	for (; left; left--) {
		size_t best = count;

		for (size_t i = 0; i < count; i++) {
			if (is_short[i] && (best == count || is_owed_more(weights, quota, i, best)))
				best = i;
		}
		quota[best]++;
		is_short[best] = false;
	}
}

int slots_quota(const uint32_t *weights, size_t count, uint32_t *ret_quota, size_t size)
{
	uint64_t sum = 0;

	if (!count || count > SLOTS_VERSIONS_MAX || !size || size > SLOTS_SIZE_MAX ||
	    (size & (size - 1)))
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		sum += weights[i];
	if (!sum)
		return -EINVAL;
	if (count <= ROUND_ALONE_MAX)
		quota_round(weights, count, sum, size, ret_quota);
	else
		quota_apportion(weights, count, sum, size, ret_quota);
	return 0;
}

/*
 * The layout. Versions but the stable one live in blocks, two in each, which grow towards each
 * other from the block's ends; what is left between them is the stable version's:
 *
 *     [1 1 1 - - - - 2 2|3 - - - - 4 4 4|5 5 - -]
 *
 * As long as each fits in its block, its slots depend on its own number alone, so that a change
 * between it and the stable version moves no slot of a third. What does not fit goes to the others'
 * middles by deferred acceptance (Gale and Shapley, 1962): each version asks for slots in its own
 * order, a slot takes the one in whose order it comes first, and who is turned away asks for its
 * next. The result depends on the numbers alone, not on who asks first.
 */
struct resident {
	uint32_t block;
	bool is_right;    /* grows from the block's right end */
	uint32_t pending; /* slots that it still needs, outside of its block */
	uint32_t asked;   /* how many slots it has asked for, those of its own block included */
	uint32_t turn;    /* how many in each block that it has passed in this round */
	uint32_t next;    /* the block that it asks next */
};

struct layout {
	struct resident residents[SLOTS_VERSIONS_MAX]; /* by version; [0] is not used */
	uint32_t starts[SLOTS_VERSIONS_MAX / 2 + 2];   /* of the blocks; the last one's end */
	uint32_t blocks;
	uint8_t *slots;
	uint16_t *ranks; /* of a slot's holder: when in its order it asked for it; 0: at home */
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t block_size(const struct layout *layout, uint32_t block)
{
	return layout->starts[block + 1] - layout->starts[block];
}

/*
 * Blocks in proportion to their versions: a last one without a partner has half of what two have.
 */
static void blocks_cut(struct layout *layout, size_t count, size_t size)
{
	uint32_t others = (uint32_t)count - 1;

	layout->blocks = (others + 1) / 2;
	for (uint32_t b = 1; b <= layout->blocks; b++)
		layout->starts[b] = (uint32_t)size * smaller(2 * b, others) / others;
}

static void resident_settle(struct layout *layout, uint32_t version, uint32_t quota, uint32_t kept)
{
	struct resident *resident = &layout->residents[version];
	uint32_t block = (version - 1) / 2;
	uint32_t size = block_size(layout, block);
	uint32_t start = layout->starts[block];

	*resident = (struct resident){
		.block = block,
		.is_right = version % 2 == 0,
		.pending = quota - kept,
		.asked = size,
		.next = block,
	};
	memset(layout->slots + start + (resident->is_right ? size - kept : 0), (int)version, kept);
}

/* Each has its half of the block for sure, and of the other half what its partner leaves. */
static void block_settle(struct layout *layout, uint32_t block, const uint32_t *quota, size_t count)
{
	uint32_t left = 2 * block + 1, right = left + 1;
	uint32_t size = block_size(layout, block), half = (size + 1) / 2;
	uint32_t wanted = right < count ? quota[right] : 0;
	uint32_t kept = smaller(quota[left], larger(half, size - smaller(size, wanted)));

	kept = smaller(kept, size);
	resident_settle(layout, left, quota[left], kept);
	if (right < count)
		resident_settle(layout, right, wanted, smaller(wanted, size - kept));
}

/*
 * Where the resident asks in another block in its n-th round: from the middle, where the owners
 * come last, to one end and then the other. Partners turn to different ends, so that they seldom
 * meet.
 */
static uint32_t block_place(const struct resident *resident, uint32_t size, uint32_t n)
{
	uint32_t middle = size / 2;

	if (resident->is_right)
		return n < middle ? middle - 1 - n : n;
	return n < size - middle ? middle + n : size - 1 - n;
}

/* The next slot in its order: round by round, one in each block after its own. */
static uint32_t resident_ask(const struct layout *layout, struct resident *resident)
{
	for (;;) {
		uint32_t size;

		if (++resident->next == layout->blocks)
			resident->next = 0;
		if (resident->next == resident->block) {
			resident->turn++;
			continue;
		}
		size = block_size(layout, resident->next);
		if (resident->turn >= size)
			continue;
		resident->asked++;
		return layout->starts[resident->next] + block_place(resident, size, resident->turn);
	}
}

/*
 * Is the slot free, or held by one in whose order it comes later? Equal ranks: the lower ordinal
 * has it.
 */
static bool is_granted(const struct layout *layout, uint32_t slot, uint32_t version, uint32_t rank)
{
	uint8_t holder = layout->slots[slot];

	if (!holder)
		return true;
	return rank < layout->ranks[slot] || (rank == layout->ranks[slot] && version < holder);
}

/*
 * The version asks until it has all its slots; those that it takes from others become theirs to
 * replace.
 */
static void resident_seek(struct layout *layout, uint32_t version)
{
	struct resident *resident = &layout->residents[version];

	while (resident->pending) {
		uint32_t rank = resident->asked;
		uint32_t slot = resident_ask(layout, resident);

		if (!is_granted(layout, slot, version, rank))
			continue;
		if (layout->slots[slot])
			layout->residents[layout->slots[slot]].pending++;
		layout->slots[slot] = (uint8_t)version;
		layout->ranks[slot] = (uint16_t)rank;
		resident->pending--;
	}
}

static bool is_seeking(const struct layout *layout, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (layout->residents[i].pending)
			return true;
	}
	return false;
}

int slots_fill(const uint32_t *weights, size_t count, uint8_t *ret_slots, size_t size)
{
	_cleanup_free_ uint16_t *ranks = NULL;
	uint32_t quota[SLOTS_VERSIONS_MAX];
	struct layout layout = { .slots = ret_slots };
	int err = slots_quota(weights, count, quota, size);

	if (err)
		return err;
	/* Up to three versions share one block and always fit. */
	if (count > 3) {
		ranks = calloc(size, sizeof(*ranks));
		if (!ranks)
			return -ENOMEM;
		layout.ranks = ranks;
	}
	memset(ret_slots, 0, size);
	blocks_cut(&layout, count, size);
	for (uint32_t b = 0; b < layout.blocks; b++)
		block_settle(&layout, b, quota, count);
	while (layout.ranks && is_seeking(&layout, count)) {
		for (uint32_t i = 1; i < count; i++)
			resident_seek(&layout, i);
	}
	return 0;
}
