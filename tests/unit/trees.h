/* SPDX-License-Identifier: Apache-2.0 */
/* Two readings of one text, node by node. */
#pragma once
#include <string.h>

#include "user/input/node.h"

static inline bool is_same_text(const char *a, const char *b)
{
	return !a == !b && (!a || !strcmp(a, b));
}

/* What differs first, and where in the first tree; NULL when nothing does. */
static inline const char *trees_differ(const struct node *a, const struct node *b,
				       const struct node **ret_at)
{
	for (; a && b; a = a->next, b = b->next) {
		const char *what = NULL;

		*ret_at = a;
		if (a->kind != b->kind || a->count != b->count || a->index != b->index)
			return "the kind, the count or the index";
		if (a->line != b->line || a->column != b->column)
			return "the place";
		if (a->is_plain != b->is_plain || !is_same_text(a->text, b->text))
			return "the text";
		if (!is_same_text(a->key, b->key) ||
		    (a->key && (a->key_line != b->key_line || a->key_column != b->key_column)))
			return "the key or its place";
		if (!is_same_text(a->file, b->file) || !a->parent != !b->parent)
			return "the file or the parent";
		what = trees_differ(a->first, b->first, ret_at);
		if (what)
			return what;
	}
	return a || b ? "the number of nodes" : NULL;
}
