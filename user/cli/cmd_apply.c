// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "../base/heap.h"
#include "../input/input.h"
#include "output.h"

#include <errno.h>

static const char **paths_collect(struct cli *cli, size_t *ret_count)
{
	const char **paths = talloc_array(
		cli, const char *, (unsigned)(cli->args.given_count + cli->args.word_count) + 1);
	const char *path;
	size_t at = 0, count = 0;

	while (paths && (path = args_next(&cli->args, "file", &at)))
		paths[count++] = path;
	/* What a shell makes of `-f *.yaml` */
	for (size_t i = 0; paths && i < cli->args.word_count; i++)
		paths[count++] = cli->args.words[i];
	*ret_count = count;
	return paths;
}

struct applied {
	struct input_result input;
	struct node_result result;
};

/* The tree says what was found as well: a pipeline need not read standard error. */
static int result_show(struct cli *cli, const struct applied *applied)
{
	const struct input_result *input = &applied->input;
	const struct node_result *result = &applied->result;
	_cleanup_json_ json_t *tree = json_result(cli, result);

	cli_about(cli, result->summary, NULL);
	if (!output_is_table(cli)) {
		json_object_set_new(tree, "applied", json_boolean(!cli->is_dry_run));
		json_object_set_new(tree, "objects_taken", json_integer((json_int_t)input->taken));
		json_object_set_new(tree, "objects_passed",
				    json_integer((json_int_t)input->passed));
		json_object_set_new(tree, "diagnostics", json_diags(cli->diags));
		return output_tree(cli, tree);
	}
	result_print(cli, result, stdout);
	printf("%zu object%s taken", input->taken, input->taken == 1 ? "" : "s");
	if (input->passed)
		printf(", %zu passed over", input->passed);
	printf("\n");
	return CLI_DONE;
}

/* A pipeline need not read standard error for this either, whatever it was that failed. */
static int failure_show(struct cli *cli, int exit)
{
	_cleanup_json_ json_t *tree = NULL;

	if (!output_is_table(cli)) {
		tree = json_pack("{s:b, s:o}", "applied", 0, "diagnostics", json_diags(cli->diags));
		output_tree(cli, tree);
	}
	return exit == CLI_REFUSED
		       ? cli_fail(cli, exit, "the input is refused, nothing has changed")
		       : exit;
}

static int texts_apply(struct cli *cli, void *scratch, const struct input_text *texts, size_t count,
		       struct applied *ret_applied)
{
	struct node_change change = cli_change(cli);
	struct input_result *input = &ret_applied->input;
	struct node *node;
	size_t errors;
	int exit = cli_open_to_change(cli, scratch, &node), err;

	if (exit)
		return exit;
	errors = cli->diags->errors;
	change.is_whole = args_has(&cli->args, "replace");
	err = input_apply(scratch, texts, count, change.is_whole ? INPUT_REPLACE : INPUT_MERGE,
			  node->model, node->inventory, cli->diags, input);
	/* A pipe whose first half failed must not empty the node. */
	if (!err && !input->taken && change.is_whole) {
		diag_add(cli->diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the input holds no object, and --replace would remove every service");
		err = -EINVAL;
	}
	if (!err)
		err = node_commit(node, input->model, input->inventory, &change, cli->diags,
				  scratch, &ret_applied->result);
	if (err == -EINVAL)
		return CLI_REFUSED;
	if (err)
		return cli_failed(cli, err, errors, "cannot apply");
	node_unlock(node);
	return CLI_DONE;
}

/* What trees and models take of it: for that the time goes that pages are entered one by one. */
#define HEAP_TIMES 48

static void texts_expect(const struct input_text *texts, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += texts[i].size;
	heap_expect(HEAP_TIMES * size);
}

static int paths_apply(struct cli *cli, void *scratch, struct applied *ret_applied)
{
	struct input_text *texts;
	size_t path_count, count, errors = cli->diags->errors;
	const char **paths = paths_collect(cli, &path_count);
	int err;

	if (!path_count)
		return cli_fail(cli, CLI_USAGE, "apply what? -f FILE, -f FOLDER or -f -");
	/* Before the lock is taken: standard input may be a person who is still typing. */
	err = input_read(scratch, paths, path_count, cli->diags, &texts, &count);
	if (err)
		return cli_failed(cli, err, errors, "cannot read the input");
	texts_expect(texts, count);
	return texts_apply(cli, scratch, texts, count, ret_applied);
}

static int apply_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct applied applied = { 0 };
	int exit = paths_apply(cli, scratch, &applied);

	return exit ? failure_show(cli, exit) : result_show(cli, &applied);
}

static const struct option options[] = {
	{ "file", 'f', "FILE|FOLDER|-", "what to apply; may be given several times" },
	{ "replace", 0, NULL, "the input is the whole configuration: what it lacks goes" },
};

const struct command command_apply = {
	.name = "apply",
	.usage = "-f FILE|FOLDER|- ... [--replace] [--dry-run]",
	.summary = "Take Istio, Kubernetes and Gateway API YAML or JSON as the configuration",
	.text = "Objects replace those of the same kind, namespace and name; the rest\n"
		"stays. The input is taken whole or refused whole. All of it becomes\n"
		"visible in one store, as one new revision; an input that changes no\n"
		"intents makes none, and updates endpoints alone.",
	.example = "sluice apply -f reviews.yaml --reason 'canary of v3'\n"
		   "sluice apply -f rules/ --dry-run        # what would change\n"
		   "sluice export | sluice apply --replace -f -",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words_max = 4096,
	.flags = COMMAND_CHANGES | COMMAND_FILES,
	.run = apply_run,
};
