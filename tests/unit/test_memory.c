// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that ends at any point: each step from model to plan and text is run with a little more
 * memory than before, until it succeeds. Short of that it says -ENOMEM and its output is untouched;
 * what it left half made is the sanitizers' to find.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/input/input.h"
#include "user/node/node.h"
#include "user/plan/plan.h"

static const char text[] =
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: r}\nspec:\n"
	"  hosts: [r.test]\n  resolution: STATIC\n  addresses: [10.0.0.1, 'fd00::1']\n"
	"  ports: [{number: 80, name: tcp, protocol: TCP}, {number: 53, name: udp, protocol: "
	"UDP}]\n"
	"  endpoints:\n  - {address: 10.1.0.1, labels: {version: v1}}\n"
	"  - {address: 10.1.0.2, labels: {version: v2}, weight: 3}\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r}\nspec:\n"
	"  host: r.test\n  subsets:\n  - {name: v1, labels: {version: v1}}\n"
	"  - {name: v2, labels: {version: v2}}\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\nspec:\n"
	"  hosts: [r.test]\n  tcp:\n  - match: [{sourceSubnet: 10.9.0.0/16}]\n    route:\n"
	"    - {destination: {host: r.test, subset: v2}}\n  - route:\n"
	"    - {destination: {host: r.test, subset: v1}, weight: 60}\n"
	"    - {destination: {host: r.test, subset: v2}, weight: 40}\n";

struct scene {
	struct diags *diags;
	struct input_result whole;
	struct model *empty;
};

/* What a step gives: `output` begins as `untouched` and stays it on failure. */
struct step {
	const char *name;
	int (*run)(void *memory, const struct scene *scene, void **output);
};

static int step_plan(void *memory, const struct scene *scene, void **output)
{
	return plan_build(memory, scene->whole.model, scene->whole.inventory, scene->diags,
			  (struct plan **)output);
}

static int step_export(void *memory, const struct scene *scene, void **output)
{
	return model_export(memory, scene->whole.model, (char **)output);
}

static int step_export_inventory(void *memory, const struct scene *scene, void **output)
{
	return inventory_export(memory, scene->whole.inventory, (char **)output);
}

static int step_diff(void *memory, const struct scene *scene, void **output)
{
	return model_diff(memory, scene->empty, scene->whole.model, (char **)output);
}

static int step_copy(void *memory, const struct scene *scene, void **output)
{
	struct model *copy = model_copy(memory, scene->whole.model);

	*output = copy ? copy : *output;
	return copy ? 0 : -ENOMEM;
}

static int step_copy_inventory(void *memory, const struct scene *scene, void **output)
{
	struct inventory *copy = inventory_copy(memory, scene->whole.inventory);

	*output = copy ? copy : *output;
	return copy ? 0 : -ENOMEM;
}

static const struct step steps[] = {
	{ "plan_build", step_plan },
	{ "model_export", step_export },
	{ "inventory_export", step_export_inventory },
	{ "model_diff", step_diff },
	{ "model_copy", step_copy },
	{ "inventory_copy", step_copy_inventory },
};

/* Deprecated, for nobody should rely on it in production; tests may. */
static void limit_set(void *memory, size_t limit)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	assert_int_equal(talloc_set_memlimit(memory, limit), 0);
#pragma GCC diagnostic pop
}

static void step_starve(const struct scene *scene, const struct step *step)
{
	static char untouched;
	unsigned failures = 0;

	for (size_t limit = 128; limit < 1u << 20; limit += 96) {
		_cleanup_talloc_ void *memory = talloc_new(NULL);
		void *output = &untouched;
		int err;

		limit_set(memory, limit);
		err = step->run(memory, scene, &output);
		if (!err) {
			assert_true(failures > 0);
			assert_ptr_not_equal(output, &untouched);
			return;
		}
		if (err != -ENOMEM || output != &untouched)
			print_error("%s with %zu bytes: %d\n", step->name, limit, err);
		assert_int_equal(err, -ENOMEM);
		assert_ptr_equal(output, &untouched);
		failures++;
	}
	fail_msg("%s never succeeds", step->name);
}

static void starved(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	const struct input_text input = { .name = "t", .data = text, .size = sizeof(text) - 1 };
	struct scene scene = { .diags = diags_new(memory) };

	assert_int_equal(input_apply(memory, &input, 1, INPUT_REPLACE, NULL, NULL, scene.diags,
				     &scene.whole),
			 0);
	scene.empty = talloc_zero(memory, struct model);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		step_starve(&scene, &steps[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(starved) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
