// SPDX-License-Identifier: Apache-2.0
/*
 * What another reader takes for JSON, ours takes too, and finds the same in it: keys, texts,
 * numbers as they are written. Where ours is stricter it says one of a few things.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "user/input/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void compare(const struct node *node, const json_t *json);

static void compare_map(const struct node *node, const json_t *json)
{
	const struct node *child = node->first;

	if (node->kind != NODE_MAP || node->count != json_object_size(json))
		die("an object is another map");
	for (; child; child = child->next) {
		const json_t *value = json_object_get(json, child->key);

		if (!value)
			die("a key that is not in the object");
		compare(child, value);
	}
}

static void compare_list(const struct node *node, const json_t *json)
{
	const struct node *child = node->first;

	if (node->kind != NODE_LIST || node->count != json_array_size(json))
		die("an array is another list");
	for (; child; child = child->next)
		compare(child, json_array_get(json, child->index));
}

static void compare_scalar(const struct node *node, const json_t *json)
{
	enum scalar_type type = node_scalar_type(node);

	if (node->kind != NODE_SCALAR)
		die("a scalar is a collection");
	if (json_is_string(json) &&
	    (type != SCALAR_TEXT || strcmp(node->text, json_string_value(json))))
		die("a string is another text");
	if (json_is_boolean(json) &&
	    (type != SCALAR_BOOL || (*node->text == 't') != json_is_true(json)))
		die("a boolean is something else");
	if (json_is_null(json) && type != SCALAR_NULL)
		die("null is something else");
	if (json_is_integer(json) &&
	    (type != SCALAR_NUMBER || strtoll(node->text, NULL, 10) != json_integer_value(json)))
		die("a number is another");
}

static void compare(const struct node *node, const json_t *json)
{
	if (json_is_object(json))
		compare_map(node, json);
	else if (json_is_array(json))
		compare_list(node, json);
	else
		compare_scalar(node, json);
}

/* JSON, and refused all the same: limits, and characters that YAML has no place for. */
static bool may_refuse(const struct diags *diags)
{
	static const char *const reasons[] = {
		"nested too deep",
		"NUL character",
		"control characters are not allowed",
		"merge key",
		"too many fields",
		"invalid Unicode character",
		/* libyaml wants the colon of a key on its line, and within 1024 characters */
		"did not find expected ',' or '}'",
		"could not find expected ':'",
		/* a tab before a token, which YAML takes for indentation */
		"found character that cannot start any token",
		/* the text begins like a comment, a directive or a mark of YAML's own */
		"found unexpected document indicator",
		"not UTF-8",
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(diags->list[0].text, reasons[i]))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct input_text text = { "fuzz", (const char *)data, size };
	void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct node *documents = NULL;
	int err = yaml_parse(memory, &text, diags, &documents);

	if (json && err && !may_refuse(diags)) {
		diags_print(diags, stderr, false);
		die("JSON is refused");
	}
	if (json && !err) {
		if (!documents || documents->next)
			die("JSON is not one document");
		compare(documents, json);
	}
	json_decref(json);
	talloc_free(memory);
	return 0;
}
