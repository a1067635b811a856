// SPDX-License-Identifier: Apache-2.0
#include "own.h"

#include "../base/cleanup.h"

const char *const own_states[] = {
	[ENDPOINT_READY] = "Ready",
	[ENDPOINT_TERMINATING] = "Terminating",
	[ENDPOINT_NOT_READY] = "NotReady",
	NULL,
};
const char *const own_protocols[] = { "TCP", "UDP", NULL };

static void check_address(struct reader *reader, const struct node *node, const void *text)
{
	struct addr addr;

	if (addr_parse(text, &addr) < 0)
		report_error(reader, node, "found \"%.80s\"; allowed is an IP address",
			     (const char *)text);
}

static void check_key(struct reader *reader, const struct node *node, const void *text)
{
	if (!*(const char *)text)
		report_error(reader, node, "found an empty text; allowed is the group's key");
}

static const struct field port_fields[] = {
	{ "name", FIELD_STRING, AT(struct own_port, name) },
	{ "number", FIELD_INT, AT(struct own_port, number), .min = 1, .max = 65535,
	  .is_required = true },
	{ "protocol", FIELD_ENUM, AT(struct own_port, protocol), .words = own_protocols },
};
static const struct schema schema_port = SCHEMA("EndpointPort", struct own_port, port_fields);

static const struct field endpoint_fields[] = {
	{ "address", FIELD_STRING, AT(struct own_endpoint, address), .is_required = true,
	  .check = check_address },
	{ "workload", FIELD_STRING, AT(struct own_endpoint, workload) },
	{ "labels", FIELD_LABELS, AT(struct own_endpoint, labels) },
	{ "ports", FIELD_LIST, AT(struct own_endpoint, ports), .sub = &schema_port },
	{ "weight", FIELD_INT, AT(struct own_endpoint, weight), .max = WEIGHT_MAX },
	{ "state", FIELD_ENUM, AT(struct own_endpoint, state), .words = own_states },
};
static const struct schema schema_endpoint =
	SCHEMA("Endpoint", struct own_endpoint, endpoint_fields);

static const struct field group_fields[] = {
	{ "key", FIELD_STRING, AT(struct own_group, key), .is_required = true, .check = check_key },
	{ "host", FIELD_STRING, AT(struct own_group, host), .is_required = true,
	  .check = check_host },
	{ "endpoints", FIELD_LIST, AT(struct own_group, endpoints), .sub = &schema_endpoint },
};
static const struct schema schema_group = SCHEMA("EndpointGroup", struct own_group, group_fields);

static const struct field drain_fields[] = {
	{ "host", FIELD_STRING, AT(struct own_drain, host), .is_required = true,
	  .check = check_host },
	{ "address", FIELD_STRING, AT(struct own_drain, address), .is_required = true,
	  .check = check_address },
	{ "port", FIELD_INT, AT(struct own_drain, port), .max = 65535 },
};
static const struct schema schema_drain = SCHEMA("Drain", struct own_drain, drain_fields);

static const struct field group_object_fields[] = {
	{ "apiVersion", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "kind", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "metadata", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "spec", FIELD_OBJECT, AT(struct own_group_object, spec), .sub = &schema_group,
	  .is_required = true },
};
const struct schema schema_own_group =
	SCHEMA("EndpointGroup", struct own_group_object, group_object_fields);

static const struct field drain_object_fields[] = {
	{ "apiVersion", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "kind", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "metadata", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "spec", FIELD_OBJECT, AT(struct own_drain_object, spec), .sub = &schema_drain,
	  .is_required = true },
};
const struct schema schema_own_drain =
	SCHEMA("Drain", struct own_drain_object, drain_object_fields);
