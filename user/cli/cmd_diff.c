// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "linediff.h"
#include "output.h"

#include <errno.h>
#include <string.h>

struct side {
	uint32_t number; /* 0: before the first revision */
	struct model *model;
};

/*
 * The revision that was active when this one was made; 0 when there was none, or when it is not on
 * disk.
 */
static uint32_t parent_of(struct cli *cli, void *scratch, const struct node *node, uint32_t number)
{
	struct store_revision revision;

	if (!number || store_load(node->store, scratch, number, cli->diags, &revision))
		return 0;
	return revision.parent;
}

static int side_load(struct cli *cli, void *scratch, struct node *node, struct side *side)
{
	size_t errors = cli->diags->errors;
	int err = 0;

	side->model = talloc_zero(scratch, struct model);
	if (!side->model)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (side->number && side->number == node->active)
		side->model = node->model;
	else if (side->number)
		err = node_model_at(node, scratch, side->number, cli->diags, &side->model);
	if (!err)
		return CLI_DONE;
	if (cli->diags->errors == errors)
		cli_fail(cli, CLI_FAILED, "revision %u: %s", side->number,
			 err == -ENOENT ? "there is none in the history" : strerror(-err));
	return err == -ENOENT ? CLI_REFUSED : CLI_FAILED;
}

static const char *export_of(void *scratch, const struct model *model, const char *host)
{
	const struct service *service = model_service_find(model, host);
	char *text = NULL;

	if (!service)
		return "";
	return service_export(scratch, service, &text) ? NULL : text;
}

/* One service at a time: a node may have thousands, of which a change touches a few. */
static int service_compare(void *scratch, const char *host, const struct side *from,
			   const struct side *to, json_t *list)
{
	const char *before = export_of(scratch, from->model, host);
	const char *after = export_of(scratch, to->model, host);
	struct diff_line *lines;
	json_t *texts;
	size_t count;

	if (!before || !after)
		return -ENOMEM;
	if (!strcmp(before, after))
		return 0;
	if (line_diff(scratch, before, after, &lines, &count))
		return -ENOMEM;
	texts = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(texts,
				      lines[i].mark == '@'
					      ? json_text(lines[i].text)
					      : json_sprintf("%c%s", lines[i].mark, lines[i].text));
	return json_array_append_new(list, json_pack("{s:s, s:o}", "host", host, "lines", texts));
}

/* Both lists are sorted by host: one walk over the two. */
static int services_compare(void *scratch, const struct side *from, const struct side *to,
			    json_t *list)
{
	const struct model *a = from->model, *b = to->model;
	size_t i = 0, j = 0;
	int err = 0;

	while (!err && (i < a->service_count || j < b->service_count)) {
		const char *left = i < a->service_count ? a->services[i].host : NULL;
		const char *right = j < b->service_count ? b->services[j].host : NULL;
		int order = !left ? 1 : !right ? -1 : strcmp(left, right);
		_cleanup_talloc_ void *memory = talloc_new(scratch);

		err = service_compare(memory, order <= 0 ? left : right, from, to, list);
		i += order <= 0;
		j += order >= 0;
	}
	return err;
}

static const char *line_colour(const struct cli *cli, const char *line)
{
	switch (line[0]) {
	case '+':
		return colour(cli, COLOUR_GREEN);
	case '-':
		return colour(cli, COLOUR_RED);
	case '@':
		return colour(cli, COLOUR_CYAN);
	default:
		return "";
	}
}

static void lines_print(const struct cli *cli, const json_t *lines)
{
	const json_t *line;
	size_t i;

	json_array_foreach((json_t *)lines, i, line)
	{
		const char *text = json_string_value(line), *sequence = line_colour(cli, text);

		printf("%s%s%s\n", sequence, text, *sequence ? COLOUR_OFF : "");
	}
}

static void show(const struct cli *cli, const json_t *tree, uint32_t from, uint32_t to)
{
	const json_t *service, *lines = json_object_get(tree, "changes");
	size_t i;

	if (!json_array_size(lines) && !json_array_size(json_object_get(tree, "services"))) {
		printf("revisions %u and %u have the same intents\n", from, to);
		return;
	}
	json_array_foreach((json_t *)lines, i, service)
	{
		printf("%s\n", json_string_value(service));
	}
	json_array_foreach(json_object_get(tree, "services"), i, service)
	{
		const char *host = json_string_value(json_object_get(service, "host"));

		printf("\n%s--- revision %u %s\n+++ revision %u %s%s\n", colour(cli, COLOUR_BOLD),
		       from, host, to, host, colour(cli, COLOUR_OFF));
		lines_print(cli, json_object_get(service, "lines"));
	}
}

static int compare(struct cli *cli, void *scratch, const struct side *from, const struct side *to)
{
	_cleanup_json_ json_t *tree = json_pack("{s:I, s:I}", "from", (json_int_t)from->number,
						"to", (json_int_t)to->number);
	json_t *services = json_array();
	char *changes = NULL;

	json_object_set_new(tree, "services", services);
	if (model_diff(scratch, from->model, to->model, &changes) ||
	    services_compare(scratch, from, to, services))
		return cli_fail(cli, CLI_FAILED, "out of memory");
	json_object_set_new(tree, "changes", json_lines(changes));
	if (!output_is_table(cli))
		return output_tree(cli, tree);
	show(cli, tree, from->number, to->number);
	return CLI_DONE;
}

static int diff_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct side from = { 0 }, to = { 0 };
	const struct args *args = &cli->args;
	struct node *node;
	int exit = CLI_DONE;

	if (args->word_count > 0)
		exit = args_revision(cli, args->words[0], &from.number);
	if (!exit && args->word_count > 1)
		exit = args_revision(cli, args->words[1], &to.number);
	if (!exit)
		exit = cli_open(cli, scratch, NODE_READ, &node);
	if (exit)
		return exit;
	if (!to.number)
		to.number = node->active;
	if (!from.number)
		from.number = parent_of(cli, scratch, node, to.number);
	exit = side_load(cli, scratch, node, &from);
	if (!exit)
		exit = side_load(cli, scratch, node, &to);
	return exit ? exit : compare(cli, scratch, &from, &to);
}

const struct command command_diff = {
	.name = "diff",
	.usage = "[A] [B]",
	.summary = "Show what lies between two revisions",
	.text = "Without arguments: from the revision before the active one to the active\n"
		"one. With A alone: from A to the active one.",
	.example = "sluice diff            # what did the last change do?\n"
		   "sluice diff 41 44",
	.words_max = 2,
	.run = diff_run,
};
