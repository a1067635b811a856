// SPDX-License-Identifier: Apache-2.0
/*
 * What the shell's completion asks for while somebody types: it must say nothing but names, and
 * never complain.
 */
#include "cli.h"

#include "../base/cleanup.h"

#include <string.h>

static void services_print(const struct model *model)
{
	for (size_t i = 0; i < model->service_count; i++) {
		const struct service *service = &model->services[i];
		struct service *found;

		/* The shortest name that is this service's alone. */
		if (!model_service_resolve(model, service->name, &found) && found == service)
			printf("%s\n", service->name);
		else
			printf("%s\n", service->host);
	}
}

static void versions_print(const struct model *model, const char *typed)
{
	struct service *service;

	if (!typed || model_service_resolve(model, typed, &service))
		return;
	for (size_t i = 0; i < service->subset_count; i++)
		printf("%s=\n", service->subsets[i].name);
}

static void revisions_print(struct cli *cli, void *scratch, const struct node *node)
{
	struct store_revision *list;
	size_t count;

	if (store_list(node->store, scratch, cli->diags, &list, &count))
		return;
	for (size_t i = 0; i < count; i++)
		printf("%u\n", list[i].number);
}

static int complete_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const char *what = cli->args.words[0];
	struct node *node;

	if (!cli_open(cli, scratch, NODE_READ, &node)) {
		if (!strcmp(what, "services"))
			services_print(node->model);
		else if (!strcmp(what, "versions"))
			versions_print(node->model,
				       cli->args.word_count > 1 ? cli->args.words[1] : NULL);
		else if (!strcmp(what, "revisions"))
			revisions_print(cli, scratch, node);
	}
	cli->diags->count = 0;
	return CLI_DONE;
}

const struct command command_complete = {
	.name = "__complete",
	.usage = "services|versions|revisions [SERVICE]",
	.summary = "Print names, for the shell's completion",
	.example = "sluice __complete services",
	.words_min = 1,
	.words_max = 2,
	.flags = COMMAND_HIDDEN,
	.run = complete_run,
};
