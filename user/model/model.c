// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

/* Where the host is, or where it would have to be put. */
static size_t service_place(const struct model *model, const char *host, bool *ret_found)
{
	size_t low = 0, high = model->service_count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(model->services[middle].host, host);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct service *model_service_find(const struct model *model, const char *host)
{
	bool found;
	size_t place = service_place(model, host, &found);

	return found ? &model->services[place] : NULL;
}

static bool is_name(const struct service *service, const char *typed)
{
	return !strcmp(service->name, typed);
}

static bool is_qualified_name(const struct service *service, const char *typed)
{
	size_t size = strlen(service->name);

	return !strncmp(service->name, typed, size) && typed[size] == '.' &&
	       !strcmp(typed + size + 1, service->namespace);
}

static bool is_dotted_prefix(const struct service *service, const char *typed)
{
	size_t size = strlen(typed);

	return !strncmp(service->host, typed, size) && service->host[size] == '.';
}

int model_service_resolve(const struct model *model, const char *typed,
			  struct service **ret_service)
{
	/* The more exact reading first: a looser one must not make another's ambiguous. */
	static bool (*const readings[])(const struct service *, const char *) = {
		is_qualified_name,
		is_name,
		is_dotted_prefix,
	};
	struct service *found = model_service_find(model, typed);

	if (!*typed || !model->services)
		return -ENOENT;
	for (size_t r = 0; !found && r < ARRAY_SIZE(readings); r++) {
		for (size_t i = 0; i < model->service_count; i++) {
			if (!readings[r](&model->services[i], typed))
				continue;
			if (found)
				return -ENOTUNIQ;
			found = &model->services[i];
		}
	}
	if (!found)
		return -ENOENT;
	*ret_service = found;
	return 0;
}

/* Room for one more; doubled, so that reading a large cluster is not quadratic in copying. */
static int services_grow(struct model *model)
{
	size_t room = talloc_get_size(model->services) / sizeof(struct service);

	if (model->service_count < room)
		return 0;
	struct service *services = talloc_realloc(model, model->services, struct service,
						  room ? 2 * (unsigned)room : 8);
	if (!services)
		return -ENOMEM;
	model->services = services;
	return 0;
}

int model_service_put(struct model *model, const struct service *service)
{
	struct service copy;
	bool found;
	size_t place = service_place(model, service->host, &found);
	int err = service_copy(model, service, &copy);

	if (!err && !found)
		err = services_grow(model);
	if (err)
		return err;

	/*
	 * A replaced service's memory stays until the model goes: who still points at one of its
	 * strings (a rule being edited, the service given here itself) keeps a good pointer.
	 */
	struct service *at = &model->services[place];

	if (!found) {
		memmove(at + 1, at, (model->service_count - place) * sizeof(*at));
		model->service_count++;
	}
	*at = copy;
	return 0;
}

bool labels_contain(const struct label_list *labels, const struct label_list *wanted)
{
	size_t at = 0;

	/* Both are sorted: one walk over each. */
	for (size_t i = 0; i < wanted->count; i++) {
		while (at < labels->count && strcmp(labels->list[at].key, wanted->list[i].key) < 0)
			at++;
		if (at == labels->count || strcmp(labels->list[at].key, wanted->list[i].key) ||
		    strcmp(labels->list[at].value, wanted->list[i].value))
			return false;
	}
	return true;
}

static int workload_compare(const void *name, const void *workload)
{
	return strcmp(name, ((const struct workload *)workload)->name);
}

const struct label_list *endpoint_labels(const struct inventory *inventory,
					 const struct endpoint *endpoint)
{
	const struct workload *workload = NULL;

	if (*endpoint->workload && inventory->workload_count)
		workload =
			bsearch(endpoint->workload, inventory->workloads, inventory->workload_count,
				sizeof(*inventory->workloads), workload_compare);
	return workload ? &workload->labels : &endpoint->labels;
}
