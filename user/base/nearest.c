// SPDX-License-Identifier: Apache-2.0
#include "nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NAME_MAX_LEN 64 /* longer names are no misspelling of ours */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's, one row, case ignored: "Weight" for "weight" costs nothing. */
size_t name_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], length_a = strlen(a), length_b = strlen(b);

	if (length_a > NAME_MAX_LEN || length_b > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= length_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= length_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length_b; j++) {
			size_t above = row[j];
			bool is_same = tolower((unsigned char)a[i - 1]) ==
				       tolower((unsigned char)b[j - 1]);

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + !is_same);
			diagonal = above;
		}
	}
	return row[length_b];
}

const char *name_nearest(const char *typed, const char *const *names, size_t count)
{
	const char *best = NULL;
	/* A third of the letters wrong, but always at least two, is still a misspelling. */
	size_t limit = strlen(typed) / 3 + 1, least = (limit < 2 ? 2 : limit) + 1;

	for (size_t i = 0; i < count; i++) {
		size_t distance = name_distance(typed, names[i]);

		if (distance < least && distance < strlen(names[i])) {
			least = distance;
			best = names[i];
		}
	}
	return best;
}
