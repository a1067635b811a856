// SPDX-License-Identifier: Apache-2.0
/*
 * The data plane, row by row: every sentence at both doors and for both families where it can be
 * said of them, and at the end every verdict must have been reached.
 */
#include "trial.h"

#include "rows_flow.h"
#include "rows_cut.h"
#include "rows_error.h"
#include "rows_split.h"
#include "rows_redirect.h"
#include "rows_settings.h"
#include "rows_shape.h"

#define TABLE(rows, is_small)                                                                      \
	{                                                                                          \
		(rows), sizeof(rows) / sizeof((rows)[0]), is_small                                 \
	}
static const struct {
	const struct row *rows;
	size_t count;
	bool is_small; /* in the world of rows_settings */
} tables[] = {
	TABLE(rows_flow, false),    TABLE(rows_split, false), TABLE(rows_shape, false),
	TABLE(rows_error, false),   TABLE(rows_cut, false),   TABLE(rows_redirect, false),
	TABLE(rows_settings, true),
};

static struct world the_world, small_world;

static const char rewrite_why[] =
	"the parser has vouched for every byte that a rewrite touches; the kernel refuses only "
	"when "
	"it has no memory for a private copy of a cloned skb, and a test run's skb is never cloned";

/* Verdicts that no row can reach, and why. */
static const char *const unreachable[SL_VERDICT_COUNT] = {
	[SL_drop_rewrite] = rewrite_why,
};

static void run_row(void **state)
{
	struct trial *trial = *state;

	world_reset(trial->world);
	trial->row->steps(trial);
}

static void every_verdict_was_reached(void **state)
{
	bool all = true;

	for (int i = 0; i < SL_VERDICT_COUNT; i++) {
		if (!trial_reached[i] && !unreachable[i]) {
			fprintf(stderr, "  no row reached %s\n", counter_names[i]);
			all = false;
		}
		if (trial_reached[i] && unreachable[i]) {
			fprintf(stderr, "  %s is reached, though listed as unreachable\n",
				counter_names[i]);
			all = false;
		}
	}
	assert_true(all);
}

static size_t tests_of(const struct row *row, struct world *world, struct CMUnitTest *ret_tests)
{
	size_t count = 0;

	for (__u32 door = 0; door < SL_DOOR_OUT; door++) {
		for (int family = 4; family <= 6; family += 2) {
			struct trial *trial;
			char *name = NULL;

			if (!(row->doors & 1 << door) || !(row->families & (family == 4 ? V4 : V6)))
				continue;
			trial = calloc(1, sizeof(*trial));
			if (!trial || asprintf(&name, "%s [%s v%d]", row->sentence,
					       door_names[door], family) < 0)
				world_die("make a test");
			*trial = (struct trial){
				.row = row, .door = door, .family = family, .world = world
			};
			ret_tests[count++] =
				(struct CMUnitTest){ name, run_row, NULL, NULL, trial };
		}
	}
	return count;
}

int main(void)
{
	static struct CMUnitTest tests[1024];
	size_t count = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (size_t k = 0; k < tables[i].count; k++)
			count += tests_of(&tables[i].rows[k],
					  tables[i].is_small ? &small_world : &the_world,
					  tests + count);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_verdict_was_reached);
	node_open();
	world_open(&the_world, &(struct world_options){ 0 });
	world_open(&small_world, &small_world_options);
	return _cmocka_run_group_tests("doors", tests, count, NULL, NULL);
}
