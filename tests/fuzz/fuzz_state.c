// SPDX-License-Identifier: Apache-2.0
/*
 * The head of a revision file, whatever stands in it: refused, or read; and what is read goes out as
 * a head that reads the same.
 */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "user/store/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(void *memory, const struct store_revision *first)
{
	struct store_revision second = {};
	char *written = NULL;

	if (head_format(memory, first, &written))
		abort();
	if (head_parse(written, &second))
		abort();
	/* Empty lines at the end of the summary are not kept. */
	if (second.number != first->number || second.parent != first->parent ||
	    second.time != first->time || strcmp(second.author, first->author) ||
	    strcmp(second.reason, first->reason))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *memory = talloc_new(NULL);
	char *head = talloc_strndup(memory, (const char *)data, size);
	struct store_revision revision = {};

	if (head && !head_parse(head, &revision))
		round_trip(memory, &revision);
	talloc_free(memory);
	return 0;
}
