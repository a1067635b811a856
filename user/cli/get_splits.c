// SPDX-License-Identifier: Apache-2.0
/* What each version should get, and what it got. */
#include "get.h"

#include "../base/cleanup.h"
#include "measure.h"

#include <string.h>

/*
 * Connections that each version of the plan has been given, since the last flip or since ever; NULL
 * without a data plane.
 */
static uint64_t *opened_read(const struct view *view, bool is_since_flip)
{
	const struct kernel *kernel = view->node->kernel;
	const struct plan *plan = view->plan;
	uint64_t *opened =
		kernel ? talloc_zero_array(view->scratch, uint64_t, (unsigned)plan->version_count)
		       : NULL;

	for (size_t i = 0; opened && i < plan->version_count; i++) {
		struct sl_stats stats;
		uint64_t before;
		uint32_t index;

		if (kernel_version_find(kernel, plan->versions[i].key, &index) ||
		    kernel_stats(kernel, index, &stats))
			continue;
		before = is_since_flip ? kernel_version(kernel, index)->opened_before : 0;
		opened[i] = stats.opened >= before ? stats.opened - before : stats.opened;
	}
	return opened;
}

static uint64_t *opened_measure(const struct view *view)
{
	uint64_t *first = opened_read(view, !view->seconds), *last;

	if (!first || !view->seconds)
		return first;
	if (view->cli->has_error_colour)
		fprintf(stderr, "measuring for %u s ...\r", view->seconds);
	sleep(view->seconds);
	if (view->cli->has_error_colour)
		fprintf(stderr, "\033[K");
	last = opened_read(view, false);
	/* A version that was replaced in between begins at 0 again. */
	for (size_t i = 0; last && i < view->plan->version_count; i++)
		last[i] = last[i] >= first[i] ? last[i] - first[i] : last[i];
	return last;
}

static void measured_set(json_t *row, const uint64_t *opened, const struct plan_split *split,
			 size_t place)
{
	uint64_t hits = opened ? opened[split->versions[place]] : 0, total = 0;
	double low, high;

	for (size_t i = 0; opened && i < split->count; i++)
		total += opened[split->versions[i]];
	json_object_set_new(row, "opened", opened ? json_integer((json_int_t)hits) : json_null());
	if (!total) {
		json_object_set_new(row, "measured", json_null());
		json_object_set_new(row, "measured_low", json_null());
		json_object_set_new(row, "measured_high", json_null());
		return;
	}
	share_interval(hits, total, &low, &high);
	json_object_set_new(row, "measured", json_real((double)hits / (double)total));
	json_object_set_new(row, "measured_low", json_real(low));
	json_object_set_new(row, "measured_high", json_real(high));
}

static json_t *version_tree(const struct plan_service *service, const struct plan_version *version)
{
	size_t size = strlen(service->host);

	if (!strncmp(version->key, service->host, size) && version->key[size] == '|')
		return json_text(version->name);
	return json_sprintf("%s/%s", version->service, version->name);
}

static void split_append(const struct view *view, const struct plan_service *service,
			 const struct plan_rule *rule, const uint64_t *opened, json_t *list)
{
	const struct plan_split *split = &view->plan->splits[rule->split];
	double sum = 0;

	for (size_t i = 0; i < split->count; i++)
		sum += split->weights[i];
	for (size_t i = 0; i < split->count; i++) {
		const struct plan_version *version = &view->plan->versions[split->versions[i]];
		char source[PREFIX_TEXT_MAX] = "";
		json_t *row;

		if (rule->source.addr.family)
			prefix_format(&rule->source, source);
		row = json_pack(
			"{s:s, s:s, s:o, s:s, s:o, s:o, s:I, s:f}", "service", service->name,
			"host", service->host, "port",
			json_sprintf("%u/%s", service->port, protocol_name(service->protocol)),
			"rule", rule->name, "client", *source ? json_string(source) : json_null(),
			"version", version_tree(service, version), "weight",
			(json_int_t)split->weights[i], "share",
			sum ? split->weights[i] / sum : 0.0);
		measured_set(row, opened, split, i);
		json_array_append_new(list, row);
	}
}

/* Addresses of one service share their splits: one of each family is shown. */
static bool is_shown_before(const struct plan *plan, size_t place)
{
	const struct plan_service *service = &plan->services[place];

	for (size_t i = 0; i < place; i++) {
		const struct plan_service *other = &plan->services[i];

		if (other->port == service->port && other->protocol == service->protocol &&
		    other->vip.family == service->vip.family &&
		    other->rule_count == service->rule_count &&
		    !strcmp(other->host, service->host) &&
		    other->rules[0].split == service->rules[0].split)
			return true;
	}
	return false;
}

int splits_collect(const struct view *view, json_t *list)
{
	const struct plan *plan = view->plan;
	uint64_t *opened = opened_measure(view);

	for (size_t i = 0; i < plan->service_count; i++) {
		const struct plan_service *service = &plan->services[i];

		if ((view->host && strcmp(view->host, service->host)) || is_shown_before(plan, i))
			continue;
		for (size_t r = 0; r < service->rule_count; r++)
			split_append(view, service, &service->rules[r], opened, list);
	}
	if (!view->node->kernel)
		diag_add(view->cli->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "no data plane on this node: nothing is measured");
	return CLI_DONE;
}
