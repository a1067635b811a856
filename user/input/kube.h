/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes's own kinds as read: the whole object, of which we know what bears on traffic. */
#pragma once
#include "schema.h"

struct kube_service_port {
	const struct node *node; /* targetPort is text or a number: see the node */
	const char *name, *protocol, *app_protocol;
	struct opt_number port;
};

struct kube_service_spec {
	const struct node *node;
	const char *type, *cluster_ip, *session_affinity;
	struct list cluster_ips, external_ips; /* const char * */
	struct list ports;                     /* struct kube_service_port * */
	struct label_list selector;
};

struct kube_ip {
	const struct node *node;
	const char *ip;
};

struct kube_load_balancer {
	const struct node *node;
	struct list ingress; /* struct kube_ip * */
};

struct kube_service_status {
	const struct node *node;
	struct kube_load_balancer *load_balancer;
};

struct kube_service {
	const struct node *node;
	struct kube_service_spec *spec;
	struct kube_service_status *status;
};

struct kube_pod_status {
	const struct node *node;
	const char *phase, *pod_ip;
	struct list pod_ips; /* struct kube_ip * */
};

struct kube_pod {
	const struct node *node;
	struct kube_pod_status *status;
};

struct kube_conditions {
	const struct node *node;
	struct opt_number ready, serving, terminating;
};

struct kube_target {
	const struct node *node;
	const char *kind, *name, *namespace;
};

struct kube_slice_endpoint {
	const struct node *node;
	struct list addresses; /* const char * */
	struct kube_conditions *conditions;
	struct kube_target *target;
};

struct kube_endpoint_port {
	const struct node *node;
	const char *name, *protocol;
	struct opt_number port;
};

struct kube_slice {
	const struct node *node;
	const char *address_type;
	struct list endpoints; /* struct kube_slice_endpoint * */
	struct list ports;     /* struct kube_endpoint_port * */
};

struct kube_endpoint_address {
	const struct node *node;
	const char *ip;
	struct kube_target *target;
};

struct kube_endpoint_subset {
	const struct node *node;
	struct list addresses, not_ready; /* struct kube_endpoint_address * */
	struct list ports;                /* struct kube_endpoint_port * */
};

struct kube_endpoints {
	const struct node *node;
	struct list subsets; /* struct kube_endpoint_subset * */
};

extern const struct schema schema_kube_service, schema_kube_pod, schema_kube_slice;
extern const struct schema schema_kube_endpoints;
