// SPDX-License-Identifier: Apache-2.0
/* Deep copies. The copier carries the failure, so the code reads as the list of what is copied. */
#include "model.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

struct copier {
	void *context; /* everything hangs from it: a failed copy is released whole */
	bool failed;
};

static const char *copy_text(struct copier *copier, const char *text)
{
	/* Most optional names are empty: they need no memory. */
	if (!text || !*text)
		return "";

	char *copy = talloc_strdup(copier->context, text);

	if (!copy)
		copier->failed = true;
	return copy;
}

static void *copy_bytes(struct copier *copier, const void *list, size_t count, size_t size)
{
	if (!count)
		return NULL;

	void *copy = talloc_array_size(copier->context, size, (unsigned)count);

	if (copy)
		memcpy(copy, list, count * size);
	else
		copier->failed = true;
	return copy;
}

/* Copies a list and its count, then each element's inside by `inside`. */
#define COPY_LIST(copier, list, count, inside)                                                     \
	do {                                                                                       \
		(list) = copy_bytes(copier, list, count, sizeof(*(list)));                         \
		for (size_t i_ = 0; !(copier)->failed && i_ < (count); i_++)                       \
			inside(copier, &(list)[i_]);                                               \
	} while (0)

static void copy_label(struct copier *copier, struct label *label)
{
	label->key = copy_text(copier, label->key);
	label->value = copy_text(copier, label->value);
}

static void copy_labels(struct copier *copier, struct label_list *labels)
{
	COPY_LIST(copier, labels->list, labels->count, copy_label);
}

static void copy_port(struct copier *copier, struct service_port *port)
{
	port->name = copy_text(copier, port->name);
	port->target_name = copy_text(copier, port->target_name);
}

static void copy_subset(struct copier *copier, struct subset *subset)
{
	subset->name = copy_text(copier, subset->name);
	copy_labels(copier, &subset->labels);
}

static void copy_match(struct copier *copier, struct match *match)
{
	match->destinations = copy_bytes(copier, match->destinations, match->destination_count,
					 sizeof(*match->destinations));
}

static void copy_destination(struct copier *copier, struct destination *destination)
{
	destination->host = copy_text(copier, destination->host);
	destination->subset = copy_text(copier, destination->subset);
}

static void copy_rule(struct copier *copier, struct rule *rule)
{
	rule->name = copy_text(copier, rule->name);
	COPY_LIST(copier, rule->matches, rule->match_count, copy_match);
	COPY_LIST(copier, rule->destinations, rule->destination_count, copy_destination);
}

static void copy_service(struct copier *copier, struct service *service)
{
	service->host = copy_text(copier, service->host);
	service->name = copy_text(copier, service->name);
	service->namespace = copy_text(copier, service->namespace);
	service->vips =
		copy_bytes(copier, service->vips, service->vip_count, sizeof(*service->vips));
	COPY_LIST(copier, service->ports, service->port_count, copy_port);
	copy_labels(copier, &service->selector);
	COPY_LIST(copier, service->subsets, service->subset_count, copy_subset);
	service->destination_rule = copy_text(copier, service->destination_rule);
	service->destination_rule_namespace =
		copy_text(copier, service->destination_rule_namespace);
	COPY_LIST(copier, service->rules, service->rule_count, copy_rule);
	service->virtual_service = copy_text(copier, service->virtual_service);
	service->virtual_service_namespace = copy_text(copier, service->virtual_service_namespace);
}

static void copy_endpoint_port(struct copier *copier, struct endpoint_port *port)
{
	port->name = copy_text(copier, port->name);
}

static void copy_endpoint(struct copier *copier, struct endpoint *endpoint)
{
	endpoint->workload = copy_text(copier, endpoint->workload);
	copy_labels(copier, &endpoint->labels);
	COPY_LIST(copier, endpoint->ports, endpoint->port_count, copy_endpoint_port);
}

static void copy_group(struct copier *copier, struct endpoint_group *group)
{
	group->key = copy_text(copier, group->key);
	group->host = copy_text(copier, group->host);
	COPY_LIST(copier, group->endpoints, group->endpoint_count, copy_endpoint);
}

static void copy_workload(struct copier *copier, struct workload *workload)
{
	workload->name = copy_text(copier, workload->name);
	copy_labels(copier, &workload->labels);
}

static void copy_drain(struct copier *copier, struct drain *drain)
{
	drain->host = copy_text(copier, drain->host);
}

int service_copy(void *parent, const struct service *from, struct service *ret_service)
{
	_cleanup_talloc_ void *context = talloc_new(parent);
	struct copier copier = { .context = context, .failed = !context };
	struct service copy = *from;

	if (context)
		copy_service(&copier, &copy);
	if (copier.failed)
		return -ENOMEM;
	*ret_service = copy;
	TAKE_PTR(context);
	return 0;
}

struct model *model_copy(void *parent, const struct model *model)
{
	_cleanup_talloc_ struct model *copy = talloc_memdup(parent, model, sizeof(*model));
	struct copier copier = { .context = copy, .failed = !copy };

	if (!copy)
		return NULL;
	talloc_set_name_const(copy, "struct model");
	COPY_LIST(&copier, copy->services, copy->service_count, copy_service);
	return copier.failed ? NULL : TAKE_PTR(copy);
}

struct inventory *inventory_copy(void *parent, const struct inventory *inventory)
{
	_cleanup_talloc_ struct inventory *copy =
		talloc_memdup(parent, inventory, sizeof(*inventory));
	struct copier copier = { .context = copy, .failed = !copy };

	if (!copy)
		return NULL;
	talloc_set_name_const(copy, "struct inventory");
	COPY_LIST(&copier, copy->groups, copy->group_count, copy_group);
	COPY_LIST(&copier, copy->workloads, copy->workload_count, copy_workload);
	COPY_LIST(&copier, copy->drains, copy->drain_count, copy_drain);
	return copier.failed ? NULL : TAKE_PTR(copy);
}
