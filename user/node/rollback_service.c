// SPDX-License-Identifier: Apache-2.0
/* One service back to what it was; all others stay. */
#include "node.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "private.h"

#include <errno.h>
#include <string.h>

struct search {
	struct node *node;
	struct diags *diags;
	void *scratch;
	const struct service *today;
	uint8_t digest[STORE_DIGEST_SIZE]; /* of today's service */
	struct service found;
};

static int service_digest(const struct service *service, uint8_t ret_digest[STORE_DIGEST_SIZE])
{
	_cleanup_talloc_ char *text = NULL;
	int err = service_export(NULL, service, &text);

	if (!err)
		store_digest(text, strlen(text), ret_digest);
	return err;
}

/*
 * What a rollback of the service would make of it: the intents of then at the addresses of
 * today.
 */
static struct service service_as_then(const struct service *then, const struct service *today)
{
	struct service service = *then;

	service.name = today->name;
	service.namespace = today->namespace;
	service.origin = today->origin;
	service.vips = today->vips;
	service.vip_count = today->vip_count;
	service.ports = today->ports;
	service.port_count = today->port_count;
	service.selector = today->selector;
	return service;
}

/*
 * 0: it was different then. -ENOENT: there was no such service. -EALREADY: it was as it is
 * today.
 */
static int revision_search(struct search *search, const struct store_revision *revision,
			   struct diags *diags)
{
	uint8_t digest[STORE_DIGEST_SIZE];
	const struct service *then;
	struct service service;
	struct model *model;
	int err = revision_parse(search->scratch, revision, diags, &model);

	if (err)
		return err;
	then = model_service_find(model, search->today->host);
	if (!then)
		return -ENOENT;
	service = service_as_then(then, search->today);
	err = service_digest(&service, digest);
	if (err)
		return err;
	if (!memcmp(digest, search->digest, sizeof(digest)))
		return -EALREADY;
	search->found = service;
	return 0;
}

/* While others may do as well, one with a body of another release is a hole in the history. */
static int revision_try(struct search *search, const struct store_revision *revision)
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	int err = quiet ? revision_search(search, revision, quiet) : -ENOMEM;

	if (err != -EINVAL)
		return err;
	diag_add(search->diags, DIAG_WARNING, NULL, 0, 0, NULL,
		 "revision %u is passed over: another release wrote it, and this one cannot read "
		 "it",
		 revision->number);
	return -ENOENT;
}

/*
 * The revision itself, or the newest before it that is readable: a hole in the history is no
 * end of it.
 */
static int history_load(struct search *search, uint32_t number, struct store_revision *ret_revision)
{
	struct store *store = search->node->store;
	struct store_revision *list;
	size_t count;
	int err = number ? store_load(store, search->scratch, number, search->diags, ret_revision)
			 : -ENOENT;

	if (!number || !is_hole(err))
		return err;
	err = store_list(store, search->scratch, search->diags, &list, &count);
	for (size_t i = 0; !err && i < count; i++) {
		if (list[i].number >= number)
			continue;
		err = store_load(store, search->scratch, list[i].number, search->diags,
				 ret_revision);
		if (!is_hole(err))
			return err;
		err = 0;
	}
	return err ? err : -ENOENT;
}

static int parents_search(struct search *search)
{
	struct store_revision revision;
	int err = history_load(search, search->node->active, &revision);

	/*
	 * A parent's number is always lower; a file that says otherwise must not keep us here
	 * forever.
	 */
	while (!err && revision.parent < revision.number) {
		err = history_load(search, revision.parent, &revision);
		if (err)
			break;
		err = revision_try(search, &revision);
		if (err != -ENOENT && err != -EALREADY)
			return err;
		err = 0;
	}
	return err && err != -ENOENT ? err : -ENOENT;
}

/*
 * After a rollback of the whole node, what was active a moment ago did not lead to what is now.
 * Those that did were all asked already, and answer as they did.
 */
static int others_search(struct search *search)
{
	struct store_revision *list, revision;
	size_t count;
	int err = store_list(search->node->store, search->scratch, search->diags, &list, &count);

	for (size_t i = 0; !err && i < count; i++) {
		err = history_load(search, list[i].number, &revision);
		if (!err)
			err = revision_try(search, &revision);
		if (err != -ENOENT && err != -EALREADY)
			return err;
		err = 0;
	}
	return err ? err : -ENOENT;
}

static int history_search(struct search *search)
{
	int err = parents_search(search);

	if (err == -ENOENT)
		err = others_search(search);
	if (err == -ENOENT)
		diag_add(search->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "%s: no revision that is kept has other rules of it", search->today->host);
	return err;
}

static int number_search(struct search *search, uint32_t number)
{
	struct store_revision revision;
	int err = node_revision(search->node, search->scratch, number, search->diags, &revision);

	if (err)
		return err;
	err = revision_search(search, &revision, search->diags);
	if (err == -ENOENT)
		diag_add(search->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "revision %u has no service %s", number, search->today->host);
	return err;
}

static int search_begin(struct search *search, const char *host)
{
	struct node *node = search->node;
	int err = search->scratch ? node_load(node, search->diags) : -ENOMEM;

	if (err)
		return err;
	search->today = model_service_find(node->model, host);
	if (!search->today) {
		diag_add(search->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the active revision has no service %s", host);
		return -ENOENT;
	}
	return service_digest(search->today, search->digest);
}

int node_rollback_service(struct node *node, const char *host, uint32_t number,
			  const struct node_change *change, struct diags *diags, void *parent,
			  struct node_result *ret_result)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct search search = { .node = node, .diags = diags, .scratch = scratch };
	struct model *model;
	int err = search_begin(&search, host);

	if (err)
		return err;
	err = number ? number_search(&search, number) : history_search(&search);
	/* As it is today: committed all the same, which then says that nothing changed. */
	if (err == -EALREADY)
		search.found = *search.today;
	else if (err)
		return err;
	model = model_copy(scratch, node->model);
	err = model ? model_service_put(model, &search.found) : -ENOMEM;
	return err ? err
		   : node_commit(node, model, node->inventory, change, diags, parent, ret_result);
}
