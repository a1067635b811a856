// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of a node. It needs no agent: the same lock, the same pinned maps, the same
 * state folder.
 */
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <langinfo.h>
#include <locale.h>
#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>

static bool may_colour(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
}

static void environment_read(struct cli *cli)
{
	setlocale(LC_CTYPE, "");
	cli->is_terminal = isatty(STDOUT_FILENO);
	cli->has_colour = may_colour(STDOUT_FILENO);
	cli->has_error_colour = may_colour(STDERR_FILENO);
	cli->has_unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/*
 * Notes are for those who ask, and so are warnings of services that the command was not about. They
 * are left out here, not where they are made, so that -o json has all.
 */
static void findings_print(const struct cli *cli)
{
	struct diags shown = { 0 };
	size_t hidden = 0;
	_cleanup_talloc_ struct diag *list =
		talloc_array(NULL, struct diag, (unsigned)cli->diags->count + 1);

	for (size_t i = 0; list && i < cli->diags->count; i++) {
		const struct diag *diag = &cli->diags->list[i];
		bool is_about = cli_is_about(cli, diag);

		/* A note with a place is about an object that was passed over: never silently. */
		if (cli->is_verbose || (is_about && (diag->level != DIAG_NOTE || diag->file)))
			list[shown.count++] = *diag;
		else if (!is_about && diag->level == DIAG_WARNING)
			hidden++;
	}
	shown.list = list;
	fflush(stdout);
	diags_print(&shown, stderr, cli->has_error_colour);
	if (hidden)
		fprintf(stderr, "%zu warning%s of other services (-v shows %s)\n", hidden,
			hidden == 1 ? "" : "s", hidden == 1 ? "it" : "them");
}

static int help_run(const struct cli *cli)
{
	if (cli->command)
		help_print(cli->command, stdout);
	else
		help_print_all(cli, stdout);
	return CLI_DONE;
}

static int cli_run(struct cli *cli, int argc, char **argv)
{
	int exit;

	if (argc < 2) {
		help_print_all(cli, stderr);
		return CLI_USAGE;
	}
	exit = args_parse(cli, argc, argv);
	if (!exit)
		exit = args_has(&cli->args, "help") ? help_run(cli) : cli->command->run(cli);
	if (!exit)
		exit = output_end(cli);
	findings_print(cli);
	if (exit == CLI_USAGE)
		fprintf(stderr, "Try `sluice %s%s--help`.\n",
			cli->command ? cli->command->name : "", cli->command ? " " : "");
	return exit;
}

/*
 * A command lives for milliseconds and then gives all back at once: the heap grows in large steps,
 * keeps what it has, and does not look for neighbours of what is freed.
 */
static void memory_settle(void)
{
	mallopt(M_TOP_PAD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MXFAST, 0);
}

int main(int argc, char **argv)
{
	const struct command commands[] = { COMMAND_LIST(COMMAND_NAME) };
	_cleanup_talloc_ struct cli *cli = talloc_zero(NULL, struct cli);

	/* It executes nothing, and whoever takes it over gains nothing by that. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	memory_settle();
	if (!cli)
		return CLI_FAILED;
	cli->diags = diags_new(cli);
	if (!cli->diags)
		return CLI_FAILED;
	cli->commands = commands;
	cli->command_count = ARRAY_SIZE(commands);
	environment_read(cli);
	return cli_run(cli, argc, argv);
}
