// SPDX-License-Identifier: Apache-2.0
/* Going back: one store when the revision is hot, else built anew from the disk first. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int lost_complain(struct diags *diags, uint32_t number)
{
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "revision %u must be built anew, but the endpoints of this node are lost: apply "
		 "the whole configuration with its endpoints first (sluice apply --replace -f "
		 "...), or put endpoints.yaml back",
		 number);
	return -EBADMSG;
}

/*
 * The rings of a hot revision are kept current, but by the active one's word. Where the two may
 * differ on who serves a version (other labels of a subset, other ports) the one that becomes
 * active has to speak. That must not keep a rollback from happening, so it only warns.
 */
static void hot_members(struct node *node, const struct store_revision *revision,
			struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct plan *plan;
	int err;

	if (store_is_settled(node->store) && *revision->members && node->members &&
	    !strcmp(revision->members, node->members))
		return;
	err = scratch && quiet ? node_load_inventory(node, quiet) : -ENOMEM;
	if (!err && node->has_lost_endpoints)
		err = -EBADMSG;
	if (!err)
		err = node_plan_at(node, scratch, revision, node->inventory, quiet, &plan);
	if (!err)
		err = kernel_members(node->kernel, plan, quiet);
	if (err)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the endpoints of revision %u were not brought up to date: %s",
			 revision->number, strerror(-err));
}

static int cold_write(struct node *node, const struct store_revision *revision, struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct plan *plan;
	int err = scratch ? node_load_inventory(node, diags) : -ENOMEM;

	if (!err && node->has_lost_endpoints)
		return lost_complain(diags, revision->number);
	if (!err)
		err = node_plan_at(node, scratch, revision, node->inventory, diags, &plan);
	return err ? err
		   : kernel_write(node->kernel, plan, revision->number, revision->digest, diags);
}

/* No revision is made that could say who did it, so the pointer does. */
static int rollback_activate(struct node *node, uint32_t number, const struct node_change *change,
			     struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct store_activation activation = {
		.time = time(NULL),
		.author = node_author(scratch, change),
		.reason = node_reason(change),
	};
	int err;

	/* Going back matters more than the note of it, and a failed one must not name a later. */
	store_note_activation(node->store, &activation);
	err = node_activate(node, number, diags);
	store_note_activation(node->store, NULL);
	return err;
}

static int rollback_run(struct node *node, const struct store_revision *revision,
			const struct node_change *change, struct diags *diags)
{
	int err = 0;

	if (!node->kernel)
		diag_add(diags, DIAG_NOTE, NULL, 0, 0, NULL,
			 "no data plane on this node: stored; sluiced loads it");
	else if (kernel_is_hot(node->kernel, revision->number))
		hot_members(node, revision, diags);
	else
		err = cold_write(node, revision, diags);
	return err ? err : rollback_activate(node, revision->number, change, diags);
}

/* For people, and after the flip: what it says must not delay the rollback nor fail it. */
static void rollback_describe(struct node *node, const struct store_revision *revision,
			      void *parent, struct diags *diags, struct model **ret_model,
			      struct node_result *result)
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);

	if (node->model && quiet && !revision_parse(node, revision, quiet, ret_model))
		model_diff(parent, node->model, *ret_model, &result->summary);
	else if (node->model)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "this release cannot read revision %u; it can only go to it",
			 revision->number);
}

static int rollback_to(struct node *node, const struct store_revision *revision,
		       const struct node_change *change, struct diags *diags, void *parent,
		       struct node_result *ret_result)
{
	bool dry_run = change->dry_run;
	struct node_result result = { .revision = dry_run ? node->active : revision->number };
	struct model *model = NULL;
	int err;

	result.summary = talloc_strdup(parent, "");
	err = result.summary ? 0 : -ENOMEM;
	if (!err && !dry_run)
		err = rollback_run(node, revision, change, diags);
	if (err)
		return err;
	rollback_describe(node, revision, parent, diags, &model, &result);
	if (!dry_run && revision->number != node->active) {
		node->model = model;
		node_take(node, revision, node->active);
	}
	*ret_result = result;
	return 0;
}

int node_rollback(struct node *node, uint32_t number, const struct node_change *change,
		  struct diags *diags, void *parent, struct node_result *ret_result)
{
	uint32_t target = number ? number : node->previous;
	struct store_revision revision;
	int err;

	if (!target) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "there is nothing to go back to: no revision was active before this one");
		return -ENOENT;
	}
	if (target == node->active)
		diag_add(diags, DIAG_NOTE, NULL, 0, 0, NULL, "revision %u is active already",
			 target);
	err = node_revision(node, node, target, diags, &revision);
	return err ? err : rollback_to(node, &revision, change, diags, parent, ret_result);
}
