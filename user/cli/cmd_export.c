// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "output.h"
#include "yaml_in.h"

#include <errno.h>
#include <string.h>

/* The text as it is: what is printed is what the digest is over. */
static int text_print(struct cli *cli, const char *text)
{
	fputs(text, stdout);
	return output_end(cli);
}

/* A Kubernetes List, which `apply` takes back too. */
static int list_print(struct cli *cli, const char *text)
{
	_cleanup_json_ json_t *tree = NULL;
	json_t *items = yaml_documents(text);

	if (!items)
		return cli_fail(cli, CLI_FAILED, "cannot read back what was exported");
	tree = json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "List", "items", items);
	return output_tree(cli, tree);
}

static int model_of(struct cli *cli, void *scratch, struct node *node,
		    const struct model **ret_model)
{
	const char *typed = cli->args.word_count ? cli->args.words[0] : NULL;
	struct model *model = node->model;
	size_t errors = cli->diags->errors;
	uint32_t number;
	int exit = typed ? args_revision(cli, typed, &number) : CLI_DONE, err = 0;

	if (!exit && typed)
		err = node_model_at(node, scratch, number, cli->diags, &model);
	if (err) {
		cli_failed(cli, err, errors, "cannot read that revision");
		exit = err == -ENOENT ? CLI_REFUSED : CLI_FAILED;
	}
	*ret_model = model;
	return exit;
}

static int export_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const struct model *model;
	struct node *node;
	char *text = NULL, *endpoints = NULL;
	int exit = cli_open(cli, scratch, NODE_READ, &node), err;

	if (!exit)
		exit = model_of(cli, scratch, node, &model);
	if (exit)
		return exit;
	if (args_has(&cli->args, "endpoints") && node->has_lost_endpoints)
		return cli_fail(cli, CLI_FAILED,
				"the endpoints of this node are lost: without --endpoints the "
				"rules alone are exported");
	err = model_export(scratch, model, &text);
	if (!err && args_has(&cli->args, "endpoints")) {
		err = inventory_export(scratch, node->inventory, &endpoints);
		text = err ? text : talloc_strdup_append(text, endpoints);
	}
	if (err || !text)
		return cli_fail(cli, CLI_FAILED, "cannot export: %s",
				strerror(err ? -err : ENOMEM));
	return cli->format == CLI_JSON ? list_print(cli, text) : text_print(cli, text);
}

static const struct option options[] = {
	{ "endpoints", 0, NULL, "also what is no part of a revision: endpoints, pods, drains" },
};

const struct command command_export = {
	.name = "export",
	.usage = "[REVISION] [--endpoints]",
	.summary = "Print the active revision as YAML that `apply` takes back unchanged",
	.text = "With REVISION, one of the history. -o json prints a Kubernetes List of the\n"
		"same objects.",
	.example =
		"sluice export > backup.yaml\n"
		"sluice apply --replace -f backup.yaml   # the same digest, hence no new revision",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words_max = 1,
	.run = export_run,
};
