// SPDX-License-Identifier: Apache-2.0
/*
 * A JSON tree as YAML, so that a reader gets the same tree back: texts that look like something
 * else are quoted.
 */
#include "output.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int is_made)
{
	return is_made && yaml_emitter_emit(emitter, event);
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;
	bool is_plain = style == YAML_PLAIN_SCALAR_STYLE;

	return emit(emitter, &event,
		    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
						 (int)strlen(text), is_plain, !is_plain, style));
}

/*
 * Only a text that is beyond doubt goes without quotes: a letter first, and no word that means
 * something.
 */
static bool is_plain_text(const char *text)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no",  "on",
					     "off",  "y",    "n",     "nan", "inf", "infinity" };
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (!*text || !strchr(letters, text[0]) || strlen(text) > 60)
		return false;
	for (const char *c = text; *c; c++) {
		if (!strchr(letters, *c) && !strchr("0123456789_-./", *c))
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcasecmp(text, words[i]))
			return false;
	}
	return true;
}

static bool emit_text(yaml_emitter_t *emitter, const char *text)
{
	if (is_plain_text(text))
		return emit_scalar(emitter, text, YAML_PLAIN_SCALAR_STYLE);
	if (strchr(text, '\n'))
		return emit_scalar(emitter, text, YAML_LITERAL_SCALAR_STYLE);
	return emit_scalar(emitter, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* A reader of YAML 1.1 takes a number for a text unless it has a point and its exponent a sign. */
static bool emit_exponent(yaml_emitter_t *emitter, const char *text, const char *exponent)
{
	int size = (int)(exponent - text);
	bool has_point = memchr(text, '.', (size_t)size), has_sign = strchr("+-", exponent[1]);
	char full[64];

	snprintf(full, sizeof(full), "%.*s%se%s%s", size, text, has_point ? "" : ".0",
		 has_sign ? "" : "+", exponent + 1);
	return emit_scalar(emitter, full, YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_number(yaml_emitter_t *emitter, const json_t *number)
{
	_cleanup_free_ char *text = json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	const char *exponent = text ? strchr(text, 'e') : NULL;

	if (exponent)
		return emit_exponent(emitter, text, exponent);
	return text && emit_scalar(emitter, text, YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value);

static bool emit_list(yaml_emitter_t *emitter, const json_t *list)
{
	yaml_event_t event;
	bool is_ok = emit(emitter, &event,
			  yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
							       YAML_BLOCK_SEQUENCE_STYLE));

	for (size_t i = 0; i < json_array_size(list) && is_ok; i++)
		is_ok = emit_value(emitter, json_array_get(list, i));
	return is_ok && emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_map(yaml_emitter_t *emitter, const json_t *map)
{
	yaml_event_t event;
	const char *key;
	json_t *value;
	bool is_ok = emit(emitter, &event,
			  yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
							      YAML_BLOCK_MAPPING_STYLE));

	json_object_foreach((json_t *)map, key, value)
	{
		is_ok = is_ok && emit_text(emitter, key) && emit_value(emitter, value);
	}
	return is_ok && emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return emit_map(emitter, value);
	case JSON_ARRAY:
		return emit_list(emitter, value);
	case JSON_STRING:
		return emit_text(emitter, json_string_value(value));
	case JSON_INTEGER:
	case JSON_REAL:
		return emit_number(emitter, value);
	case JSON_TRUE:
		return emit_scalar(emitter, "true", YAML_PLAIN_SCALAR_STYLE);
	case JSON_FALSE:
		return emit_scalar(emitter, "false", YAML_PLAIN_SCALAR_STYLE);
	default:
		return emit_scalar(emitter, "null", YAML_PLAIN_SCALAR_STYLE);
	}
}

static bool emit_stream(yaml_emitter_t *emitter, const json_t *tree)
{
	yaml_event_t event;

	return emit(emitter, &event,
		    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
	       emit(emitter, &event,
		    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0)) &&
	       emit_value(emitter, tree) &&
	       emit(emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
	       emit(emitter, &event, yaml_stream_end_event_initialize(&event));
}

int yaml_print(const json_t *tree, FILE *out)
{
	yaml_emitter_t emitter;
	bool is_ok;

	if (!yaml_emitter_initialize(&emitter))
		return -EIO;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	is_ok = emit_stream(&emitter, tree);
	yaml_emitter_delete(&emitter);
	return is_ok ? 0 : -EIO;
}
