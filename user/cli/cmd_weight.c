// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"
#include "weights.h"

#include <errno.h>
#include <string.h>

struct weight_change {
	struct weight_word *words;
	size_t word_count;
	struct service before, *service; /* `service` is of the model that will be committed */
	size_t rules[2], rule_count;
	bool is_committed; /* what fails after that is only said, and nothing to be tried again */
};

static int words_parse(struct cli *cli, void *parent, struct weight_change *change)
{
	change->word_count = cli->args.word_count - 1;
	change->words = talloc_zero_array(parent, struct weight_word, (unsigned)change->word_count);
	for (size_t i = 0; i < change->word_count; i++) {
		int err = change->words ? weight_parse(parent, cli->args.words[i + 1], cli->diags,
						       &change->words[i])
					: -ENOMEM;

		if (err)
			return err == -ERANGE ? CLI_REFUSED : CLI_USAGE;
	}
	return CLI_DONE;
}

/* Changes the model in place: it is a copy. */
static int rules_change(struct cli *cli, struct model *model, struct weight_change *change)
{
	size_t errors = cli->diags->errors;
	int err = weights_choose(model, change->service, args_value(&cli->args, "rule"), cli->diags,
				 change->rules, &change->rule_count);

	for (size_t i = 0; !err && i < change->rule_count; i++)
		err = weights_set(model, change->service, &change->service->rules[change->rules[i]],
				  change->words, change->word_count, cli->diags);
	if (err == -ENOMEM)
		return cli_failed(cli, err, errors, "cannot change the weights");
	return err ? CLI_REFUSED : CLI_DONE;
}

/* The weight that the same destination of the same rule had; -1: it was not there. */
static json_int_t weight_before(const struct weight_change *change, size_t rule,
				const struct destination *destination)
{
	const struct service *before = &change->before;

	for (size_t i = 0; rule < before->rule_count && i < before->rules[rule].destination_count;
	     i++) {
		const struct destination *old = &before->rules[rule].destinations[i];

		if (!strcmp(old->host, destination->host) &&
		    !strcmp(old->subset, destination->subset) && old->port == destination->port)
			return old->weight;
	}
	return -1;
}

static const char *version_name(void *parent, const struct service *service,
				const struct destination *destination)
{
	if (!strcmp(destination->host, service->host) && *destination->subset)
		return destination->subset;
	return talloc_asprintf(parent, "%s%s%s", destination->host, *destination->subset ? "/" : "",
			       destination->subset);
}

static json_t *split_tree(void *parent, const struct weight_change *change)
{
	size_t place = change->rules[0];
	const struct rule *rule = &change->service->rules[place];
	json_t *list = json_array();
	double sum = 0;

	for (size_t i = 0; i < rule->destination_count; i++)
		sum += rule->destinations[i].weight;
	for (size_t i = 0; i < rule->destination_count; i++) {
		const struct destination *d = &rule->destinations[i];
		json_int_t before = weight_before(change, place, d);
		json_t *row = json_pack("{s:s, s:I, s:f, s:o}", "version",
					version_name(parent, change->service, d), "weight",
					(json_int_t)d->weight, "share", sum ? d->weight / sum : 0.0,
					"was", before < 0 ? json_null() : json_integer(before));

		json_array_append_new(list, row);
	}
	return list;
}

static int split_show(struct cli *cli, void *scratch, const struct weight_change *change,
		      const struct node_result *result)
{
	static const struct column columns[] = {
		{ "VERSION", "version", COLUMN_PLAIN },
		{ "WEIGHT", "weight", COLUMN_PLAIN },
		{ "WAS", "was", COLUMN_PLAIN },
		{ "SHARE", "share", COLUMN_PERCENT },
		{ "", "share", COLUMN_BAR },
	};
	static const struct section sections[] = { SECTION("split", NULL, NULL, columns) };
	_cleanup_json_ json_t *tree = json_result(cli, result);
	const struct rule *rule = &change->service->rules[change->rules[0]];

	cli_about(cli, result->summary, cli_title(scratch, change->service));
	json_object_set_new(tree, "service", json_text(cli_title(scratch, change->service)));
	json_object_set_new(tree, "host", json_text(change->service->host));
	json_object_set_new(tree, "rule", json_integer((json_int_t)change->rules[0]));
	json_object_set_new(tree, "rule_name", json_text(rule->name));
	json_object_set_new(tree, "split", split_tree(scratch, change));
	if (output_is_table(cli))
		result_print(cli, result, stdout);
	return output_print(cli, tree, sections, ARRAY_SIZE(sections));
}

static int weights_commit(struct cli *cli, void *scratch, struct node *node, struct model *model,
			  struct weight_change *weights)
{
	struct node_change change = cli_change(cli);
	struct node_result result;
	size_t errors = cli->diags->errors;
	int err = node_commit(node, model, node->inventory, &change, cli->diags, scratch, &result);

	if (err)
		return cli_refused(cli, err, errors, "cannot set the weights");
	weights->is_committed = true;
	node_unlock(node);
	return split_show(cli, scratch, weights, &result);
}

/* With what the node has loaded. */
static int weight_set(struct cli *cli, void *scratch, struct node *node,
		      struct weight_change *change)
{
	struct model *model = model_copy(scratch, node->model);
	int exit;

	if (!model)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	exit = cli_service(cli, model, cli->args.words[0], &change->service);
	if (!exit && service_copy(scratch, change->service, &change->before))
		exit = cli_fail(cli, CLI_FAILED, "out of memory");
	if (!exit)
		exit = rules_change(cli, model, change);
	return exit ? exit : weights_commit(cli, scratch, node, model, change);
}

/*
 * False: nothing has changed. Whatever stands in its way, or is to be said about it, is for the
 * whole to say.
 */
static bool weight_set_part(struct cli *cli, void *scratch, struct node *node,
			    const struct weight_change *words, int *ret_exit)
{
	struct weight_change change = *words;
	struct diags *said = cli->diags;

	cli->diags = diags_new(cli);
	if (cli->diags)
		*ret_exit = weight_set(cli, scratch, node, &change);
	for (size_t i = 0; change.is_committed && i < cli->diags->count; i++) {
		const struct diag *d = &cli->diags->list[i];

		diag_add(said, d->level, d->file, d->line, d->column, d->path, "%s", d->text);
	}
	talloc_free(cli->diags);
	cli->diags = said;
	return change.is_committed;
}

static int weight_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct weight_change change = { 0 };
	size_t errors = cli->diags->errors;
	struct node *node;
	int exit = words_parse(cli, scratch, &change), err;

	cli->node.lazy = !cli->is_dry_run;
	if (!exit)
		exit = cli_open_to_change(cli, scratch, &node);
	if (exit)
		return exit;
	err = node_load_part(node, cli->args.words[0], cli->diags);
	if (!err && weight_set_part(cli, scratch, node, &change, &exit))
		return exit;
	exit = CLI_DONE;
	if (err && err != -EAGAIN) {
		/* A revision that cannot be read: only a whole open knows which else to take. */
		talloc_free(node);
		cli->node.lazy = false;
		exit = cli_open_to_change(cli, scratch, &node);
	} else if (node_load(node, cli->diags)) {
		exit = cli_failed(cli, -EIO, errors, "cannot read the state of this node");
	}
	return exit ? exit : weight_set(cli, scratch, node, &change);
}

static const struct option options[] = {
	{ "rule", 0, "NAME|INDEX", "which rule of the service, when there are several; from 0" },
};

const struct command command_weight = {
	.name = "weight",
	.usage = "SERVICE VERSION=WEIGHT ... [--rule NAME|INDEX] [--dry-run]",
	.summary = "Set the split of a service, as a new revision",
	.text = "Versions are the subsets of the service's DestinationRule; HOST/SUBSET is\n"
		"one of another host, HOST alone is a whole host. Those named get these\n"
		"weights, all others of the rule get 0. The share of a version is its\n"
		"weight divided by the sum: weights need not sum to 100.",
	.example = "sluice weight reviews v1=90 v3=10 --reason 'v3 to a tenth'\n"
		   "sluice weight reviews.prod v3=1      # all to v3",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words_min = 2,
	.words_max = 256,
	.flags = COMMAND_CHANGES | COMMAND_SERVICES,
	.run = weight_run,
};
