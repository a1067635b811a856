// SPDX-License-Identifier: Apache-2.0
#include "yaml_in.h"

#include "../base/cleanup.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

static inline void cleanup_document_p(yaml_document_t *document)
{
	yaml_document_delete(document);
}

static inline void cleanup_parser_p(yaml_parser_t *parser)
{
	yaml_parser_delete(parser);
}

/* Plain scalars as our exporter uses them: whole numbers and the two booleans; all else is text. */
static json_t *scalar_tree(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (is_plain && *text && strlen(text) < 16 && !text[strspn(text, "0123456789")])
		return json_integer(strtoll(text, NULL, 10));
	if (is_plain && (!strcmp(text, "true") || !strcmp(text, "false")))
		return json_boolean(*text == 't');
	if (is_plain && (!*text || !strcmp(text, "null") || !strcmp(text, "~")))
		return json_null();
	return json_string(text);
}

static json_t *node_tree(yaml_document_t *document, yaml_node_t *node)
{
	json_t *tree;

	if (!node || node->type == YAML_NO_NODE)
		return json_null();
	if (node->type == YAML_SCALAR_NODE)
		return scalar_tree(node);
	if (node->type == YAML_SEQUENCE_NODE) {
		tree = json_array();
		for (yaml_node_item_t *item = node->data.sequence.items.start;
		     item < node->data.sequence.items.top; item++)
			json_array_append_new(
				tree, node_tree(document, yaml_document_get_node(document, *item)));
		return tree;
	}
	tree = json_object();
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(document, pair->key);

		if (key && key->type == YAML_SCALAR_NODE)
			json_object_set_new(
				tree, (const char *)key->data.scalar.value,
				node_tree(document, yaml_document_get_node(document, pair->value)));
	}
	return tree;
}

json_t *yaml_documents(const char *text)
{
	__attribute__((cleanup(cleanup_parser_p))) yaml_parser_t parser;
	json_t *list = json_array();
	bool is_ended = false;

	if (!yaml_parser_initialize(&parser)) {
		memset(&parser, 0, sizeof(parser));
		return list;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
	while (!is_ended) {
		__attribute__((cleanup(cleanup_document_p))) yaml_document_t document = { 0 };
		yaml_node_t *root;

		if (!yaml_parser_load(&parser, &document)) {
			json_decref(list);
			return NULL;
		}
		root = yaml_document_get_root_node(&document);
		is_ended = !root;
		if (root)
			json_array_append_new(list, node_tree(&document, root));
	}
	return list;
}
