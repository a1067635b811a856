/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command says: one JSON tree, printed as JSON, as YAML, or as tables that name which of its
 * fields they show. Only the tree is the interface for programs; tables are for people.
 */
#pragma once
#include "cli.h"

#include <jansson.h>

static inline void cleanup_json_p(json_t **tree)
{
	json_decref(*tree);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json_p)))

enum column_kind {
	COLUMN_PLAIN,   /* as it is; numbers to the right; a missing or null one is "-" */
	COLUMN_PERCENT, /* a fraction: 0.1 is "10.0 %" */
	COLUMN_SHORT,   /* the first twelve characters */
	COLUMN_BAR,     /* a fraction as a bar; on a terminal alone */
	COLUMN_STATE,   /* a word that may be good or bad, in its colour */
	COLUMN_RATE,    /* per second, one digit after the point */
	COLUMN_BYTES,   /* with a binary prefix */
	COLUMN_US,      /* microseconds, as us, ms or s */
};

struct column {
	const char *title, *field;
	enum column_kind kind;
};

/* A part of the tree as people see it. */
struct section {
	const char *list;    /* the field with an object a row; NULL: the tree's own fields */
	const char *heading; /* NULL: none */
	const char *empty;   /* what to print instead of a table without rows; NULL: nothing */
	const struct column *columns;
	size_t column_count;
};

#define SECTION(list_, heading_, empty_, columns_)                                                 \
	{                                                                                          \
		list_, heading_, empty_, columns_, ARRAY_SIZE(columns_)                            \
	}

/*
 * The tree in the format that was asked for. CLI_DONE; CLI_FAILED when it is NULL (no memory) or
 * cannot be written.
 */
int output_print(struct cli *cli, const json_t *tree, const struct section *sections, size_t count);
/* Behind the last that is printed: CLI_FAILED when something could not be written. */
int output_end(struct cli *cli);
/* The tree as JSON or YAML, when one of them was asked for. */
bool output_is_table(const struct cli *cli);
int output_tree(struct cli *cli, const json_t *tree);

/* table.c: sections to a stream; the words as they are wide on a screen. */
void table_print(const struct cli *cli, const json_t *tree, const struct section *section,
		 FILE *out);

/* yaml_out.c: 0 or -EIO. */
int yaml_print(const json_t *tree, FILE *out);

/*
 * Any text as JSON: what is no UTF-8 is replaced, so that no tree is lost for one bad byte. Null
 * for NULL.
 */
json_t *json_text(const char *text);
/* The lines of a text as a list of texts. */
json_t *json_lines(const char *text);
/* Seconds since the epoch as "2026-01-31T12:00:00Z". */
json_t *json_time(int64_t seconds);
json_t *json_digest(const uint8_t digest[STORE_DIGEST_SIZE]);
json_t *json_addr(const struct addr *addr);
/* "10.0.0.1:80", "[fd00::1]:80" */
#define ADDR_PORT_TEXT_MAX 56
const char *addr_port_format(const struct addr *addr, uint16_t port,
			     char text[static ADDR_PORT_TEXT_MAX]);
json_t *json_labels(const struct label_list *labels);
/* What a reader found, as a list. */
json_t *json_diags(const struct diags *diags);
/* What a change did: revision, new_revision, dry_run, members_changed, changes. */
json_t *json_result(const struct cli *cli, const struct node_result *result);
/* The same for people: the changes, and one line about the revision. */
void result_print(const struct cli *cli, const struct node_result *result, FILE *out);
/* The changes alone. */
void changes_print(const struct cli *cli, const struct node_result *result, FILE *out);

/* An escape sequence, or "" without colour. */
const char *colour(const struct cli *cli, const char *sequence);
#define COLOUR_BOLD "\033[1m"
#define COLOUR_RED "\033[31m"
#define COLOUR_GREEN "\033[32m"
#define COLOUR_YELLOW "\033[33m"
#define COLOUR_CYAN "\033[36m"
#define COLOUR_DIM "\033[2m"
#define COLOUR_OFF "\033[0m"
