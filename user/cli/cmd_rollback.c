// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <errno.h>

/* A flip makes no revision, and yet it is what was asked for. */
static void flip_print(const struct cli *cli, uint32_t before, const struct node_result *result)
{
	changes_print(cli, result, stdout);
	if (result->revision == before)
		printf("revision %u was active already\n", before);
	else
		printf("revision %s%u%s is active again (was %u)\n", colour(cli, COLOUR_BOLD),
		       result->revision, colour(cli, COLOUR_OFF), before);
}

static int result_show(struct cli *cli, const char *host, uint32_t before,
		       const struct node_result *result)
{
	_cleanup_json_ json_t *tree = NULL;

	cli_about(cli, result->summary, NULL);
	if (output_is_table(cli)) {
		if (host || cli->is_dry_run)
			result_print(cli, result, stdout);
		else
			flip_print(cli, before, result);
		return CLI_DONE;
	}
	tree = json_result(cli, result);
	json_object_set_new(tree, "was", json_integer(before));
	json_object_set_new(tree, "host", json_text(host));
	return output_tree(cli, tree);
}

/* What the flip changed is worked out when it is done: whoever is in a hurry has it by now. */
static void summary_make(struct node *node, void *scratch, uint32_t before,
			 struct node_result *result)
{
	_cleanup_talloc_ struct diags *unheard = diags_new(NULL);

	if (unheard && before && !(result->summary && *result->summary))
		node_summary(node, scratch, before, result->revision, unheard, &result->summary);
}

/*
 * A revision that was named and is not there is refused; that there is nothing to go back to is a
 * failure.
 */
static int fail(struct cli *cli, int err, size_t errors, uint32_t number)
{
	cli_failed(cli, err, errors, "cannot roll back");
	return (err == -ENOENT && number) || err == -EINVAL ? CLI_REFUSED : CLI_FAILED;
}

static int roll_back(struct cli *cli, uint32_t number)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct node_change change = cli_change(cli);
	struct node_result result;
	struct service *service = NULL;
	const char *host = NULL;
	struct node *node;
	size_t errors;
	uint32_t before;
	int exit, err;

	/* The whole node's way back is the one that is in a hurry: it needs no model. */
	cli->node.lazy = !cli->args.word_count && !cli->is_dry_run;
	exit = cli_open_to_change(cli, scratch, &node);
	errors = cli->diags->errors;
	if (!exit && cli->args.word_count)
		exit = cli_service(cli, node->model, cli->args.words[0], &service);
	if (exit)
		return exit;
	/* A change replaces the node's model, and what hangs from it. */
	if (service)
		host = talloc_strdup(scratch, service->host);
	before = node->active;
	if (host)
		err = node_rollback_service(node, host, number, &change, cli->diags, scratch,
					    &result);
	else
		err = node_rollback(node, number, &change, cli->diags, scratch, &result);
	if (err)
		return fail(cli, err, errors, number);
	if (cli->node.lazy)
		summary_make(node, scratch, before, &result);
	node_unlock(node);
	return result_show(cli, host, before, &result);
}

static int rollback_run(struct cli *cli)
{
	const char *to = args_value(&cli->args, "to");
	uint32_t number = 0;
	int exit = to ? args_revision(cli, to, &number) : CLI_DONE;

	return exit ? exit : roll_back(cli, number);
}

static const struct option options[] = {
	{ "to", 0, "REVISION", "any revision of the history, instead of the one before" },
};

const struct command command_rollback = {
	.name = "rollback",
	.usage = "[SERVICE] [--to REVISION] [--dry-run]",
	.summary = "Take back the last change, of the whole node or of one service",
	.text = "Without SERVICE the whole node flips to the revision that was active\n"
		"before, by one store; twice toggles. A revision that has left the kernel\n"
		"is rebuilt from disk first. With SERVICE that service gets the rules it\n"
		"had before they last changed, as a new revision. Endpoints are never\n"
		"rolled back, and no live connection moves.",
	.example = "sluice rollback                  # the whole node, at once\n"
		   "sluice rollback reviews          # one service\n"
		   "sluice rollback --to 41 --reason 'as before the weekend'",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words_max = 1,
	.flags = COMMAND_CHANGES | COMMAND_SERVICES,
	.run = rollback_run,
};
