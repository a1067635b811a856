// SPDX-License-Identifier: Apache-2.0
/* A new model and inventory: plan, check, disk, kernel, flip, the disk's pointer. */
#include "node.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

struct commit {
	struct node *node;
	const struct node_change *change;
	struct diags *diags;
	void *scratch;
	struct model *model;         /* copies, to become the node's */
	struct inventory *inventory; /* NULL: it is the node's, so nothing to write */
	struct plan *plan;
	char *body, *endpoints, *members;
	uint8_t digest[STORE_DIGEST_SIZE];
	struct store_revision saved; /* number 0: none */
	bool has_set_endpoints; /* or tried to: the file may be in its place though it failed */
	bool has_met_kernel;
	struct node_result result;
};

static bool is_empty(const struct inventory *inventory)
{
	return !inventory->group_count && !inventory->workload_count && !inventory->drain_count;
}

/* Exports are canonical, so equal texts are equal intents: a repeated apply makes no revision. */
static int commit_compare(struct commit *commit)
{
	struct node *node = commit->node;
	bool is_part = node->part.size;
	int err = is_part ? part_export(node, commit->scratch, commit->model, &commit->body)
			  : model_export(commit->scratch, commit->model, &commit->body);

	if (!err && commit->inventory)
		err = inventory_export(commit->scratch, commit->inventory, &commit->endpoints);
	if (!err && is_part)
		commit->members = talloc_strdup(commit->scratch, node->members);
	else if (!err)
		err = model_members(commit->scratch, commit->model, &commit->members);
	if (!err && !commit->members)
		err = -ENOMEM;
	if (err)
		return err;
	store_digest(commit->body, strlen(commit->body), commit->digest);
	commit->result.is_new = node->active
					? memcmp(commit->digest, node->digest, STORE_DIGEST_SIZE)
					: commit->model->service_count > 0;
	commit->result.members_changed = commit->inventory &&
					 strcmp(commit->endpoints, node->endpoints) &&
					 (*node->endpoints || !is_empty(commit->inventory));
	return 0;
}

static int commit_prepare(struct commit *commit, const struct model *model,
			  const struct inventory *inventory)
{
	struct node *node = commit->node;
	int err = node->part.size ? 0 : node_load(node, commit->diags);

	if (err)
		return err;
	/* What is built upon nothing would leave all others with nothing. */
	if (node->has_lost_endpoints &&
	    (!commit->change->is_whole || !inventory || is_empty(inventory))) {
		diag_add(commit->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the endpoints of this node are lost, so their versions would get none: "
			 "apply the whole configuration with its endpoints first (sluice apply "
			 "--replace -f ...), or put endpoints.yaml back");
		return -EBADMSG;
	}
	commit->model = model_copy(commit->scratch, model);
	/* The node's own is not looked at again: a weight change does not read who serves. */
	if (inventory != node->inventory)
		commit->inventory = inventory_copy(commit->scratch, inventory);
	if (!commit->model || (!commit->inventory && inventory != node->inventory))
		return -ENOMEM;
	err = plan_build(commit->scratch, model, inventory, commit->diags, &commit->plan);
	if (!err)
		err = commit_compare(commit);
	if (!err)
		err = model_diff(commit->scratch, node->model, model, &commit->result.summary);
	commit->result.revision = node->active;
	return err;
}

/*
 * A number that the kernel does not know: it may hold higher ones than the disk, when that was
 * wiped. Nor what the word names already, or the doors would obey the revision before it is
 * flipped to.
 */
static uint32_t number_least(const struct kernel *kernel)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel ? kernel_revisions(kernel, hot) : 0;
	uint32_t least = count ? hot[count - 1].number + 1 : 0;
	uint32_t word = kernel ? kernel_active(kernel) : 0;

	return word >= least && word - least < SL_HOT_MAX ? word + 1 : least;
}

/* Whose place in the kernel's directory nobody holds who is obeyed: a thousand before it may be. */
static int number_choose(struct node *node, uint32_t *ret_number)
{
	uint32_t number;
	int err = store_number_next(node->store, number_least(node->kernel), &number);

	while (!err && node->kernel && !kernel_has_place(node->kernel, number))
		number++;
	if (!err)
		*ret_number = number;
	return err;
}

static int commit_save(struct commit *commit)
{
	const struct node_change *change = commit->change;
	struct store_revision revision = {
		.parent = commit->node->active,
		.time = time(NULL),
		.author = node_author(commit->scratch, change),
		.reason = node_reason(change),
		.summary = commit->result.summary,
		.members = commit->members,
		.body = commit->body,
	};
	int err = 0;

	if (commit->result.is_new)
		err = number_choose(commit->node, &revision.number);
	if (!err && commit->result.is_new)
		err = store_save(commit->node->store, &revision, commit->diags);
	if (!err && commit->result.is_new)
		commit->saved = revision;
	/* With the first revision also where it says nothing: see endpoints_miss. */
	if (!err &&
	    (commit->result.members_changed ||
	     (commit->node->has_no_endpoints && commit->inventory && commit->saved.number))) {
		err = store_set_endpoints(commit->node->store, commit->endpoints, commit->diags);
		commit->has_set_endpoints = true;
	}
	return err;
}

/*
 * A file that could not be written is as it was, unless it was its folder that could not be synced:
 * then it is in its place.
 */
static void endpoints_undo(struct commit *commit)
{
	struct node *node = commit->node;
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	char *text = NULL;

	/* There is nothing good to put back in the place of lost ones. */
	if (!commit->has_set_endpoints || node->has_lost_endpoints)
		return;
	if (!quiet || store_endpoints(node->store, commit->scratch, quiet, &text) ||
	    strcmp(text, node->endpoints))
		store_set_endpoints(node->store, node->endpoints, commit->diags);
}

/*
 * Rings are shared, so those of the revision that stays may have been written before the kernel
 * refused the rest.
 */
static void rings_undo(struct commit *commit)
{
	struct node *node = commit->node;
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct plan *plan;
	int err;

	if (!commit->has_met_kernel || !node->active || node->has_lost_endpoints)
		return;
	err = quiet ? node_plan(node, commit->scratch, quiet, &plan) : -ENOMEM;
	if (!err)
		err = kernel_members(node->kernel, plan, quiet);
	if (!err)
		node_members_refresh(node, node->inventory, plan, quiet);
	if (err)
		diag_add(commit->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the endpoints in the data plane were not put back: %s", strerror(-err));
}

/*
 * Before the flip nobody obeys what was written, so taking the files back, and what all revisions
 * share, undoes all of it.
 */
static void commit_undo(struct commit *commit)
{
	struct node *node = commit->node;
	int err = 0;

	if (commit->saved.number)
		err = store_remove(node->store, commit->saved.number);
	if (err)
		diag_add(commit->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "revision %u stays on disk, though it never was active: %s",
			 commit->saved.number, strerror(-err));
	endpoints_undo(commit);
	rings_undo(commit);
}

int node_activate(struct node *node, uint32_t number, struct diags *diags)
{
	int err = store_check_locked(node->store);

	if (!err && node->kernel)
		err = kernel_flip(node->kernel, number);
	if (err) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the data plane cannot be flipped to revision %u: %s", number,
			 strerror(-err));
		return err;
	}
	if (number == node->active)
		return 0;
	err = store_set_active(node->store, number, node->active);
	if (!err)
		return 0;
	/* Without one the pointer may be in its place though its folder could not be synced. */
	if (!node->kernel)
		store_set_active(node->store, node->active, node->previous);
	/* The flip is the truth, and whoever opens the node next writes the pointer after it. */
	diag_add(diags, node->kernel ? DIAG_WARNING : DIAG_ERROR, NULL, 0, 0, NULL,
		 "the state folder cannot note that revision %u is active: %s", number,
		 strerror(-err));
	return node->kernel ? 0 : err;
}

/*
 * kernel_write checks the room for everything before it changes anything, and so does
 * kernel_members.
 */
static int commit_kernel(struct commit *commit, uint32_t number)
{
	struct node *node = commit->node;
	struct kernel *kernel = node->kernel;
	bool is_written;
	int err = 0;

	if (!kernel) {
		if (commit->result.is_new || commit->result.members_changed)
			diag_add(commit->diags, DIAG_NOTE, NULL, 0, 0, NULL,
				 "no data plane on this node: stored; sluiced loads it");
		return 0;
	}
	if (node->part.size)
		return number == node->active
			       ? 0
			       : kernel_write_beside(kernel, commit->plan, node->active, number,
						     commit->digest);
	commit->has_met_kernel = true;
	is_written = number && !kernel_is_hot(kernel, number);
	if (is_written)
		err = kernel_write(kernel, commit->plan, number, commit->digest, commit->diags);
	else if (commit->result.members_changed)
		err = kernel_members(kernel, commit->plan, commit->diags);
	if (err || !(is_written || commit->result.members_changed))
		return err;
	/* Whoever was killed may not have come to the rings of other hot revisions. */
	if (commit->result.members_changed || !store_is_settled(node->store))
		node_members_refresh(node, commit->inventory ? commit->inventory : node->inventory,
				     commit->plan, commit->diags);
	store_settle(node->store);
	return 0;
}

/* A yes of a dry run is worth something only where the room has been looked at too. */
static int commit_check(struct commit *commit)
{
	struct node *node = commit->node;

	/* A part brings nothing that takes room, but for the tables of its weights. */
	if (!node->kernel || node->part.size ||
	    !(commit->result.is_new || commit->result.members_changed))
		return 0;
	return kernel_check(node->kernel, commit->plan, commit->diags);
}

static int commit_run(struct commit *commit)
{
	struct node *node = commit->node;
	size_t errors = commit->diags->errors;
	uint32_t number;
	int err = commit_save(commit);

	number = commit->saved.number ? commit->saved.number : node->active;
	if (!err)
		err = commit_kernel(commit, number);
	if (!err && number && (commit->saved.number || node->kernel))
		err = node_activate(node, number, commit->diags);
	if (!err)
		return 0;
	if (commit->diags->errors == errors && err != -EAGAIN)
		diag_add(commit->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the data plane did not take the change: %s", strerror(-err));
	commit_undo(commit);
	return err;
}

/* What was committed is now what the node has. */
static void commit_adopt(struct commit *commit)
{
	struct node *node = commit->node;

	if (commit->saved.number) {
		node->previous = node->active;
		node->active = commit->saved.number;
		memcpy(node->digest, commit->digest, sizeof(node->digest));
		node->members = talloc_steal(node, commit->members);
		node->body = NULL;
		/* The old one stays allocated: the caller may still point into it. */
		node->model = talloc_steal(node, commit->model);
		if (node->part.size)
			node->model = NULL;
		node->part.size = 0;
	}
	if (commit->has_set_endpoints)
		node->has_no_endpoints = false;
	if (commit->result.members_changed) {
		node->endpoints = talloc_steal(node, commit->endpoints);
		node->inventory = talloc_steal(node, commit->inventory);
		node->has_lost_endpoints = false;
	}
	commit->result.revision = node->active;
}

int node_commit(struct node *node, const struct model *model, const struct inventory *inventory,
		const struct node_change *change, struct diags *diags, void *parent,
		struct node_result *ret_result)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct commit commit = {
		.node = node,
		.change = change,
		.diags = diags,
		.scratch = scratch,
	};
	int err = scratch ? commit_prepare(&commit, model, inventory) : -ENOMEM;

	if (!err)
		err = change->dry_run ? commit_check(&commit) : commit_run(&commit);
	if (err)
		return err;
	if (!change->dry_run)
		commit_adopt(&commit);
	talloc_steal(parent, commit.result.summary);
	*ret_result = commit.result;
	return 0;
}
