// SPDX-License-Identifier: Apache-2.0
/*
 * Kubernetes grows fields: one that is not here gets a warning, or an error when it looks like a
 * misspelling of one that is. Those that bear on traffic and are not obeyed are here, to be said
 * aloud. Pods and what the server writes (status, targetRef) are lenient: we need little of them.
 */
#include "kube.h"

#include <string.h>

#include "../base/cleanup.h"

#define LENIENT(type_name, struct_type, table)                                                     \
	{                                                                                          \
		.name = (type_name), .size = sizeof(struct_type), .fields = (table),               \
		.count = ARRAY_SIZE(table), .is_lenient = true                                     \
	}
#define GROWING(type_name, struct_type, table)                                                     \
	{                                                                                          \
		.name = (type_name), .size = sizeof(struct_type), .fields = (table),               \
		.count = ARRAY_SIZE(table), .is_growing = true                                     \
	}

#define SILENT(json)                                                                               \
	{                                                                                          \
		json, FIELD_ANY, FIELD_SILENT, NOWHERE                                             \
	}
/* What every object has; object.c reads it. */
#define HEAD SILENT("apiVersion"), SILENT("kind"), SILENT("metadata")

/* "Cluster" is the server's default and what we do; only the other asks for what we do not. */
static void check_policy(struct reader *reader, const struct node *node, const void *text)
{
	if (strcmp(text, "Cluster"))
		node_report_key(
			reader->diags, DIAG_WARNING, node,
			"found \"%.40s\", which is ignored; endpoints of every node are used",
			(const char *)text);
}

static void check_affinity(struct reader *reader, const struct node *node, const void *text)
{
	if (strcmp(text, "None") && strcmp(text, "ClientIP"))
		report_error(reader, node, "found \"%.40s\"; allowed is None or ClientIP",
			     (const char *)text);
}

static void check_address(struct reader *reader, const struct node *node, const void *text)
{
	struct addr addr;

	if (addr_parse(text, &addr) < 0)
		report_error(reader, node, "found \"%.80s\"; allowed is an IP address",
			     (const char *)text);
}

/* None and "" are Kubernetes's words for having none. */
static void check_cluster_ip(struct reader *reader, const struct node *node, const void *text)
{
	if (strcmp(text, "None") && strcmp(text, ""))
		check_address(reader, node, text);
}

static void check_protocol(struct reader *reader, const struct node *node, const void *text)
{
	if (strcmp(text, "TCP") && strcmp(text, "UDP") && strcmp(text, "SCTP"))
		report_error(reader, node, "found \"%.40s\"; allowed is TCP or UDP",
			     (const char *)text);
}

#define PORT(json, type, member, required)                                                         \
	{                                                                                          \
		json, FIELD_INT, AT(type, member), .min = 1, .max = 65535,                         \
						   .is_required = (required)                       \
	}

static const struct field service_port_fields[] = {
	{ "name", FIELD_STRING, AT(struct kube_service_port, name) },
	{ "protocol", FIELD_STRING, AT(struct kube_service_port, protocol),
	  .check = check_protocol },
	{ "appProtocol", FIELD_STRING, AT(struct kube_service_port, app_protocol) },
	PORT("port", struct kube_service_port, port, true),
	SILENT("targetPort"), /* read from the node */
	SILENT("nodePort"),
};
static const struct schema schema_service_port =
	GROWING("ServicePort", struct kube_service_port, service_port_fields);

static const struct field service_spec_fields[] = {
	{ "type", FIELD_STRING, AT(struct kube_service_spec, type) },
	{ "clusterIP", FIELD_STRING, AT(struct kube_service_spec, cluster_ip),
	  .check = check_cluster_ip },
	{ "clusterIPs", FIELD_STRINGS, AT(struct kube_service_spec, cluster_ips),
	  .check = check_cluster_ip },
	{ "externalIPs", FIELD_STRINGS, AT(struct kube_service_spec, external_ips),
	  .check = check_address },
	{ "ports", FIELD_LIST, AT(struct kube_service_spec, ports), .sub = &schema_service_port },
	{ "selector", FIELD_LABELS, AT(struct kube_service_spec, selector) },
	{ "sessionAffinity", FIELD_STRING, AT(struct kube_service_spec, session_affinity),
	  .check = check_affinity },
	{ "sessionAffinityConfig", FIELD_ANY, FIELD_IGNORED, NOWHERE,
	  .why = "a client keeps its version for as long as the weights stand" },
	{ "externalTrafficPolicy", FIELD_STRING, NOWHERE, .check = check_policy },
	{ "internalTrafficPolicy", FIELD_STRING, NOWHERE, .check = check_policy },
	{ "trafficDistribution", FIELD_STRING, FIELD_IGNORED, NOWHERE },
	{ "loadBalancerSourceRanges", FIELD_STRINGS, FIELD_IGNORED, NOWHERE,
	  .why = "clients of every address are served" },
	{ "publishNotReadyAddresses", FIELD_BOOL, FIELD_IGNORED, NOWHERE,
	  .why = "the conditions of its EndpointSlices decide" },
	{ "topologyKeys", FIELD_STRINGS, FIELD_IGNORED, NOWHERE },
	SILENT("ipFamily"), /* before 1.20 */
	SILENT("ipFamilies"),
	SILENT("ipFamilyPolicy"),
	SILENT("externalName"),   /* said of the type */
	SILENT("loadBalancerIP"), /* a wish; the status has what came of it */
	SILENT("loadBalancerClass"),
	SILENT("allocateLoadBalancerNodePorts"),
	SILENT("healthCheckNodePort"),
};
static const struct schema schema_service_spec =
	GROWING("ServiceSpec", struct kube_service_spec, service_spec_fields);

static const struct field ip_fields[] = {
	{ "ip", FIELD_STRING, AT(struct kube_ip, ip), .check = check_address },
};
static const struct schema schema_ip = LENIENT("IP", struct kube_ip, ip_fields);

static void check_ingress(struct reader *reader, const struct node *node, const void *object)
{
	const struct node *hostname = node_get(node, "hostname");
	const struct kube_ip *ingress = object;

	if (hostname && !node_is_null(hostname) && !ingress->ip)
		node_report_key(reader->diags, DIAG_WARNING, hostname,
				"found a host name without an ip, which is not resolved: traffic "
				"to its addresses is left alone");
}

static const struct schema schema_ingress = {
	.name = "LoadBalancerIngress",
	.size = sizeof(struct kube_ip),
	.fields = ip_fields,
	.count = ARRAY_SIZE(ip_fields),
	.is_lenient = true,
	.check = check_ingress,
};

static const struct field load_balancer_fields[] = {
	{ "ingress", FIELD_LIST, AT(struct kube_load_balancer, ingress), .sub = &schema_ingress },
};
static const struct schema schema_load_balancer =
	LENIENT("LoadBalancerStatus", struct kube_load_balancer, load_balancer_fields);

static const struct field service_status_fields[] = {
	{ "loadBalancer", FIELD_OBJECT, AT(struct kube_service_status, load_balancer),
	  .sub = &schema_load_balancer },
};
static const struct schema schema_service_status =
	LENIENT("ServiceStatus", struct kube_service_status, service_status_fields);

static const struct field service_fields[] = {
	HEAD,
	{ "spec", FIELD_OBJECT, AT(struct kube_service, spec), .sub = &schema_service_spec,
	  .is_required = true },
	{ "status", FIELD_OBJECT, AT(struct kube_service, status), .sub = &schema_service_status },
};
const struct schema schema_kube_service = GROWING("Service", struct kube_service, service_fields);

static const struct field pod_status_fields[] = {
	{ "phase", FIELD_STRING, AT(struct kube_pod_status, phase) },
	{ "podIP", FIELD_STRING, AT(struct kube_pod_status, pod_ip), .check = check_cluster_ip },
	{ "podIPs", FIELD_LIST, AT(struct kube_pod_status, pod_ips), .sub = &schema_ip },
};
static const struct schema schema_pod_status =
	LENIENT("PodStatus", struct kube_pod_status, pod_status_fields);

static const struct field pod_fields[] = {
	{ "status", FIELD_OBJECT, AT(struct kube_pod, status), .sub = &schema_pod_status },
};
const struct schema schema_kube_pod = LENIENT("Pod", struct kube_pod, pod_fields);

static const struct field conditions_fields[] = {
	{ "ready", FIELD_BOOL, AT(struct kube_conditions, ready) },
	{ "serving", FIELD_BOOL, AT(struct kube_conditions, serving) },
	{ "terminating", FIELD_BOOL, AT(struct kube_conditions, terminating) },
};
static const struct schema schema_conditions =
	GROWING("EndpointConditions", struct kube_conditions, conditions_fields);

static const struct field target_fields[] = {
	{ "kind", FIELD_STRING, AT(struct kube_target, kind) },
	{ "name", FIELD_STRING, AT(struct kube_target, name), .check = check_name },
	{ "namespace", FIELD_STRING, AT(struct kube_target, namespace), .check = check_name },
};
static const struct schema schema_target =
	LENIENT("ObjectReference", struct kube_target, target_fields);

static const struct field slice_endpoint_fields[] = {
	{ "addresses", FIELD_STRINGS, AT(struct kube_slice_endpoint, addresses),
	  .is_required = true },
	{ "conditions", FIELD_OBJECT, AT(struct kube_slice_endpoint, conditions),
	  .sub = &schema_conditions },
	{ "targetRef", FIELD_OBJECT, AT(struct kube_slice_endpoint, target),
	  .sub = &schema_target },
	{ "hints", FIELD_ANY, NOWHERE }, /* said once for the slice */
	SILENT("nodeName"),
	SILENT("zone"),
	SILENT("hostname"),
	SILENT("topology"), /* of v1beta1 */
	SILENT("deprecatedTopology"),
};
static const struct schema schema_slice_endpoint =
	GROWING("Endpoint", struct kube_slice_endpoint, slice_endpoint_fields);

static const struct field endpoint_port_fields[] = {
	{ "name", FIELD_STRING, AT(struct kube_endpoint_port, name) },
	{ "protocol", FIELD_STRING, AT(struct kube_endpoint_port, protocol),
	  .check = check_protocol },
	PORT("port", struct kube_endpoint_port, port, false),
	SILENT("appProtocol"), /* the Service's decides */
};
static const struct schema schema_endpoint_port =
	GROWING("EndpointPort", struct kube_endpoint_port, endpoint_port_fields);

static const struct field slice_fields[] = {
	HEAD,
	{ "addressType", FIELD_STRING, AT(struct kube_slice, address_type), .is_required = true },
	{ "endpoints", FIELD_LIST, AT(struct kube_slice, endpoints),
	  .sub = &schema_slice_endpoint },
	{ "ports", FIELD_LIST, AT(struct kube_slice, ports), .sub = &schema_endpoint_port },
};
const struct schema schema_kube_slice = GROWING("EndpointSlice", struct kube_slice, slice_fields);

static const struct field endpoint_address_fields[] = {
	{ "ip", FIELD_STRING, AT(struct kube_endpoint_address, ip), .is_required = true,
	  .check = check_address },
	{ "targetRef", FIELD_OBJECT, AT(struct kube_endpoint_address, target),
	  .sub = &schema_target },
	SILENT("hostname"),
	SILENT("nodeName"),
};
static const struct schema schema_endpoint_address =
	GROWING("EndpointAddress", struct kube_endpoint_address, endpoint_address_fields);

static const struct field endpoint_subset_fields[] = {
	{ "addresses", FIELD_LIST, AT(struct kube_endpoint_subset, addresses),
	  .sub = &schema_endpoint_address },
	{ "notReadyAddresses", FIELD_LIST, AT(struct kube_endpoint_subset, not_ready),
	  .sub = &schema_endpoint_address },
	{ "ports", FIELD_LIST, AT(struct kube_endpoint_subset, ports),
	  .sub = &schema_endpoint_port },
};
static const struct schema schema_endpoint_subset =
	GROWING("EndpointSubset", struct kube_endpoint_subset, endpoint_subset_fields);

static const struct field endpoints_fields[] = {
	HEAD,
	{ "subsets", FIELD_LIST, AT(struct kube_endpoints, subsets),
	  .sub = &schema_endpoint_subset },
};
const struct schema schema_kube_endpoints =
	GROWING("Endpoints", struct kube_endpoints, endpoints_fields);
