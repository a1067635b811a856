// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <string.h>

#define LIMIT_DEFAULT 20

static json_t *revision_tree(const struct node *node, const struct store_revision *revision)
{
	bool is_hot = node->kernel && kernel_is_hot(node->kernel, revision->number);
	bool is_active = revision->number == node->active;
	json_t *changes = json_lines(revision->summary), *row;
	size_t count = json_array_size(changes);
	const char *first = count ? json_string_value(json_array_get(changes, 0)) : "";

	row = json_pack("{s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:b, s:b, s:s}", "revision",
			(json_int_t)revision->number, "parent", (json_int_t)revision->parent,
			"time", json_time(revision->time), "time_unix", (json_int_t)revision->time,
			"author", json_text(revision->author), "reason",
			json_text(revision->reason), "digest", json_digest(revision->digest),
			"active", is_active, "hot", is_hot, "state",
			is_active ? "active"
			: is_hot  ? "hot"
				  : "on disk");
	json_object_set_new(row, "changed",
			    count > 1 ? json_sprintf("%s (+%zu more)", first, count - 1)
				      : json_text(first));
	json_object_set_new(row, "changes", changes);
	return row;
}

/* Null unless it was a rollback that made the active revision the active one. */
static json_t *activation_tree(const struct node *node)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct store_activation activation;

	/* Flipped by hand since then: what the disk says is about another revision. */
	if (!scratch || store_activation(node->store, scratch, &activation) ||
	    activation.active != node->active)
		return json_null();
	return json_pack("{s:I, s:I, s:o, s:I, s:o, s:o}", "revision",
			 (json_int_t)activation.active, "from", (json_int_t)activation.previous,
			 "time", json_time(activation.time), "time_unix",
			 (json_int_t)activation.time, "author", json_text(activation.author),
			 "reason", json_text(activation.reason));
}

/* One line, whatever a text holds: a terminal must not obey it. */
static void plain_print(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static int activation_print(struct cli *cli, const json_t *activation)
{
	json_int_t number = 0, from = 0;
	const char *when = "-", *author = "", *reason = "";

	if (json_unpack((json_t *)activation, "{s:I, s:I, s?s, s:s, s:s}", "revision", &number,
			"from", &from, "time", &when, "author", &author, "reason", &reason))
		return CLI_DONE;
	printf("revision %" JSON_INTEGER_FORMAT " is active since %s by ", number, when);
	plain_print(author);
	printf(" (was %" JSON_INTEGER_FORMAT ")%s", from, *reason ? ": " : "");
	plain_print(reason);
	putchar('\n');
	return output_end(cli);
}

static int history_show(struct cli *cli, const struct node *node, const struct store_revision *list,
			size_t count)
{
	static const struct column columns[] = {
		{ "REVISION", "revision", COLUMN_PLAIN }, { "STATE", "state", COLUMN_STATE },
		{ "PARENT", "parent", COLUMN_PLAIN },     { "TIME", "time", COLUMN_PLAIN },
		{ "AUTHOR", "author", COLUMN_PLAIN },     { "DIGEST", "digest", COLUMN_SHORT },
		{ "REASON", "reason", COLUMN_PLAIN },     { "CHANGED", "changed", COLUMN_PLAIN },
	};
	static const struct section sections[] = {
		SECTION("revisions", NULL, "no revision yet", columns),
	};
	_cleanup_json_ json_t *tree =
		json_pack("{s:I, s:o, s:[]}", "active_revision", (json_int_t)node->active,
			  "activation", activation_tree(node), "revisions");
	json_t *rows = json_object_get(tree, "revisions");
	int exit;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, revision_tree(node, &list[i]));
	exit = output_print(cli, tree, sections, ARRAY_SIZE(sections));
	if (exit || !output_is_table(cli))
		return exit;
	return activation_print(cli, json_object_get(tree, "activation"));
}

static int history_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const char *text = args_value(&cli->args, "limit");
	uint64_t limit = LIMIT_DEFAULT;
	struct store_revision *list;
	size_t count, errors;
	struct node *node;
	int exit, err;

	if (text && number_parse(text, 0, UINT32_MAX, &limit))
		return cli_fail(cli, CLI_USAGE, "--limit \"%s\"; allowed is a number, 0 for all",
				text);
	cli->node.lazy = true;
	exit = cli_open(cli, scratch, NODE_READ, &node);
	if (exit)
		return exit;
	errors = cli->diags->errors;
	err = store_list(node->store, scratch, cli->diags, &list, &count);
	if (err)
		return cli_failed(cli, err, errors, "cannot list the revisions");
	return history_show(cli, node, list, limit && limit < count ? (size_t)limit : count);
}

static const struct option options[] = {
	{ "limit", 'l', "NUMBER", "the newest so many (default: 20; 0: all)" },
};

const struct command command_history = {
	.name = "history",
	.usage = "[--limit NUMBER]",
	.summary = "List the revisions, newest first: who, when, why, what changed",
	.text = "A hot revision is in the kernel: going back to it is one store. One that\n"
		"is on disk alone is rebuilt first. `sluice diff A B` shows what lies\n"
		"between two of them. A rollback of the whole node makes no revision: who\n"
		"did the last one, when and why, stands below the list.",
	.example =
		"sluice history\n"
		"sluice history --limit 0 -o json | jq '.revisions[] | select(.author == \"ci\")'",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = history_run,
};
