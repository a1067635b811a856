// SPDX-License-Identifier: Apache-2.0
/* What differs between two revisions, found in their texts first: parsing costs far more than
 * comparing. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <errno.h>
#include <string.h>

#define DOCUMENT "---\n"
#define BLOCK 256 /* bytes that are compared at once */

struct text {
	const char *at;
	size_t size;
};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The end of the line, its newline included; NULL when it has none. */
static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline + 1 : NULL;
}

bool is_service(const char *at, const char *end)
{
	static const char *const kinds[] = { "kind: Service\n", "kind: ServiceEntry\n" };
	const char *line;

	if ((size_t)(end - at) < strlen(DOCUMENT) || memcmp(at, DOCUMENT, strlen(DOCUMENT)))
		return false;
	line = line_end(at + strlen(DOCUMENT), end);
	for (size_t i = 0; line && i < ARRAY_SIZE(kinds); i++) {
		size_t size = strlen(kinds[i]);

		if ((size_t)(end - line) >= size && !memcmp(line, kinds[i], size))
			return true;
	}
	return false;
}

static bool is_line_start(const char *text, size_t at)
{
	return !at || text[at - 1] == '\n';
}

/* How much is the same at the beginning, in whole services but for the last of them. */
static size_t prefix_size(const struct text *a, const struct text *b)
{
	size_t most = smaller(a->size, b->size), same = 0;

	/* Block by block, as far as that goes. */
	while (most - same >= BLOCK && !memcmp(a->at + same, b->at + same, BLOCK))
		same += BLOCK;
	while (same < most && a->at[same] == b->at[same])
		same++;
	for (size_t at = same; at > 0; at--) {
		if (is_line_start(a->at, at) && is_service(a->at + at, a->at + same))
			return at;
	}
	return 0;
}

/* How much is the same at the end, in whole services. */
static size_t suffix_size(const struct text *a, const struct text *b)
{
	size_t most = smaller(a->size, b->size), same = 0;
	const char *end = a->at + a->size, *b_end = b->at + b->size;

	while (most - same >= BLOCK && !memcmp(end - same - BLOCK, b_end - same - BLOCK, BLOCK))
		same += BLOCK;
	while (same < most && a->at[a->size - same - 1] == b->at[b->size - same - 1])
		same++;
	for (; same; same--) {
		if (is_line_start(a->at, a->size - same) && is_service(end - same, end))
			break;
	}
	return same;
}

static void texts_trim(struct text *a, struct text *b)
{
	size_t prefix = prefix_size(a, b), suffix;

	a->at += prefix;
	b->at += prefix;
	a->size -= prefix;
	b->size -= prefix;
	suffix = suffix_size(a, b);
	a->size -= suffix;
	b->size -= suffix;
}

/* What the node has read already is not read again. */
static int revision_get(struct node *node, void *parent, uint32_t number, struct diags *diags,
			struct store_revision *ret_revision)
{
	if (number != node->active || !node->body)
		return node_revision(node, parent, number, diags, ret_revision);
	*ret_revision = (struct store_revision){ .number = number, .body = node->body };
	return 0;
}

int text_parse(void *parent, const struct store_revision *revision, const char *text, size_t size,
	       struct diags *diags, struct model **ret_model)
{
	struct store_revision part = *revision;

	part.body = talloc_strndup(parent, text, size);
	return part.body ? revision_parse(parent, &part, diags, ret_model) : -ENOMEM;
}

int node_summary(struct node *node, void *parent, uint32_t from, uint32_t to, struct diags *diags,
		 char **ret_text)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct store_revision before, after;
	struct model *was, *is;
	struct text a, b;
	int err = scratch ? revision_get(node, scratch, from, diags, &before) : -ENOMEM;

	if (!err)
		err = revision_get(node, scratch, to, diags, &after);
	if (err)
		return err;
	a = (struct text){ before.body, strlen(before.body) };
	b = (struct text){ after.body, strlen(after.body) };
	texts_trim(&a, &b);
	err = text_parse(scratch, &before, a.at, a.size, diags, &was);
	if (!err)
		err = text_parse(scratch, &after, b.at, b.size, diags, &is);
	return err ? err : model_diff(parent, was, is, ret_text);
}
