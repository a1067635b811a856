/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader of input has to say to the person who wrote it: where, which field, what, and what
 * is allowed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum diag_level {
	DIAG_NOTE,    /* passed over, nothing to do */
	DIAG_WARNING, /* taken, but not as the writer may think */
	DIAG_ERROR,   /* the whole input is refused */
};

struct diag {
	enum diag_level level;
	const char *file; /* NULL: no place */
	unsigned line;    /* from 1; 0: no place */
	unsigned column;  /* from 1 */
	const char *path; /* "spec.http[0].route[1].weight", or NULL */
	const char *text;
};

struct diags {
	struct diag *list; /* talloc child of the struct */
	size_t count;
	size_t errors;
	size_t warnings;
};

/* Parent may be NULL; free with talloc_free. NULL when memory runs out. */
struct diags *diags_new(void *parent);

/* Adds one finding, all strings copied. The text quotes what was found and names what is allowed.
 */
void diag_add(struct diags *diags, enum diag_level level, const char *file, unsigned line,
	      unsigned column, const char *path, const char *format, ...)
	__attribute__((format(printf, 7, 8)));

/* One line each: "file:line:column: error: path: text". Colour only when asked. */
void diags_print(const struct diags *diags, FILE *out, bool colour);
