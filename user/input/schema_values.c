// SPDX-License-Identifier: Apache-2.0
/* One value of each type: what it may look like, and what to say when it does not. */
#include "schema.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/nearest.h"
#include "../base/cleanup.h"

size_t value_size(enum field_type type)
{
	switch (type) {
	case FIELD_ANY:
		return 0;
	case FIELD_STRING:
	case FIELD_OBJECT:
		return sizeof(void *);
	case FIELD_BOOL:
	case FIELD_INT:
	case FIELD_ENUM:
	case FIELD_DURATION:
		return sizeof(struct opt_number);
	case FIELD_REAL:
		return sizeof(struct opt_real);
	case FIELD_LABELS:
		return sizeof(struct label_list);
	default:
		return sizeof(struct list);
	}
}

static bool found(struct reader *reader, const struct node *node, const char *wanted)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);

	report_error(reader, node, "found %s; allowed is %s", node_describe(scratch, node), wanted);
	return false;
}

bool is_value_of_type(struct reader *reader, const struct node *node, enum node_kind kind,
		      const char *wanted)
{
	return node->kind == kind || found(reader, node, wanted);
}

bool text_read(struct reader *reader, const struct node *node, const char **ret_text)
{
	if (node->kind != NODE_SCALAR)
		return found(reader, node, "text");
	if (node_scalar_type(node) != SCALAR_TEXT)
		return found(reader, node, "text: put it in quotes");
	*ret_text = node->text;
	return true;
}

static bool bool_read(struct reader *reader, const struct node *node, struct opt_number *ret_value)
{
	/* YAML 1.1's yes and on are left out: whoever writes them may mean a word. */
	if (node->kind == NODE_SCALAR && node->is_plain &&
	    (!strcasecmp(node->text, "true") || !strcasecmp(node->text, "false"))) {
		*ret_value = (struct opt_number){ true, !strcasecmp(node->text, "true") };
		return true;
	}
	return found(reader, node, "true or false");
}

/* Decimal alone: YAML 1.1 would read 010 as eight. */
static bool is_decimal(const char *text)
{
	if (*text == '-')
		text++;
	if (!*text || strspn(text, "0123456789") != strlen(text))
		return false;
	return text[0] != '0' || !text[1];
}

static bool int_read(struct reader *reader, const struct field *field, const struct node *node,
		     struct opt_number *ret_value)
{
	int64_t min = field->min, max = field->min || field->max ? field->max : UINT32_MAX;
	char wanted[80];

	snprintf(wanted, sizeof(wanted), "a whole number from %" PRId64 " to %" PRId64, min, max);
	if (node->kind != NODE_SCALAR || !node->is_plain || !is_decimal(node->text))
		return found(reader, node, wanted);

	errno = 0;
	long long value = strtoll(node->text, NULL, 10);
	if (errno || value < min || value > max)
		return found(reader, node, wanted);
	*ret_value = (struct opt_number){ true, value };
	return true;
}

static bool real_read(struct reader *reader, const struct field *field, const struct node *node,
		      struct opt_real *ret_value)
{
	double max = field->max ? (double)field->max : 1e15;
	char wanted[64], *end;

	snprintf(wanted, sizeof(wanted), "a number from %" PRId64 " to %.15g", field->min, max);
	if (node->kind != NODE_SCALAR || !node->is_plain || !*node->text ||
	    strspn(node->text, "0123456789.eE+-") != strlen(node->text))
		return found(reader, node, wanted);

	double value = strtod(node->text, &end);
	if (*end || !isfinite(value) || value < (double)field->min || value > max)
		return found(reader, node, wanted);
	*ret_value = (struct opt_real){ true, value };
	return true;
}

static bool enum_read(struct reader *reader, const struct field *field, const struct node *node,
		      struct opt_number *ret_value)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const char *text = NULL;
	size_t count = 0;

	if (!text_read(reader, node, &text))
		return false;
	for (; field->words[count]; count++) {
		if (strcmp(field->words[count], text))
			continue;
		*ret_value = (struct opt_number){ true, (int64_t)count };
		return true;
	}

	const char *nearest = name_nearest(text, field->words, count);
	if (nearest) {
		report_error(reader, node, "found %s; did you mean \"%s\"?",
			     node_describe(scratch, node), nearest);
		return false;
	}
	char *all = talloc_strdup(scratch, "");
	for (size_t i = 0; all && i < count; i++)
		all = talloc_asprintf_append(all, "%s%s", i ? ", " : "", field->words[i]);
	report_error(reader, node, "found %s; allowed is one of %s", node_describe(scratch, node),
		     all ? all : "its words");
	return false;
}

static double unit_read(const char **text)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 },  { "us", 1e3 }, { "ms", 1e6 },
		      { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t length = strlen(units[i].name);

		if (strncmp(*text, units[i].name, length))
			continue;
		*text += length;
		return units[i].ns;
	}
	return 0;
}

/* As Go writes them: "1h", "1m30s", "0.5s". */
static bool duration_parse(const char *text, int64_t *ret_ns)
{
	double total = 0;

	if (!*text)
		return false;
	while (*text) {
		char *end;

		if (!isdigit((unsigned char)*text) && *text != '.')
			return false;
		double value = strtod(text, &end);
		size_t length = strspn(text, "0123456789.");
		if (end != text + length)
			return false;
		text = end;
		double ns = unit_read(&text);
		if (!ns)
			return false;
		total += value * ns;
	}
	if (total > 9e18)
		return false;
	*ret_ns = (int64_t)total;
	return true;
}

static bool duration_read(struct reader *reader, const struct node *node,
			  struct opt_number *ret_value)
{
	const char *wanted = "a duration such as 10s, 1m30s, 500ms";

	if (node->kind != NODE_SCALAR || node_scalar_type(node) != SCALAR_TEXT)
		return found(reader, node, wanted);
	if (!duration_parse(node->text, &ret_value->value))
		return found(reader, node, wanted);
	ret_value->is_set = true;
	return true;
}

static const struct field *element_field(const struct field *field, struct field *element)
{
	*element = *field;
	element->type = field->type == FIELD_STRINGS ? FIELD_STRING
			: field->type == FIELD_INTS  ? FIELD_INT
						     : FIELD_OBJECT;
	return element;
}

/*
 * A wrong element is reported and left out: the input is refused anyway, but the others are still
 * looked at.
 */
static bool list_read(struct reader *reader, const struct field *field, const struct node *node,
		      struct list *ret_list)
{
	if (!is_value_of_type(reader, node, NODE_LIST, "a list"))
		return false;

	struct field element;
	size_t size = field->type == FIELD_INTS ? sizeof(int64_t) : sizeof(void *);
	char *items = reader_alloc(reader, size * (node->count + 1));
	size_t count = 0;

	element_field(field, &element);
	if (!items)
		return false;
	for (const struct node *child = node->first; child; child = child->next) {
		struct opt_number number = {};
		void *pointer = NULL;
		void *value = field->type == FIELD_INTS ? (void *)&number : (void *)&pointer;

		if (!value_read(reader, &element, child, value))
			continue;
		if (field->type == FIELD_INTS)
			value = &number.value;
		memcpy(items + size * count++, value, size);
	}
	*ret_list = (struct list){ items, count, true };
	return true;
}

static bool map_read(struct reader *reader, const struct field *field, const struct node *node,
		     struct list *ret_list)
{
	if (!is_value_of_type(reader, node, NODE_MAP, "a map"))
		return false;

	struct map_entry *entries = reader_alloc(reader, sizeof(*entries) * (node->count + 1));
	size_t count = 0;

	if (!entries)
		return false;
	for (const struct node *child = node->first; child; child = child->next) {
		void *value = schema_read(reader, field->sub, child);

		if (value)
			entries[count++] = (struct map_entry){ child->key, value };
	}
	*ret_list = (struct list){ entries, count, true };
	return true;
}

static int compare_labels(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static bool labels_read(struct reader *reader, const struct node *node,
			struct label_list *ret_labels)
{
	if (!is_value_of_type(reader, node, NODE_MAP, "a map of text to text"))
		return false;

	struct label *list = reader_alloc(reader, sizeof(*list) * (node->count + 1));
	size_t count = 0;

	if (!list)
		return false;
	for (const struct node *child = node->first; child; child = child->next) {
		const char *value = NULL;

		if (text_read(reader, child, &value))
			list[count++] = (struct label){ child->key, value };
	}
	qsort(list, count, sizeof(*list), compare_labels);
	*ret_labels = (struct label_list){ list, count };
	return true;
}

static bool typed_read(struct reader *reader, const struct field *field, const struct node *node,
		       void *ret_value)
{
	switch (field->type) {
	case FIELD_ANY:
		return true;
	case FIELD_STRING:
		return text_read(reader, node, ret_value);
	case FIELD_BOOL:
		return bool_read(reader, node, ret_value);
	case FIELD_INT:
		return int_read(reader, field, node, ret_value);
	case FIELD_ENUM:
		return enum_read(reader, field, node, ret_value);
	case FIELD_REAL:
		return real_read(reader, field, node, ret_value);
	case FIELD_DURATION:
		return duration_read(reader, node, ret_value);
	case FIELD_OBJECT:
		*(void **)ret_value = schema_read(reader, field->sub, node);
		return *(void **)ret_value != NULL;
	case FIELD_MAP:
		return map_read(reader, field, node, ret_value);
	case FIELD_LABELS:
		return labels_read(reader, node, ret_value);
	default:
		return list_read(reader, field, node, ret_value);
	}
}

bool value_read(struct reader *reader, const struct field *field, const struct node *node,
		void *ret_value)
{
	if (!typed_read(reader, field, node, ret_value))
		return false;
	bool is_list = field->type == FIELD_STRINGS || field->type == FIELD_INTS ||
		       field->type == FIELD_LIST || field->type == FIELD_MAP;
	/* A list's check has run on each of its elements. */
	if (field->check && !is_list)
		field->check(reader, node,
			     field->type == FIELD_STRING ? *(void **)ret_value : ret_value);
	return true;
}
