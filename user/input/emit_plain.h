/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of emit.h for the plain part of YAML: see there. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define EMIT_DEPTH_MAX 16

struct emit_level {
	bool is_list;
	bool is_behind_dash; /* a map that is a list's entry */
	bool has_key;        /* a map's key was written, its value is due */
	unsigned indent, count;
};

/* All zero but for `parent` is an empty one. */
struct emit_plain {
	void *parent;
	char *text; /* talloc; NUL at the end */
	size_t size, capacity;
	struct emit_level levels[EMIT_DEPTH_MAX];
	unsigned depth;
	bool is_failed;  /* out of memory */
	bool is_unusual; /* what was asked for is not plain: the text is worth nothing */
};

void emit_plain_document(struct emit_plain *plain);
/* A key, or a value, or a list's entry, whichever is due. */
void emit_plain_scalar(struct emit_plain *plain, const char *text, bool is_quoted);
void emit_plain_map(struct emit_plain *plain);
void emit_plain_list(struct emit_plain *plain);
void emit_plain_empty_list(struct emit_plain *plain);
/* Of a map or a list. */
void emit_plain_end(struct emit_plain *plain);
