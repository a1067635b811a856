// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "address.h"
#include "output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

struct story {
	void *scratch;
	struct node *node;
	struct plan *plan; /* NULL: the tables alone are told */
	struct kernel_connection connection;
	struct kernel_explain explain;
	const struct plan_service *service;
	json_t *tree;
};

/* --- what was asked --- */

static int connection_parse(struct cli *cli, struct kernel_connection *connection,
			    bool *ret_has_port)
{
	const struct args *args = &cli->args;
	bool has_port;

	if (addr_port_parse(args->words[0], &connection->source, &connection->source_port,
			    ret_has_port))
		return cli_fail(cli, CLI_USAGE,
				"the source \"%s\"; allowed is ADDRESS:PORT, as in "
				"10.0.0.1:40000 or [fd00::1]:40000",
				args->words[0]);
	if (addr_port_parse(args->words[1], &connection->destination, &connection->destination_port,
			    &has_port) ||
	    !has_port)
		return cli_fail(cli, CLI_USAGE,
				"the destination \"%s\"; allowed is ADDRESS:PORT, as "
				"in 10.96.0.10:80 or [fd00::1]:80",
				args->words[1]);
	if (connection->source.family != connection->destination.family)
		return cli_fail(cli, CLI_USAGE, "%s and %s are not of one address family",
				args->words[0], args->words[1]);
	connection->protocol = PROTOCOL_TCP;
	if (args->word_count < 3 || !strcmp(args->words[2], "tcp"))
		return CLI_DONE;
	connection->protocol = PROTOCOL_UDP;
	if (!strcmp(args->words[2], "udp"))
		return CLI_DONE;
	return cli_fail(cli, CLI_USAGE, "the protocol \"%s\"; allowed are tcp and udp",
			args->words[2]);
}

/*
 * The rule of the plan that the tables' rule comes from: those with a source come first, in the
 * same order.
 */
static const struct plan_rule *rule_of(const struct story *story)
{
	const struct plan_service *service = story->service;

	if (!service || !story->explain.is_ours)
		return NULL;
	if (story->explain.rule >= 0)
		return (size_t)story->explain.rule < service->rule_count
			       ? &service->rules[story->explain.rule]
			       : NULL;
	for (size_t i = 0; i < service->rule_count; i++) {
		if (!service->rules[i].source.addr.family)
			return &service->rules[i];
	}
	return NULL;
}

/* --- what is told --- */

static void tell(struct story *story, const char *field, json_t *value)
{
	json_object_set_new(story->tree, field, value);
}

static json_t *address_tree(const struct addr *addr, uint16_t port)
{
	char text[ADDR_PORT_TEXT_MAX];

	return json_string(addr_port_format(addr, port, text));
}

static json_t *endpoint_tree(const struct kernel *kernel, uint32_t index)
{
	struct addr addr;

	if (index >= kernel_endpoint_limit(kernel))
		return json_null();
	const struct sl_endpoint *endpoint = kernel_endpoint(kernel, index);

	addr_of_words(endpoint->addr, &addr);
	return address_tree(&addr, ntohs(endpoint->port));
}

static json_t *version_tree(const struct kernel *kernel, uint32_t index)
{
	if (index >= kernel_version_limit(kernel) || !kernel_version(kernel, index)->used)
		return json_null();
	return json_text(kernel_version(kernel, index)->key);
}

/*
 * By the plan's name for it; the kernel cuts long keys, so that a key may have to be looked for the
 * other way round.
 */
static json_t *version_name_tree(const struct story *story, uint32_t index)
{
	const struct kernel *kernel = story->node->kernel;
	size_t count = story->plan ? story->plan->version_count : 0;
	uint32_t found;

	for (size_t i = 0; i < count; i++) {
		const struct plan_version *version = &story->plan->versions[i];

		if (!kernel_version_find(kernel, version->key, &found) && found == index)
			return json_text(version->name);
	}
	return json_null();
}

static void service_tell(struct story *story)
{
	const struct plan_rule *rule = rule_of(story);
	char source[PREFIX_TEXT_MAX];

	tell(story, "service", story->service ? json_text(story->service->name) : json_null());
	tell(story, "host", story->service ? json_text(story->service->host) : json_null());
	tell(story, "rule_index", json_integer(story->explain.rule));
	tell(story, "rule", rule ? json_text(rule->name) : json_null());
	if (rule && rule->source.addr.family)
		tell(story, "rule_source", json_string(prefix_format(&rule->source, source)));
}

static void choice_tell(struct story *story)
{
	const struct kernel_explain *explain = &story->explain;

	/* Without a slot table there is no split at all: no rule matched. */
	if (!explain->slots) {
		tell(story, "verdict", json_string("refused: no rule matches"));
		return;
	}
	tell(story, "hash", json_sprintf("0x%016llx", (unsigned long long)explain->hash));
	tell(story, "slot", json_integer(explain->slot));
	tell(story, "slots", json_integer(explain->slots));
	tell(story, "version", version_name_tree(story, explain->version));
	tell(story, "version_key", version_tree(story->node->kernel, explain->version));
	tell(story, "spilled", json_boolean(explain->spilled));
	if (explain->is_refused) {
		tell(story, "verdict", json_string("refused: the version has no ready endpoint"));
		return;
	}
	tell(story, "place", json_integer(explain->place));
	tell(story, "ring", json_integer(explain->ring));
	tell(story, "endpoint", endpoint_tree(story->node->kernel, explain->endpoint));
	tell(story, "verdict", json_string("sent"));
}

static void flow_tell(struct story *story)
{
	const struct kernel_flow *flow = &story->explain.flow;

	tell(story, "has_live_flow", json_boolean(story->explain.has_flow));
	if (!story->explain.has_flow)
		return;
	tell(story, "live_flow",
	     json_pack("{s:o, s:o, s:o, s:f, s:b, s:b, s:b}", "endpoint",
		       endpoint_tree(story->node->kernel, flow->endpoint), "version",
		       version_name_tree(story, flow->version), "version_key",
		       version_tree(story->node->kernel, flow->version), "seen_seconds_ago",
		       (double)flow->silent_ms / 1000, "answered",
		       (flow->flags & SL_FLOW_ANSWERED) != 0, "closed",
		       (flow->flags & SL_FLOW_CLOSED) != 0, "adopted",
		       (flow->flags & SL_FLOW_ADOPTED) != 0));
}

static void story_tell(struct story *story)
{
	const struct kernel_connection *c = &story->connection;

	tell(story, "source", address_tree(&c->source, c->source_port));
	tell(story, "destination", address_tree(&c->destination, c->destination_port));
	tell(story, "protocol", json_string(c->protocol == PROTOCOL_UDP ? "udp" : "tcp"));
	tell(story, "revision", json_integer(story->explain.revision));
	tell(story, "is_ours", json_boolean(story->explain.is_ours));
	if (story->explain.is_ours) {
		service_tell(story);
		choice_tell(story);
	} else {
		tell(story, "verdict",
		     json_string("passed untouched: no service has this address, "
				 "port and protocol"));
	}
	flow_tell(story);
}

/* --- for people: each step on its line --- */

static void step_print(const struct cli *cli, const char *step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void step_print(const struct cli *cli, const char *step, const char *format, ...)
{
	va_list args;

	printf("%s%-10s%s  ", colour(cli, COLOUR_BOLD), step, colour(cli, COLOUR_OFF));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static const char *field(const json_t *tree, const char *name)
{
	const char *text = json_string_value(json_object_get(tree, name));

	return text ? text : "?";
}

static json_int_t number(const json_t *tree, const char *name)
{
	return json_integer_value(json_object_get(tree, name));
}

static void choice_print(const struct cli *cli, const json_t *tree)
{
	bool has_slot = json_object_get(tree, "slot") != NULL;
	bool is_sent = json_object_get(tree, "endpoint") != NULL;
	bool spilled = json_is_true(json_object_get(tree, "spilled"));

	if (json_object_get(tree, "service"))
		step_print(cli, "service", "%s (%s)", field(tree, "service"), field(tree, "host"));
	if (json_object_get(tree, "rule_source"))
		step_print(cli, "rule", "%s, from %s", field(tree, "rule"),
			   field(tree, "rule_source"));
	else if (json_object_get(tree, "rule"))
		step_print(cli, "rule", "%s", field(tree, "rule"));
	if (has_slot) {
		step_print(cli, "slot",
			   "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " (hash %s)",
			   number(tree, "slot"), number(tree, "slots"), field(tree, "hash"));
		step_print(cli, "version", "%s (%s)%s", field(tree, "version"),
			   field(tree, "version_key"),
			   spilled ? ", spilled: the slot's own has no ready endpoint" : "");
	}
	if (is_sent)
		step_print(cli, "endpoint",
			   "%s (place %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT ")",
			   field(tree, "endpoint"), number(tree, "place"), number(tree, "ring"));
	step_print(cli, "verdict", "%s", field(tree, "verdict"));
}

static void flow_print(const struct cli *cli, const json_t *tree)
{
	const json_t *flow = json_object_get(tree, "live_flow");

	if (!flow) {
		step_print(cli, "live flow", "none");
		return;
	}
	step_print(cli, "live flow", "%s, version %s, seen %.0f s ago%s%s", field(flow, "endpoint"),
		   field(flow, "version"),
		   json_real_value(json_object_get(flow, "seen_seconds_ago")),
		   json_is_true(json_object_get(flow, "answered")) ? "" : ", not answered",
		   json_is_true(json_object_get(flow, "closed")) ? ", closed" : "");
	if (!json_is_true(json_object_get(flow, "closed")))
		step_print(cli, "",
			   "its packets keep going there; what stands above is for a new "
			   "connection");
}

static int story_show(struct cli *cli, const json_t *tree)
{
	if (!tree || !output_is_table(cli))
		return output_tree(cli, tree);
	step_print(cli, "connection", "%s -> %s %s", field(tree, "source"),
		   field(tree, "destination"), field(tree, "protocol"));
	step_print(cli, "revision", "%" JSON_INTEGER_FORMAT, number(tree, "revision"));
	choice_print(cli, tree);
	flow_print(cli, tree);
	return CLI_DONE;
}

/* --- the command --- */

static int story_open(struct cli *cli, struct story *story)
{
	_cleanup_talloc_ struct diags *unheard = diags_new(NULL);
	const struct kernel_connection *c = &story->connection;
	int exit = cli_open(cli, story->scratch, NODE_READ, &story->node);

	if (exit)
		return exit;
	if (unheard && !node_plan(story->node, story->scratch, unheard, &story->plan))
		story->service = plan_service_find(story->plan, &c->destination,
						   c->destination_port, c->protocol);
	if (story->node->kernel)
		return CLI_DONE;
	return cli_fail(cli, CLI_FAILED, "no data plane on this node%s%s: nothing is decided here",
			story->service ? "; the destination is the service " : "",
			story->service ? story->service->name : "");
}

/*
 * Whether every split of the service looks at the client's address alone, so that the port does not
 * matter.
 */
static bool is_by_client(const struct story *story)
{
	for (size_t i = 0; story->service && i < story->service->rule_count; i++) {
		if (!story->plan->splits[story->service->rules[i].split].by_client)
			return false;
	}
	return story->service != NULL;
}

static int explain_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_json_ json_t *tree = json_object();
	struct story story = { .scratch = scratch, .tree = tree };
	bool has_port;
	int exit = connection_parse(cli, &story.connection, &has_port), err;

	if (!exit)
		exit = story_open(cli, &story);
	if (!exit && !has_port && !is_by_client(&story))
		exit = cli_fail(cli, CLI_USAGE,
				"the source \"%s\" needs a port: this destination is "
				"not split by client address",
				cli->args.words[0]);
	if (exit)
		return exit;
	err = kernel_explain(story.node->kernel, &story.connection, &story.explain);
	if (err)
		return cli_fail(cli, CLI_FAILED, "cannot walk the tables: %s",
				err == -EUCLEAN ? "one of them points outside itself"
						: strerror(-err));
	story_tell(&story);
	return story_show(cli, tree);
}

const struct command command_explain = {
	.name = "explain",
	.usage = "SOURCE:PORT DESTINATION:PORT [tcp|udp]",
	.summary = "Say where a connection goes and why: rule, slot, version, endpoint, live flow",
	.text = "Walks the kernel's own tables with the code that the doors run. The source\n"
		"port may be left out where the client's address alone decides.",
	.example = "sluice explain 10.0.0.7:40000 10.96.0.10:80\n"
		   "sluice explain '[fd00::7]:5000' '[fd00::10]:53' udp",
	.words_min = 2,
	.words_max = 3,
	.run = explain_run,
};
