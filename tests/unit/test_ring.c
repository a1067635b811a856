// SPDX-License-Identifier: Apache-2.0
#include "user/base/cleanup.h"
#include "user/plan/ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS_MAX 200
#define RING_MAX 65521

static uint32_t ring[RING_MAX], ring_to[RING_MAX];

/* 10.1.0.x behind port 8080, values from 1000 */
static void members_make(struct ring_member *members, size_t count, uint32_t weight)
{
	for (size_t i = 0; i < count; i++) {
		members[i] = (struct ring_member){
			.addr = { .family = 4, .bytes = { 10, 1, 0, (uint8_t)i } },
			.port = 8080,
			.weight = weight,
			.value = 1000 + (uint32_t)i,
		};
	}
}

static uint32_t fill(const struct ring_member *members, size_t count, uint32_t *to)
{
	uint32_t size = ring_size(members, count);

	assert_true(size <= RING_MAX);
	assert_int_equal(ring_fill(members, count, to, size), 0);
	return size;
}

static void sizes(void **state)
{
	static const struct {
		const char *sentence;
		uint32_t weights[4];
		size_t count;
		uint32_t size;
	} rows[] = {
		{ "nobody", { 0 }, 0, 0 },
		{ "nobody with a weight", { 0, 0, 0 }, 3, 0 },
		{ "one member", { 1 }, 1, 1 },
		{ "one member of any weight", { 0, 1000, 0 }, 3, 1 },
		{ "two need 200 places", { 1, 1 }, 2, 251 },
		{ "three need 300", { 1, 1, 1 }, 3, 1021 },
		{ "common factors do not count", { 50, 50 }, 2, 251 },
		{ "weights count in units of their divisor", { 90, 10 }, 2, 1021 },
		{ "a weight of 0 does not count", { 1, 1, 0 }, 3, 251 },
		{ "large weights end at the largest", { 999983, 1 }, 2, 65521 },
		{ "sums over 32 bits too", { UINT32_MAX, UINT32_MAX - 1 }, 2, 65521 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring_member members[4];

		print_message("  %s\n", rows[i].sentence);
		members_make(members, 4, 0);
		for (size_t m = 0; m < 4; m++)
			members[m].weight = rows[i].weights[m];
		assert_int_equal(ring_size(members, rows[i].count), rows[i].size);
	}
}

static void shares_follow_weights(void **state)
{
	static const uint32_t rows[][4] = {
		{ 1, 1, 1, 1 }, { 3, 2, 1, 0 },       { 100, 1, 1, 1 },
		{ 7, 5, 3, 2 }, { 1000000, 1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring_member members[4];
		uint64_t have[4] = { 0 }, sum = 0;
		uint32_t size;

		members_make(members, 4, 0);
		for (size_t m = 0; m < 4; m++)
			sum += members[m].weight = rows[i][m];
		size = fill(members, 4, ring);
		for (uint32_t p = 0; p < size; p++)
			have[ring[p] - 1000]++;
		for (size_t m = 0; m < 4; m++) {
			double exact = (double)size * members[m].weight / (double)sum;

			/* Rounded to the nearest place, and a last round that is not whole */
			assert_true((double)have[m] > exact - 1.6);
			assert_true((double)have[m] < exact + 1.6);
			if (!members[m].weight)
				assert_int_equal(have[m], 0);
		}
	}
}

static void the_order_of_members_does_not_matter(void **state)
{
	struct ring_member members[50], shuffled[50];
	uint32_t size;

	members_make(members, 50, 1);
	for (size_t i = 0; i < 50; i++) {
		members[i].weight = (uint32_t)(1 + i % 3);
		shuffled[i * 17 % 50] = members[i];
	}
	size = fill(members, 50, ring);
	assert_int_equal(fill(shuffled, 50, ring_to), size);
	assert_memory_equal(ring, ring_to, size * sizeof(*ring));
}

/* A node's own numbers for the endpoints stand in its ring; what decides is addresses and ports. */
static void promise_6_rings_do_not_depend_on_values(void **state)
{
	struct ring_member members[50], other[50];
	uint32_t size;

	members_make(members, 50, 1);
	memcpy(other, members, sizeof(other));
	for (size_t i = 0; i < 50; i++) {
		other[i].value = 5000 - (uint32_t)i;
		/* What an IPv4 address does not use does not count either */
		memset(other[i].addr.bytes + 4, 0xaa, 12);
	}
	size = fill(members, 50, ring);
	fill(other, 50, ring_to);
	for (uint32_t p = 0; p < size; p++)
		assert_int_equal(ring[p] - 1000, 5000 - ring_to[p]);
}

/* Places of others that change hands when one of n equal members goes, in the same size of ring. */
static void an_endpoint_that_leaves_disturbs_few(void **state)
{
	static const size_t counts[] = { 5, 10, 30, 100 };

	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		size_t count = counts[c], disturbed = 0, others = 0;
		struct ring_member members[MEMBERS_MAX];
		uint32_t size;

		members_make(members, count, 1);
		size = fill(members, count, ring);
		members[count / 2].weight = 0;
		assert_int_equal(ring_fill(members, count, ring_to, size), 0);
		for (uint32_t p = 0; p < size; p++) {
			if (ring[p] == 1000 + count / 2)
				continue;
			others++;
			disturbed += ring[p] != ring_to[p];
		}
		print_message("  %zu members, %u places: %.2f %% of the others' places\n", count,
			      size, 100.0 * (double)disturbed / (double)others);
		assert_true(disturbed * 100 < others * 7);
	}
}

static void one_address_with_two_ports_is_two_members(void **state)
{
	struct ring_member members[2];
	uint32_t size, have = 0;

	members_make(members, 2, 1);
	members[1].addr = members[0].addr;
	members[1].port = 8081;
	size = fill(members, 2, ring);
	for (uint32_t p = 0; p < size; p++)
		have += ring[p] == 1000;
	assert_in_range(have, size / 2, size / 2 + 1);
}

static void bad_arguments_touch_nothing(void **state)
{
	struct ring_member members[2];

	members_make(members, 2, 0);
	ring[0] = 77;
	assert_int_equal(ring_fill(members, 2, ring, 251), -EINVAL);
	assert_int_equal(ring_fill(NULL, 0, ring, 251), -EINVAL);
	members[0].weight = 1;
	assert_int_equal(ring_fill(members, 2, ring, 0), -EINVAL);
	assert_int_equal(ring[0], 77);
	assert_int_equal(ring_fill(members, 2, ring, 1), 0);
	assert_int_equal(ring[0], 1000);
}

static uint64_t digest(const uint32_t *places, size_t size)
{
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ places[i]) * 1099511628211ull;
	return hash;
}

/* What running nodes have: see the same test of the slot tables. */
static void promise_6_same_on_every_node(void **state)
{
	struct ring_member members[20];

	members_make(members, 20, 1);
	for (size_t i = 10; i < 20; i++) {
		members[i].addr.family = 6;
		members[i].addr.bytes[15] = (uint8_t)i;
		members[i].weight = 2;
	}
	assert_int_equal(fill(members, 20, ring), 4093);
	print_message("  0x%016llx\n", (unsigned long long)digest(ring, 4093));
	assert_true(digest(ring, 4093) == 0xdd729e75a0d113b6ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(shares_follow_weights),
		cmocka_unit_test(the_order_of_members_does_not_matter),
		cmocka_unit_test(promise_6_rings_do_not_depend_on_values),
		cmocka_unit_test(an_endpoint_that_leaves_disturbs_few),
		cmocka_unit_test(one_address_with_two_ports_is_two_members),
		cmocka_unit_test(bad_arguments_touch_nothing),
		cmocka_unit_test(promise_6_same_on_every_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
