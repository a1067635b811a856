/* SPDX-License-Identifier: Apache-2.0 */
/* Which documents are objects of ours, whatever list they lie in, and who they are. */
#pragma once
#include "schema.h"

enum object_kind {
	OBJECT_SERVICE,
	OBJECT_SERVICE_ENTRY,
	OBJECT_DESTINATION_RULE,
	OBJECT_VIRTUAL_SERVICE,
	OBJECT_ENDPOINT_SLICE,
	OBJECT_ENDPOINTS,
	OBJECT_POD,
	OBJECT_GROUP,
	OBJECT_DRAIN,
	OBJECT_KINDS,
};

struct meta {
	const struct node *node;
	const char *name, *namespace;
	struct label_list labels;
	enum empty_policy empty; /* annotation sluice.dev/empty-version */
};

struct object {
	enum object_kind kind;
	const struct node *node;
	struct meta meta;
	const void *body; /* by the kind's schema: see object.c's table */
};

struct object_list {
	struct object *list;
	size_t count, capacity;
	size_t passed; /* documents of other kinds */
};

/* Istio's kinds: metadata and status aside, all is in the spec. */
struct istio_object {
	const struct node *node;
	const void *spec;
};

/* Adds the objects of one document to the list; what is wrong is in reader->diags. */
void objects_collect(struct reader *reader, const struct node *document,
		     struct object_list *objects);
const char *object_kind_name(enum object_kind kind);
/* "VirtualService default/reviews" */
const char *object_title(void *parent, const struct object *object);
