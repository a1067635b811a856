// SPDX-License-Identifier: Apache-2.0
/* Is a part of one service as it is in another? */
#include "equal.h"

#include <string.h>

static bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && !addr_compare(&a->addr, &b->addr);
}

static bool match_equal(const struct match *a, const struct match *b)
{
	if (a->port != b->port || !prefix_equal(&a->source, &b->source) ||
	    a->destination_count != b->destination_count)
		return false;
	for (size_t i = 0; i < a->destination_count; i++) {
		if (!prefix_equal(&a->destinations[i], &b->destinations[i]))
			return false;
	}
	return true;
}

bool rule_matches_equal(const struct rule *a, const struct rule *b)
{
	if (a->kind != b->kind || strcmp(a->name, b->name) || a->match_count != b->match_count)
		return false;
	for (size_t i = 0; i < a->match_count; i++) {
		if (!match_equal(&a->matches[i], &b->matches[i]))
			return false;
	}
	return true;
}

bool rule_splits_equal(const struct rule *a, const struct rule *b)
{
	if (a->destination_count != b->destination_count)
		return false;
	for (size_t i = 0; i < a->destination_count; i++) {
		const struct destination *x = &a->destinations[i], *y = &b->destinations[i];

		if (strcmp(x->host, y->host) || strcmp(x->subset, y->subset) ||
		    x->port != y->port || x->weight != y->weight)
			return false;
	}
	return true;
}

bool service_rules_equal(const struct service *a, const struct service *b)
{
	if (a->rule_count != b->rule_count)
		return false;
	for (size_t i = 0; i < a->rule_count; i++) {
		if (!rule_matches_equal(&a->rules[i], &b->rules[i]) ||
		    !rule_splits_equal(&a->rules[i], &b->rules[i]))
			return false;
	}
	return true;
}

static bool labels_equal(const struct label_list *a, const struct label_list *b)
{
	return a->count == b->count && labels_contain(a, b);
}

static bool subsets_equal(const struct service *a, const struct service *b)
{
	if (a->subset_count != b->subset_count)
		return false;
	for (size_t i = 0; i < a->subset_count; i++) {
		const struct subset *x = &a->subsets[i], *y = &b->subsets[i];

		if (strcmp(x->name, y->name) || x->affinity != y->affinity ||
		    !labels_equal(&x->labels, &y->labels))
			return false;
	}
	return true;
}

static bool ports_equal(const struct service *a, const struct service *b)
{
	if (a->port_count != b->port_count)
		return false;
	for (size_t i = 0; i < a->port_count; i++) {
		const struct service_port *x = &a->ports[i], *y = &b->ports[i];

		if (strcmp(x->name, y->name) || strcmp(x->target_name, y->target_name) ||
		    x->number != y->number || x->target_number != y->target_number ||
		    x->protocol != y->protocol || x->app != y->app)
			return false;
	}
	return true;
}

static bool addresses_equal(const struct service *a, const struct service *b)
{
	if (a->vip_count != b->vip_count)
		return false;
	for (size_t i = 0; i < a->vip_count; i++) {
		if (addr_compare(&a->vips[i], &b->vips[i]))
			return false;
	}
	return true;
}

static bool affinity_equal(const struct service *a, const struct service *b)
{
	return a->affinity == b->affinity && a->entry_affinity == b->entry_affinity &&
	       a->rule_affinity == b->rule_affinity;
}

static bool empty_equal(const struct service *a, const struct service *b)
{
	return a->empty == b->empty && a->entry_empty == b->entry_empty &&
	       a->rule_empty == b->rule_empty;
}

static bool selector_equal(const struct service *a, const struct service *b)
{
	return labels_equal(&a->selector, &b->selector);
}

static bool objects_equal(const struct service *a, const struct service *b)
{
	return a->origin == b->origin && !strcmp(a->name, b->name) &&
	       !strcmp(a->namespace, b->namespace) &&
	       !strcmp(a->destination_rule, b->destination_rule) &&
	       !strcmp(a->destination_rule_namespace, b->destination_rule_namespace) &&
	       !strcmp(a->virtual_service, b->virtual_service) &&
	       !strcmp(a->virtual_service_namespace, b->virtual_service_namespace);
}

const struct service_part service_parts[SERVICE_PARTS] = {
	{ "subsets", subsets_equal },
	{ "ports", ports_equal },
	{ "addresses", addresses_equal },
	{ "affinity", affinity_equal },
	{ "empty-version policy", empty_equal },
	{ "selector", selector_equal },
	{ "objects", objects_equal },
};
