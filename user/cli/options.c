// SPDX-License-Identifier: Apache-2.0
/* The command line, by the tables of options alone. */
#include "cli.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

const struct option global_options[] = {
	{ "output", 'o', "table|json|yaml", "how to print (default: table)" },
	{ "state", 0, "DIR", "the state folder (default: " STORE_DIR_DEFAULT ")" },
	{ "pins", 0, "DIR", "where the maps are pinned (default: " SL_PIN_DIR ")" },
	{ "timeout", 0, "SECONDS", "how long to wait for the lock (default: 5)" },
	{ "author", 0, "NAME", "who stands in the history (default: your user name)" },
	{ "reason", 0, "TEXT", "why: stands in the history" },
	{ "no-color", 0, NULL, "no colours, as with NO_COLOR in the environment" },
	{ "verbose", 'v', NULL, "also print notes, such as objects that are passed over" },
	{ "help", 'h', NULL, "this help" },
};
const size_t global_option_count = ARRAY_SIZE(global_options);
const struct option dry_run_option = { "dry-run", 'n', NULL,
				       "say what would change, change nothing" };

/* Every option that is allowed at this point of the line, one table after the other. */
static const struct option *option_at(const struct command *command, size_t at)
{
	if (at < global_option_count)
		return &global_options[at];
	at -= global_option_count;
	if (!command)
		return NULL;
	if (at < command->option_count)
		return &command->options[at];
	return at == command->option_count && (command->flags & COMMAND_CHANGES) ? &dry_run_option
										 : NULL;
}

static const struct option *option_find(const struct command *command, const char *name,
					size_t size)
{
	const struct option *option;

	for (size_t i = 0; (option = option_at(command, i)); i++) {
		if (strlen(option->name) == size && !strncmp(option->name, name, size))
			return option;
	}
	return NULL;
}

static const struct option *option_find_letter(const struct command *command, char letter)
{
	const struct option *option;

	for (size_t i = 0; (option = option_at(command, i)); i++) {
		if (option->letter == letter)
			return option;
	}
	return NULL;
}

static int option_unknown(struct cli *cli, const char *typed)
{
	const char *names[64], *nearest;
	const struct option *option;
	size_t count = 0, size = strcspn(typed, "=");
	char name[80];

	for (size_t i = 0; count < ARRAY_SIZE(names) && (option = option_at(cli->command, i)); i++)
		names[count++] = option->name;
	snprintf(name, sizeof(name), "%.*s", (int)(size < 79 ? size : 79), typed);
	nearest = name_nearest(name + strspn(name, "-"), names, count);
	if (nearest)
		return cli_fail(cli, CLI_USAGE, "unknown option \"%s\"; the nearest is --%s", name,
				nearest);
	return cli_fail(cli, CLI_USAGE, "unknown option \"%s\"", name);
}

static int args_add(struct cli *cli, const struct option *option, const char *value)
{
	struct args *args = &cli->args;
	struct given *given =
		talloc_realloc(cli, args->given, struct given, (unsigned)args->given_count + 1);

	if (!given)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	given[args->given_count++] = (struct given){ option, value };
	args->given = given;
	return CLI_DONE;
}

static bool is_number(const char *text)
{
	return text && *text && text[strspn(text, "0123456789.")] == '\0';
}

/* `value` is what stands in the same word, or NULL; `next` moves when the next word is used up. */
static int option_take(struct cli *cli, const struct option *option, const char *value,
		       char ***next)
{
	bool may_lack = option->argument && option->argument[0] == '[';

	if (!option->argument && value)
		return cli_fail(cli, CLI_USAGE, "--%s takes no value, found \"%s\"", option->name,
				value);
	if (option->argument && !value && **next && (!may_lack || is_number(**next)))
		value = *(*next)++;
	if (option->argument && !value && !may_lack)
		return cli_fail(cli, CLI_USAGE, "--%s needs a value: %s", option->name,
				option->argument);
	return args_add(cli, option, value);
}

static int long_option(struct cli *cli, const char *text, char ***next)
{
	size_t size = strcspn(text + 2, "=");
	const struct option *option = option_find(cli->command, text + 2, size);

	if (!option)
		return option_unknown(cli, text);
	return option_take(cli, option, text[2 + size] == '=' ? text + 3 + size : NULL, next);
}

/* "-vn", "-oyaml", "-o yaml", "-f-" */
static int short_options(struct cli *cli, const char *text, char ***next)
{
	for (const char *letter = text + 1; *letter; letter++) {
		const struct option *option = option_find_letter(cli->command, *letter);
		int exit;

		if (!option)
			return option_unknown(cli, text);
		if (option->argument)
			return option_take(cli, option, letter[1] ? letter + 1 : NULL, next);
		exit = option_take(cli, option, NULL, next);
		if (exit)
			return exit;
	}
	return CLI_DONE;
}

const struct command *command_find(const struct cli *cli, const char *name)
{
	for (size_t i = 0; i < cli->command_count; i++) {
		if (!strcmp(cli->commands[i].name, name))
			return &cli->commands[i];
	}
	return NULL;
}

static int command_unknown(struct cli *cli, const char *typed)
{
	const char *names[64], *nearest;
	size_t count = 0;

	for (size_t i = 0; i < cli->command_count && count < ARRAY_SIZE(names); i++) {
		if (!(cli->commands[i].flags & COMMAND_HIDDEN))
			names[count++] = cli->commands[i].name;
	}
	nearest = name_nearest(typed, names, count);
	if (nearest)
		return cli_fail(cli, CLI_USAGE, "unknown command \"%s\"; the nearest is \"%s\"",
				typed, nearest);
	return cli_fail(cli, CLI_USAGE, "unknown command \"%s\"", typed);
}

static int word_take(struct cli *cli, const char *word)
{
	struct args *args = &cli->args;
	const char **words;

	if (!cli->command) {
		cli->command = command_find(cli, word);
		return cli->command ? CLI_DONE : command_unknown(cli, word);
	}
	words = talloc_realloc(cli, args->words, const char *, (unsigned)args->word_count + 1);
	if (!words)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	words[args->word_count++] = word;
	args->words = words;
	return CLI_DONE;
}

static int line_take(struct cli *cli, char **argv)
{
	bool is_ended = false;
	int exit = CLI_DONE;

	while (*argv && exit == CLI_DONE) {
		const char *text = *argv++;

		if (!is_ended && !strcmp(text, "--"))
			is_ended = true;
		else if (is_ended || text[0] != '-' || !text[1])
			exit = word_take(cli, text);
		else if (text[1] == '-')
			exit = long_option(cli, text, &argv);
		else
			exit = short_options(cli, text, &argv);
	}
	return exit;
}

int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	for (; *text; text++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -ERANGE;
	}
	if (number < least || number > most)
		return -ERANGE;
	*ret_number = number;
	return 0;
}

int args_revision(struct cli *cli, const char *text, uint32_t *ret_revision)
{
	uint64_t number;

	if (number_parse(text, 1, UINT32_MAX, &number))
		return cli_fail(cli, CLI_USAGE,
				"\"%s\" is no revision; allowed is a number as in `sluice history`",
				text);
	*ret_revision = (uint32_t)number;
	return CLI_DONE;
}

static int format_apply(struct cli *cli, const char *text)
{
	static const char *const names[] = {
		[CLI_TABLE] = "table",
		[CLI_JSON] = "json",
		[CLI_YAML] = "yaml",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i])) {
			cli->format = (enum cli_format)i;
			return CLI_DONE;
		}
	}
	return cli_fail(cli, CLI_USAGE, "-o \"%s\"; allowed are table, json and yaml", text);
}

static int timeout_apply(struct cli *cli, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (!is_number(text) || *end || seconds > 86400)
		return cli_fail(cli, CLI_USAGE,
				"--timeout \"%s\"; allowed are seconds from 0 to 86400", text);
	/* 0 is the node room's word for its default; 1 ms is as good as not waiting. */
	cli->node.timeout_ms = seconds < 0.001 ? 1 : (unsigned)(seconds * 1000);
	return CLI_DONE;
}

static int globals_apply(struct cli *cli)
{
	const struct args *args = &cli->args;
	const char *output = args_value(args, "output"), *timeout = args_value(args, "timeout");
	int exit = output ? format_apply(cli, output) : CLI_DONE;

	if (!exit && timeout)
		exit = timeout_apply(cli, timeout);
	cli->node.state_dir = args_value(args, "state");
	cli->node.pin_dir = args_value(args, "pins");
	if (cli->command)
		cli->node.command = talloc_asprintf(cli, "sluice %s", cli->command->name);
	cli->author = args_value(args, "author");
	cli->reason = args_value(args, "reason");
	cli->is_verbose = args_has(args, "verbose");
	cli->is_dry_run = args_has(args, "dry-run");
	if (args_has(args, "no-color"))
		cli->has_colour = cli->has_error_colour = false;
	return exit;
}

static int first_word_check(struct cli *cli)
{
	const struct command *command = cli->command;
	const char *typed = cli->args.words[0], *nearest, *names[16];
	size_t count = 0;

	for (size_t i = 0; i < command->word_count && count < ARRAY_SIZE(names); i++) {
		names[count++] = command->words[i].name;
		if (!strcmp(typed, command->words[i].name))
			return CLI_DONE;
	}
	nearest = name_nearest(typed, names, count);
	if (nearest)
		return cli_fail(cli, CLI_USAGE, "unknown word \"%s\"; the nearest is \"%s\"", typed,
				nearest);
	return cli_fail(cli, CLI_USAGE, "unknown word \"%s\"; usage: sluice %s %s", typed,
			command->name, command->usage);
}

static int words_check(struct cli *cli)
{
	const struct command *command = cli->command;
	size_t count = cli->args.word_count;

	if (count && command->word_count && first_word_check(cli))
		return CLI_USAGE;
	if (count < command->words_min)
		return cli_fail(cli, CLI_USAGE, "too few words; usage: sluice %s %s", command->name,
				command->usage);
	if (count > command->words_max)
		return cli_fail(cli, CLI_USAGE, "one word too many: \"%s\"; usage: sluice %s %s",
				cli->args.words[command->words_max], command->name, command->usage);
	return CLI_DONE;
}

int args_parse(struct cli *cli, int argc, char **argv)
{
	int exit = argc > 0 ? line_take(cli, argv + 1) : CLI_USAGE;

	if (!exit)
		exit = globals_apply(cli);
	if (exit || args_has(&cli->args, "help"))
		return exit;
	if (!cli->command)
		return cli_fail(cli, CLI_USAGE, "which command?");
	return words_check(cli);
}

const char *args_next(const struct args *args, const char *name, size_t *at)
{
	while (*at < args->given_count) {
		const struct given *given = &args->given[(*at)++];

		if (!strcmp(given->option->name, name))
			return given->value ? given->value : "";
	}
	return NULL;
}

const char *args_value(const struct args *args, const char *name)
{
	const char *last = NULL, *value;
	size_t at = 0;

	while ((value = args_next(args, name, &at)))
		last = value;
	return last;
}

bool args_has(const struct args *args, const char *name)
{
	return args_value(args, name) != NULL;
}
