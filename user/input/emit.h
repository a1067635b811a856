/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical YAML: the bytes that libyaml's emitter writes, by a writer of our own where nothing
 * asks for more, else by libyaml. The emitter carries the failure, so that the writing reads as the
 * document does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "../model/model.h"
#include "emit_plain.h"

struct emit {
	bool is_plain; /* what follows up to is_failed is libyaml's alone */
	struct emit_plain plain;
	yaml_emitter_t emitter;
	char *text; /* talloc; NUL at the end */
	size_t size, capacity;
	bool is_failed;
};

/*
 * The documents that `write` makes of the subject; it may be called twice. 0 or -ENOMEM; the text
 * is the caller's.
 */
typedef void emit_write(struct emit *emit, const void *subject);
int emit_documents(void *parent, emit_write *write, const void *subject, char **ret_text);
/* The same by libyaml alone: for tests. */
int emit_whole(void *parent, emit_write *write, const void *subject, char **ret_text);

void emit_document(struct emit *emit, const char *api_version, const char *kind);
void emit_document_end(struct emit *emit);
void emit_key(struct emit *emit, const char *key);
void emit_text(struct emit *emit, const char *text);
void emit_number(struct emit *emit, uint32_t number);
void emit_true(struct emit *emit);
void emit_map(struct emit *emit);
void emit_map_end(struct emit *emit);
void emit_list(struct emit *emit);
void emit_list_end(struct emit *emit);
void emit_empty_list(struct emit *emit);

void emit_field(struct emit *emit, const char *key, const char *text);
void emit_number_field(struct emit *emit, const char *key, uint32_t number);
void emit_labels(struct emit *emit, const char *key, const struct label_list *labels);
