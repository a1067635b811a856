// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "get.h"

#include <string.h>

static const struct column service_columns[] = {
	{ "SERVICE", "service", COLUMN_PLAIN },   { "KIND", "kind", COLUMN_PLAIN },
	{ "ADDRESSES", "vips", COLUMN_PLAIN },    { "PORTS", "ports", COLUMN_PLAIN },
	{ "VERSIONS", "versions", COLUMN_PLAIN }, { "RULES", "rules", COLUMN_PLAIN },
	{ "KEY", "affinity", COLUMN_PLAIN },      { "EMPTY", "empty_version", COLUMN_PLAIN },
};
static const struct column version_columns[] = {
	{ "SERVICE", "service", COLUMN_PLAIN }, { "VERSION", "version", COLUMN_PLAIN },
	{ "PORT", "port", COLUMN_PLAIN },       { "READY", "ready", COLUMN_PLAIN },
	{ "KNOWN", "known", COLUMN_PLAIN },     { "CONNECTIONS", "connections", COLUMN_PLAIN },
};
static const struct column endpoint_columns[] = {
	{ "SERVICE", "service", COLUMN_PLAIN },   { "ADDRESS", "address", COLUMN_PLAIN },
	{ "PORTS", "ports", COLUMN_PLAIN },       { "STATE", "state", COLUMN_STATE },
	{ "VERSIONS", "versions", COLUMN_PLAIN }, { "WEIGHT", "weight", COLUMN_PLAIN },
	{ "LABELS", "labels", COLUMN_PLAIN },     { "SOURCE", "source", COLUMN_PLAIN },
};
static const struct column split_columns[] = {
	{ "SERVICE", "service", COLUMN_PLAIN },
	{ "PORT", "port", COLUMN_PLAIN },
	{ "RULE", "rule", COLUMN_PLAIN },
	{ "VERSION", "version", COLUMN_PLAIN },
	{ "WEIGHT", "weight", COLUMN_PLAIN },
	{ "SHARE", "share", COLUMN_PERCENT },
	{ "", "share", COLUMN_BAR },
	{ "OPENED", "opened", COLUMN_PLAIN },
	{ "MEASURED", "measured", COLUMN_PERCENT },
	{ "95 % FROM", "measured_low", COLUMN_PERCENT },
	{ "TO", "measured_high", COLUMN_PERCENT },
};

static const struct kind {
	struct section section;
	int (*collect)(const struct view *view, json_t *list);
} kinds[] = {
	{ SECTION("services", NULL, "no services", service_columns), services_collect },
	{ SECTION("versions", NULL, "no versions", version_columns), versions_collect },
	{ SECTION("endpoints", NULL, "no endpoints", endpoint_columns), endpoints_collect },
	{ SECTION("splits", NULL, "no splits", split_columns), splits_collect },
};

static const struct word words[] = {
	{ "services", "virtual addresses, ports, versions" },
	{ "versions", "endpoints ready and known, live connections" },
	{ "endpoints", "addresses, states, labels, where they come from" },
	{ "splits", "the intended share of each version, and the measured one" },
};

static const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kinds[i].section.list, name))
			return &kinds[i];
	}
	return &kinds[0];
}

static int seconds_parse(struct cli *cli, unsigned *ret_seconds)
{
	const char *text = args_value(&cli->args, "for");
	uint64_t seconds = 0;

	if (text && number_parse(text, 1, 86400, &seconds))
		return cli_fail(cli, CLI_USAGE, "--for \"%s\"; allowed are 1 to 86400 seconds",
				text);
	if (seconds && strcmp(cli->args.words[0], "splits"))
		return cli_fail(cli, CLI_USAGE, "--for is for splits alone");
	*ret_seconds = (unsigned)seconds;
	return CLI_DONE;
}

static int view_open(struct cli *cli, void *scratch, struct view *view)
{
	_cleanup_talloc_ struct diags *known = diags_new(NULL);
	struct service *service;
	int exit = cli_open(cli, scratch, NODE_READ, &view->node), err;
	size_t errors;

	if (exit)
		return exit;
	if (cli->args.word_count > 1) {
		exit = cli_service(cli, view->node->model, cli->args.words[1], &service);
		if (exit)
			return exit;
		view->host = service->host;
	}
	/* Its warnings were said when the configuration was applied. */
	errors = cli->diags->errors;
	err = node_plan(view->node, scratch, known, &view->plan);
	return err ? cli_failed(cli, err, errors, "cannot work out the plan") : CLI_DONE;
}

static int get_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const struct kind *kind = kind_find(cli->args.words[0]);
	struct view view = { .cli = cli, .scratch = scratch };
	_cleanup_json_ json_t *tree = NULL;
	json_t *list;
	int exit = seconds_parse(cli, &view.seconds);

	if (!exit)
		exit = view_open(cli, scratch, &view);
	if (exit)
		return exit;
	tree = json_pack("{s:I, s:[]}", "revision", (json_int_t)view.node->active,
			 kind->section.list);
	list = json_object_get(tree, kind->section.list);
	if (!list)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	exit = kind->collect(&view, list);
	return exit ? exit : output_print(cli, tree, &kind->section, 1);
}

static const struct option options[] = {
	{ "for", 0, "SECONDS", "splits: measure the connections of the next so many seconds" },
};

const struct command command_get = {
	.name = "get",
	.usage = "services|versions|endpoints|splits [SERVICE]",
	.summary = "List what the active revision has and what the kernel counted",
	.text = "The measured share of a version is its part of the connections opened\n"
		"since the last flip, or in the time of --for, with the interval that holds\n"
		"the true share in 95 of 100 cases.",
	.example = "sluice get services\n"
		   "sluice get splits reviews --for 10\n"
		   "sluice get endpoints -o json | jq '.endpoints[] | select(.state != \"ready\")'",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words = words,
	.word_count = ARRAY_SIZE(words),
	.words_min = 1,
	.words_max = 2,
	.flags = COMMAND_SERVICES,
	.run = get_run,
};
