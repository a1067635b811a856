// SPDX-License-Identifier: Apache-2.0
#include "membership.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

static char *own_key(void *parent, const char *host)
{
	return talloc_asprintf(parent, "cli/%s", host);
}

static struct endpoint_group *own_group(const struct inventory *inventory, const char *host)
{
	_cleanup_talloc_ char *key = own_key(NULL, host);

	for (size_t i = 0; key && i < inventory->group_count; i++) {
		if (!strcmp(inventory->groups[i].key, key))
			return &inventory->groups[i];
	}
	return NULL;
}

/* The host's own group, made in its sorted place when it is not there. */
static struct endpoint_group *own_group_make(struct inventory *inventory, const char *host)
{
	struct endpoint_group *group = own_group(inventory, host), *groups;
	char *key = own_key(inventory, host);
	size_t at = 0;

	if (group || !key)
		return group;
	groups = talloc_array(inventory, struct endpoint_group,
			      (unsigned)inventory->group_count + 1);
	if (!groups)
		return NULL;
	while (at < inventory->group_count && strcmp(inventory->groups[at].key, key) < 0)
		at++;
	for (size_t i = 0; i < inventory->group_count; i++)
		groups[i + (i >= at)] = inventory->groups[i];
	groups[at] = (struct endpoint_group){ .key = key, .host = talloc_strdup(inventory, host) };
	inventory->groups = groups;
	inventory->group_count++;
	return groups[at].host ? &groups[at] : NULL;
}

static bool has_same_ports(const struct endpoint *a, const struct endpoint *b)
{
	if (a->port_count != b->port_count)
		return false;
	for (size_t i = 0; i < a->port_count; i++) {
		if (a->ports[i].number != b->ports[i].number ||
		    a->ports[i].protocol != b->ports[i].protocol)
			return false;
	}
	return true;
}

int membership_add(struct inventory *inventory, const char *host, const struct endpoint *endpoint)
{
	struct endpoint_group *group = own_group_make(inventory, host);
	struct endpoint *list;

	if (!group)
		return -ENOMEM;
	for (size_t i = 0; i < group->endpoint_count; i++) {
		struct endpoint *old = &group->endpoints[i];

		if (!addr_compare(&old->addr, &endpoint->addr) && has_same_ports(old, endpoint)) {
			*old = *endpoint;
			return 0;
		}
	}
	list = talloc_array(inventory, struct endpoint, (unsigned)group->endpoint_count + 1);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < group->endpoint_count; i++)
		list[i] = group->endpoints[i];
	list[group->endpoint_count++] = *endpoint;
	group->endpoints = list;
	return 0;
}

uint16_t port_target(const struct service_port *port)
{
	return port->target_number ? port->target_number : port->number;
}

/* An endpoint without ports serves all of the service's, and no others. */
static bool has_port(const struct endpoint *endpoint, const struct service *service, uint16_t port)
{
	for (size_t i = 0; i < endpoint->port_count; i++) {
		if (endpoint->ports[i].number == port)
			return true;
	}
	for (size_t i = 0; !endpoint->port_count && i < service->port_count; i++) {
		if (port_target(&service->ports[i]) == port)
			return true;
	}
	return !port;
}

static bool is_named(const struct endpoint *endpoint, const struct service *service,
		     const struct addr *addr, uint16_t port)
{
	return !addr_compare(&endpoint->addr, addr) && has_port(endpoint, service, port);
}

static const struct endpoint_group *group_with(const struct inventory *inventory,
					       const struct service *service,
					       const struct addr *addr, uint16_t port)
{
	for (size_t i = 0; i < inventory->group_count; i++) {
		const struct endpoint_group *group = &inventory->groups[i];
		bool is_its = !strcmp(group->host, service->host);

		for (size_t e = 0; e < group->endpoint_count && is_its; e++) {
			if (is_named(&group->endpoints[e], service, addr, port))
				return group;
		}
	}
	return NULL;
}

static void ports_mark(const struct endpoint *endpoint, const struct service *service,
		       bool is_port[UINT16_MAX + 1])
{
	for (size_t i = 0; i < endpoint->port_count; i++)
		is_port[endpoint->ports[i].number] = true;
	for (size_t i = 0; !endpoint->port_count && i < service->port_count; i++)
		is_port[port_target(&service->ports[i])] = true;
}

char *membership_ports(void *parent, const struct inventory *inventory,
		       const struct service *service, const struct addr *addr)
{
	_cleanup_talloc_ bool *is_port = talloc_zero_array(NULL, bool, UINT16_MAX + 1);
	char *text = is_port ? talloc_strdup(parent, "") : NULL;

	for (size_t i = 0; text && i < inventory->group_count; i++) {
		const struct endpoint_group *group = &inventory->groups[i];
		bool is_its = !strcmp(group->host, service->host);

		for (size_t e = 0; e < group->endpoint_count && is_its; e++) {
			if (is_named(&group->endpoints[e], service, addr, 0))
				ports_mark(&group->endpoints[e], service, is_port);
		}
	}
	for (unsigned i = 1; text && i <= UINT16_MAX; i++) {
		if (is_port[i])
			text = talloc_asprintf_append(text, "%s%u", *text ? ", " : "", i);
	}
	return text;
}

static size_t own_remove(struct endpoint_group *group, const struct service *service,
			 const struct addr *addr, uint16_t port)
{
	size_t kept = 0, before = group->endpoint_count;

	for (size_t i = 0; i < before; i++) {
		if (!is_named(&group->endpoints[i], service, addr, port))
			group->endpoints[kept++] = group->endpoints[i];
	}
	group->endpoint_count = kept;
	return before - kept;
}

static void group_drop(struct inventory *inventory, struct endpoint_group *group)
{
	struct endpoint_group *end = inventory->groups + inventory->group_count--;

	memmove(group, group + 1, (size_t)(end - group - 1) * sizeof(*group));
}

static int drain_order(const struct drain *drain, const char *host, const struct addr *addr,
		       uint16_t port)
{
	int order = strcmp(drain->host, host);

	if (!order)
		order = addr_compare(&drain->addr, addr);
	return order ? order : (int)drain->port - (int)port;
}

static size_t drains_remove(struct inventory *inventory, const char *host, const struct addr *addr,
			    uint16_t port, bool is_every_port)
{
	size_t kept = 0, before = inventory->drain_count;

	for (size_t i = 0; i < before; i++) {
		const struct drain *drain = &inventory->drains[i];
		uint16_t wanted = is_every_port ? drain->port : port;

		if (drain_order(drain, host, addr, wanted))
			inventory->drains[kept++] = *drain;
	}
	inventory->drain_count = kept;
	return before - kept;
}

int membership_remove(struct inventory *inventory, const struct service *service,
		      const struct addr *addr, uint16_t port, const char **ret_source)
{
	struct endpoint_group *own = own_group(inventory, service->host);
	const struct endpoint_group *other;

	if (!own || !own_remove(own, service, addr, port)) {
		other = group_with(inventory, service, addr, port);
		*ret_source = other ? other->key : NULL;
		return -ENOENT;
	}
	if (!own->endpoint_count)
		group_drop(inventory, own);
	/* Left behind, a drain would bite whoever adds the address again. */
	if (!group_with(inventory, service, addr, 0))
		drains_remove(inventory, service->host, addr, 0, true);
	return 0;
}

int membership_drain(struct inventory *inventory, const struct service *service,
		     const struct addr *addr, uint16_t port)
{
	const char *host = service->host;
	struct drain *list;
	size_t at = 0;

	if (!group_with(inventory, service, addr, port))
		return -ENOENT;
	while (at < inventory->drain_count &&
	       drain_order(&inventory->drains[at], host, addr, port) < 0)
		at++;
	if (at < inventory->drain_count && !drain_order(&inventory->drains[at], host, addr, port))
		return -EALREADY;
	list = talloc_array(inventory, struct drain, (unsigned)inventory->drain_count + 1);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < inventory->drain_count; i++)
		list[i + (i >= at)] = inventory->drains[i];
	list[at] = (struct drain){ talloc_strdup(inventory, host), *addr, port };
	inventory->drains = list;
	inventory->drain_count++;
	return list[at].host ? 0 : -ENOMEM;
}

int membership_undrain(struct inventory *inventory, const char *host, const struct addr *addr,
		       uint16_t port)
{
	return drains_remove(inventory, host, addr, port, false) ? 0 : -EALREADY;
}
