// SPDX-License-Identifier: Apache-2.0
/* DestinationRule and VirtualService: versions, and how connections are split over them. */
#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "destination_rule.h"
#include "virtual.h"

#define WEIGHT_ALL 100 /* of a destination that is alone: as Istio writes "everything" */
#define report_of(work, level, node, ...)                                                          \
	node_report((work)->reader.diags, level, node, __VA_ARGS__)

static enum affinity policy_affinity(const struct dr_policy *policy)
{
	const struct dr_load_balancer *balancer = policy ? policy->load_balancer : NULL;
	const struct dr_consistent_hash *hash = balancer ? balancer->consistent_hash : NULL;

	return hash && hash->use_source_ip.value ? AFFINITY_CLIENT_IP : AFFINITY_NONE;
}

static void subset_add(struct work *work, const struct dr_subset *from, struct service *service)
{
	for (size_t i = 0; i < service->subset_count; i++)
		if (!strcmp(service->subsets[i].name, from->name)) {
			report_of(work, DIAG_ERROR, node_get(from->node, "name"),
				  "found the subset \"%s\" a second time; a name may stand once",
				  from->name);
			return;
		}
	service->subsets[service->subset_count++] = (struct subset){
		.name = keep_text(work, work->model, from->name),
		.labels = keep_labels(work, work->model, &from->labels),
		.affinity = policy_affinity(from->policy),
	};
}

static void destination_rule_clear(struct service *service)
{
	service->subset_count = 0;
	service->destination_rule = service->destination_rule_namespace = "";
	service->rule_affinity = AFFINITY_NONE;
	service->rule_empty = EMPTY_REFUSE;
}

static bool is_rule_of(const struct service *service, const struct object *object)
{
	return !strcmp(service->destination_rule, object->meta.name) &&
	       !strcmp(service->destination_rule_namespace, object->meta.namespace);
}

/* The same object with another host: it says nothing of the old one any more. */
static void destination_rule_leave_others(struct work *work, const struct object *object,
					  const struct service *kept)
{
	struct owner_list owners = owners_of(&work->rule_owners, &object->meta);

	for (size_t i = 0; i < owners.count; i++) {
		size_t place = owners.list[i].service;
		struct service *service = &work->model->services[place];

		if (service != kept && is_rule_of(service, object) &&
		    work->claims[place].destination_rule != object)
			destination_rule_clear(service);
	}
}

void destination_rule_apply(struct work *work, const struct object *object)
{
	const struct destination_rule *rule = ((const struct istio_object *)object->body)->spec;
	const char *host = host_resolve(work, rule->host, object->meta.namespace);
	const struct node *host_node = node_get(rule->node, "host");
	struct host_claims *claims;
	struct service *service = work_service(work, host, &claims);

	if (!service) {
		work->is_failed = true;
		return;
	}
	if (!claim_take(work, &claims->destination_rule, object, host_node, host))
		return;
	destination_rule_leave_others(work, object, service);
	if (*service->destination_rule && !is_rule_of(service, object))
		report_of(work, DIAG_WARNING, host_node,
			  "the subsets of %s were those of the DestinationRule %s/%s until now",
			  host, service->destination_rule_namespace, service->destination_rule);
	service->destination_rule = keep_text(work, work->model, object->meta.name);
	service->destination_rule_namespace = keep_text(work, work->model, object->meta.namespace);
	service->rule_affinity = policy_affinity(rule->policy);
	service->rule_empty = object->meta.empty;
	service->subset_count = 0;
	service->subsets = KEEP_ARRAY(work, work->model, struct subset, rule->subsets.count);
	for (size_t i = 0; service->subsets && i < rule->subsets.count; i++)
		subset_add(work, LIST_OF(struct dr_subset, rule->subsets, i), service);
}

static uint32_t weight_of(struct work *work, const struct vs_route_destination *from, bool is_alone)
{
	const struct node *node = node_get(from->node, "weight");

	if (is_alone && from->weight.is_set && !from->weight.value) {
		report_of(work, DIAG_WARNING, node,
			  "found 0; a destination that is alone gets everything, as in Istio");
		return WEIGHT_ALL;
	}
	if (from->weight.is_set)
		return (uint32_t)from->weight.value;
	if (is_alone)
		return WEIGHT_ALL;
	node_report_child(work->reader.diags, DIAG_WARNING, from->node, "weight",
			  "not found: among weighted destinations that is 0, and it gets nothing");
	return 0;
}

static void destination_fill(struct work *work, const struct object *object,
			     const struct vs_route_destination *from, struct destination *to)
{
	const struct vs_destination *at = from->destination;

	to->host =
		keep_text(work, work->model, host_resolve(work, at->host, object->meta.namespace));
	to->subset = keep_text(work, work->model, at->subset ? at->subset : "");
	to->port = at->port ? (uint16_t)at->port->number.value : 0;
}

static bool has_weight(const struct vs_route *route)
{
	for (size_t i = 0; i < route->route.count; i++)
		if (LIST_OF(struct vs_route_destination, route->route, i)->weight.value > 0)
			return true;
	return route->route.count == 1;
}

static void destinations_fill(struct work *work, const struct object *object,
			      const struct vs_route *from, struct rule *rule)
{
	size_t count = from->route.count;

	if (!count) {
		node_report_child(work->reader.diags, DIAG_ERROR, from->node, "route",
				  "found no destination; at least one is needed");
		return;
	}
	if (!has_weight(from)) {
		report_of(work, DIAG_ERROR, node_get(from->node, "route"),
			  "found %zu destinations and no weight above 0; allowed are weights from "
			  "0 to "
			  "%u, at least one of them above 0",
			  count, WEIGHT_MAX);
		return;
	}
	rule->destinations = KEEP_ARRAY(work, work->model, struct destination, count);
	for (size_t i = 0; rule->destinations && i < count; i++) {
		const struct vs_route_destination *at =
			LIST_OF(struct vs_route_destination, from->route, i);
		struct destination *to = &rule->destinations[rule->destination_count++];

		destination_fill(work, object, at, to);
		to->weight = weight_of(work, at, count == 1);
	}
}

static void match_fill(struct work *work, const struct vs_match *from, struct match *match)
{
	const struct list *subnets = &from->destination_subnets;

	match->port = (uint16_t)from->port.value;
	if (from->source_subnet)
		prefix_parse(from->source_subnet, &match->source);
	match->destinations = KEEP_ARRAY(work, work->model, struct prefix, subnets->count);
	for (size_t i = 0; match->destinations && i < subnets->count; i++)
		prefix_parse(LIST_OF(const char, *subnets, i),
			     &match->destinations[match->destination_count++]);
}

static void rule_fill(struct work *work, const struct object *object, const struct vs_route *from,
		      enum rule_kind kind, struct rule *rule)
{
	rule->kind = kind;
	rule->name = keep_text(work, work->model, from->name ? from->name : "");
	rule->matches = KEEP_ARRAY(work, work->model, struct match, from->matches.count);
	for (size_t i = 0; rule->matches && i < from->matches.count; i++)
		match_fill(work, LIST_OF(struct vs_match, from->matches, i),
			   &rule->matches[rule->match_count++]);
	destinations_fill(work, object, from, rule);
}

static void rules_fill(struct work *work, const struct object *object, struct service *rules)
{
	const struct virtual_service *from = ((const struct istio_object *)object->body)->spec;
	size_t count = from->http.count + from->tcp.count;

	rules->virtual_service = keep_text(work, work->model, object->meta.name);
	rules->virtual_service_namespace = keep_text(work, work->model, object->meta.namespace);
	rules->rules = KEEP_ARRAY(work, work->model, struct rule, count);
	for (size_t i = 0; rules->rules && i < from->http.count; i++)
		rule_fill(work, object, LIST_OF(struct vs_route, from->http, i), RULE_HTTP,
			  &rules->rules[rules->rule_count++]);
	for (size_t i = 0; rules->rules && i < from->tcp.count; i++)
		rule_fill(work, object, LIST_OF(struct vs_route, from->tcp, i), RULE_TCP,
			  &rules->rules[rules->rule_count++]);
}

/* Each host gets a copy of its own, so that one of them can be changed alone. */
static void virtual_host_apply(struct work *work, const struct object *object,
			       const struct service *rules, const char *text,
			       const struct node *node)
{
	const char *host = host_resolve(work, text, object->meta.namespace);
	struct host_claims *claims;
	struct service *service = work_service(work, host, &claims), copy;

	if (!service || service_copy(work->model, rules, &copy) < 0) {
		work->is_failed = true;
		return;
	}
	if (!claim_take(work, &claims->virtual_service, object, node, host))
		return;
	bool is_same = !strcmp(service->virtual_service, object->meta.name) &&
		       !strcmp(service->virtual_service_namespace, object->meta.namespace);
	if (service->rule_count && *service->virtual_service && !is_same)
		report_of(work, DIAG_WARNING, node,
			  "the rules of %s were those of the VirtualService %s/%s until now", host,
			  service->virtual_service_namespace, service->virtual_service);
	service->virtual_service = copy.virtual_service;
	service->virtual_service_namespace = copy.virtual_service_namespace;
	service->rules = copy.rules;
	service->rule_count = copy.rule_count;
}

static void gateways_report(struct work *work, const struct virtual_service *from)
{
	for (size_t i = 0; i < from->gateways.count; i++)
		if (!strcmp(LIST_OF(const char, from->gateways, i), "mesh"))
			return;
	if (from->gateways.count)
		node_report_key(
			work->reader.diags, DIAG_WARNING, node_get(from->node, "gateways"),
			"found gateways without \"mesh\"; the rules hold for every connection "
			"to the hosts, not for those gateways alone");
}

void virtual_service_apply(struct work *work, const struct object *object)
{
	const struct virtual_service *from = ((const struct istio_object *)object->body)->spec;
	const struct node *hosts = node_get(from->node, "hosts");
	struct service rules = {};
	size_t i = 0;

	if (!from->hosts.count)
		report_of(work, DIAG_ERROR, hosts, "found no host; at least one is needed");
	if (!from->http.count && !from->tcp.count)
		report_of(work, DIAG_ERROR, from->node,
			  "found no routes; at least one of http or tcp is needed");
	gateways_report(work, from);
	rules_fill(work, object, &rules);
	for (const struct node *host = hosts->first; host && i < from->hosts.count;
	     host = host->next)
		virtual_host_apply(work, object, &rules, LIST_OF(const char, from->hosts, i++),
				   host);
}

static int virtual_service_compare(const void *key, const void *element)
{
	const struct service *service = key;
	const struct object *object = *(const struct object *const *)element;
	int order = (int)OBJECT_VIRTUAL_SERVICE - (int)object->kind;

	if (!order)
		order = strcmp(service->virtual_service_namespace, object->meta.namespace);
	return order ? order : strcmp(service->virtual_service, object->meta.name);
}

static bool has_virtual_service(const struct work *work, const struct service *service)
{
	return bsearch(service, work->by_identity, work->objects.count, sizeof(*work->by_identity),
		       virtual_service_compare) != NULL;
}

void virtual_services_settle(struct work *work)
{
	for (size_t i = 0; i < work->model->service_count; i++) {
		struct service *service = &work->model->services[i];

		if (work->claims[i].virtual_service || !*service->virtual_service ||
		    !has_virtual_service(work, service))
			continue;
		service->rule_count = 0;
		service->virtual_service = service->virtual_service_namespace = "";
	}
}
