// SPDX-License-Identifier: Apache-2.0
#include "virtual.h"

#include <string.h>

#include "../base/cleanup.h"

#define L4_MATCH "at layer 4 an http match may say port alone"
#define L4_ROUTE "at layer 4 an http route may say name, match and route alone"
#define SOME_CLIENTS                                                                               \
	"it holds a rule back for some clients, and ignoring it would give the rule to all of "    \
	"them"

static void check_subset_name(struct reader *reader, const struct node *node, const void *text)
{
	if (!is_dns_label(text))
		report_error(reader, node,
			     "found the subset \"%.80s\"; allowed are lower-case letters, digits "
			     "and '-', "
			     "at most 63",
			     (const char *)text);
}

/*
 * "mesh" is Istio's word for every sidecar, which is what we stand for; a gateway's own traffic we
 * do not see apart.
 */
static void check_match_gateways(struct reader *reader, const struct node *node, const void *object)
{
	const struct node *gateways = node_get(node, "gateways");
	const struct node *gateway = gateways ? gateways->first : NULL;

	for (; gateway; gateway = gateway->next)
		if (gateway->kind == NODE_SCALAR && !strcmp(gateway->text, "mesh"))
			return;
	if (gateways && gateways->first)
		node_report_key(reader->diags, DIAG_ERROR, gateways,
				"found gateways without \"mesh\"; " SOME_CLIENTS
				"; allowed is a list with \"mesh\", or none");
}

static const struct field port_fields[] = {
	{ "number", FIELD_INT, AT(struct vs_port, number), .min = 1, .max = 65535,
	  .is_required = true },
};
const struct schema schema_port_selector = SCHEMA("PortSelector", struct vs_port, port_fields);

static const struct field destination_fields[] = {
	{ "host", FIELD_STRING, AT(struct vs_destination, host), .is_required = true,
	  .check = check_host },
	{ "subset", FIELD_STRING, AT(struct vs_destination, subset), .check = check_subset_name },
	{ "port", FIELD_OBJECT, AT(struct vs_destination, port), .sub = &schema_port_selector },
};
const struct schema schema_destination =
	SCHEMA("Destination", struct vs_destination, destination_fields);

static const struct field http_destination_fields[] = {
	{ "destination", FIELD_OBJECT, AT(struct vs_route_destination, destination),
	  .sub = &schema_destination, .is_required = true },
	{ "weight", FIELD_INT, AT(struct vs_route_destination, weight), .max = WEIGHT_MAX },
	{ "headers", FIELD_OBJECT, FIELD_LAYER7, AT(struct vs_route_destination, headers),
	  .sub = &schema_headers },
};
static const struct schema schema_http_destination =
	SCHEMA("HTTPRouteDestination", struct vs_route_destination, http_destination_fields);

static const struct field route_destination_fields[] = {
	{ "destination", FIELD_OBJECT, AT(struct vs_route_destination, destination),
	  .sub = &schema_destination, .is_required = true },
	{ "weight", FIELD_INT, AT(struct vs_route_destination, weight), .max = WEIGHT_MAX },
};
static const struct schema schema_route_destination =
	SCHEMA("RouteDestination", struct vs_route_destination, route_destination_fields);

#define L7_STRING(json, member)                                                                    \
	{                                                                                          \
		json, FIELD_OBJECT, FIELD_LAYER7, AT(struct vs_match, request.member),             \
			.sub = &schema_string_match, .why = L4_MATCH                               \
	}
#define L7_MAP(json, member)                                                                       \
	{                                                                                          \
		json, FIELD_MAP, FIELD_LAYER7, AT(struct vs_match, request.member),                \
			.sub = &schema_presence_match, .why = L4_MATCH                             \
	}
#define MATCH_OF_CLIENTS                                                                           \
	{ "sourceLabels", FIELD_LABELS, FIELD_REFUSED, NOWHERE, .why = SOME_CLIENTS },             \
		{ "sourceNamespace", FIELD_STRING, FIELD_REFUSED, NOWHERE, .why = SOME_CLIENTS },  \
		{ "gateways", FIELD_STRINGS, NOWHERE },                                            \
	{                                                                                          \
		"port", FIELD_INT, AT(struct vs_match, port), .min = 1, .max = 65535               \
	}

static const struct field http_match_fields[] = {
	MATCH_OF_CLIENTS,
	{ "name", FIELD_STRING, FIELD_IGNORED, NOWHERE,
	  .why = "it names the match in metrics only" },
	{ "statPrefix", FIELD_STRING, FIELD_IGNORED, NOWHERE,
	  .why = "it names the match in metrics only" },
	L7_STRING("uri", uri),
	L7_STRING("scheme", scheme),
	L7_STRING("method", method),
	L7_STRING("authority", authority),
	L7_MAP("headers", headers),
	L7_MAP("queryParams", query_params),
	L7_MAP("withoutHeaders", without_headers),
	{ "ignoreUriCase", FIELD_BOOL, FIELD_LAYER7, AT(struct vs_match, request.ignore_uri_case),
	  .why = L4_MATCH },
};
static const struct schema schema_http_match = {
	.name = "HTTPMatchRequest",
	.size = sizeof(struct vs_match),
	.fields = http_match_fields,
	.count = ARRAY_SIZE(http_match_fields),
	.check = check_match_gateways,
};

static const struct field tcp_match_fields[] = {
	MATCH_OF_CLIENTS,
	{ "destinationSubnets", FIELD_STRINGS, AT(struct vs_match, destination_subnets),
	  .check = check_prefix },
	{ "sourceSubnet", FIELD_STRING, AT(struct vs_match, source_subnet), .check = check_prefix },
};
static const struct schema schema_tcp_match = {
	.name = "L4MatchAttributes",
	.size = sizeof(struct vs_match),
	.fields = tcp_match_fields,
	.count = ARRAY_SIZE(tcp_match_fields),
	.check = check_match_gateways,
};

static const struct field tls_match_fields[] = {
	MATCH_OF_CLIENTS,
	{ "sniHosts", FIELD_STRINGS, FIELD_LAYER7, AT(struct vs_match, sni_hosts),
	  .is_required = true, .why = "a tcp route may match on port and subnets" },
	{ "destinationSubnets", FIELD_STRINGS, AT(struct vs_match, destination_subnets),
	  .check = check_prefix },
};
static const struct schema schema_tls_match = {
	.name = "TLSMatchAttributes",
	.size = sizeof(struct vs_match),
	.fields = tls_match_fields,
	.count = ARRAY_SIZE(tls_match_fields),
	.check = check_match_gateways,
};

#define L7_OBJECT(json, member, schema)                                                            \
	{                                                                                          \
		json, FIELD_OBJECT, FIELD_LAYER7, AT(struct vs_route, request.member),             \
			.sub = &(schema), .why = L4_ROUTE                                          \
	}

static const struct field http_fields[] = {
	{ "name", FIELD_STRING, AT(struct vs_route, name) },
	{ "match", FIELD_LIST, AT(struct vs_route, matches), .sub = &schema_http_match },
	{ "route", FIELD_LIST, AT(struct vs_route, route), .sub = &schema_http_destination },
	L7_OBJECT("redirect", redirect, schema_redirect),
	L7_OBJECT("directResponse", direct_response, schema_direct_response),
	L7_OBJECT("delegate", delegate, schema_delegate),
	L7_OBJECT("rewrite", rewrite, schema_rewrite),
	L7_OBJECT("retries", retries, schema_retries),
	L7_OBJECT("fault", fault, schema_fault),
	L7_OBJECT("mirror", mirror, schema_destination),
	L7_OBJECT("mirrorPercentage", mirror_percentage, schema_percent),
	L7_OBJECT("corsPolicy", cors, schema_cors),
	L7_OBJECT("headers", headers, schema_headers),
	{ "timeout", FIELD_DURATION, FIELD_LAYER7, AT(struct vs_route, request.timeout_ns),
	  .why = L4_ROUTE },
	{ "mirrors", FIELD_LIST, FIELD_LAYER7, AT(struct vs_route, request.mirrors),
	  .sub = &schema_mirror, .why = L4_ROUTE },
	{ "mirrorPercent", FIELD_INT, FIELD_LAYER7, AT(struct vs_route, request.mirror_percent),
	  .max = 100, .why = L4_ROUTE },
};
static const struct schema schema_http = SCHEMA("HTTPRoute", struct vs_route, http_fields);

static const struct field tcp_fields[] = {
	{ "match", FIELD_LIST, AT(struct vs_route, matches), .sub = &schema_tcp_match },
	{ "route", FIELD_LIST, AT(struct vs_route, route), .sub = &schema_route_destination },
};
static const struct schema schema_tcp = SCHEMA("TCPRoute", struct vs_route, tcp_fields);

static const struct field tls_fields[] = {
	{ "match", FIELD_LIST, AT(struct vs_route, matches), .sub = &schema_tls_match,
	  .is_required = true },
	{ "route", FIELD_LIST, AT(struct vs_route, route), .sub = &schema_route_destination },
};
static const struct schema schema_tls = SCHEMA("TLSRoute", struct vs_route, tls_fields);

static const struct field virtual_service_fields[] = {
	{ "hosts", FIELD_STRINGS, AT(struct virtual_service, hosts), .is_required = true,
	  .check = check_host },
	{ "gateways", FIELD_STRINGS, AT(struct virtual_service, gateways) },
	{ "http", FIELD_LIST, AT(struct virtual_service, http), .sub = &schema_http },
	{ "tcp", FIELD_LIST, AT(struct virtual_service, tcp), .sub = &schema_tcp },
	{ "tls", FIELD_LIST, AT(struct virtual_service, tls), .sub = &schema_tls },
	{ "exportTo", FIELD_STRINGS, FIELD_IGNORED, NOWHERE,
	  .why = "the rule holds for clients of every namespace" },
};
const struct schema schema_virtual_service =
	SCHEMA("VirtualService", struct virtual_service, virtual_service_fields);
