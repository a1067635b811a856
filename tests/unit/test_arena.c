// SPDX-License-Identifier: Apache-2.0
/* Free places of the kernel's tables, and the index that finds what was written before. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/kernel/internal.h"

static void places_are_taken_in_order_and_once(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct arena arena;
	uint32_t base = 77;

	assert_int_equal(arena_init(memory, &arena, 8, 0), 0);
	arena_mark(&arena, 2, 2);
	assert_int_equal(arena_free(&arena), 6);
	assert_int_equal(arena_take(&arena, 2, &base), 0);
	assert_int_equal(base, 0);
	assert_int_equal(arena_take(&arena, 3, &base), 0);
	assert_int_equal(base, 4);
	assert_int_equal(arena_free(&arena), 1);
	assert_int_equal(arena_take(&arena, 2, &base), -ENOSPC);
	assert_int_equal(base, 4);
	assert_int_equal(arena_take(&arena, 1, &base), 0);
	assert_int_equal(base, 7);
	assert_int_equal(arena_take(&arena, 1, &base), -ENOSPC);
}

/* What lies behind the cursor was freed last, so it comes last, and whoever asks is told. */
static void the_end_is_gone_round(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct arena arena;
	uint32_t base;

	assert_int_equal(arena_init(memory, &arena, 8, 6), 0);
	assert_int_equal(arena_take(&arena, 2, &base), 0);
	assert_int_equal(base, 6);
	assert_true(arena.wrapped);
	assert_int_equal(arena_init(memory, &arena, 8, 6), 0);
	assert_int_equal(arena_take(&arena, 3, &base), 0);
	assert_int_equal(base, 0);
	assert_true(arena.wrapped);
	assert_int_equal(arena_init(memory, &arena, 8, 99), 0);
	assert_int_equal(arena.cursor, 0);
}

static void what_does_not_fit_changes_nothing(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct arena arena;
	uint32_t base = 77;

	assert_int_equal(arena_init(memory, &arena, 8, 0), 0);
	assert_int_equal(arena_take(&arena, 0, &base), -ENOSPC);
	assert_int_equal(arena_take(&arena, 9, &base), -ENOSPC);
	arena_mark(&arena, 8, 1);
	arena_mark(&arena, 7, 2);
	arena_mark(&arena, UINT32_MAX, UINT32_MAX);
	assert_int_equal(arena_free(&arena), 8);
	assert_int_equal(base, 77);
}

static void an_index_finds_what_was_put_as_it_grows(void **state)
{
	enum {
		COUNT = 1000
	};
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct index *index = index_new(memory, 1);
	uint64_t *keys = talloc_array(memory, uint64_t, COUNT + 1);
	uint32_t value = 77;

	for (uint32_t i = 0; i <= COUNT; i++)
		keys[i] = i * 0x9e3779b97f4a7c15u;
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(index_put(index, &keys[i], sizeof(*keys), i), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(index_find(index, &keys[i], sizeof(*keys), &value), 0);
		assert_int_equal(value, i);
	}
	assert_int_equal(index_find(index, &keys[COUNT], sizeof(*keys), &value), -ENOENT);
	/* A part of a key is another key. */
	assert_int_equal(index_find(index, &keys[1], sizeof(*keys) - 1, &value), -ENOENT);
	assert_int_equal(index_put(index, &keys[1], sizeof(*keys), 5), 0);
	assert_int_equal(index_find(index, &keys[1], sizeof(*keys), &value), 0);
	assert_int_equal(value, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_taken_in_order_and_once),
		cmocka_unit_test(the_end_is_gone_round),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
		cmocka_unit_test(an_index_finds_what_was_put_as_it_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
