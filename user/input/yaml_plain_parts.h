/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the reader of plain YAML share: see yaml_plain.c. */
#pragma once
#include "node.h"

#define PLAIN_DEPTH_MAX 64 /* deeper is left to libyaml: well below its limit, and the stack's */

struct plain {
	char *at;         /* what comes next; in a copy of the text that is cut up in place */
	char *line_start; /* of the line that `at` is on */
	unsigned line;    /* from 1 */
	int indent;       /* of the next line with content; -1 at a document's end */
	unsigned depth;
	size_t node_count;
	void *memory;
	struct node *nodes; /* a block of them, so many left */
	size_t nodes_left;
	bool is_out_of_memory;
};

struct plain_key {
	const char *text;
	unsigned line, column;
};

/* --- yaml_plain_flow.c: NULL or false: not plain, or no memory --- */

struct node *plain_node(struct plain *plain, enum node_kind kind, const char *at);
void plain_append(struct node *parent, struct node *child);
/* The key at the cursor and its colon, with a blank behind; the cursor then stands behind the
 * colon. */
bool plain_key_take(struct plain *plain, struct plain_key *ret_key);
/* False too when the key is there already. */
bool plain_put(struct node *map, const struct plain_key *key, struct node *value);
/* Does a key begin there? */
bool plain_is_key(char *at);
/*
 * The scalar at the cursor, which then stands behind it. Its text ends at `*ret_end`, where whoever
 * has read what follows puts a NUL.
 */
struct node *plain_scalar(struct plain *plain, bool is_flow, char **ret_end);
/* A list or a map in brackets, on one line. */
struct node *plain_collection(struct plain *plain);

static inline bool is_end_of_line(char c)
{
	return c == '\n' || !c;
}

static inline bool is_blank(char c)
{
	return c == ' ' || is_end_of_line(c);
}

static inline void spaces_skip(struct plain *plain)
{
	while (*plain->at == ' ')
		plain->at++;
}
