// SPDX-License-Identifier: Apache-2.0
/*
 * A reader for the YAML that people and we ourselves write most: block maps and lists, values on
 * one line, collections in brackets and quotes without escapes on one line, plain ASCII. It makes
 * the tree that libyaml's events would make, in a third of the time. At the first byte that might
 * mean anything else (an anchor, a tag, a text over several lines, an error) it takes nothing, and
 * libyaml reads the text from its beginning: so it never has to report anything.
 */
#include "yaml_plain.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "../base/cleanup.h"
#include "yaml_plain_parts.h"

#define NO_LINE (-1)

static struct node *block_read(struct plain *plain, int indent);

/* --- lines --- */

/* "---" or "..." alone at the beginning of a line. */
static bool is_marker(const char *at)
{
	return (!strncmp(at, "---", 3) || !strncmp(at, "...", 3)) && is_blank(at[3]);
}

/* To the first character of the next line that has one, comments aside. */
static void content_find(struct plain *plain)
{
	for (;;) {
		spaces_skip(plain);
		if (*plain->at == '#')
			plain->at = strchrnul(plain->at, '\n');
		if (*plain->at != '\n')
			break;
		plain->line_start = ++plain->at;
		plain->line++;
	}
	plain->indent = (int)(plain->at - plain->line_start);
	if (!*plain->at || (!plain->indent && is_marker(plain->at)))
		plain->indent = NO_LINE;
}

/* What follows a value: nothing but blanks and a comment; then on to the next line with content. */
static bool line_end(struct plain *plain)
{
	char *from = plain->at;

	spaces_skip(plain);
	if (!is_end_of_line(*plain->at) && (*plain->at != '#' || plain->at == from))
		return false;
	content_find(plain);
	return true;
}

/* --- blocks --- */

static struct node *scalar_read(struct plain *plain, int indent)
{
	struct node *node;
	char *end;

	node = plain_scalar(plain, false, &end);
	/* A line that is further in would continue the text. */
	if (!node || !line_end(plain) || plain->indent > indent)
		return NULL;
	*end = 0;
	return node;
}

/* On the line of its key or dash, which is at `indent`. */
static struct node *inline_read(struct plain *plain, int indent)
{
	struct node *node;

	if (*plain->at != '[' && *plain->at != '{')
		return scalar_read(plain, indent);
	node = plain_collection(plain);
	return node && line_end(plain) && plain->indent <= indent ? node : NULL;
}

static bool is_dash(const char *at)
{
	return *at == '-' && is_blank(at[1]);
}

/* Behind a key or a dash. */
static bool is_rest_empty(struct plain *plain)
{
	spaces_skip(plain);
	return is_end_of_line(*plain->at) || *plain->at == '#';
}

/* A list may stand under its key without being further in. */
static struct node *map_value_read(struct plain *plain, int indent)
{
	if (!is_rest_empty(plain))
		return inline_read(plain, indent);
	content_find(plain);
	if (plain->indent > indent || (plain->indent == indent && is_dash(plain->at)))
		return block_read(plain, plain->indent);
	return NULL;
}

static bool map_entry_read(struct plain *plain, struct node *map, int indent)
{
	struct plain_key key;

	return plain_key_take(plain, &key) && plain_put(map, &key, map_value_read(plain, indent));
}

/* `*plain->at` is behind a dash at `indent`. */
static struct node *list_entry_read(struct plain *plain, int indent)
{
	if (is_rest_empty(plain)) {
		content_find(plain);
		return plain->indent > indent ? block_read(plain, plain->indent) : NULL;
	}
	return block_read(plain, (int)(plain->at - plain->line_start));
}

static struct node *list_read(struct plain *plain, int indent)
{
	struct node *list = plain_node(plain, NODE_LIST, plain->at);

	while (list && plain->indent == indent && is_dash(plain->at)) {
		struct node *entry;

		plain->at++;
		entry = list_entry_read(plain, indent);
		if (!entry)
			return NULL;
		plain_append(list, entry);
	}
	return list;
}

static struct node *map_read(struct plain *plain, int indent)
{
	struct node *map = plain_node(plain, NODE_MAP, plain->at);

	plain->indent = indent; /* behind a dash the line has another */
	while (map && plain->indent == indent && !is_dash(plain->at))
		if (!map_entry_read(plain, map, indent))
			return NULL;
	return map;
}

/*
 * A node whose first character is at column `indent`, and the cursor on it. Behind a dash it may
 * also be a value; its own line then is that of the dash, which is further out.
 */
static struct node *block_read(struct plain *plain, int indent)
{
	int line_indent = plain->indent;
	struct node *node;

	if (++plain->depth > PLAIN_DEPTH_MAX)
		return NULL;
	if (is_dash(plain->at)) {
		plain->indent = indent;
		node = list_read(plain, indent);
	} else if (plain_is_key(plain->at)) {
		node = map_read(plain, indent);
	} else {
		node = line_indent < indent ? inline_read(plain, line_indent) : NULL;
	}
	plain->depth--;
	/* Whoever is further in than this belongs to it, and was not understood. */
	return node && plain->indent <= indent ? node : NULL;
}

/* --- documents --- */

/* A document of nothing is an empty text, at the place where the next thing begins. */
static struct node *document_empty(struct plain *plain)
{
	struct node *node;

	if (!*plain->at && plain->at > plain->line_start) {
		plain->line_start = plain->at;
		plain->line++;
	}
	node = plain_node(plain, NODE_SCALAR, plain->at);
	if (node) {
		node->is_plain = true;
		node->text = "";
	}
	return node;
}

/* The "---" before a document, with nothing behind it on its line. Only the first may go without.
 */
static bool document_begin(struct plain *plain, bool is_first)
{
	if (plain->indent != NO_LINE)
		return is_first;
	if (strncmp(plain->at, "---", 3))
		return false;
	plain->at += 3;
	return line_end(plain);
}

static struct node *documents_read(struct plain *plain, const char *file, bool *ret_is_taken)
{
	struct node *first = NULL, *last = NULL;

	content_find(plain);
	while (*plain->at) {
		struct node *document = NULL;

		plain->depth = 0;
		if (!document_begin(plain, !first))
			return NULL;
		document = plain->indent == NO_LINE ? document_empty(plain)
						    : block_read(plain, plain->indent);
		if (!document || plain->indent != NO_LINE)
			return NULL;
		document->file = file;
		if (last)
			last->next = document;
		else
			first = document;
		last = document;
	}
	*ret_is_taken = true;
	return first;
}

/* Line feeds and what is printable in ASCII. */
static bool is_plain_text(const struct input_text *text)
{
	bool is_plain = true;

	for (size_t i = 0; i < text->size; i++) {
		unsigned char c = (unsigned char)text->data[i];

		is_plain &= (c >= ' ' && c <= '~') | (c == '\n');
	}
	return is_plain;
}

int yaml_plain_parse(void *parent, const struct input_text *text, bool *ret_is_taken,
		     struct node **ret_documents)
{
	_cleanup_talloc_ void *memory = talloc_new(parent);
	struct plain plain = { .line = 1, .memory = memory };
	bool is_taken = false;
	struct node *documents;
	char *copy;

	*ret_is_taken = false;
	if (!memory)
		return -ENOMEM;
	if (!is_plain_text(text))
		return 0;
	copy = talloc_size(memory, text->size + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text->data, text->size);
	copy[text->size] = 0;
	plain.at = plain.line_start = copy;
	documents = documents_read(&plain, text->name, &is_taken);
	if (plain.is_out_of_memory)
		return -ENOMEM;
	if (!is_taken)
		return 0;
	*ret_is_taken = true;
	*ret_documents = documents;
	TAKE_PTR(memory);
	return 0;
}
