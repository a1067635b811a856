// SPDX-License-Identifier: Apache-2.0
/* The kernel compared with the disk, and put right. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct reconcile {
	struct node *node;
	struct diags *diags;
	struct plan *plan; /* of the active revision */
	bool repair;
	int found;
};

static void difference(struct reconcile *reconcile, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void difference(struct reconcile *reconcile, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	diag_add(reconcile->diags, DIAG_WARNING, NULL, 0, 0, NULL, "%s%s", text ? text : "",
		 reconcile->repair ? "; put right" : "");
	reconcile->found++;
}

/*
 * After a restart of the machine the kernel holds nothing: the newest revisions are made hot
 * again, so that going back is one store as it was before. The active one is written last; one
 * that does not fit or cannot be read is passed over.
 */
static int history_warm(struct reconcile *reconcile)
{
	struct node *node = reconcile->node;
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct store_revision *list, revision;
	size_t count;
	int err = scratch && quiet ? 0 : -ENOMEM;

	if (!err)
		err = store_list(node->store, scratch, reconcile->diags, &list, &count);
	if (err)
		return err;
	for (size_t i = count < SL_HOT_MIN ? count : SL_HOT_MIN; i-- > 0;) {
		uint32_t number = list[i].number;
		struct plan *plan;

		/* What the word names would be obeyed as soon as it is hot. */
		if (kernel_is_hot(node->kernel, number) || number == node->active ||
		    number == kernel_active(node->kernel) ||
		    store_load(node->store, scratch, number, quiet, &revision) ||
		    node_plan_at(node, scratch, &revision, node->inventory, quiet, &plan))
			continue;
		kernel_write(node->kernel, plan, number, revision.digest, quiet);
	}
	return 0;
}

static int active_write(struct reconcile *reconcile)
{
	struct node *node = reconcile->node;

	return kernel_is_hot(node->kernel, node->active)
		       ? 0
		       : kernel_write(node->kernel, reconcile->plan, node->active, node->digest,
				      reconcile->diags);
}

/* No revision in the kernel, or a word that names none that is hot and on disk. */
static int active_restore(struct reconcile *reconcile)
{
	struct node *node = reconcile->node;
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(node->kernel, hot);
	uint32_t word = kernel_active(node->kernel);
	int err = 0;

	if (word == node->active && kernel_is_hot(node->kernel, word))
		return 0;
	/* Maps that were just made beside another release's have lost nothing. */
	if (!count && !node->is_beside)
		difference(reconcile, "the data plane held no revision; %u is the active one",
			   node->active);
	else if (count)
		difference(reconcile,
			   "the data plane's active revision is given as %u, which is not %s; %u "
			   "is the active one",
			   word, kernel_is_hot(node->kernel, word) ? "on disk" : "hot",
			   node->active);
	if (!reconcile->repair)
		return 0;
	/* Some, but not the active one: whoever warmed them last was killed. */
	if (count < SL_HOT_MIN)
		err = history_warm(reconcile);
	if (!err)
		err = active_write(reconcile);
	return err ? err : kernel_flip(node->kernel, node->active);
}

static int active_audit(struct reconcile *reconcile)
{
	struct node *node = reconcile->node;
	int found;

	if (!kernel_is_hot(node->kernel, node->active))
		return 0;
	found = kernel_audit(node->kernel, reconcile->plan, node->active, reconcile->repair,
			     reconcile->diags);
	if (found < 0)
		return found;
	reconcile->found += found;
	return 0;
}

static uint64_t *rings_note(void *parent, const struct kernel *kernel)
{
	uint32_t limit = kernel_version_limit(kernel);
	uint64_t *rings = talloc_array(parent, uint64_t, limit);

	for (uint32_t i = 0; rings && i < limit; i++)
		rings[i] = kernel_version(kernel, i)->ring;
	return rings;
}

/*
 * Versions that only other hot revisions use. Whoever died while bringing rings up to date need not
 * have come to them, and the active revision's own rings do not tell.
 */
static int others_refresh(struct reconcile *reconcile)
{
	const struct kernel *kernel = reconcile->node->kernel;
	_cleanup_talloc_ uint64_t *before = rings_note(NULL, kernel);

	if (!before)
		return -ENOMEM;
	node_members_refresh(reconcile->node, reconcile->node->inventory, reconcile->plan,
			     reconcile->diags);
	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++) {
		const struct sl_version *version = kernel_version(kernel, i);

		if (version->ring != before[i] && !plan_version_find(reconcile->plan, version->key))
			difference(reconcile,
				   "drift: version %s of an older revision: had other "
				   "endpoints in the kernel",
				   version->key);
	}
	return 0;
}

int node_reconcile(struct node *node, bool repair, struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct reconcile reconcile = { .node = node, .diags = diags, .repair = repair };
	int err;

	if (!scratch || !quiet)
		return -ENOMEM;
	if (!node->kernel || !node->active)
		return 0;
	err = node_load(node, diags);
	if (err)
		return err;
	if (node->has_lost_endpoints) {
		/* Rings that are alive are better than rings made of nothing. */
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the endpoints of this node are lost: the data plane is left as it is");
		return repair ? 0 : 1;
	}
	err = node_plan(node, scratch, quiet, &reconcile.plan);
	if (!err)
		err = active_restore(&reconcile);
	if (!err)
		err = active_audit(&reconcile);
	if (!err && repair)
		err = others_refresh(&reconcile);
	if (!err && repair)
		store_settle(node->store);
	return err ? err : reconcile.found;
}
