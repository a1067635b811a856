// SPDX-License-Identifier: Apache-2.0
#include "node.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "../base/cleanup.h"

#define WORD_MAX 5   /* letters of "false", the longest word for a boolean or null */
#define QUOTE_MAX 80 /* of found text that is repeated in a message */

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (*text == *words[i] && !strcmp(text, words[i]))
			return true;
	return false;
}

/*
 * Wider than JSON's numbers on purpose: 0x1f, 0o17, 1_000, .5, .inf are numbers to YAML 1.1, hence
 * never text.
 */
static bool is_number(const char *text)
{
	static const char *const special[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN" };
	bool has_digit = false;

	if (*text == '-' || *text == '+')
		text++;
	if (is_one_of(text, special, ARRAY_SIZE(special)))
		return true;
	if (text[0] == '0' && text[1] && strchr("xXoObB", text[1]))
		return text[2] && strspn(text + 2, "0123456789abcdefABCDEF_") == strlen(text + 2);
	for (; isdigit((unsigned char)*text) || *text == '_' || *text == '.'; text++) {
		if (*text == '.' && strchr(text + 1, '.'))
			return false;
		has_digit |= isdigit((unsigned char)*text) != 0;
		if (*text == '_' && !has_digit)
			return false;
	}
	if (!has_digit || !*text)
		return has_digit;
	if (*text != 'e' && *text != 'E')
		return false;
	text += text[1] == '-' || text[1] == '+' ? 2 : 1;
	return *text && strspn(text, "0123456789") == strlen(text);
}

enum scalar_type scalar_classify(const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	static const char *const booleans[] = {
		"true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No",
		"NO",   "on",   "On",   "ON",    "off",   "Off",   "OFF", "y",   "Y",   "n",  "N",
	};

	/* Most texts are longer than any of the words. */
	if (strnlen(text, WORD_MAX + 1) > WORD_MAX)
		return is_number(text) ? SCALAR_NUMBER : SCALAR_TEXT;
	if (is_one_of(text, nulls, ARRAY_SIZE(nulls)))
		return SCALAR_NULL;
	if (is_one_of(text, booleans, ARRAY_SIZE(booleans)))
		return SCALAR_BOOL;
	return is_number(text) ? SCALAR_NUMBER : SCALAR_TEXT;
}

enum scalar_type node_scalar_type(const struct node *node)
{
	return node->is_plain ? scalar_classify(node->text) : SCALAR_TEXT;
}

bool node_is_null(const struct node *node)
{
	return node->kind == NODE_SCALAR && node_scalar_type(node) == SCALAR_NULL;
}

struct node *node_get(const struct node *map, const char *key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (struct node *child = map->first; child; child = child->next)
		if (*child->key == *key && !strcmp(child->key, key))
			return node_is_null(child) ? NULL : child;
	return NULL;
}

const char *node_describe(void *parent, const struct node *node)
{
	static const char *const words[] = {
		[SCALAR_NULL] = "null",
		[SCALAR_BOOL] = "the boolean",
		[SCALAR_NUMBER] = "the number",
		[SCALAR_TEXT] = "the text",
	};
	if (node->kind == NODE_LIST)
		return "a list";
	if (node->kind == NODE_MAP)
		return "a map";

	enum scalar_type type = node_scalar_type(node);
	if (type == SCALAR_NULL)
		return "nothing";

	const char *quote = type == SCALAR_TEXT ? "\"" : "";
	const char *more = strlen(node->text) > QUOTE_MAX ? "..." : "";
	return talloc_asprintf(parent, "%s %s%.*s%s%s", words[type], quote, QUOTE_MAX, node->text,
			       more, quote);
}

static bool is_simple_key(const char *key)
{
	return *key &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
		       strlen(key);
}

static char *path_add(char *path, const char *key)
{
	if (!is_simple_key(key))
		return talloc_asprintf_append(path, "[\"%.*s\"]", QUOTE_MAX, key);
	return talloc_asprintf_append(path, "%s%s", *path ? "." : "", key);
}

char *node_path(void *parent, const struct node *node, const char *child)
{
	const struct node *chain[NODE_DEPTH_MAX + 2];
	size_t depth = 0;
	char *path = talloc_strdup(parent, "");

	for (; node && node->parent && depth < ARRAY_SIZE(chain); node = node->parent)
		chain[depth++] = node;
	while (path && depth--) {
		if (chain[depth]->key)
			path = path_add(path, chain[depth]->key);
		else
			path = talloc_asprintf_append(path, "[%zu]", chain[depth]->index);
	}
	return path && child ? path_add(path, child) : path;
}

static const char *node_file(const struct node *node)
{
	while (node->parent)
		node = node->parent;
	return node->file;
}

const char *node_place(void *parent, const struct node *node)
{
	const char *place =
		talloc_asprintf(parent, "%s:%u:%u", node_file(node), node->line, node->column);
	return place ? place : "?";
}

struct spot {
	unsigned line, column;
	const char *child;
};

static void report(struct diags *diags, enum diag_level level, const struct node *node,
		   struct spot spot, const char *format, va_list args)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	/*
	 * Beyond the limit an error is counted still: whoever asks whether an object was right
	 * looks there.
	 */
	if (level == DIAG_ERROR && diags->errors > ERRORS_MAX) {
		diags->errors++;
		return;
	}
	if (level == DIAG_ERROR && diags->errors == ERRORS_MAX) {
		diag_add(diags, level, node_file(node), spot.line, spot.column, NULL,
			 "more than %u errors: the rest is not shown", ERRORS_MAX);
		return;
	}

	char *text = talloc_vasprintf(scratch, format, args);
	char *path = node_path(scratch, node, spot.child);
	diag_add(diags, level, node_file(node), spot.line, spot.column, path, "%s",
		 text ? text : "out of memory");
}

void node_report(struct diags *diags, enum diag_level level, const struct node *node,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(diags, level, node, (struct spot){ node->line, node->column, NULL }, format, args);
	va_end(args);
}

void node_report_key(struct diags *diags, enum diag_level level, const struct node *node,
		     const char *format, ...)
{
	struct spot spot = { node->line, node->column, NULL };
	va_list args;

	if (node->key)
		spot = (struct spot){ node->key_line, node->key_column, NULL };
	va_start(args, format);
	report(diags, level, node, spot, format, args);
	va_end(args);
}

void node_report_child(struct diags *diags, enum diag_level level, const struct node *node,
		       const char *child, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(diags, level, node, (struct spot){ node->line, node->column, child }, format, args);
	va_end(args);
}
