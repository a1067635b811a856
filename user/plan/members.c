// SPDX-License-Identifier: Apache-2.0
/* Which endpoints serve a version, behind which port, and which of them take new connections. */
#include "build.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

/* An endpoint on its way into a version. */
struct candidate {
	struct plan_endpoint endpoint;
	enum endpoint_state state;
};

static int group_compare(const void *left, const void *right)
{
	const struct endpoint_group *const *a = left, *const *b = right;
	int order = strcmp((*a)->host, (*b)->host);

	return order ? order : strcmp((*a)->key, (*b)->key);
}

static int drain_order(const struct drain *drain, const char *host, const struct addr *addr,
		       uint16_t port)
{
	int order = strcmp(drain->host, host);

	if (!order)
		order = addr_compare(&drain->addr, addr);
	return order ? order : (int)drain->port - (int)port;
}

static int drain_compare(const void *left, const void *right)
{
	const struct drain *const *a = left, *const *b = right;

	return drain_order(*a, (*b)->host, &(*b)->addr, (*b)->port);
}

int members_prepare(struct builder *builder)
{
	const struct inventory *inventory = builder->inventory;
	size_t groups = inventory->group_count, drains = inventory->drain_count;

	builder->groups = talloc_array(builder->scratch, const struct endpoint_group *, groups);
	builder->drains = talloc_array(builder->scratch, const struct drain *, drains);
	if (!builder->groups || !builder->drains)
		return -ENOMEM;
	for (size_t i = 0; i < groups; i++)
		builder->groups[i] = &inventory->groups[i];
	for (size_t i = 0; i < drains; i++)
		builder->drains[i] = &inventory->drains[i];
	qsort(builder->groups, groups, sizeof(*builder->groups), group_compare);
	qsort(builder->drains, drains, sizeof(*builder->drains), drain_compare);
	return 0;
}

/* The first group whose host is not before this one. */
static size_t group_first(const struct builder *builder, const char *host)
{
	size_t low = 0, high = builder->inventory->group_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(builder->groups[middle]->host, host) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool drain_has(const struct builder *builder, const char *host, const struct addr *addr,
		      uint16_t port)
{
	size_t low = 0, high = builder->inventory->drain_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = drain_order(builder->drains[middle], host, addr, port);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static bool is_drained(const struct builder *builder, const char *host,
		       const struct plan_endpoint *endpoint)
{
	return drain_has(builder, host, &endpoint->addr, 0) ||
	       drain_has(builder, host, &endpoint->addr, endpoint->port);
}

const struct service_port *service_port_find(const struct service *service, uint16_t number,
					     enum protocol protocol)
{
	for (size_t i = 0; service && i < service->port_count; i++) {
		if (service->ports[i].number == number && service->ports[i].protocol == protocol)
			return &service->ports[i];
	}
	return NULL;
}

static uint16_t target_number(const struct service_port *port, uint16_t number)
{
	if (!port)
		return number;
	return port->target_number ? port->target_number : port->number;
}

/*
 * Does this port of an endpoint serve that port of the service? Names pair them, as in an
 * EndpointSlice.
 */
static bool is_same_port(const struct version_draft *draft, const struct service_port *port,
			 const struct endpoint *endpoint, const struct endpoint_port *candidate)
{
	bool is_entry = draft->service && draft->service->origin == SERVICE_ENTRY;

	/* A ServiceEntry's endpoint names ports without a protocol. */
	if (candidate->protocol != draft->ref.protocol && !is_entry)
		return false;
	if (!port)
		return candidate->number == draft->ref.port || endpoint->port_count == 1;
	if (!strcmp(candidate->name, port->name))
		return true;
	/* One unnamed port (an endpoint given by hand) can only mean the service's one port. */
	return !*candidate->name && endpoint->port_count == 1 && draft->service->port_count == 1;
}

/* The port behind which the endpoint serves the version; 0 when it does not. */
static uint16_t endpoint_port_number(const struct version_draft *draft,
				     const struct endpoint *endpoint)
{
	const struct service_port *port =
		service_port_find(draft->service, draft->ref.port, draft->ref.protocol);

	for (size_t i = 0; i < endpoint->port_count; i++) {
		if (is_same_port(draft, port, endpoint, &endpoint->ports[i]))
			return endpoint->ports[i].number;
	}
	/*
	 * A ServiceEntry's endpoint lists only the ports that differ; an EndpointSlice lists all.
	 */
	if (!endpoint->port_count || (draft->service && draft->service->origin == SERVICE_ENTRY))
		return target_number(port, draft->ref.port);
	return 0;
}

static int candidate_add(const struct builder *builder, const struct version_draft *draft,
			 const struct endpoint *endpoint, struct candidate **list, size_t *count)
{
	uint16_t port;

	if (draft->undefined || endpoint->addr.family != draft->ref.family)
		return 0;
	if (draft->subset &&
	    !labels_contain(endpoint_labels(builder->inventory, endpoint), &draft->subset->labels))
		return 0;
	port = endpoint_port_number(draft, endpoint);
	if (!port)
		return 0;
	if (list_grow(builder->scratch, list, *count, sizeof(**list)))
		return -ENOMEM;

	struct candidate *candidate = &(*list)[(*count)++];

	*candidate = (struct candidate){
		.endpoint = { .addr = endpoint->addr, .port = port, .weight = endpoint->weight },
		.state = endpoint->state,
	};
	if (is_drained(builder, draft->ref.host, &candidate->endpoint))
		candidate->endpoint.weight = 0;
	return 0;
}

static int endpoint_compare(const struct plan_endpoint *a, const struct plan_endpoint *b)
{
	int order = addr_compare(&a->addr, &b->addr);

	return order ? order : (int)a->port - (int)b->port;
}

/* Of one address and port, the readier first, then the heavier: the one that is kept. */
static int candidate_compare(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = endpoint_compare(&a->endpoint, &b->endpoint);

	if (order)
		return order;
	if (a->state != b->state)
		return a->state < b->state ? -1 : 1;
	return (a->endpoint.weight < b->endpoint.weight) -
	       (a->endpoint.weight > b->endpoint.weight);
}

static size_t candidates_merge(struct candidate *list, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(list, count, sizeof(*list), candidate_compare);
	for (size_t i = 0; i < count; i++) {
		if (!kept || endpoint_compare(&list[kept - 1].endpoint, &list[i].endpoint))
			list[kept++] = list[i];
	}
	return kept;
}

/*
 * The state that takes new connections: a version that only has pods on their way out uses those.
 */
static enum endpoint_state state_in_use(const struct candidate *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].state == ENDPOINT_READY && list[i].endpoint.weight)
			return ENDPOINT_READY;
	}
	return ENDPOINT_TERMINATING;
}

static int candidates_settle(const struct builder *builder, struct plan_version *version,
			     const struct candidate *list, size_t count)
{
	enum endpoint_state in_use = state_in_use(list, count);

	version->endpoints = talloc_array(builder->plan, struct plan_endpoint, (unsigned)count);
	if (!version->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		version->endpoints[i] = list[i].endpoint;
		if (list[i].state != in_use)
			version->endpoints[i].weight = 0;
	}
	version->endpoint_count = count;
	return 0;
}

int members_find(const struct builder *builder, struct version_draft *draft)
{
	_cleanup_talloc_ struct candidate *list = NULL;
	size_t count = 0;
	const char *host = draft->ref.host;

	for (size_t i = group_first(builder, host); i < builder->inventory->group_count; i++) {
		const struct endpoint_group *group = builder->groups[i];

		if (strcmp(group->host, host))
			break;
		for (size_t e = 0; e < group->endpoint_count; e++) {
			if (candidate_add(builder, draft, &group->endpoints[e], &list, &count))
				return -ENOMEM;
		}
	}
	return candidates_settle(builder, &draft->version, list, candidates_merge(list, count));
}
