// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

static int help_command_run(struct cli *cli)
{
	const struct command *command;

	if (!cli->args.word_count) {
		help_print_all(cli, stdout);
		return CLI_DONE;
	}
	command = command_find(cli, cli->args.words[0]);
	if (!command)
		return cli_fail(cli, CLI_USAGE, "unknown command \"%s\"", cli->args.words[0]);
	help_print(command, stdout);
	return CLI_DONE;
}

const struct command command_help = {
	.name = "help",
	.usage = "[COMMAND]",
	.summary = "Print help",
	.example = "sluice help weight",
	.words_max = 1,
	.run = help_command_run,
};
