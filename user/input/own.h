/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of sluice.dev/v1: what inventory_export writes for what no other kind can say. */
#pragma once
#include "schema.h"

struct own_port {
	const struct node *node;
	const char *name;
	struct opt_number number, protocol;
};

struct own_endpoint {
	const struct node *node;
	const char *address, *workload;
	struct label_list labels;
	struct list ports; /* struct own_port * */
	struct opt_number weight, state;
};

struct own_group {
	const struct node *node;
	const char *key, *host;
	struct list endpoints; /* struct own_endpoint * */
};

struct own_drain {
	const struct node *node;
	const char *host, *address;
	struct opt_number port;
};

struct own_group_object {
	const struct node *node;
	struct own_group *spec;
};

struct own_drain_object {
	const struct node *node;
	struct own_drain *spec;
};

extern const struct schema schema_own_group, schema_own_drain;
extern const char *const own_states[];    /* by enum endpoint_state */
extern const char *const own_protocols[]; /* TCP, UDP */
