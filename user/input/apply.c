// SPDX-License-Identifier: Apache-2.0
/* Texts to objects, objects to a changed copy of the base; all or nothing. */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "service_entry.h"
#include "work.h"

static int texts_parse(struct work *work, const struct input_text *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct node *document = NULL;
		int r = texts[i].size ? yaml_parse(work->reader.memory, &texts[i],
						   work->reader.diags, &document)
				      : 0;

		/* What stands in the other texts is still worth hearing. */
		if (r < 0 && r != -EINVAL)
			return r;
		for (; r == 0 && document; document = document->next)
			objects_collect(&work->reader, document, &work->objects);
	}
	return work->reader.is_failed ? -ENOMEM : 0;
}

static int compare_identities(const void *a, const void *b)
{
	const struct object *first = *(const struct object *const *)a;
	const struct object *second = *(const struct object *const *)b;
	int order = (int)first->kind - (int)second->kind;

	if (!order)
		order = strcmp(first->meta.namespace, second->meta.namespace);
	if (!order)
		order = strcmp(first->meta.name, second->meta.name);
	return order ? order : (first > second) - (first < second);
}

/*
 * A VirtualService may be written in parts for different hosts: so export does when their rules
 * have come apart.
 */
static bool may_repeat(const struct object *object)
{
	return object->kind == OBJECT_VIRTUAL_SERVICE || object->kind == OBJECT_GROUP ||
	       object->kind == OBJECT_DRAIN;
}

static int objects_check(struct work *work)
{
	size_t count = work->objects.count;
	void *memory = work->reader.memory;
	const struct object **order = talloc_array(memory, const struct object *, count + 1);

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		order[i] = &work->objects.list[i];
	qsort(order, count, sizeof(*order), compare_identities);
	work->by_identity = order;
	for (size_t i = 1; i < count; i++) {
		const struct object *first = order[i - 1], *second = order[i];

		if (first->kind != second->kind || may_repeat(second) ||
		    strcmp(first->meta.namespace, second->meta.namespace) ||
		    strcmp(first->meta.name, second->meta.name))
			continue;
		node_report(work->reader.diags, DIAG_ERROR, second->node,
			    "found %s a second time, the first is at %s; an object may stand once "
			    "in an input",
			    object_title(memory, second), node_place(memory, first->node));
	}
	return 0;
}

bool claim_take(struct work *work, const struct object **claim, const struct object *object,
		const struct node *node, const char *host)
{
	void *memory = work->reader.memory;

	if (!*claim) {
		*claim = object;
		return true;
	}
	node_report(work->reader.diags, DIAG_ERROR, node,
		    "%s is a second one for the host %s, the first is %s at %s; one is allowed",
		    object_title(memory, object), host, object_title(memory, *claim),
		    node_place(memory, (*claim)->node));
	return false;
}

static void (*const appliers[OBJECT_KINDS])(struct work *work, const struct object *object) = {
	[OBJECT_SERVICE] = kube_service_apply,
	[OBJECT_SERVICE_ENTRY] = service_entry_apply,
	[OBJECT_DESTINATION_RULE] = destination_rule_apply,
	[OBJECT_VIRTUAL_SERVICE] = virtual_service_apply,
	[OBJECT_ENDPOINT_SLICE] = endpoint_slice_apply,
	[OBJECT_ENDPOINTS] = endpoints_apply,
	[OBJECT_POD] = pod_apply,
	[OBJECT_GROUP] = own_group_apply,
	[OBJECT_DRAIN] = own_drain_apply,
};

static void service_settle(struct service *service)
{
	bool is_by_client = service->entry_affinity == AFFINITY_CLIENT_IP ||
			    service->rule_affinity == AFFINITY_CLIENT_IP;
	bool is_spill = service->entry_empty == EMPTY_SPILL || service->rule_empty == EMPTY_SPILL;

	service->affinity = is_by_client ? AFFINITY_CLIENT_IP : AFFINITY_NONE;
	service->empty = is_spill ? EMPTY_SPILL : EMPTY_REFUSE;
}

/* A host that nothing says anything about any more is forgotten. */
static void services_settle(struct work *work)
{
	struct model *model = work->model;
	size_t kept = 0;

	for (size_t i = 0; i < model->service_count; i++) {
		struct service *service = &model->services[i];

		if (service->origin == SERVICE_UNDEFINED && !service->rule_count &&
		    !*service->destination_rule && !service->subset_count)
			continue;
		if (work->claims[i].definition || work->claims[i].destination_rule)
			service_settle(service);
		model->services[kept++] = *service;
	}
	model->service_count = kept;
}

/*
 * A ServiceEntry's endpoints are its own; when a whole configuration no longer has it, they go with
 * it.
 */
static void entry_groups_drop(struct work *work)
{
	struct inventory *inventory = work->inventory;
	size_t kept = 0;

	for (size_t i = 0; i < inventory->group_count; i++) {
		const struct endpoint_group *group = &inventory->groups[i];
		const struct service *service = model_service_find(work->model, group->host);

		if (i < work->base_group_count && !strncmp(group->key, "ServiceEntry/", 13) &&
		    (!service || service->origin != SERVICE_ENTRY))
			continue;
		inventory->groups[kept++] = *group;
	}
	inventory->group_count = kept;
}

static int objects_apply(struct work *work, enum input_mode mode)
{
	int r = hosts_prepare(work);

	if (r == 0)
		r = owners_prepare(work);
	if (r < 0)
		return r;
	for (size_t i = 0; i < work->objects.count && !work->is_failed; i++)
		appliers[work->objects.list[i].kind](work, &work->objects.list[i]);
	if (work->is_failed)
		return -ENOMEM;
	virtual_services_settle(work);
	services_settle(work);
	if (mode == INPUT_REPLACE)
		entry_groups_drop(work);
	inventory_settle(work);
	return work->is_failed ? -ENOMEM : 0;
}

static int work_start(struct work *work, enum input_mode mode, const struct model *base_model,
		      const struct inventory *base_inventory)
{
	void *memory = work->reader.memory;
	bool is_kept = base_model && mode == INPUT_MERGE;

	work->model = is_kept ? model_copy(memory, base_model) : talloc_zero(memory, struct model);
	work->inventory = base_inventory ? inventory_copy(memory, base_inventory)
					 : talloc_zero(memory, struct inventory);
	if (!work->model || !work->inventory)
		return -ENOMEM;
	work->base_group_count = work->inventory->group_count;
	work->group_capacity = work->inventory->group_count;
	work->workload_capacity = work->inventory->workload_count;
	work->drain_capacity = work->inventory->drain_count;
	return 0;
}

static int work_run(struct work *work, const struct input_text *texts, size_t text_count,
		    enum input_mode mode)
{
	int r = texts_parse(work, texts, text_count);

	if (r < 0)
		return r;
	r = objects_check(work);
	return r < 0 ? r : objects_apply(work, mode);
}

int input_apply(void *parent, const struct input_text *texts, size_t text_count,
		enum input_mode mode, const struct model *base_model,
		const struct inventory *base_inventory, struct diags *diags,
		struct input_result *ret_result)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct work work = { .reader = { .memory = memory, .diags = diags } };
	size_t errors = diags->errors;
	int r = memory ? work_start(&work, mode, base_model, base_inventory) : -ENOMEM;

	if (r == 0)
		r = work_run(&work, texts, text_count, mode);
	if (r == -ENOMEM)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL, "out of memory");
	if (diags->errors != errors)
		return r == -ENOMEM ? r : -EINVAL;

	*ret_result = (struct input_result){
		.model = talloc_steal(parent, work.model),
		.inventory = talloc_steal(parent, work.inventory),
		.taken = work.objects.count,
		.passed = work.objects.passed,
		.unknown = work.reader.unknown_count,
	};
	return 0;
}
