// SPDX-License-Identifier: Apache-2.0
#include "service_entry.h"

#include <string.h>

#include "../base/nearest.h"
#include "../base/cleanup.h"

static void check_address(struct reader *reader, const struct node *node, const void *value)
{
	struct addr addr;
	const char *text = value;

	if (addr_parse(text, &addr) == 0)
		return;
	if (!strncmp(text, "unix:", 5))
		report_error(reader, node, "found the socket \"%.80s\"; allowed is an IP address",
			     text);
	else
		report_error(
			reader, node,
			"found \"%.80s\"; allowed is an IP address, because resolution is STATIC",
			text);
}

/* A service is one address: a subnet would be many. */
static void check_vip(struct reader *reader, const struct node *node, const void *value)
{
	struct prefix prefix;
	int r = prefix_parse(value, &prefix);

	if (r < 0 || prefix.len != (prefix.addr.family == 4 ? 32 : 128))
		report_error(reader, node,
			     "found \"%.80s\"; allowed is one IP address (or its /32 or /128)",
			     (const char *)value);
}

static void check_protocol(struct reader *reader, const struct node *node, const void *value)
{
	static const char *const words[] = {
		"HTTP", "HTTPS", "GRPC",  "GRPC-WEB",   "HTTP2", "MONGO", "TCP",
		"TLS",  "MYSQL", "REDIS", "HTTP_PROXY", "UDP",   "HBONE",
	};
	const char *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(words[i], value))
			return;
	nearest = name_nearest(value, words, ARRAY_SIZE(words));
	report_error(reader, node, "found the protocol \"%.40s\"; %s \"%s\"", (const char *)value,
		     nearest ? "did you mean"
			     : "allowed is HTTP, HTTPS, GRPC, HTTP2, MONGO, UDP, TLS or",
		     nearest ? nearest : "TCP");
}

static void check_resolution(struct reader *reader, const struct node *node, const void *value)
{
	if (strcmp(node->text, "STATIC"))
		report_error(reader, node,
			     "found %.40s; allowed is STATIC, with the endpoints' addresses",
			     node->text);
}

static const struct field port_fields[] = {
	{ "number", FIELD_INT, AT(struct se_port, number), .min = 1, .max = 65535,
	  .is_required = true },
	{ "name", FIELD_STRING, AT(struct se_port, name), .is_required = true },
	{ "protocol", FIELD_STRING, AT(struct se_port, protocol), .check = check_protocol },
	{ "targetPort", FIELD_INT, AT(struct se_port, target_port), .min = 1, .max = 65535 },
};
static const struct schema schema_port = SCHEMA("ServicePort", struct se_port, port_fields);

static const struct field endpoint_fields[] = {
	{ "address", FIELD_STRING, AT(struct se_endpoint, address), .is_required = true,
	  .check = check_address },
	{ "ports", FIELD_ANY, NOWHERE },
	{ "labels", FIELD_LABELS, AT(struct se_endpoint, labels), .check = check_labels },
	{ "weight", FIELD_INT, AT(struct se_endpoint, weight), .max = WEIGHT_MAX },
	{ "network", FIELD_STRING, FIELD_IGNORED, NOWHERE },
	{ "locality", FIELD_STRING, FIELD_IGNORED, NOWHERE },
	{ "serviceAccount", FIELD_STRING, FIELD_IGNORED, NOWHERE },
};
static const struct schema schema_endpoint =
	SCHEMA("WorkloadEntry", struct se_endpoint, endpoint_fields);

static const struct field selector_fields[] = { { "labels", FIELD_LABELS, NOWHERE } };
static const struct schema schema_selector = SCHEMA_CHECKED("WorkloadSelector", selector_fields);

static const char *const location_words[] = { "MESH_EXTERNAL", "MESH_INTERNAL", NULL };
static const char *const resolution_words[] = {
	"NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", NULL,
};
static const struct field service_entry_fields[] = {
	{ "hosts", FIELD_STRINGS, AT(struct service_entry, hosts), .is_required = true,
	  .check = check_host },
	{ "addresses", FIELD_STRINGS, AT(struct service_entry, addresses), .check = check_vip },
	{ "ports", FIELD_LIST, AT(struct service_entry, ports), .sub = &schema_port },
	{ "endpoints", FIELD_LIST, AT(struct service_entry, endpoints), .sub = &schema_endpoint },
	{ "resolution", FIELD_ENUM, NOWHERE, .words = resolution_words, .is_required = true,
	  .check = check_resolution, .why = "allowed is STATIC" },
	{ "location", FIELD_ENUM, FIELD_IGNORED, NOWHERE, .words = location_words },
	{ "exportTo", FIELD_STRINGS, FIELD_IGNORED, NOWHERE,
	  .why = "the service is there for clients of every namespace" },
	{ "subjectAltNames", FIELD_STRINGS, FIELD_IGNORED, NOWHERE },
	{ "workloadSelector", FIELD_OBJECT, FIELD_REFUSED, NOWHERE, .sub = &schema_selector,
	  .why = "allowed are endpoints[] with their addresses" },
};
const struct schema schema_service_entry =
	SCHEMA("ServiceEntry", struct service_entry, service_entry_fields);
