/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two well-known ways to make a slot table from weights, written straight from their papers, for
 * the comparison alone. Both are pure functions of the weights and a salt.
 */
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RIVAL_VERSIONS 8
#define RIVAL_SLOTS 16384

/* What a salt gives; another salt is another cluster. */
struct rivals {
	uint16_t orders[RIVAL_VERSIONS]
		       [RIVAL_SLOTS];             /* Maglev: in which a version asks for slots */
	float costs[RIVAL_SLOTS][RIVAL_VERSIONS]; /* rendezvous: -ln of a hash in (0, 1) */
};

/* The finisher of SplitMix64 (Steele et al., OOPSLA 2014). */
static uint64_t rival_hash(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/*
 * The paper makes its permutations with an offset and a step, which needs a prime number of slots.
 * Shuffles (Fisher and Yates) take any number. The rows are the same within a hundredth with an
 * offset and an odd step, so the comparison does not hang on it.
 */
static void rival_shuffle(uint16_t *order, uint64_t salt)
{
	for (uint32_t i = 0; i < RIVAL_SLOTS; i++) {
		uint32_t j = (uint32_t)(rival_hash(salt + i) % (i + 1));

		order[i] = order[j];
		order[j] = (uint16_t)i;
	}
}

static void rivals_salt(struct rivals *rivals, uint64_t salt)
{
	for (uint32_t v = 0; v < RIVAL_VERSIONS; v++) {
		uint64_t base = rival_hash(salt * RIVAL_VERSIONS + v);

		rival_shuffle(rivals->orders[v], base);
		for (uint32_t s = 0; s < RIVAL_SLOTS; s++) {
			uint64_t hash = rival_hash(~base + s);

			rivals->costs[s][v] = (float)-log(((double)(hash >> 11) + 0.5) * 0x1p-53);
		}
	}
}

/*
 * Maglev (Eisenbud et al., NSDI 2016) with weights: versions take turns, each asks for the next
 * free slot in its order. The heaviest asks in every turn, another when its weight has added up to
 * that.
 */
static void maglev_fill(const struct rivals *rivals, const uint32_t *weights, size_t count,
			uint8_t *ret_slots)
{
	uint32_t next[RIVAL_VERSIONS] = { 0 }, heaviest = 0, filled = 0;
	uint64_t credit[RIVAL_VERSIONS];
	const uint8_t free_slot = UINT8_MAX;

	memset(ret_slots, free_slot, RIVAL_SLOTS);
	for (size_t v = 0; v < count; v++)
		heaviest = weights[v] > heaviest ? weights[v] : heaviest;
	/* Half a turn in hand rounds a version's slots to the nearest instead of down. */
	for (size_t v = 0; v < count; v++)
		credit[v] = heaviest / 2;
	for (size_t v = 0; filled < RIVAL_SLOTS; v = (v + 1) % count) {
		const uint16_t *order = rivals->orders[v];

		credit[v] += weights[v];
		if (!weights[v] || credit[v] < heaviest)
			continue;
		credit[v] -= heaviest;
		while (ret_slots[order[next[v]]] != free_slot)
			next[v]++;
		ret_slots[order[next[v]]] = (uint8_t)v;
		filled++;
	}
}

/*
 * Weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights: Schindelhauer and Schomaker,
 * SPAA 2005): each slot goes to the version with the least -ln(hash) / weight.
 */
static void rendezvous_fill(const struct rivals *rivals, const uint32_t *weights, size_t count,
			    uint8_t *ret_slots)
{
	float worth[RIVAL_VERSIONS];

	/* Divided once; a weight of 0 costs without end. */
	for (size_t v = 0; v < count; v++)
		worth[v] = weights[v] ? 1.0f / (float)weights[v] : INFINITY;
	for (uint32_t s = 0; s < RIVAL_SLOTS; s++) {
		float least = INFINITY;
		uint8_t best = 0;

		for (size_t v = 0; v < count; v++) {
			float cost = rivals->costs[s][v] * worth[v];

			if (cost < least) {
				least = cost;
				best = (uint8_t)v;
			}
		}
		ret_slots[s] = best;
	}
}
