// SPDX-License-Identifier: Apache-2.0
/* Who serves: kept up to date for every hot revision, so that going back to one is one store. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <errno.h>
#include <string.h>

struct refresh {
	struct node *node;
	const struct inventory *inventory;
	struct diags *diags;
	bool *covered; /* per version of the kernel: a plan has spoken for it */
	uint32_t limit;
	uint32_t left; /* how many are not */
};

static void covered_mark(struct refresh *refresh, const struct plan *plan)
{
	for (uint32_t i = 0; i < refresh->limit; i++) {
		const struct sl_version *version;

		if (refresh->covered[i])
			continue;
		version = kernel_version(refresh->node->kernel, i);
		if (version && *version->key && !plan_version_find(plan, version->key))
			continue;
		refresh->covered[i] = true;
		refresh->left--;
	}
}

/* A revision that is no longer on disk, or unreadable, keeps the rings that it has. */
static void revision_refresh(struct refresh *refresh, uint32_t number)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct store_revision revision;
	struct plan *plan;
	int err = scratch && quiet ? 0 : -ENOMEM;

	if (!err)
		err = store_load(refresh->node->store, scratch, number, refresh->diags, &revision);
	if (!err)
		err = node_plan_at(refresh->node, scratch, &revision, refresh->inventory, quiet,
				   &plan);
	if (!err)
		err = kernel_members(refresh->node->kernel, plan, refresh->diags);
	if (!err)
		covered_mark(refresh, plan);
	else
		diag_add(refresh->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "endpoints that only revision %u uses were not brought up to date: %s",
			 number, strerror(-err));
}

void node_members_refresh(struct node *node, const struct inventory *inventory,
			  const struct plan *current, struct diags *diags)
{
	struct sl_revision hot[SL_HOT_MAX];
	_cleanup_talloc_ bool *covered = NULL;
	struct refresh refresh = { .node = node, .inventory = inventory, .diags = diags };
	size_t count = kernel_revisions(node->kernel, hot);
	uint32_t left;
	int err;

	refresh.limit = refresh.left = kernel_version_limit(node->kernel);
	covered = refresh.covered = talloc_zero_array(NULL, bool, refresh.limit);
	if (!covered)
		return;
	covered_mark(&refresh, current);
	/* Usually all are: weights change far more often than the set of versions does. */
	left = refresh.left;
	for (size_t i = count; i-- > 0 && refresh.left;)
		revision_refresh(&refresh, hot[i].number);
	if (!left)
		return;
	err = kernel_members(node->kernel, current, diags);
	if (err)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the active revision's endpoints were not brought up to date: %s",
			 strerror(-err));
}

static void service_members_put(FILE *out, const struct service *service)
{
	fprintf(out, "service %s %d\n", service->host, service->origin);
	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];

		fprintf(out, "port %u %d %u \"%s\" \"%s\"\n", port->number, port->protocol,
			port->target_number, port->target_name, port->name);
	}
	for (size_t i = 0; i < service->subset_count; i++) {
		const struct subset *subset = &service->subsets[i];

		fprintf(out, "subset %s\n", subset->name);
		for (size_t l = 0; l < subset->labels.count; l++)
			fprintf(out, "label %s=%s\n", subset->labels.list[l].key,
				subset->labels.list[l].value);
	}
}

int model_members(void *parent, const struct model *model, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	uint8_t digest[STORE_DIGEST_SIZE];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *hex;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < model->service_count; i++)
		service_members_put(out, &model->services[i]);
	if (fclose(out))
		return -ENOMEM;
	store_digest(text, size, digest);
	hex = talloc_zero_size(parent, 2 * sizeof(digest) + 1);
	if (!hex)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	*ret_text = hex;
	return 0;
}
