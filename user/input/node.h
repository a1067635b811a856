/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as a tree: what YAML and JSON have in common, each node with its place in the text and
 * its path. Aliases are copied on reading, so a node has one parent and one path.
 */
#pragma once
#include "../base/diag.h"
#include "input.h"

enum node_kind {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	enum node_kind kind;
	bool is_plain;         /* scalar without quotes: may be a number, a boolean or null */
	unsigned line, column; /* from 1 */
	unsigned key_line, key_column; /* of the key, in a map */
	const char *text;              /* of a scalar; no NUL inside */
	const char *key;               /* in a map */
	size_t index;                  /* in a list */
	const char *file;              /* of the root */
	const struct node *parent;
	struct node *first, *last, *next;
	size_t count; /* children */
};

enum scalar_type {
	SCALAR_NULL,
	SCALAR_BOOL,
	SCALAR_NUMBER,
	SCALAR_TEXT,
};

/* Limits against input that was made to hurt. */
#define NODE_DEPTH_MAX 100u
#define NODE_COUNT_MAX 8000000u /* keys apart; a million endpoints have four each */
#define ALIAS_NODES_MAX 100000u /* that aliases may add, in one text */
#define ANCHORS_MAX 1000u       /* in one text; an alias searches them in turn */
#define ERRORS_MAX 100u         /* reported for one input; the rest says no more than these */

/*
 * Every document of a text as a list below `parent`, linked by `next`; NULL when there is none.
 * 0, -ENOMEM, or -EINVAL with the reason in diags.
 */
int yaml_parse(void *parent, const struct input_text *text, struct diags *diags,
	       struct node **ret_documents);

/* The same by libyaml alone, of a text without a byte order mark. */
int yaml_parse_whole(void *parent, const struct input_text *text, struct diags *diags,
		     struct node **ret_documents);

/* Rewrites a JSON text's surrogate pairs for YAML, in a copy below `parent`. 0 or -ENOMEM. */
int json_pairs_join(void *parent, struct input_text *text);

/* What a plain scalar means by YAML's rules (1.1, as Kubernetes reads it). */
enum scalar_type scalar_classify(const char *text);
enum scalar_type node_scalar_type(const struct node *node);
bool node_is_null(const struct node *node);
struct node *node_get(const struct node *map, const char *key);
/* "a list", "the number 5", "the text \"x\"": for messages. Below the talloc parent. */
const char *node_describe(void *parent, const struct node *node);
/* "spec.http[0].weight"; child may be NULL. */
char *node_path(void *parent, const struct node *node, const char *child);

/* A finding at a node's value. */
void node_report(struct diags *diags, enum diag_level level, const struct node *node,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same at its key (when it has one). */
void node_report_key(struct diags *diags, enum diag_level level, const struct node *node,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A finding about a child that is not there: the map's place, the child's path. */
void node_report_child(struct diags *diags, enum diag_level level, const struct node *node,
		       const char *child, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* "file:line:column", for naming a second place in a text. */
const char *node_place(void *parent, const struct node *node);
