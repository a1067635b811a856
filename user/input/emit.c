// SPDX-License-Identifier: Apache-2.0
#include "emit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "node.h"

static int on_write(void *data, unsigned char *bytes, size_t size)
{
	struct emit *emit = data;

	if (emit->size + size + 1 > emit->capacity) {
		size_t capacity = (emit->size + size + 1) * 2;
		char *text = talloc_realloc(NULL, emit->text, char, capacity);

		if (!text)
			return 0;
		emit->text = text;
		emit->capacity = capacity;
	}
	memcpy(emit->text + emit->size, bytes, size);
	emit->size += size;
	emit->text[emit->size] = '\0';
	return 1;
}

/* yaml_emitter_emit takes the event, whether it fails or not. */
static void emit_event(struct emit *emit, yaml_event_t *event, int is_made)
{
	if (!is_made || emit->is_failed) {
		if (is_made)
			yaml_event_delete(event);
		emit->is_failed = true;
		return;
	}
	if (!yaml_emitter_emit(&emit->emitter, event))
		emit->is_failed = true;
}

static int emit_start(struct emit *emit, void *parent)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit->plain = (struct emit_plain){ .parent = parent };
		return 0;
	}
	emit->text = talloc_strdup(parent, "");
	emit->capacity = 1;
	if (!emit->text)
		return -ENOMEM;
	if (!yaml_emitter_initialize(&emit->emitter)) {
		talloc_free(emit->text);
		return -ENOMEM;
	}
	yaml_emitter_set_output(&emit->emitter, on_write, emit);
	/* One line a value and nothing but ASCII: the same bytes whatever the values' length. */
	yaml_emitter_set_width(&emit->emitter, -1);
	yaml_emitter_set_unicode(&emit->emitter, 0);
	emit_event(emit, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	return 0;
}

static int plain_finish(struct emit *emit, char **ret_text)
{
	struct emit_plain *plain = &emit->plain;

	if (!plain->is_failed && !plain->text)
		plain->text = talloc_strdup(plain->parent, "");
	if (plain->text && !plain->is_failed && !plain->is_unusual) {
		*ret_text = plain->text;
		return 0;
	}
	talloc_free(plain->text);
	return plain->is_unusual ? -ENOTSUP : -ENOMEM;
}

static int emit_finish(struct emit *emit, char **ret_text)
{
	yaml_event_t event;

	if (emit->is_plain)
		return plain_finish(emit, ret_text);

	emit_event(emit, &event, yaml_stream_end_event_initialize(&event));
	if (!emit->is_failed && !yaml_emitter_flush(&emit->emitter))
		emit->is_failed = true;
	yaml_emitter_delete(&emit->emitter);
	if (emit->is_failed) {
		talloc_free(emit->text);
		return -ENOMEM;
	}
	*ret_text = emit->text;
	return 0;
}

/* Quotes wherever our reader (or YAML 1.1's rules) would take plain text for something else. */
static bool is_plain(const char *text)
{
	if (scalar_classify(text) != SCALAR_TEXT || !strcmp(text, "<<") || !strcmp(text, "="))
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static void emit_scalar(struct emit *emit, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_scalar(&emit->plain, text, style == YAML_DOUBLE_QUOTED_SCALAR_STYLE);
		return;
	}
	int is_made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
						   (int)strlen(text), 1, 1, style);

	emit_event(emit, &event, is_made);
}

void emit_text(struct emit *emit, const char *text)
{
	emit_scalar(emit, text,
		    is_plain(text) ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* A key is text whatever it looks like. */
void emit_key(struct emit *emit, const char *key)
{
	emit_text(emit, key);
}

void emit_number(struct emit *emit, uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	emit_scalar(emit, text, YAML_PLAIN_SCALAR_STYLE);
}

/* The one boolean that we write. */
void emit_true(struct emit *emit)
{
	emit_scalar(emit, "true", YAML_PLAIN_SCALAR_STYLE);
}

void emit_map(struct emit *emit)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_map(&emit->plain);
		return;
	}
	emit_event(emit, &event,
		   yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						       YAML_BLOCK_MAPPING_STYLE));
}

void emit_map_end(struct emit *emit)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_end(&emit->plain);
		return;
	}
	emit_event(emit, &event, yaml_mapping_end_event_initialize(&event));
}

void emit_list(struct emit *emit)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_list(&emit->plain);
		return;
	}
	emit_event(emit, &event,
		   yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
							YAML_BLOCK_SEQUENCE_STYLE));
}

void emit_list_end(struct emit *emit)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_end(&emit->plain);
		return;
	}
	emit_event(emit, &event, yaml_sequence_end_event_initialize(&event));
}

void emit_empty_list(struct emit *emit)
{
	yaml_event_t event;

	if (emit->is_plain) {
		emit_plain_empty_list(&emit->plain);
		return;
	}
	emit_event(emit, &event,
		   yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
							YAML_FLOW_SEQUENCE_STYLE));
	emit_list_end(emit);
}

void emit_document(struct emit *emit, const char *api_version, const char *kind)
{
	yaml_event_t event;

	if (emit->is_plain)
		emit_plain_document(&emit->plain);
	else
		emit_event(emit, &event,
			   yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0));
	emit_map(emit);
	emit_field(emit, "apiVersion", api_version);
	emit_field(emit, "kind", kind);
}

void emit_document_end(struct emit *emit)
{
	yaml_event_t event;

	emit_map_end(emit);
	if (!emit->is_plain)
		emit_event(emit, &event, yaml_document_end_event_initialize(&event, 1));
}

void emit_field(struct emit *emit, const char *key, const char *text)
{
	emit_key(emit, key);
	emit_text(emit, text);
}

void emit_number_field(struct emit *emit, const char *key, uint32_t number)
{
	emit_key(emit, key);
	emit_number(emit, number);
}

void emit_labels(struct emit *emit, const char *key, const struct label_list *labels)
{
	if (!labels->count)
		return;
	emit_key(emit, key);
	emit_map(emit);
	for (size_t i = 0; i < labels->count; i++)
		emit_field(emit, labels->list[i].key, labels->list[i].value);
	emit_map_end(emit);
}

static int emit_by(struct emit *emit, void *parent, emit_write *write, const void *subject,
		   char **ret_text)
{
	int r = emit_start(emit, parent);

	if (r < 0)
		return r;
	write(emit, subject);
	return emit_finish(emit, ret_text);
}

int emit_whole(void *parent, emit_write *write, const void *subject, char **ret_text)
{
	struct emit emit = {};

	return emit_by(&emit, parent, write, subject, ret_text);
}

int emit_documents(void *parent, emit_write *write, const void *subject, char **ret_text)
{
	struct emit emit = { .is_plain = true };
	int r = emit_by(&emit, parent, write, subject, ret_text);

	return r == -ENOTSUP ? emit_whole(parent, write, subject, ret_text) : r;
}
