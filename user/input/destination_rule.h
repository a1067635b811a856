/* SPDX-License-Identifier: Apache-2.0 */
/* Istio's DestinationRule as read. */
#pragma once
#include "schema.h"

struct dr_consistent_hash {
	const struct node *node;
	struct opt_number use_source_ip;
};

struct dr_load_balancer {
	const struct node *node;
	struct opt_number simple;
	struct dr_consistent_hash *consistent_hash;
};

struct dr_policy {
	const struct node *node;
	struct dr_load_balancer *load_balancer;
};

struct dr_subset {
	const struct node *node;
	const char *name;
	struct label_list labels;
	struct dr_policy *policy;
};

struct destination_rule {
	const struct node *node;
	const char *host;
	struct list subsets; /* struct dr_subset * */
	struct dr_policy *policy;
};

extern const struct schema schema_destination_rule;
