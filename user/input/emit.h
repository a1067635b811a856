/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical YAML by libyaml's emitter. The emitter carries the failure, so that the writing reads
 * as the document does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "../model/model.h"

struct emit {
	yaml_emitter_t emitter;
	char *text; /* talloc; NUL at the end */
	size_t size, capacity;
	bool is_failed;
};

int emit_start(struct emit *emit, void *parent);
/* 0 or -ENOMEM; the text is the caller's. Ends the emitter in either case. */
int emit_finish(struct emit *emit, char **ret_text);

void emit_document(struct emit *emit, const char *api_version, const char *kind);
void emit_document_end(struct emit *emit);
void emit_key(struct emit *emit, const char *key);
void emit_text(struct emit *emit, const char *text);
void emit_number(struct emit *emit, uint32_t number);
void emit_map(struct emit *emit);
void emit_map_end(struct emit *emit);
void emit_list(struct emit *emit);
void emit_list_end(struct emit *emit);
void emit_empty_list(struct emit *emit);

void emit_field(struct emit *emit, const char *key, const char *text);
void emit_number_field(struct emit *emit, const char *key, uint32_t number);
void emit_labels(struct emit *emit, const char *key, const struct label_list *labels);
