// SPDX-License-Identifier: Apache-2.0
/*
 * Any line of arguments to sluice and to sluiced: wrong usage with a reason, or a command and its
 * options. A line of the bytes is a word of the command line. No command runs.
 */
#include <getopt.h>
#define option cli_option /* getopt.h has one of that name too */
#include "user/cli/cli.h"
#undef option
#include <stdlib.h>
#include <string.h>

#include "user/agent/agent.h"
#include "user/base/cleanup.h"
#include "user/cli/address.h"
#include "user/cli/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

static void check(bool holds)
{
	if (!holds)
		abort();
}

static int words_cut(char *text, char **words)
{
	int count = 0;

	for (char *save = NULL, *word = strtok_r(text, "\n", &save); word && count < WORDS_MAX;
	     word = strtok_r(NULL, "\n", &save))
		words[count++] = word;
	words[count] = NULL;
	return count;
}

/* What commands make of their words before they open anything. */
static void words_try(struct cli *cli)
{
	for (size_t i = 0; i < cli->args.word_count; i++) {
		const char *word = cli->args.words[i];
		struct weight_word weight;
		struct addr addr;
		uint16_t port;
		uint32_t revision;
		bool has_port;

		if (weight_parse(cli, word, cli->diags, &weight))
			check(cli->diags->errors);
		else
			check(*weight.name && strchr(word, '='));
		if (!addr_port_parse(word, &addr, &port, &has_port))
			check(addr.family == 4 || addr.family == 6);
		if (!args_revision(cli, word, &revision))
			check(revision);
	}
}

static void cli_try(int argc, char **argv)
{
	const struct command commands[] = { COMMAND_LIST(COMMAND_NAME) };
	struct cli *cli = talloc_zero(NULL, struct cli);
	int exit;

	cli->diags = diags_new(cli);
	cli->commands = commands;
	cli->command_count = ARRAY_SIZE(commands);
	exit = args_parse(cli, argc, argv);
	check(exit == CLI_DONE || (exit == CLI_USAGE && (cli->diags->errors || argc < 1)));
	if (exit == CLI_DONE && !args_has(&cli->args, "help")) {
		check(cli->command && cli->args.word_count >= cli->command->words_min &&
		      cli->args.word_count <= cli->command->words_max);
		check(cli->node.timeout_ms <= 86400000);
		words_try(cli);
	}
	talloc_free(cli);
}

static void agent_try(int argc, char **argv)
{
	struct options options;

	optind = 0; /* getopt begins anew */
	if (options_parse(argc, argv, &options))
		return;
	check(options.glob_count ? options.glob_count <= DEVICE_GLOBS_MAX : options.detach);
	check(options.settings.slots >= 8 && options.settings.slots <= 65536);
	check(!(options.settings.slots & (options.settings.slots - 1)));
	check(options.check_interval_s && options.settings.udp_idle_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = talloc_strndup(NULL, (const char *)data, size),
	     *words[WORDS_MAX + 2] = { "x" };
	int count = words_cut(text, words + 1) + 1;

	cli_try(count, words);
	agent_try(count, words);
	talloc_free(text);
	return 0;
}
