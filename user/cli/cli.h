/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command of `sluice` stands on: its row in the table, the words and options it was
 * given, the node it opens and the way it ends. A command is one file; it knows this header and
 * never another command.
 */
#pragma once
#include "../base/nearest.h"
#include "../base/diag.h"
#include "../node/node.h"

#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,   /* the command line is wrong */
	CLI_REFUSED = 3, /* the command line is right, what it names or brings is not */
};

enum cli_format {
	CLI_TABLE,
	CLI_JSON,
	CLI_YAML,
};

struct option {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* NULL: a flag; "[SECONDS]": a number that may be left out */
	const char *help;
};

struct word {
	const char *name, *help;
};

/* Options as they were given, in order; the rest are words. */
struct given {
	const struct option *option;
	const char *value; /* NULL for flags */
};

struct args {
	struct given *given;
	size_t given_count;
	const char **words;
	size_t word_count;
};

struct cli;

#define COMMAND_CHANGES (1u << 0)  /* has --dry-run */
#define COMMAND_SERVICES (1u << 1) /* completion offers the names of services */
#define COMMAND_FILES (1u << 2)    /* completion offers files */
#define COMMAND_HIDDEN (1u << 3)

struct command {
	const char *name;
	const char *usage;   /* what follows the name */
	const char *summary; /* one line, without a full stop */
	const char *text;    /* paragraphs */
	const char *example; /* lines of a shell, what they do after a # */
	const struct option *options;
	size_t option_count;
	const struct word *words; /* what the first word may be; none: anything */
	size_t word_count;
	size_t words_min, words_max; /* words that it takes */
	unsigned flags;
	int (*run)(struct cli *cli); /* enum cli_exit */
};

struct cli {
	const struct command *commands;
	size_t command_count;
	const struct command *command;
	struct args args;
	struct node_options node;
	enum cli_format format;
	bool is_terminal; /* standard output is one */
	bool is_verbose;
	bool is_dry_run;
	bool has_colour; /* on standard output */
	bool has_error_colour;
	bool has_unicode;
	const char *author, *reason;
	struct diags *diags; /* printed at the end */
	const char *about;   /* NULL: all of them; else what a change did, see cli_about */
	const char *about_title;
};

#define COMMAND_LIST(X)                                                                            \
	X(apply), X(weight), X(rollback), X(history), X(diff), X(get), X(status), X(explain),      \
		X(stats), X(export), X(endpoint), X(detach), X(version), X(completion), X(help),   \
		X(complete)
#define COMMAND_NAME(name) command_##name
extern const struct command COMMAND_LIST(COMMAND_NAME);

/* --- options.c --- */

extern const struct option global_options[];
extern const size_t global_option_count;
extern const struct option dry_run_option;

/*
 * Fills in the command, its words and what the global options say. CLI_DONE, or CLI_USAGE with the
 * reason in diags.
 */
int args_parse(struct cli *cli, int argc, char **argv);
bool args_has(const struct args *args, const char *name);
/* The last value given; NULL when there is none. */
const char *args_value(const struct args *args, const char *name);
/* Every value in turn: start with *at = 0; NULL at the end. */
const char *args_next(const struct args *args, const char *name, size_t *at);
/* A whole number in a range, written in decimal digits alone. 0, -EINVAL, or -ERANGE. */
int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number);
/* A revision's number: "42". CLI_DONE or CLI_USAGE. */
int args_revision(struct cli *cli, const char *text, uint32_t *ret_revision);
const struct command *command_find(const struct cli *cli, const char *name);

/* --- help.c --- */

void help_print(const struct command *command, FILE *out);
void help_print_all(const struct cli *cli, FILE *out);

/* --- context.c --- */

/* Adds an error and returns what the command should return. */
int cli_fail(struct cli *cli, int exit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* For a step that failed with -errno: adds a reason only when the step gave none. */
int cli_failed(struct cli *cli, int err, size_t errors_before, const char *what);
/* The same for a commit: CLI_REFUSED when it is the input that cannot be taken. */
int cli_refused(struct cli *cli, int err, size_t errors_before, const char *what);
/* Opens the node; CLI_DONE, or CLI_FAILED with the reason in diags. */
int cli_open(struct cli *cli, void *parent, enum node_mode mode, struct node **ret_node);
/* For changes: a dry run only reads, and waits for nobody. */
int cli_open_to_change(struct cli *cli, void *parent, struct node **ret_node);
struct node_change cli_change(const struct cli *cli);
/*
 * A plan warns of every service. After a change only those are shown that the change's summary
 * names, and those of the service of this title (NULL: none); the others are counted.
 */
void cli_about(struct cli *cli, const char *summary, const char *title);
/* Whether a finding belongs to what the command was about. */
bool cli_is_about(const struct cli *cli, const struct diag *diag);
/* The service that a person means, or CLI_REFUSED with the candidates in diags. */
int cli_service(struct cli *cli, const struct model *model, const char *typed,
		struct service **ret_service);
/* "reviews.default" */
const char *cli_title(void *parent, const struct service *service);
/* Of a host that may have no service: then the host itself. */
const char *cli_host_title(void *parent, const struct model *model, const char *host);
