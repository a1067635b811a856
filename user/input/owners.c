// SPDX-License-Identifier: Apache-2.0
/*
 * Who had what before this input: an object that now names another host must be found again at the
 * old one, and a walk over all services for each object costs their square.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

static int owner_order(const struct owner *owner, const char *namespace, const char *name)
{
	int order = strcmp(owner->namespace, namespace);

	return order ? order : strcmp(owner->name, name);
}

static int owner_compare(const void *left, const void *right)
{
	const struct owner *a = left, *b = right;
	int order = owner_order(a, b->namespace, b->name);

	return order ? order : (a->service > b->service) - (a->service < b->service);
}

static void owner_add(struct owner_list *owners, const char *namespace, const char *name,
		      size_t service)
{
	owners->list[owners->count++] = (struct owner){ namespace, name, service };
}

static void owners_sort(struct owner_list *owners)
{
	if (owners->count)
		qsort(owners->list, owners->count, sizeof(*owners->list), owner_compare);
}

int owners_prepare(struct work *work)
{
	const struct model *model = work->model;
	void *memory = work->reader.memory;

	work->entry_owners.list = talloc_array(memory, struct owner, model->service_count + 1);
	work->rule_owners.list = talloc_array(memory, struct owner, model->service_count + 1);
	if (!work->entry_owners.list || !work->rule_owners.list)
		return -ENOMEM;
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service *service = &model->services[i];

		if (service->origin == SERVICE_ENTRY)
			owner_add(&work->entry_owners, service->namespace, service->name, i);
		if (*service->destination_rule)
			owner_add(&work->rule_owners, service->destination_rule_namespace,
				  service->destination_rule, i);
	}
	owners_sort(&work->entry_owners);
	owners_sort(&work->rule_owners);
	return 0;
}

struct owner_list owners_of(const struct owner_list *owners, const struct meta *meta)
{
	size_t low = 0, high = owners->count, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owner_order(&owners->list[middle], meta->namespace, meta->name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < owners->count; end++)
		if (owner_order(&owners->list[end], meta->namespace, meta->name))
			break;
	return (struct owner_list){ owners->list + low, end - low };
}
