// SPDX-License-Identifier: Apache-2.0
/*
 * The inventory as documents. A group is an EndpointGroup whatever its source was: an EndpointSlice
 * cannot say weights and labels, and a group that changed its kind with its contents would be hard
 * to compare.
 */
#include "input.h"

#include <string.h>

#include "emit.h"
#include "own.h"

#define SLUICE_V1 "sluice.dev/v1"

static void port_write(struct emit *emit, const struct endpoint_port *port)
{
	emit_map(emit);
	if (*port->name)
		emit_field(emit, "name", port->name);
	emit_number_field(emit, "number", port->number);
	emit_field(emit, "protocol", own_protocols[port->protocol == PROTOCOL_UDP]);
	emit_map_end(emit);
}

static void endpoint_write(struct emit *emit, const struct endpoint *endpoint)
{
	char text[ADDR_TEXT_MAX];

	emit_map(emit);
	emit_field(emit, "address", addr_format(&endpoint->addr, text));
	emit_labels(emit, "labels", &endpoint->labels);
	if (endpoint->port_count) {
		emit_key(emit, "ports");
		emit_list(emit);
		for (size_t i = 0; i < endpoint->port_count; i++)
			port_write(emit, &endpoint->ports[i]);
		emit_list_end(emit);
	}
	emit_field(emit, "state", own_states[endpoint->state]);
	emit_number_field(emit, "weight", endpoint->weight);
	if (*endpoint->workload)
		emit_field(emit, "workload", endpoint->workload);
	emit_map_end(emit);
}

static void group_write(struct emit *emit, const struct endpoint_group *group)
{
	emit_document(emit, SLUICE_V1, "EndpointGroup");
	emit_key(emit, "spec");
	emit_map(emit);
	emit_key(emit, "endpoints");
	if (group->endpoint_count) {
		emit_list(emit);
		for (size_t i = 0; i < group->endpoint_count; i++)
			endpoint_write(emit, &group->endpoints[i]);
		emit_list_end(emit);
	} else {
		emit_empty_list(emit);
	}
	emit_field(emit, "host", group->host);
	emit_field(emit, "key", group->key);
	emit_map_end(emit);
	emit_document_end(emit);
}

static void workload_write(struct emit *emit, const struct workload *workload)
{
	const char *slash = strchr(workload->name, '/');
	char namespace[256] = "default", text[ADDR_TEXT_MAX];

	if (slash)
		snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - workload->name),
			 workload->name);
	emit_document(emit, "v1", "Pod");
	emit_key(emit, "metadata");
	emit_map(emit);
	emit_labels(emit, "labels", &workload->labels);
	emit_field(emit, "name", slash ? slash + 1 : workload->name);
	emit_field(emit, "namespace", namespace);
	emit_map_end(emit);
	emit_key(emit, "status");
	emit_map(emit);
	emit_field(emit, "podIP", addr_format(&workload->addr, text));
	emit_map_end(emit);
	emit_document_end(emit);
}

static void drain_write(struct emit *emit, const struct drain *drain)
{
	char text[ADDR_TEXT_MAX];

	emit_document(emit, SLUICE_V1, "Drain");
	emit_key(emit, "spec");
	emit_map(emit);
	emit_field(emit, "address", addr_format(&drain->addr, text));
	emit_field(emit, "host", drain->host);
	if (drain->port)
		emit_number_field(emit, "port", drain->port);
	emit_map_end(emit);
	emit_document_end(emit);
}

static void inventory_write(struct emit *emit, const void *subject)
{
	const struct inventory *inventory = subject;

	for (size_t i = 0; i < inventory->group_count; i++)
		group_write(emit, &inventory->groups[i]);
	for (size_t i = 0; i < inventory->workload_count; i++)
		workload_write(emit, &inventory->workloads[i]);
	for (size_t i = 0; i < inventory->drain_count; i++)
		drain_write(emit, &inventory->drains[i]);
}

int inventory_export(void *parent, const struct inventory *inventory, char **ret_text)
{
	return emit_documents(parent, inventory_write, inventory, ret_text);
}

int inventory_export_whole(void *parent, const struct inventory *inventory, char **ret_text)
{
	return emit_whole(parent, inventory_write, inventory, ret_text);
}
