/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of every input, for the targets that have one. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "user/input/input.h"
#include "user/plan/plan.h"

struct written {
	char *model, *inventory;
};

static void die(const char *what, const struct diags *diags, const struct written *written)
{
	fprintf(stderr, "%s\n", what);
	diags_print(diags, stderr, false);
	fprintf(stderr, "%s\n%s\n", written->model, written->inventory);
	abort();
}

static void write_all(void *parent, const struct input_result *result, struct written *ret_written)
{
	if (model_export(parent, result->model, &ret_written->model) < 0 ||
	    inventory_export(parent, result->inventory, &ret_written->inventory) < 0)
		abort();
}

/* Two writers, one text. */
static void writers_compare(void *memory, const struct input_result *result,
			    const struct diags *diags, const struct written *plain)
{
	struct written whole = {};

	if (model_export_whole(memory, result->model, &whole.model) < 0 ||
	    inventory_export_whole(memory, result->inventory, &whole.inventory) < 0)
		abort();
	if (strcmp(plain->model, whole.model) || strcmp(plain->inventory, whole.inventory))
		die("libyaml's emitter writes something else", diags, &whole);
}

/* What is taken goes out as text that is taken again and goes out as the same text. */
static void round_trip(void *memory, const struct input_result *first)
{
	struct diags *diags = diags_new(memory);
	struct written before = {}, after = {};
	struct input_result second;

	write_all(memory, first, &before);
	writers_compare(memory, first, diags, &before);
	struct input_text texts[] = {
		{ "model", before.model, strlen(before.model) },
		{ "inventory", before.inventory, strlen(before.inventory) },
	};
	if (input_apply(memory, texts, 2, INPUT_MERGE, NULL, NULL, diags, &second) < 0)
		die("what was exported is refused", diags, &before);
	write_all(memory, &second, &after);
	if (strcmp(before.model, after.model) || strcmp(before.inventory, after.inventory))
		die("the export differs after a round trip", diags, &after);
}

/* What is taken can be planned, or the plan says why not. */
static void plan_try(void *memory, const struct input_result *result)
{
	struct diags *diags = diags_new(memory);
	struct plan *plan = NULL;
	int err = plan_build(memory, result->model, result->inventory, diags, &plan);

	if (err ? !diags->errors : !plan)
		abort();
}

/* Refused with a reason, or taken with all that follows from it. */
static void input_try(const struct input_text *text)
{
	void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_result first, again;
	int err = input_apply(memory, text, 1, INPUT_MERGE, NULL, NULL, diags, &first);

	if (err < 0 && !diags->errors)
		abort();
	if (err == 0) {
		round_trip(memory, &first);
		plan_try(memory, &first);
		/* Onto itself it changes nothing that would not be written. */
		if (input_apply(memory, text, 1, INPUT_MERGE, first.model, first.inventory, diags,
				&again) < 0)
			abort();
		round_trip(memory, &again);
	}
	talloc_free(memory);
}
