/* SPDX-License-Identifier: Apache-2.0 */
/* Istio's VirtualService as read, before names are resolved. */
#pragma once
#include "layer7.h"

struct vs_port {
	const struct node *node;
	struct opt_number number;
};

struct vs_destination {
	const struct node *node;
	const char *host, *subset;
	struct vs_port *port;
};

/* http and tcp alike. */
struct vs_route_destination {
	const struct node *node;
	struct vs_destination *destination;
	struct opt_number weight;
	struct l7_headers *headers;
};

/* http, tcp and tls alike; a section's table offers its own fields alone. */
struct vs_match {
	const struct node *node;
	struct opt_number port;
	struct list destination_subnets; /* const char * */
	const char *source_subnet;
	struct list sni_hosts; /* const char * */
	struct l7_match request;
};

struct vs_route {
	const struct node *node;
	const char *name;
	struct list matches; /* struct vs_match * */
	struct list route;   /* struct vs_route_destination * */
	struct l7_route request;
};

struct virtual_service {
	const struct node *node;
	struct list hosts;          /* const char * */
	struct list gateways;       /* const char * */
	struct list http, tcp, tls; /* struct vs_route * */
};

extern const struct schema schema_destination;
extern const struct schema schema_port_selector;
extern const struct schema schema_virtual_service;
