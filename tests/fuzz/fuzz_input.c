// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever the bytes are: refused with a reason, or taken; and what is taken goes out as text that
 * is taken again and goes out as the same text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "user/input/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void round_trip(void *memory, const struct input_result *first)
{
	struct diags *diags = diags_new(memory);
	struct written before = {}, after = {};
	struct input_result second;

	write_all(memory, first, &before);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input_text text = { "fuzz", (const char *)data, size };
	void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_result first, again;
	int r = input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags, &first);

	if (r < 0 && !diags->errors)
		abort();
	if (r == 0) {
		round_trip(memory, &first);
		/* Onto itself it changes nothing that would not be written. */
		if (input_apply(memory, &text, 1, INPUT_MERGE, first.model, first.inventory, diags,
				&again) < 0)
			abort();
		round_trip(memory, &again);
	}
	talloc_free(memory);
	return 0;
}
