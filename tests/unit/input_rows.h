/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for the tests of user/input: a text, what is said about it (exact place, level and path;
 * pieces of the words), and what became of it, as one line a service, group, pod and drain.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"
#include "user/input/input.h"

struct row {
	const char *says;   /* one sentence */
	const char *text;   /* YAML or JSON; or "@file" below tests/data/input */
	const char *base;   /* applied before it, when there is one */
	const char *wanted; /* findings, a line each: "3:5: error: spec.x: piece ... piece" */
	const char *result; /* the summary; NULL: not looked at */
	bool is_replace;
};

/* With its arguments evaluated: the macros below append to a talloc string. */
#define SAY(text, ...) ((text) = talloc_asprintf_append(text, __VA_ARGS__))

static char *summary_labels(char *out, const struct label_list *labels)
{
	SAY(out, "{");
	for (size_t i = 0; i < labels->count; i++)
		SAY(out, "%s%s=%s", i ? "," : "", labels->list[i].key, labels->list[i].value);
	return SAY(out, "}");
}

static char *summary_rule(char *out, const struct rule *rule)
{
	char text[PREFIX_TEXT_MAX];

	SAY(out, " %s:%s", rule->kind == RULE_HTTP ? "http" : "tcp", rule->name);
	for (size_t i = 0; i < rule->match_count; i++) {
		const struct match *match = &rule->matches[i];

		SAY(out, "(%u", match->port);
		if (match->source.addr.family)
			SAY(out, " from %s", prefix_format(&match->source, text));
		for (size_t j = 0; j < match->destination_count; j++)
			SAY(out, " to %s", prefix_format(&match->destinations[j], text));
		SAY(out, ")");
	}
	for (size_t i = 0; i < rule->destination_count; i++) {
		const struct destination *to = &rule->destinations[i];

		SAY(out, "%s%s/%s:%u*%u", i ? "," : "=>", to->host, to->subset, to->port,
		    to->weight);
	}
	return out;
}

static char *summary_service(char *out, const struct service *service)
{
	static const char *const origins[] = { "undefined", "kube", "entry" };
	static const char *const apps[] = { "?", "http", "tcp" };
	char text[ADDR_TEXT_MAX];

	SAY(out, "%s %s", service->host, origins[service->origin]);
	for (size_t i = 0; i < service->vip_count; i++)
		SAY(out, " %s", addr_format(&service->vips[i], text));
	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];

		SAY(out, " %s:%u/%s/%s", port->name, port->number,
		    port->protocol == PROTOCOL_UDP ? "udp" : "tcp", apps[port->app]);
		if (port->target_number)
			SAY(out, ">%u", port->target_number);
		if (*port->target_name)
			SAY(out, ">%s", port->target_name);
	}
	SAY(out, "%s%s", service->affinity ? " by-client" : "", service->empty ? " spill" : "");
	for (size_t i = 0; i < service->subset_count; i++) {
		SAY(out, " %s", service->subsets[i].name);
		out = summary_labels(out, &service->subsets[i].labels);
		SAY(out, "%s", service->subsets[i].affinity ? "by-client" : "");
	}
	for (size_t i = 0; i < service->rule_count; i++)
		out = summary_rule(out, &service->rules[i]);
	return SAY(out, "\n");
}

static char *summary_endpoint(char *out, const struct endpoint *endpoint)
{
	static const char *const states[] = { "", "-terminating", "-not-ready" };
	char text[ADDR_TEXT_MAX];

	SAY(out, " %s%s*%u", addr_format(&endpoint->addr, text), states[endpoint->state],
	    endpoint->weight);
	if (*endpoint->workload)
		SAY(out, "<%s>", endpoint->workload);
	if (endpoint->labels.count)
		out = summary_labels(out, &endpoint->labels);
	for (size_t i = 0; i < endpoint->port_count; i++)
		SAY(out, ":%s=%u/%s", endpoint->ports[i].name, endpoint->ports[i].number,
		    endpoint->ports[i].protocol == PROTOCOL_UDP ? "udp" : "tcp");
	return out;
}

static char *summary(void *parent, const struct input_result *result)
{
	const struct inventory *inventory = result->inventory;
	char *out = talloc_strdup(parent, ""), text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < result->model->service_count; i++)
		out = summary_service(out, &result->model->services[i]);
	for (size_t i = 0; i < inventory->group_count; i++) {
		SAY(out, "group %s of %s", inventory->groups[i].key, inventory->groups[i].host);
		for (size_t j = 0; j < inventory->groups[i].endpoint_count; j++)
			out = summary_endpoint(out, &inventory->groups[i].endpoints[j]);
		SAY(out, "\n");
	}
	for (size_t i = 0; i < inventory->workload_count; i++) {
		SAY(out, "pod %s %s", inventory->workloads[i].name,
		    addr_format(&inventory->workloads[i].addr, text));
		out = summary_labels(out, &inventory->workloads[i].labels);
		SAY(out, "\n");
	}
	for (size_t i = 0; i < inventory->drain_count; i++)
		SAY(out, "drain %s %s %u\n", inventory->drains[i].host,
		    addr_format(&inventory->drains[i].addr, text), inventory->drains[i].port);
	return out;
}

/* Does `text` hold the pieces of `wanted`, in order, where " ... " stands for anything between? */
static bool holds_pieces(const char *text, const char *wanted)
{
	while (*wanted) {
		const char *gap = strstr(wanted, " ... ");
		size_t length = gap ? (size_t)(gap - wanted) : strlen(wanted);
		const char *at = memmem(text, strlen(text), wanted, length);

		if (!at)
			return false;
		text = at + length;
		wanted += length + (gap ? 5 : 0);
	}
	return true;
}

static bool is_as_wanted(const struct diag *diag, const char *wanted)
{
	static const char *const levels[] = { "note", "warning", "error" };
	char head[512];
	int length = 0;

	if (diag->line)
		length = snprintf(head, sizeof(head), "%u:%u: ", diag->line, diag->column);
	length += snprintf(head + length, sizeof(head) - length, "%s: ", levels[diag->level]);
	if (diag->path && *diag->path)
		length += snprintf(head + length, sizeof(head) - length, "%s: ", diag->path);
	return !strncmp(wanted, head, length) && holds_pieces(diag->text, wanted + length);
}

static bool are_findings_right(const struct diags *diags, const char *wanted)
{
	_cleanup_free_ char *lines = strdup(wanted ? wanted : "");
	size_t count = 0;
	char *rest = lines;

	for (char *line; (line = strsep(&rest, "\n"));) {
		if (!*line)
			continue;
		if (count >= diags->count || !is_as_wanted(&diags->list[count], line))
			return false;
		count++;
	}
	return count == diags->count;
}

static struct input_text row_text(void *parent, const char *text)
{
	struct input_text *texts;
	size_t count;

	if (*text != '@')
		return (struct input_text){ "row", text, strlen(text) };

	const char *path = talloc_asprintf(parent, "tests/data/input/%s", text + 1);
	struct diags *diags = diags_new(parent);
	if (input_read(parent, &path, 1, diags, &texts, &count) < 0 || count != 1) {
		diags_print(diags, stderr, false);
		return (struct input_text){ "row", "", 0 };
	}
	return texts[0];
}

static bool row_is_right(const struct row *row)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_result base = {}, result = {};
	struct input_text text = row_text(memory, row->text);
	enum input_mode mode = row->is_replace ? INPUT_REPLACE : INPUT_MERGE;

	if (row->base) {
		struct input_text base_text = row_text(memory, row->base);

		if (input_apply(memory, &base_text, 1, INPUT_MERGE, NULL, NULL, diags, &base) < 0) {
			diags_print(diags, stderr, false);
			return false;
		}
		talloc_free(diags);
		diags = diags_new(memory);
	}
	int r = input_apply(memory, &text, 1, mode, base.model, base.inventory, diags, &result);
	const char *got = r == 0 ? summary(memory, &result) : "";
	bool is_right = are_findings_right(diags, row->wanted) && (r == 0) == !diags->errors &&
			(r == 0 || !result.model) && (!row->result || !strcmp(row->result, got));

	if (is_right)
		return true;
	fprintf(stderr, "row: %s\n  wanted:\n%s\n%s\n  got:\n", row->says,
		row->wanted ? row->wanted : "", row->result ? row->result : "");
	diags_print(diags, stderr, false);
	fprintf(stderr, "%s\n", got);
	return false;
}

static inline void rows_run(const struct row *rows, size_t count)
{
	size_t wrong = 0;

	for (size_t i = 0; i < count; i++)
		wrong += !row_is_right(&rows[i]);
	assert_int_equal(wrong, 0);
}
#define ROWS_RUN(rows) rows_run(rows, ARRAY_SIZE(rows))

/* Documents in short; a spec begins at line 5. */
#define ISTIO(kind, name, spec)                                                                    \
	"apiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: {name: " name               \
	"}\nspec:\n" spec
#define VS(spec) ISTIO("VirtualService", "reviews", spec)
#define DR(spec) ISTIO("DestinationRule", "reviews", spec)
#define SE(spec) ISTIO("ServiceEntry", "db", spec)
#define REVIEWS "reviews.default.svc.cluster.local"
