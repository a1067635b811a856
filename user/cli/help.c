// SPDX-License-Identifier: Apache-2.0
/* Help, from the tables. */
#include "cli.h"

#include "../base/cleanup.h"

#include <string.h>

/* "-o, --output table|json|yaml" */
static int option_format(const struct option *option, char *text, size_t size)
{
	char letter[8] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	return snprintf(text, size, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
			option->argument ? option->argument : "");
}

static void option_print(const struct option *option, FILE *out)
{
	char text[96];

	option_format(option, text, sizeof(text));
	fprintf(out, "  %-32s %s\n", text, option->help);
}

static void example_print(const char *example, FILE *out)
{
	for (const char *line = example; *line;) {
		size_t size = strcspn(line, "\n");

		fprintf(out, "  %.*s\n", (int)size, line);
		line += size + (line[size] == '\n');
	}
}

void help_print(const struct command *command, FILE *out)
{
	fprintf(out, "usage: sluice %s %s\n\n%s.\n", command->name, command->usage,
		command->summary);
	if (command->text)
		fprintf(out, "\n%s\n", command->text);
	if (command->word_count)
		fprintf(out, "\nwords:\n");
	for (size_t i = 0; i < command->word_count; i++)
		fprintf(out, "  %-32s %s\n", command->words[i].name, command->words[i].help);
	if (command->option_count || (command->flags & COMMAND_CHANGES))
		fprintf(out, "\noptions:\n");
	for (size_t i = 0; i < command->option_count; i++)
		option_print(&command->options[i], out);
	if (command->flags & COMMAND_CHANGES)
		option_print(&dry_run_option, out);
	fprintf(out, "\noptions of every command:\n");
	for (size_t i = 0; i < global_option_count; i++)
		option_print(&global_options[i], out);
	fprintf(out, "\nexample:\n");
	example_print(command->example, out);
}

void help_print_all(const struct cli *cli, FILE *out)
{
	fprintf(out, "usage: sluice [OPTIONS] COMMAND ...\n\n"
		     "Splits live connections between the versions of a service, in the kernel.\n"
		     "\ncommands:\n");
	for (size_t i = 0; i < cli->command_count; i++) {
		if (!(cli->commands[i].flags & COMMAND_HIDDEN))
			fprintf(out, "  %-12s %s\n", cli->commands[i].name,
				cli->commands[i].summary);
	}
	fprintf(out, "\noptions, before or after the command:\n");
	for (size_t i = 0; i < global_option_count; i++)
		option_print(&global_options[i], out);
	fprintf(out, "\nexit code: 0 done, 1 failed, 2 wrong usage, 3 refused input\n"
		     "\nexample:\n"
		     "  sluice apply -f examples/           # take a folder of Istio YAML\n"
		     "  sluice weight reviews v1=90 v3=10   # move the split\n"
		     "  sluice rollback                     # take it back, in one store\n"
		     "\n`sluice COMMAND --help` says more, sluice(8) says all.\n");
}
