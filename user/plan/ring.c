// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

static const uint32_t ring_primes[] = { 251, 1021, 4093, 16381, 65521 };

/* Places per unit of weight: Maglev's own figure for shares within one per cent. */
#define PLACES_PER_WEIGHT 100

struct walker {
	const struct ring_member *member;
	uint64_t hash;
	uint32_t next, step; /* where in the ring it asks next */
	uint64_t credit;     /* turns that its weight has earned, in parts of the largest weight */
};

static uint64_t weight_gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint32_t ring_size(const struct ring_member *members, size_t count)
{
	uint64_t sum = 0, divisor = 0;
	size_t weighted = 0;

	for (size_t i = 0; i < count; i++) {
		sum += members[i].weight;
		divisor = weight_gcd(divisor, members[i].weight);
		weighted += members[i].weight > 0;
	}
	if (weighted < 2)
		return (uint32_t)weighted;
	for (size_t i = 0; i < ARRAY_SIZE(ring_primes); i++) {
		if (ring_primes[i] >= PLACES_PER_WEIGHT * (sum / divisor))
			return ring_primes[i];
	}
	return ring_primes[ARRAY_SIZE(ring_primes) - 1];
}

/*
 * The finisher of SplitMix64 (Steele et al., OOPSLA 2014): every input bit reaches every output
 * bit.
 */
static uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	x ^= x >> 31;
	return x;
}

/* Read byte by byte, so that nodes of either byte order agree. */
static uint64_t hash_word(const uint8_t *bytes, size_t size)
{
	uint64_t word = 0;

	for (size_t i = 0; i < size; i++)
		word = word << 8 | bytes[i];
	return word;
}

/* The seed is a constant: a ring must not change with the key of the connection hash. */
static uint64_t member_hash(const struct ring_member *member)
{
	const uint64_t step = 0x9e3779b97f4a7c15ull;
	const struct addr *addr = &member->addr;
	uint64_t hash = hash_mix(0x736c75696365ull ^ addr->family);

	hash = hash_mix(hash + step + hash_word(addr->bytes, addr->family == 6 ? 8 : 4));
	if (addr->family == 6)
		hash = hash_mix(hash + step + hash_word(addr->bytes + 8, 8));
	return hash_mix(hash + step + member->port);
}

static int walker_compare(const void *left, const void *right)
{
	const struct walker *a = left, *b = right;
	int order;

	/* By hash first: among equal weights the turn must not follow the addresses' order. */
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	order = addr_compare(&a->member->addr, &b->member->addr);
	return order ? order : (int)a->member->port - (int)b->member->port;
}

static size_t walkers_start(struct walker *walkers, const struct ring_member *members, size_t count,
			    uint32_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (!members[i].weight)
			continue;

		struct walker *walker = &walkers[used++];

		walker->member = &members[i];
		walker->hash = member_hash(&members[i]);
		walker->next = (uint32_t)((walker->hash >> 32) % size);
		walker->step = size > 1 ? (uint32_t)walker->hash % (size - 1) + 1 : 0;
	}
	qsort(walkers, used, sizeof(*walkers), walker_compare);
	return used;
}

static void walker_take(struct walker *walker, uint32_t *ring, bool *taken, uint32_t size)
{
	while (taken[walker->next])
		walker->next = (uint32_t)(((uint64_t)walker->next + walker->step) % size);
	taken[walker->next] = true;
	ring[walker->next] = walker->member->value;
}

static void walkers_run(struct walker *walkers, size_t count, uint32_t *ring, bool *taken,
			uint32_t size)
{
	uint32_t heaviest = 0, filled = 0;

	for (size_t i = 0; i < count; i++) {
		if (walkers[i].member->weight > heaviest)
			heaviest = walkers[i].member->weight;
	}
	/* Half a turn in hand rounds a member's places to the nearest instead of down. */
	for (size_t i = 0; i < count; i++)
		walkers[i].credit = heaviest / 2;
	for (;;) {
		for (size_t i = 0; i < count; i++) {
			walkers[i].credit += walkers[i].member->weight;
			if (walkers[i].credit < heaviest)
				continue;
			walkers[i].credit -= heaviest;
			walker_take(&walkers[i], ring, taken, size);
			if (++filled == size)
				return;
		}
	}
}

int ring_fill(const struct ring_member *members, size_t count, uint32_t *ret_ring, uint32_t size)
{
	_cleanup_free_ struct walker *walkers = calloc(count ? count : 1, sizeof(*walkers));
	_cleanup_free_ bool *taken = calloc(size ? size : 1, sizeof(*taken));
	size_t used;

	if (!walkers || !taken)
		return -ENOMEM;
	used = size ? walkers_start(walkers, members, count, size) : 0;
	if (!used)
		return -EINVAL;
	walkers_run(walkers, used, ret_ring, taken, size);
	return 0;
}
