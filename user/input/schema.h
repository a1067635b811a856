/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the fields that each kind has, and one reader that fills plain structs by them. What a
 * table does not name is a misspelling; what it names but we do not take is said aloud. Nothing is
 * dropped silently.
 */
#pragma once
#include <stddef.h>

#include "node.h"

enum field_type {
	FIELD_ANY,      /* not looked into */
	FIELD_STRING,   /* const char * */
	FIELD_BOOL,     /* struct opt_number */
	FIELD_INT,      /* struct opt_number */
	FIELD_ENUM,     /* struct opt_number: index into words */
	FIELD_REAL,     /* struct opt_real */
	FIELD_DURATION, /* struct opt_number: nanoseconds */
	FIELD_OBJECT,   /* pointer to the sub-schema's struct; NULL when absent */
	FIELD_LIST,     /* struct list of the sub-schema's structs */
	FIELD_MAP,      /* struct list of struct map_entry, values by the sub-schema */
	FIELD_STRINGS,  /* struct list of const char * */
	FIELD_INTS,     /* struct list of int64_t */
	FIELD_LABELS,   /* struct label_list */
};

enum field_action {
	FIELD_TAKEN,
	FIELD_SILENT,  /* carries no intent for traffic */
	FIELD_IGNORED, /* checked, then a warning: Istio has it, we do not obey it */
	FIELD_LAYER7,  /* read and checked, then refused: layer 7 is not there yet */
	FIELD_REFUSED, /* checked, then refused for the reason in `why` */
};

struct opt_number {
	bool is_set;
	int64_t value;
};

struct opt_real {
	bool is_set;
	double value;
};

struct list {
	void *items;
	size_t count;
	bool is_set;
};

struct map_entry {
	const char *key;
	void *value;
};

struct reader;
struct schema;

struct field {
	const char *name;
	enum field_type type;
	enum field_action action;
	size_t offset; /* where the value goes; NO_OFFSET: checked only */
	const struct schema *sub;
	const char *const *words; /* of an enum, NULL at the end */
	int64_t min, max;         /* of numbers; both 0: any that is not negative */
	bool is_required;
	unsigned char choice; /* fields of one number exclude each other; 0: none */
	const char *why;      /* after a refusal or warning: what is allowed, or what it means */
	/* Further check of one value (of each element of a list); reports by itself. */
	void (*check)(struct reader *reader, const struct node *node, const void *value);
};

#define NO_OFFSET ((size_t)-1)
#define AT(type, member) .offset = offsetof(type, member)
#define NOWHERE .offset = NO_OFFSET

struct schema {
	const char *name; /* "HTTPRoute": for messages */
	size_t size;      /* of the struct; 0: none is kept. A struct starts with `const struct node
			   *node` */
	const struct field *fields;
	size_t count;
	bool is_lenient; /* unknown fields are Kubernetes's evolution, not a misspelling */
	bool is_growing; /* the same, with a warning, unless one looks like a known field */
	unsigned char need_choice; /* one of the fields of this choice must be there */
	/* Runs after the fields, wrong or not. */
	void (*check)(struct reader *reader, const struct node *node, const void *object);
};

#define SCHEMA(type_name, struct_type, table)                                                      \
	{                                                                                          \
		.name = (type_name), .size = sizeof(struct_type), .fields = (table),               \
		.count = ARRAY_SIZE(table)                                                         \
	}
#define SCHEMA_CHECKED(type_name, table)                                                           \
	{                                                                                          \
		.name = (type_name), .fields = (table), .count = ARRAY_SIZE(table)                 \
	}

#define UNKNOWN_MAX 100u /* fields that Kubernetes may have grown, in one input */

struct reader {
	void *memory;
	char *block; /* of memory: what is read is small, and dies together */
	size_t block_left;
	struct diags *diags;
	bool is_quiet;  /* inside a field that is refused or ignored as a whole: said once, at its
			   top */
	bool is_failed; /* out of memory */
	/* Said already: a thousand endpoints of a newer Kubernetes shall not say it each. */
	struct unknown {
		const struct schema *schema;
		const char *key;
	} unknown[UNKNOWN_MAX];
	size_t unknown_count;
};

/* Zeroed; lives as long as the reader's memory. NULL sets is_failed. */
void *reader_alloc(struct reader *reader, size_t size);

/*
 * Reads a map by a schema. NULL when it is not a map; whether it was right is in
 * reader->diags->errors.
 */
void *schema_read(struct reader *reader, const struct schema *schema, const struct node *node);

/* The value of one node by its field (schema_values.c). False when it was wrong, and reported. */
bool value_read(struct reader *reader, const struct field *field, const struct node *node,
		void *ret_value);
bool is_value_of_type(struct reader *reader, const struct node *node, enum node_kind kind,
		      const char *wanted);
bool text_read(struct reader *reader, const struct node *node, const char **ret_text);
/* A string field's own size in its struct. */
size_t value_size(enum field_type type);

#define report_error(reader, node, ...) node_report((reader)->diags, DIAG_ERROR, node, __VA_ARGS__)
#define report_warning(reader, node, ...)                                                          \
	node_report((reader)->diags, DIAG_WARNING, node, __VA_ARGS__)
#define report_note(reader, node, ...) node_report((reader)->diags, DIAG_NOTE, node, __VA_ARGS__)

/* Checks that several tables use (check.c). */
void check_host(struct reader *reader, const struct node *node, const void *value);
void check_name(struct reader *reader, const struct node *node, const void *value);
void check_labels(struct reader *reader, const struct node *node, const void *labels);
void check_prefix(struct reader *reader, const struct node *node, const void *text);
bool is_dns_name(const char *text, size_t length_max);
bool is_dns_label(const char *text);
