// SPDX-License-Identifier: Apache-2.0
/* The completion of a shell, written from the tables of commands and options. */
#include "cli.h"

#include "../base/cleanup.h"

static void options_print(const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf(" --%s", options[i].name);
}

static void command_print(const struct command *command)
{
	printf("\t%s)\n\t\toptions=\"$options", command->name);
	options_print(command->options, command->option_count);
	if (command->flags & COMMAND_CHANGES)
		options_print(&dry_run_option, 1);
	printf("\"\n");
	if (command->word_count) {
		printf("\t\tfirst=\"");
		for (size_t i = 0; i < command->word_count; i++)
			printf("%s%s", i ? " " : "", command->words[i].name);
		printf("\"\n");
	}
	if (command->flags & COMMAND_SERVICES)
		printf("\t\thas_services=1\n");
	if (command->flags & COMMAND_FILES)
		printf("\t\thas_files=1\n");
	printf("\t\t;;\n");
}

/* Options that take a value: the word after one is neither a command nor a service. */
static void valued_print(const struct cli *cli)
{
	printf("\tlocal valued=\" -o -f");
	for (size_t i = 0; i < global_option_count; i++) {
		if (global_options[i].argument)
			printf(" --%s", global_options[i].name);
	}
	for (size_t c = 0; c < cli->command_count; c++) {
		const struct command *command = &cli->commands[c];

		for (size_t i = 0; i < command->option_count; i++) {
			const char *argument = command->options[i].argument;

			if (argument && argument[0] != '[')
				printf(" --%s", command->options[i].name);
		}
	}
	printf(" \"\n");
}

static void head_print(const struct cli *cli)
{
	printf("# bash completion of sluice; made by `sluice completion bash`\n"
	       "_sluice_among() { COMPREPLY=($(compgen -W \"$1\" -- \"$current\")); }\n"
	       "_sluice_names() { sluice \"${node[@]}\" __complete \"$@\" 2>/dev/null; }\n"
	       "_sluice()\n"
	       "{\n"
	       "\tlocal current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
	       "\tlocal previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
	       "\tlocal command= first= has_services= has_files= options= words=() i\n"
	       "\tlocal node=()\n");
	valued_print(cli);
	/* bash splits words at = and :, which the weights of `weight` have */
	printf("\tCOMPREPLY=()\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t--state | --pins) node+=(\"${COMP_WORDS[i]}\" \"${COMP_WORDS[i+1]}\") ;;\n"
	       "\t\tesac\n"
	       "\t\tif [[ ${COMP_WORDS[i]} == -* ]]; then\n"
	       "\t\t\t[[ $valued == *\" ${COMP_WORDS[i]} \"* ]] && i=$((i + 1))\n"
	       "\t\telif [[ -z $command ]]; then\n"
	       "\t\t\tcommand=${COMP_WORDS[i]}\n"
	       "\t\telse\n"
	       "\t\t\twords+=(\"${COMP_WORDS[i]}\")\n"
	       "\t\tfi\n"
	       "\tdone\n"
	       "\toptions=\"");
	options_print(global_options, global_option_count);
	printf("\"\n\tcase $command in\n");
}

static void tail_print(const struct cli *cli)
{
	printf("\tesac\n"
	       "\tcase $previous in\n"
	       "\t-o | --output) _sluice_among \"table json yaml\"; return ;;\n"
	       "\t-f | --file) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
	       "\t--state | --pins) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n"
	       "\t--to) _sluice_among \"$(_sluice_names revisions)\"; return ;;\n"
	       "\tesac\n"
	       "\tif [[ $current == -* ]]; then\n"
	       "\t\t_sluice_among \"$options\"\n"
	       "\telif [[ -z $command ]]; then\n"
	       "\t\t_sluice_among \"");
	for (size_t i = 0; i < cli->command_count; i++) {
		if (!(cli->commands[i].flags & COMMAND_HIDDEN))
			printf("%s%s", i ? " " : "", cli->commands[i].name);
	}
	printf("\"\n"
	       "\telif [[ -n $first && ${#words[@]} -eq 0 ]]; then\n"
	       "\t\t_sluice_among \"$first\"\n"
	       "\telif [[ $command == weight && ${#words[@]} -gt 0 ]]; then\n"
	       "\t\t_sluice_among \"$(_sluice_names versions \"${words[0]}\")\"\n"
	       "\t\tcompopt -o nospace\n"
	       "\telif [[ -n $has_files ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -f -- \"$current\"))\n"
	       "\telif [[ -n $has_services ]]; then\n"
	       "\t\t_sluice_among \"$(_sluice_names services)\"\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F _sluice sluice\n");
}

static int completion_run(struct cli *cli)
{
	head_print(cli);
	for (size_t i = 0; i < cli->command_count; i++) {
		if (!(cli->commands[i].flags & COMMAND_HIDDEN))
			command_print(&cli->commands[i]);
	}
	tail_print(cli);
	return CLI_DONE;
}

static const struct word words[] = {
	{ "bash", "for bash 4 and later" },
};

const struct command command_completion = {
	.name = "completion",
	.usage = "bash",
	.summary = "Print a script that completes commands, options and names in a shell",
	.example = "source <(sluice completion bash)\n"
		   "sluice completion bash > /etc/bash_completion.d/sluice",
	.words = words,
	.word_count = ARRAY_SIZE(words),
	.words_min = 1,
	.words_max = 1,
	.run = completion_run,
};
