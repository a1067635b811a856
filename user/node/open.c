// SPDX-License-Identifier: Apache-2.0
/* Opening a node: the lock, the kernel's word and the disk's, and the texts behind them. */
#include "node.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "private.h"

#include <errno.h>
#include <string.h>

static int node_release(struct node *node)
{
	kernel_close(TAKE_PTR(node->kernel));
	return 0;
}

static const char *kernel_trouble(int err)
{
	if (err == -EPROTO)
		return "was made by another release (another ABI): run that release's sluice, or "
		       "start this release's sluiced, which takes it over";
	if (err == -EUCLEAN)
		return "lacks pins, and what runs cannot be changed without them: start sluiced, "
		       "which puts them back";
	if (err == -EPERM || err == -EACCES)
		return "may not be used: it needs root, or CAP_BPF and CAP_NET_ADMIN";
	return strerror(-err);
}

static int kernel_find(struct node *node, const char *pin_dir, enum node_mode mode, bool lazy,
		       struct diags *diags)
{
	int err = lazy ? kernel_open_to_flip(pin_dir, &node->kernel)
		       : kernel_open(pin_dir, &node->kernel);

	if (!err || err == -ENOENT)
		return 0;
	diag_add(diags, mode == NODE_WRITE ? DIAG_ERROR : DIAG_WARNING, NULL, 0, 0, NULL,
		 "the data plane below %s %s", pin_dir ? pin_dir : SL_PIN_DIR, kernel_trouble(err));
	return mode == NODE_WRITE ? err : 0;
}

/*
 * What was just read from the file is all that matters: the rest of the text is not ours to
 * repeat. Nobody writes there what he does not know, so a kind or a field that people's input may
 * have and we pass over is another release's here: without it the text would mean something else.
 */
static int text_apply(void *parent, const char *name, const char *text, struct diags *diags,
		      struct input_result *ret_result)
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	struct input_text input = { .name = name, .data = text, .size = strlen(text) };
	struct input_result result;
	enum diag_level least;
	int err;

	if (!quiet)
		return -ENOMEM;
	err = input_apply(parent, &input, 1, INPUT_REPLACE, NULL, NULL, quiet, &result);
	least = err ? DIAG_ERROR : DIAG_NOTE;
	if (!err && (result.passed || result.unknown))
		err = -EINVAL;
	for (size_t i = 0; err && i < quiet->count; i++) {
		const struct diag *d = &quiet->list[i];

		if (d->level >= least)
			diag_add(diags, DIAG_WARNING, d->file, d->line, d->column, d->path, "%s",
				 d->text);
	}
	if (!err)
		*ret_result = result;
	return err;
}

bool is_hole(int err)
{
	return err == -ENOENT || err == -EBADMSG || err == -EPROTO;
}

int revision_parse(void *parent, const struct store_revision *revision, struct diags *diags,
		   struct model **ret_model)
{
	struct input_result result = { 0 };
	char name[32];
	int err;

	snprintf(name, sizeof(name), "revision %u", revision->number);
	err = text_apply(parent, name, revision->body, diags, &result);
	if (err) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "%s is whole, but this release cannot read it: run the release that wrote "
			 "it, or `sluice rollback` to another",
			 name);
		return err;
	}
	talloc_free(result.inventory);
	*ret_model = result.model;
	return 0;
}

void node_take(struct node *node, const struct store_revision *revision, uint32_t previous)
{
	node->active = revision->number;
	node->previous = previous == revision->number ? 0 : previous;
	node->body = revision->body;
	node->members = revision->members;
	memcpy(node->digest, revision->digest, sizeof(node->digest));
}

/* In order of trust. Numbers may repeat; 0 is none. */
struct candidates {
	uint32_t list[4];
	size_t count;
};

/* Whoever is in a hurry reads no body: what it is good for begins with node_load. */
static int revision_find(struct node *node, void *parent, uint32_t number, struct diags *diags,
			 struct store_revision *ret_revision)
{
	return node->is_lazy ? store_load_head(node->store, parent, number, diags, ret_revision)
			     : store_load(node->store, parent, number, diags, ret_revision);
}

static int candidate_load(struct node *node, void *parent, uint32_t number, struct diags *diags,
			  struct store_revision *ret_revision)
{
	int err = revision_find(node, parent, number, diags, ret_revision);

	if (err == -ENOENT)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "revision %u should be active, but its file is gone", number);
	return err;
}

/* The newest that is readable, for when neither kernel nor disk name one that is. */
static int newest_load(struct node *node, void *parent, struct diags *diags,
		       struct store_revision *ret_revision)
{
	struct store_revision *list;
	size_t count;
	int err = store_list(node->store, parent, diags, &list, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		err = revision_find(node, parent, list[i].number, diags, ret_revision);
		if (!is_hole(err))
			return err;
	}
	return -ENOENT;
}

static int active_choose(struct node *node, void *parent, const struct candidates *candidates,
			 struct diags *diags, struct store_revision *ret_revision)
{
	bool is_first = true;
	int err = -ENOENT;

	for (size_t i = 0; i < candidates->count; i++) {
		uint32_t number = candidates->list[i];

		if (!number || (i && number == candidates->list[i - 1]))
			continue;
		err = candidate_load(node, parent, number, diags, ret_revision);
		if (!is_hole(err))
			break;
		if (err == -EPROTO && is_first) {
			/* Active, readable or not: who needs its rules is refused, but can go back.
			 */
			*ret_revision = (struct store_revision){ .number = number };
			return 0;
		}
		is_first = false;
	}
	if (is_hole(err) && !is_first)
		err = newest_load(node, parent, diags, ret_revision);
	if (!err && !is_first)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "revision %u is taken for the active one", ret_revision->number);
	return err;
}

/*
 * Somebody may have flipped the kernel by hand, or we died between the flip and the pointer. A disk
 * that takes nothing more must not stand in the way of a rollback, which needs none: the kernel's
 * word counts, and whoever opens the node next tries again.
 */
static void disk_follow(struct node *node, uint32_t disk, struct diags *diags)
{
	int err;

	if (node->active == disk || !node->active)
		return;
	err = store_set_active(node->store, node->active, node->previous);
	if (!err)
		diag_add(diags, DIAG_NOTE, NULL, 0, 0, NULL,
			 "revision %u is active; the state folder said %u and now follows",
			 node->active, disk);
	else
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the state folder cannot note that revision %u is active: %s",
			 node->active, strerror(-err));
}

static int active_find(struct node *node, enum node_mode mode, struct diags *diags)
{
	struct store_revision revision;
	uint32_t disk = 0, previous = 0;
	int err = store_active(node->store, &disk, &previous);
	struct candidates candidates = { .count = 3 };

	if (err == -EBADMSG)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the state folder's file \"active\" is damaged");
	else if (err)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "cannot read the active revision's number: %s", strerror(-err));
	if (err && err != -EBADMSG)
		return err;
	candidates.list[0] = !node->kernel     ? 0
			     : node->is_beside ? kernel_active(node->kernel)
					       : kernel_obeyed(node->kernel);
	candidates.list[1] = disk;
	candidates.list[2] = previous;
	if (err == -EBADMSG && !candidates.list[0])
		err = newest_load(node, node, diags, &revision);
	else
		err = active_choose(node, node, &candidates, diags, &revision);
	if (err == -ENOENT)
		return 0;
	if (!err)
		node_take(node, &revision, revision.number == disk ? previous : disk);
	if (!err && mode == NODE_WRITE)
		disk_follow(node, disk, diags);
	return err;
}

int endpoints_find(struct node *node, struct diags *diags)
{
	char *text = NULL;
	int err = store_endpoints(node->store, node, diags, &text);

	/* Another release's are as good as lost to this one. */
	node->has_lost_endpoints = err == -EBADMSG || err == -EPROTO;
	node->has_no_endpoints = err == -ENOENT;
	if (err && !node->has_lost_endpoints && !node->has_no_endpoints)
		return err;
	node->endpoints = err ? "" : text;
	return 0;
}

/* The first revision brings the file along, so that who finds none may know that it went. */
static void endpoints_miss(struct node *node, struct diags *diags)
{
	if (!node->has_no_endpoints || !node->active || !node->kernel ||
	    !kernel_has_endpoints(node->kernel))
		return;
	node->has_lost_endpoints = true;
	diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
		 "endpoints.yaml is gone from the state folder, and the data plane has endpoints");
}

static int inventory_parse(struct node *node, struct diags *diags)
{
	struct input_result result;
	int err = text_apply(node, "endpoints.yaml", node->endpoints, diags, &result);

	if (err == -EINVAL) {
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "endpoints.yaml is whole, but this release cannot read it");
		store_doubt_endpoints(node->store);
		node->has_lost_endpoints = true;
		node->inventory = talloc_zero(node, struct inventory);
		return node->inventory ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	talloc_free(result.model);
	node->inventory = result.inventory;
	return 0;
}

int node_load_inventory(struct node *node, struct diags *diags)
{
	int err = node->kernel ? kernel_map(node->kernel) : 0;

	if (err)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the tables of the data plane cannot be mapped: %s", strerror(-err));
	if (!err && !node->endpoints)
		err = endpoints_find(node, diags);
	if (!err && !node->inventory) {
		endpoints_miss(node, diags);
		err = inventory_parse(node, diags);
	}
	return err;
}

int body_load(struct node *node, struct diags *diags, struct store_revision *ret_revision)
{
	int err;

	*ret_revision = (struct store_revision){ .number = node->active, .body = node->body };
	if (node->body)
		return 0;
	/* The file's text stays where it was read to. */
	err = node_revision(node, node, node->active, diags, ret_revision);
	if (!err)
		node->body = ret_revision->body;
	return err;
}

int node_load(struct node *node, struct diags *diags)
{
	struct store_revision revision;
	int err = 0;

	/* A part of it is not it. */
	if (node->part.size)
		node->model = NULL;
	node->part.size = 0;
	if (!node->model && node->active)
		err = body_load(node, diags, &revision);
	if (!err && !node->model && node->active)
		err = revision_parse(node, &revision, diags, &node->model);
	else if (!err && !node->model)
		node->model = talloc_zero(node, struct model);
	if (!err && !node->model)
		err = -ENOMEM;
	return err ? err : node_load_inventory(node, diags);
}

static int node_fill(struct node *node, const struct node_options *options, enum node_mode mode,
		     struct diags *diags)
{
	const char *command = options->command ? options->command : program_invocation_short_name;
	unsigned timeout_ms = options->timeout_ms ? options->timeout_ms
			      : options->steady   ? NODE_STEADY_MS
						  : NODE_TIMEOUT_MS;
	int err = store_open(node, options->state_dir, mode == NODE_WRITE, diags, &node->store);

	node->is_lazy = options->lazy;
	node->is_beside = options->beside;
	if (!err && mode == NODE_WRITE)
		err = store_lock(node->store, timeout_ms, command, diags);
	else if (!err && options->steady)
		err = store_lock_shared(node->store, timeout_ms, diags);
	if (!err)
		err = kernel_find(node, options->pin_dir, mode, options->lazy, diags);
	if (!err)
		err = active_find(node, mode, diags);
	if (!err && !options->lazy)
		err = node_load(node, diags);
	return err;
}

int node_open(void *parent, const struct node_options *options, enum node_mode mode,
	      struct diags *diags, struct node **ret_node)
{
	static const struct node_options defaults = { 0 };
	_cleanup_talloc_ struct node *node = talloc_zero(parent, struct node);
	int err;

	if (!node)
		return -ENOMEM;
	talloc_set_destructor(node, node_release);
	err = node_fill(node, options ? options : &defaults, mode, diags);
	if (err)
		return err;
	*ret_node = TAKE_PTR(node);
	return 0;
}

void node_unlock(struct node *node)
{
	store_unlock(node->store);
}

int node_revision(struct node *node, void *parent, uint32_t number, struct diags *diags,
		  struct store_revision *ret_revision)
{
	int err = store_load(node->store, parent, number, diags, ret_revision);

	if (err == -ENOENT)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "there is no revision %u: `sluice history` lists those that are kept",
			 number);
	else if (err == -EBADMSG)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "revision %u cannot be used: its file is damaged", number);
	else if (err == -EPROTO)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "revision %u cannot be used: another release wrote it; run that one, or "
			 "`sluice rollback --to` one that this release can read",
			 number);
	return err;
}

int node_model_at(struct node *node, void *parent, uint32_t number, struct diags *diags,
		  struct model **ret_model)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct store_revision revision;
	int err = scratch ? node_revision(node, scratch, number, diags, &revision) : -ENOMEM;

	return err ? err : revision_parse(parent, &revision, diags, ret_model);
}

int node_plan(struct node *node, void *parent, struct diags *diags, struct plan **ret_plan)
{
	int err = node_load(node, diags);

	return err ? err : plan_build(parent, node->model, node->inventory, diags, ret_plan);
}

int node_plan_at(struct node *node, void *parent, const struct store_revision *revision,
		 const struct inventory *inventory, struct diags *diags, struct plan **ret_plan)
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	_cleanup_talloc_ struct model *model = NULL;
	int err = quiet ? revision_parse(NULL, revision, diags, &model) : -ENOMEM;

	if (!err)
		err = plan_build(parent, model, inventory, quiet, ret_plan);
	for (size_t i = 0; err && quiet && i < quiet->count; i++) {
		if (quiet->list[i].level == DIAG_ERROR)
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL, "revision %u: %s",
				 revision->number, quiet->list[i].text);
	}
	return err;
}
