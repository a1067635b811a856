/* SPDX-License-Identifier: Apache-2.0 */
/* Istio's ServiceEntry as read. */
#pragma once
#include "schema.h"

struct se_port {
	const struct node *node;
	struct opt_number number, target_port;
	const char *name, *protocol;
};

struct se_endpoint {
	const struct node *node;
	const char *address; /* its ports are a map of names to numbers: see the node */
	struct label_list labels;
	struct opt_number weight;
};

struct service_entry {
	const struct node *node;
	struct list hosts, addresses; /* const char * */
	struct list ports;            /* struct se_port * */
	struct list endpoints;        /* struct se_endpoint * */
};

struct service_entry_object {
	const struct node *node;
	struct service_entry *spec;
};

extern const struct schema schema_service_entry;
