// SPDX-License-Identifier: Apache-2.0
#include "schema.h"

#include <string.h>

#include "../base/nearest.h"
#include "../base/cleanup.h"

#define BLOCK_SIZE 65536u

void *reader_alloc(struct reader *reader, size_t size)
{
	void *found;

	size = (size + 15) & ~(size_t)15;
	if (size > BLOCK_SIZE / 4) {
		found = talloc_zero_size(reader->memory, size);
		reader->is_failed |= !found;
		return found;
	}
	if (size > reader->block_left) {
		reader->block = talloc_zero_size(reader->memory, BLOCK_SIZE);
		reader->block_left = reader->block ? BLOCK_SIZE : 0;
	}
	if (!reader->block) {
		reader->is_failed = true;
		return NULL;
	}
	found = reader->block;
	reader->block += size;
	reader->block_left -= size;
	return found;
}

static const struct field *field_find(const struct schema *schema, const char *name)
{
	/* The first letter tells most of them apart without a call. */
	for (size_t i = 0; i < schema->count; i++)
		if (*schema->fields[i].name == *name && !strcmp(schema->fields[i].name, name))
			return &schema->fields[i];
	return NULL;
}

static bool is_said(const struct reader *reader, const struct schema *schema, const char *key)
{
	for (size_t i = 0; i < reader->unknown_count; i++)
		if (reader->unknown[i].schema == schema && !strcmp(reader->unknown[i].key, key))
			return true;
	return false;
}

static void report_grown(struct reader *reader, const struct schema *schema,
			 const struct node *node)
{
	if (reader->unknown_count == UNKNOWN_MAX) {
		/* No Kubernetes grows as many: what bounds errors then bounds the search too. */
		node_report_key(reader->diags, DIAG_ERROR, node,
				"found more than %u unknown fields", UNKNOWN_MAX);
		return;
	}

	const char *key = talloc_strdup(reader->memory, node->key);
	if (!key) {
		reader->is_failed = true;
		return;
	}
	reader->unknown[reader->unknown_count++] = (struct unknown){ schema, key };
	node_report_key(reader->diags, DIAG_WARNING, node,
			"found the unknown field \"%.80s\" in %s, ignored here and wherever else "
			"it stands",
			node->key, schema->name);
}

static void report_unknown(struct reader *reader, const struct schema *schema,
			   const struct node *node)
{
	_cleanup_talloc_ const char **names = talloc_array(NULL, const char *, schema->count + 1);
	const char *nearest = NULL;

	if (schema->is_lenient || is_said(reader, schema, node->key))
		return;
	if (reader->diags->errors > ERRORS_MAX) {
		/* Nobody would read it: a hostile text shall not buy the search for names. */
		reader->diags->errors++;
		return;
	}
	for (size_t i = 0; names && i < schema->count; i++)
		names[i] = schema->fields[i].name;
	if (names)
		nearest = name_nearest(node->key, names, schema->count);
	if (nearest) {
		node_report_key(reader->diags, DIAG_ERROR, node,
				"found the unknown field \"%.80s\" in %s; did you mean \"%s\"?",
				node->key, schema->name, nearest);
		return;
	}
	if (schema->is_growing) {
		report_grown(reader, schema, node);
		return;
	}

	_cleanup_talloc_ char *all = talloc_strdup(NULL, "");
	for (size_t i = 0; names && all && i < schema->count; i++)
		all = talloc_asprintf_append(all, "%s%s", i ? ", " : "", names[i]);
	node_report_key(reader->diags, DIAG_ERROR, node,
			"found the unknown field \"%.80s\" in %s; it has %s", node->key,
			schema->name, all ? all : "other fields");
}

static void report_action(struct reader *reader, const struct field *field, const struct node *node)
{
	const char *why = field->why ? field->why : "";
	const char *separator = field->why ? "; " : "";

	if (reader->is_quiet)
		return;
	if (field->action == FIELD_IGNORED)
		node_report_key(reader->diags, DIAG_WARNING, node,
				"found \"%s\", which is ignored%s%s", field->name, separator, why);
	if (field->action == FIELD_LAYER7)
		node_report_key(
			reader->diags, DIAG_ERROR, node,
			"found \"%s\", which needs layer 7, and layer 7 is not there yet%s%s",
			field->name, separator, why);
	if (field->action == FIELD_REFUSED)
		node_report_key(reader->diags, DIAG_ERROR, node,
				"found \"%s\", which is refused%s%s", field->name, separator, why);
}

/*
 * What is wrong inside a refused field is reported too, but the refusals and warnings below it are
 * one with its own.
 */
static void field_read(struct reader *reader, const struct field *field, const struct node *node,
		       void *object)
{
	union {
		struct list list;
		struct label_list labels;
		struct opt_number number;
		struct opt_real real;
		const void *pointer;
	} value = {};
	bool was_quiet = reader->is_quiet;

	if (node_is_null(node))
		return;
	if (field->action != FIELD_TAKEN)
		reader->is_quiet = true;
	bool is_read = value_read(reader, field, node, &value);
	reader->is_quiet = was_quiet;
	if (is_read && object && field->offset != NO_OFFSET && field->type != FIELD_ANY)
		memcpy((char *)object + field->offset, &value, value_size(field->type));
	report_action(reader, field, node);
}

static void check_choices(struct reader *reader, const struct schema *schema,
			  const struct node *map)
{
	const struct field *chosen[8] = {};

	for (const struct node *child = map->first; child; child = child->next) {
		const struct field *field = field_find(schema, child->key);

		if (!field || !field->choice || node_is_null(child))
			continue;
		if (chosen[field->choice])
			node_report_key(reader->diags, DIAG_ERROR, child,
					"found both \"%s\" and \"%s\"; only one of them is allowed",
					chosen[field->choice]->name, field->name);
		chosen[field->choice] = field;
	}
	if (!schema->need_choice || chosen[schema->need_choice])
		return;

	_cleanup_talloc_ char *all = talloc_strdup(NULL, "");
	for (size_t i = 0; all && i < schema->count; i++)
		if (schema->fields[i].choice == schema->need_choice)
			all = talloc_asprintf_append(all, "%s%s", *all ? ", " : "",
						     schema->fields[i].name);
	report_error(reader, map, "found a %s without any of its choices; one of %s is needed",
		     schema->name, all ? all : "them");
}

static void check_required(struct reader *reader, const struct schema *schema,
			   const struct node *map)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *field = &schema->fields[i];

		if (field->is_required && !node_get(map, field->name))
			node_report_child(reader->diags, DIAG_ERROR, map, field->name,
					  "not found; %s needs \"%s\"%s%s", schema->name,
					  field->name, field->why ? "; " : "",
					  field->why ? field->why : "");
	}
}

void *schema_read(struct reader *reader, const struct schema *schema, const struct node *node)
{
	if (!is_value_of_type(reader, node, NODE_MAP, "a map of fields"))
		return NULL;

	size_t size = schema->size ? schema->size : sizeof(node);
	void *object = reader_alloc(reader, size);
	if (!object)
		return NULL;
	*(const struct node **)object = node;

	for (const struct node *child = node->first; child; child = child->next) {
		const struct field *field = field_find(schema, child->key);

		if (field && field->action != FIELD_SILENT)
			field_read(reader, field, child, object);
		else if (!field)
			report_unknown(reader, schema, child);
	}
	check_choices(reader, schema, node);
	check_required(reader, schema, node);
	if (schema->check)
		schema->check(reader, node, object);
	return object;
}
