// SPDX-License-Identifier: Apache-2.0
/* Services, versions and endpoints. */
#include "get.h"

#include "../base/cleanup.h"

#include <string.h>

/* --- services --- */

static json_t *vips_tree(const struct service *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->vip_count; i++)
		json_array_append_new(list, json_addr(&service->vips[i]));
	return list;
}

static json_t *ports_tree(const struct service *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];

		json_array_append_new(
			list, json_sprintf("%u/%s", port->number, protocol_name(port->protocol)));
	}
	return list;
}

static json_t *subsets_tree(const struct service *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->subset_count; i++)
		json_array_append_new(list, json_text(service->subsets[i].name));
	return list;
}

int services_collect(const struct view *view, json_t *list)
{
	static const char *const kinds[] = {
		[SERVICE_UNDEFINED] = "undefined",
		[SERVICE_KUBE] = "Service",
		[SERVICE_ENTRY] = "ServiceEntry",
	};
	const struct model *model = view->node->model;

	for (size_t i = 0; i < model->service_count; i++) {
		const struct service *service = &model->services[i];

		if (view->host && strcmp(view->host, service->host))
			continue;
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:s, s:s}", "service",
				  cli_title(view->scratch, service), "host", service->host, "kind",
				  kinds[service->origin], "vips", vips_tree(service), "ports",
				  ports_tree(service), "versions", subsets_tree(service), "rules",
				  (json_int_t)service->rule_count, "affinity",
				  service->affinity == AFFINITY_CLIENT_IP ? "client" : "connection",
				  "empty_version",
				  service->empty == EMPTY_SPILL ? "spill" : "refuse"));
	}
	return CLI_DONE;
}

/* --- versions --- */

/* Live connections by version index; NULL without a data plane. */
static uint32_t *connections_count(const struct view *view)
{
	const struct kernel *kernel = view->node->kernel;
	uint32_t limit = kernel ? kernel_version_limit(kernel) : 0;
	uint32_t *counts = limit ? talloc_zero_array(view->scratch, uint32_t, limit) : NULL;

	if (counts && kernel_flows_by_version(kernel, counts, limit) < 0)
		return NULL;
	return counts;
}

static json_t *connections_tree(const struct view *view, const uint32_t *counts, const char *key)
{
	uint32_t index;

	if (!counts || kernel_version_find(view->node->kernel, key, &index))
		return json_null();
	return json_integer(counts[index]);
}

int versions_collect(const struct view *view, json_t *list)
{
	uint32_t *counts = connections_count(view);

	for (size_t i = 0; i < view->plan->version_count; i++) {
		const struct plan_version *version = &view->plan->versions[i];
		struct version_key key = version_key_split(view->scratch, version->key);
		json_int_t ready = 0;

		if (view->host && key.host && strcmp(view->host, key.host))
			continue;
		for (size_t e = 0; e < version->endpoint_count; e++)
			ready += version->endpoints[e].weight > 0;
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s?, s:I, s:I, s:o, s:s}", "service",
						version->service, "version", version->name, "port",
						key.port, "ready", ready, "known",
						(json_int_t)version->endpoint_count, "connections",
						connections_tree(view, counts, version->key), "key",
						version->key));
	}
	return CLI_DONE;
}

/* --- endpoints --- */

static json_t *serves_tree(const struct service *service, const struct label_list *labels)
{
	json_t *list = json_array();

	for (size_t i = 0; service && i < service->subset_count; i++) {
		if (labels_contain(labels, &service->subsets[i].labels))
			json_array_append_new(list, json_text(service->subsets[i].name));
	}
	return list;
}

static json_t *endpoint_ports_tree(const struct endpoint *endpoint)
{
	json_t *list = json_array();

	for (size_t i = 0; i < endpoint->port_count; i++)
		json_array_append_new(list,
				      json_sprintf("%u/%s", endpoint->ports[i].number,
						   protocol_name(endpoint->ports[i].protocol)));
	return list;
}

/* 0: not drained; 1: every port; else the drained port's number. */
static int drained_port(const struct inventory *inventory, const char *host,
			const struct endpoint *endpoint)
{
	int port = 0;

	for (size_t i = 0; i < inventory->drain_count; i++) {
		const struct drain *drain = &inventory->drains[i];

		if (strcmp(drain->host, host) || addr_compare(&drain->addr, &endpoint->addr))
			continue;
		if (!drain->port)
			return 1;
		port = drain->port;
	}
	return port;
}

static json_t *state_tree(const struct inventory *inventory, const char *host,
			  const struct endpoint *endpoint)
{
	static const char *const states[] = {
		[ENDPOINT_READY] = "ready",
		[ENDPOINT_TERMINATING] = "terminating",
		[ENDPOINT_NOT_READY] = "not ready",
	};
	int port = drained_port(inventory, host, endpoint);

	if (port == 1 || (port && endpoint->port_count == 1 && endpoint->ports[0].number == port))
		return json_string("drained");
	if (port)
		return json_sprintf("%s, drained on %d", states[endpoint->state], port);
	return json_string(states[endpoint->state]);
}

static void endpoint_append(const struct view *view, const struct endpoint_group *group,
			    const struct endpoint *endpoint, json_t *list)
{
	const struct inventory *inventory = view->node->inventory;
	const struct label_list *labels = endpoint_labels(inventory, endpoint);
	const struct service *service = model_service_find(view->node->model, group->host);

	json_array_append_new(
		list,
		json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:s}", "service",
			  cli_host_title(view->scratch, view->node->model, group->host), "host",
			  group->host, "address", json_addr(&endpoint->addr), "ports",
			  endpoint_ports_tree(endpoint), "state",
			  state_tree(inventory, group->host, endpoint), "versions",
			  serves_tree(service, labels), "weight", (json_int_t)endpoint->weight,
			  "labels", json_labels(labels), "workload",
			  *endpoint->workload ? json_text(endpoint->workload) : json_null(),
			  "source", group->key));
}

int endpoints_collect(const struct view *view, json_t *list)
{
	const struct inventory *inventory = view->node->inventory;

	for (size_t i = 0; i < inventory->group_count; i++) {
		const struct endpoint_group *group = &inventory->groups[i];

		if (view->host && strcmp(view->host, group->host))
			continue;
		for (size_t e = 0; e < group->endpoint_count; e++)
			endpoint_append(view, group, &group->endpoints[e], list);
	}
	return CLI_DONE;
}
