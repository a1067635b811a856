// SPDX-License-Identifier: Apache-2.0
/* Of the reader of plain YAML: scalars, keys, and collections in brackets, each on one line. */
#include "yaml_plain_parts.h"

#include <ctype.h>
#include <string.h>
#include <talloc.h>

#define BLOCK_NODES 512
#define KEYS_MAX 64 /* of one map: each is compared with all before */
#define KEY_LENGTH_MAX 1000

static unsigned column_of(const struct plain *plain, const char *at)
{
	return (unsigned)(at - plain->line_start) + 1;
}

struct node *plain_node(struct plain *plain, enum node_kind kind, const char *at)
{
	struct node *node;

	if (++plain->node_count > NODE_COUNT_MAX)
		return NULL;
	if (!plain->nodes_left) {
		plain->nodes = talloc_zero_array(plain->memory, struct node, BLOCK_NODES);
		plain->is_out_of_memory |= !plain->nodes;
		if (!plain->nodes)
			return NULL;
		plain->nodes_left = BLOCK_NODES;
	}
	node = &plain->nodes[BLOCK_NODES - plain->nodes_left--];
	node->kind = kind;
	node->line = plain->line;
	node->column = column_of(plain, at);
	return node;
}

void plain_append(struct node *parent, struct node *child)
{
	child->parent = parent;
	if (parent->kind == NODE_LIST)
		child->index = parent->count;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->count++;
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_./-", c));
}

static bool is_name_start(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_./", c));
}

/* --- scalars --- */

/* Between quotes of either kind, without an escape: its closing quote. */
static char *quoted_scan(char *at)
{
	char quote = *at;
	char *end = at + 1;

	while (*end != quote && *end != '\\' && !is_end_of_line(*end))
		end++;
	return *end != quote || (quote == '\'' && end[1] == quote) ? NULL : end;
}

static char *flow_scan(char *at)
{
	if (!is_name_start(*at) && (*at != '-' || !is_name(at[1])))
		return NULL;
	while (is_name(*at) || (*at == ':' && (is_name(at[1]) || at[1] == ':')))
		at++;
	return at;
}

/* Up to the line's end or a comment. */
static char *block_scan(char *at)
{
	char *end = at;

	if (!is_name_start(*at) && *at != '~' && (*at != '-' || !is_name(at[1])))
		return NULL;
	for (; !is_end_of_line(*at); at++) {
		if (*at == ':' && is_blank(at[1]))
			return NULL;
		if (*at == '#' && at[-1] == ' ')
			break;
		if (*at != ' ')
			end = at + 1;
	}
	return end;
}

struct node *plain_scalar(struct plain *plain, bool is_flow, char **ret_end)
{
	struct node *node = plain_node(plain, NODE_SCALAR, plain->at);
	char *text = plain->at, *end;

	if (!node)
		return NULL;
	node->is_plain = *text != '"' && *text != '\'';
	if (!node->is_plain)
		end = quoted_scan(text);
	else
		end = is_flow ? flow_scan(text) : block_scan(text);
	if (!end)
		return NULL;
	plain->at = node->is_plain ? end : end + 1;
	node->text = node->is_plain ? text : text + 1;
	*ret_end = end;
	return node;
}

/* --- keys --- */

static char *key_scan(char *at)
{
	if (*at == '"' || *at == '\'')
		return quoted_scan(at);
	if (!is_name_start(*at))
		return NULL;
	while (is_name(*at))
		at++;
	return at;
}

bool plain_is_key(char *at)
{
	char *end = key_scan(at), *colon = end && !is_name_start(*at) ? end + 1 : end;

	return end && *colon == ':' && is_blank(colon[1]);
}

bool plain_key_take(struct plain *plain, struct plain_key *ret_key)
{
	bool is_quoted = !is_name_start(*plain->at);
	char *key = plain->at, *end = key_scan(key);
	struct plain_key found = { is_quoted ? key + 1 : key, plain->line, column_of(plain, key) };

	if (!plain_is_key(key) || end - key > KEY_LENGTH_MAX)
		return false;
	*end = 0;
	plain->at = end + (is_quoted ? 2 : 1);
	plain->node_count++; /* as libyaml's reader counts it */
	*ret_key = found;
	return true;
}

bool plain_put(struct node *map, const struct plain_key *key, struct node *value)
{
	if (!value || map->count == KEYS_MAX)
		return false;
	for (const struct node *child = map->first; child; child = child->next)
		if (!strcmp(child->key, key->text))
			return false;
	value->key = key->text;
	value->key_line = key->line;
	value->key_column = key->column;
	plain_append(map, value);
	return true;
}

/* --- collections --- */

static bool entry_read(struct plain *plain, struct node *collection, char **ret_end)
{
	bool is_map = collection->kind == NODE_MAP;
	struct plain_key key;
	struct node *value;

	if (is_map && !plain_key_take(plain, &key))
		return false;
	spaces_skip(plain);
	*ret_end = NULL;
	if (*plain->at == '[' || *plain->at == '{')
		value = plain_collection(plain);
	else
		value = plain_scalar(plain, true, ret_end);
	if (is_map)
		return plain_put(collection, &key, value);
	if (value)
		plain_append(collection, value);
	return value;
}

/* The comma or the bracket behind an entry; then the entry's text can be cut off. */
static char separator_take(struct plain *plain, char *end)
{
	char separator;

	spaces_skip(plain);
	separator = *plain->at;
	if (separator)
		plain->at++;
	if (end)
		*end = 0;
	return separator;
}

struct node *plain_collection(struct plain *plain)
{
	bool is_map = *plain->at == '{';
	struct node *node = plain_node(plain, is_map ? NODE_MAP : NODE_LIST, plain->at);
	char close = is_map ? '}' : ']', separator = ',', *end;

	if (!node || ++plain->depth > PLAIN_DEPTH_MAX)
		return NULL;
	plain->at++;
	spaces_skip(plain);
	if (*plain->at == close)
		separator = *plain->at++;
	while (separator == ',') {
		spaces_skip(plain);
		if (!entry_read(plain, node, &end))
			return NULL;
		separator = separator_take(plain, end);
	}
	plain->depth--;
	return separator == close ? node : NULL;
}
