/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind plan_build share. Nobody else includes it. */
#pragma once
#include "intern.h"
#include "plan.h"

/* A version as a rule names it, with names resolved. */
struct version_ref {
	const char *host;
	const char *subset;
	uint16_t port;
	enum protocol protocol;
	uint8_t family;
};

/* A plan_version that is being built, with what its endpoints are found by. */
struct version_draft {
	struct plan_version version;
	const struct service *service; /* NULL: nobody defines the host */
	const struct subset *subset;   /* NULL: the whole host, or nobody defines it */
	bool undefined;                /* the subset is named, and nobody defines it */
	bool weighted;                 /* some split gives it a share */
	struct version_ref ref;
};

/* What a split is asked for: a rule of a service, behind one of its ports and VIPs. */
struct split_request {
	const struct service *owner;
	const struct service_port *port;
	uint8_t family;
	const struct rule *rule;
	const char *name; /* of the rule, for people */
};

struct builder {
	const struct model *model;
	const struct inventory *inventory;
	bool is_blind; /* nobody has looked who serves: that is not the same as that nobody does */
	struct diags *diags;
	struct plan *plan; /* all that the plan keeps hangs from it */
	void *scratch;     /* the rest; freed when the plan is built */

	struct version_draft *versions;
	size_t version_count;
	struct intern version_table;
	struct intern split_table;

	const struct endpoint_group **groups; /* sorted by host */
	const struct drain **drains;          /* sorted by host, address, port */
};

/* members.c: the endpoints that each version draft has. */
int members_prepare(struct builder *builder);
int members_find(const struct builder *builder, struct version_draft *draft);
/* NULL when the service (which may be NULL) has no such port. */
const struct service_port *service_port_find(const struct service *service, uint16_t number,
					     enum protocol protocol);

/* versions.c: names to version ordinals, weighted destinations to split ordinals. */
int split_intern(struct builder *builder, const struct split_request *request, uint32_t *ret_split);
int versions_finish(struct builder *builder);
/* "reviews.default"; a talloc child of parent, NULL without memory. */
char *service_title(void *parent, const struct service *service);

/* Room for one more element in a talloc array that doubles. 0 or -ENOMEM. */
int list_grow(void *parent, void *ret_list, size_t count, size_t size);
