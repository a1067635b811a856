// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as YAML: refused at a place that is in the text, or a tree that keeps what its header
 * promises. Aliases are copies, so every node has one parent and hangs where it says.
 */
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/unit/trees.h"
#include "user/input/yaml_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static size_t children_check(const struct node *node, unsigned depth);

static void node_check(const struct node *node, const struct node *parent, size_t index)
{
	check(node->parent == parent);
	check(node->line && node->column);
	if (parent && parent->kind == NODE_MAP)
		check(node->key && node->key_line &&
		      node_get(parent, node->key) == (node_is_null(node) ? NULL : node));
	if (parent && parent->kind == NODE_LIST)
		check(node->index == index);
	if (node->kind == NODE_SCALAR)
		check(node->text && !node->first && !node->count);
	(void)node_scalar_type(node);
}

/* Places and paths of some are made, because making those of all would be the square. */
static void words_check(void *memory, const struct node *node)
{
	check(node_path(memory, node, NULL) && node_path(memory, node, "child"));
	check(node_place(memory, node) && node_describe(memory, node));
}

static size_t children_check(const struct node *node, unsigned depth)
{
	size_t count = 0, all = 1;

	check(depth <= NODE_DEPTH_MAX);
	for (const struct node *child = node->first; child; child = child->next) {
		node_check(child, node, count++);
		all += children_check(child, depth + 1);
		if (!child->next)
			check(node->last == child);
	}
	check(count == node->count);
	return all;
}

/* What the reader of plain YAML takes, libyaml takes too, and both make the same of it. */
static void readers_compare(void *memory, const struct input_text *text)
{
	struct diags *diags = diags_new(memory);
	struct node *plain = NULL, *whole = NULL;
	const struct node *at;
	bool is_taken;

	check(!yaml_plain_parse(memory, text, &is_taken, &plain));
	if (is_taken)
		check(!yaml_parse_whole(memory, text, diags, &whole) &&
		      !trees_differ(plain, whole, &at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input_text text = { "fuzz", (const char *)data, size };
	void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct node *documents = NULL;
	int err = yaml_parse(memory, &text, diags, &documents);

	check(err == 0 ? !diags->errors : diags->errors == 1 && diags->list[0].line);
	for (const struct node *at = err ? NULL : documents; at; at = at->next) {
		const struct node *leaf = at;

		node_check(at, NULL, 0);
		check(at->file && children_check(at, 0) <= NODE_COUNT_MAX + ALIAS_NODES_MAX);
		while (leaf->last)
			leaf = leaf->last;
		words_check(memory, leaf);
	}
	readers_compare(memory, &text);
	talloc_free(memory);
	return 0;
}
