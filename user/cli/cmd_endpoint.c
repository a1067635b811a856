// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "address.h"
#include "membership.h"
#include "output.h"

#include <errno.h>
#include <string.h>

struct request {
	const char *verb, *text; /* "add", "10.0.0.1:80" */
	struct addr addr;
	uint16_t port; /* 0: none given */
	const struct service *service;
	struct inventory *inventory; /* the copy that is changed */
};

/* --- add --- */

static int label_compare(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

/* What no file may say is refused here too: the label would be on disk, and in every export. */
static int label_check(struct cli *cli, const char *text, const struct label *label)
{
	if (is_label_key(label->key) && is_label_value(label->value))
		return CLI_DONE;
	return cli_fail(
		cli, CLI_USAGE,
		"--label \"%.80s\"; allowed are letters, digits, '-', '_' and '.', at most 63, "
		"the key after a DNS prefix and '/' if any",
		text);
}

static int labels_parse(struct cli *cli, void *memory, struct label_list *labels)
{
	struct label *label;
	size_t at = 0;
	const char *text;
	int exit = CLI_DONE;

	labels->list = talloc_array(memory, struct label, (unsigned)cli->args.given_count + 1);
	while (labels->list && !exit && (text = args_next(&cli->args, "label", &at))) {
		const char *equals = strchr(text, '=');

		if (!equals || equals == text)
			return cli_fail(cli, CLI_USAGE, "--label \"%s\"; allowed is KEY=VALUE",
					text);
		label = &labels->list[labels->count++];
		*label = (struct label){
			talloc_strndup(memory, text, (size_t)(equals - text)),
			talloc_strdup(memory, equals + 1),
		};
		if (!label->key || !label->value)
			return cli_fail(cli, CLI_FAILED, "out of memory");
		exit = label_check(cli, text, label);
	}
	if (!labels->list)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (exit)
		return exit;
	qsort(labels->list, labels->count, sizeof(*labels->list), label_compare);
	for (size_t i = 1; i < labels->count; i++) {
		if (!strcmp(labels->list[i - 1].key, labels->list[i].key))
			return cli_fail(cli, CLI_USAGE, "--label %s is given twice",
					labels->list[i].key);
	}
	return CLI_DONE;
}

static int port_unclear(struct cli *cli, const struct request *request)
{
	_cleanup_talloc_ char *list = talloc_strdup(NULL, "");

	for (size_t i = 0; list && i < request->service->port_count; i++)
		list = talloc_asprintf_append(list, "%s%u", i ? ", " : "",
					      port_target(&request->service->ports[i]));
	return cli_fail(
		cli, CLI_REFUSED,
		"%s has several ports, and none of them leads to port %u; leave the port out "
		"to serve all of them, or give one of %s",
		request->service->host, request->port, list ? list : "");
}

/* Names pair an endpoint's port with the service's, where there are several. */
static int port_choose(struct cli *cli, const struct request *request, struct endpoint *endpoint)
{
	const struct service *service = request->service;
	const struct service_port *found = service->port_count == 1 ? service->ports : NULL;

	if (!request->port)
		return CLI_DONE;
	for (size_t i = 0; service->port_count > 1 && i < service->port_count; i++) {
		if (port_target(&service->ports[i]) == request->port)
			found = &service->ports[i];
	}
	if (!found && service->port_count > 1)
		return port_unclear(cli, request);
	endpoint->ports = talloc_zero(request->inventory, struct endpoint_port);
	if (!endpoint->ports)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	endpoint->ports[0] = (struct endpoint_port){
		.name = found ? talloc_strdup(request->inventory, found->name) : "",
		.number = request->port,
		.protocol = found ? found->protocol : PROTOCOL_TCP,
	};
	endpoint->port_count = 1;
	return CLI_DONE;
}

static void unmatched_warn(struct cli *cli, const struct request *request,
			   const struct endpoint *endpoint)
{
	const struct service *service = request->service;

	for (size_t i = 0; i < service->subset_count; i++) {
		if (labels_contain(&endpoint->labels, &service->subsets[i].labels))
			return;
	}
	if (service->subset_count)
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "%s: with these labels it belongs to no version of %s (--label)",
			 request->text, service->host);
}

static int add(struct cli *cli, struct request *request)
{
	struct endpoint endpoint = {
		.addr = request->addr,
		.workload = "",
		.weight = 1,
		.state = ENDPOINT_READY,
	};
	const char *weight = args_value(&cli->args, "weight");
	uint64_t number = 1;
	int exit;

	if (weight && number_parse(weight, 0, WEIGHT_MAX, &number))
		return cli_fail(cli, CLI_USAGE, "--weight \"%s\"; allowed are 0 to %u", weight,
				WEIGHT_MAX);
	endpoint.weight = (uint32_t)number;
	exit = labels_parse(cli, request->inventory, &endpoint.labels);
	if (!exit)
		exit = port_choose(cli, request, &endpoint);
	if (exit)
		return exit;
	unmatched_warn(cli, request, &endpoint);
	if (membership_add(request->inventory, request->service->host, &endpoint))
		return cli_fail(cli, CLI_FAILED, "out of memory");
	return CLI_DONE;
}

/* --- remove, drain --- */

static int unknown(struct cli *cli, const struct request *request)
{
	_cleanup_talloc_ char *ports =
		membership_ports(NULL, request->inventory, request->service, &request->addr);

	if (ports && *ports)
		return cli_fail(cli, CLI_REFUSED, "%s has no endpoint %s; its ports are %s",
				request->service->host, request->text, ports);
	return cli_fail(cli, CLI_REFUSED,
			"%s has no endpoint %s; `sluice get endpoints %s` lists what it has",
			request->service->host, request->text, request->service->name);
}

static int remove_endpoint(struct cli *cli, struct request *request)
{
	const char *source;

	if (!membership_remove(request->inventory, request->service, &request->addr, request->port,
			       &source))
		return CLI_DONE;
	if (!source)
		return unknown(cli, request);
	return cli_fail(
		cli, CLI_REFUSED,
		"%s comes from %s, which would bring it back; use `sluice endpoint drain %s %s`",
		request->text, source, request->service->name, request->text);
}

static int drain(struct cli *cli, struct request *request)
{
	bool is_undo = args_has(&cli->args, "undo");
	int err = is_undo ? membership_undrain(request->inventory, request->service->host,
					       &request->addr, request->port)
			  : membership_drain(request->inventory, request->service, &request->addr,
					     request->port);

	if (err == -ENOENT)
		return unknown(cli, request);
	if (err == -ENOMEM)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	/* Asking for what is already so is done, and worth a word. */
	if (err == -EALREADY)
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL, "%s was %s", request->text,
			 is_undo ? "not drained" : "drained already");
	return CLI_DONE;
}

/* --- the command --- */

static const struct verb {
	const char *name;
	int (*run)(struct cli *cli, struct request *request);
	const char *options[4]; /* its own, of those in the command's table */
} verbs[] = {
	{ "add", add, { "label", "weight" } },
	{ "remove", remove_endpoint, { NULL } },
	{ "drain", drain, { "undo" } },
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	}
	return NULL;
}

static int options_check(struct cli *cli, const struct verb *verb)
{
	static const char *const own[] = { "label", "weight", "undo" };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		bool is_its = false;

		for (size_t o = 0; o < ARRAY_SIZE(verb->options) && verb->options[o]; o++)
			is_its = is_its || !strcmp(own[i], verb->options[o]);
		if (!is_its && args_has(&cli->args, own[i]))
			return cli_fail(cli, CLI_USAGE, "`endpoint %s` takes no --%s", verb->name,
					own[i]);
	}
	return CLI_DONE;
}

static int result_show(struct cli *cli, const struct request *request,
		       const struct node_result *result)
{
	_cleanup_json_ json_t *tree = NULL;
	_cleanup_talloc_ const char *title = cli_title(NULL, request->service);

	cli_about(cli, result->summary, title);
	if (output_is_table(cli)) {
		result_print(cli, result, stdout);
		return CLI_DONE;
	}
	tree = json_result(cli, result);
	json_object_set_new(tree, "action", json_string(request->verb));
	json_object_set_new(tree, "host", json_text(request->service->host));
	json_object_set_new(tree, "endpoint", json_text(request->text));
	return output_tree(cli, tree);
}

static int request_commit(struct cli *cli, void *scratch, struct node *node,
			  struct request *request)
{
	struct node_change change = cli_change(cli);
	struct node_result result;
	size_t errors = cli->diags->errors;
	int err = node_commit(node, node->model, request->inventory, &change, cli->diags, scratch,
			      &result);

	if (err)
		return cli_refused(cli, err, errors, "cannot change the endpoints");
	node_unlock(node);
	return result_show(cli, request, &result);
}

static int endpoint_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const char *const *words = cli->args.words;
	const struct verb *verb = verb_find(words[0]);
	struct request request = { .verb = words[0], .text = words[2] };
	struct service *service;
	struct node *node;
	bool has_port;
	int exit = options_check(cli, verb);

	if (!exit && addr_port_parse(words[2], &request.addr, &request.port, &has_port))
		exit = cli_fail(cli, CLI_USAGE,
				"\"%s\" is no endpoint; allowed are ADDRESS and "
				"ADDRESS:PORT, as in 10.0.0.1:80 or [fd00::1]:80",
				words[2]);
	if (!exit)
		exit = cli_open_to_change(cli, scratch, &node);
	if (!exit)
		exit = cli_service(cli, node->model, words[1], &service);
	if (exit)
		return exit;
	request.service = service;
	request.inventory = inventory_copy(scratch, node->inventory);
	if (!request.inventory)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	exit = verb->run(cli, &request);
	return exit ? exit : request_commit(cli, scratch, node, &request);
}

static const struct option options[] = {
	{ "label", 'l', "KEY=VALUE", "add: a label, by which versions choose; several times" },
	{ "weight", 'w', "NUMBER", "add: its weight inside its version (default: 1)" },
	{ "undo", 0, NULL, "drain: let it have new connections again" },
};
static const struct word verb_words[] = {
	{ "add", "give the service an endpoint that no file knows" },
	{ "remove", "take back one that was added so" },
	{ "drain", "no new connections for it; the live ones stay" },
};

const struct command command_endpoint = {
	.name = "endpoint",
	.usage = "add|remove|drain SERVICE ADDRESS[:PORT] [--label KEY=VALUE] ...",
	.summary = "Add, remove or drain an endpoint by hand",
	.text = "Endpoints are no part of a revision: this makes none, and no rollback\n"
		"undoes it.",
	.example = "sluice endpoint add reviews 10.0.0.9:9080 --label version=v3\n"
		   "sluice endpoint drain reviews 10.0.0.7\n"
		   "sluice endpoint drain --undo reviews 10.0.0.7",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words = verb_words,
	.word_count = ARRAY_SIZE(verb_words),
	.words_min = 3,
	.words_max = 3,
	.flags = COMMAND_CHANGES | COMMAND_SERVICES,
	.run = endpoint_run,
};
