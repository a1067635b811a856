// SPDX-License-Identifier: Apache-2.0
/*
 * The command line's pure half. Its files are not in the library, since each ends in `sluice`
 * alone: they are compiled into this test.
 */
#include "user/cli/address.c"
#include "user/cli/context.c"
#include "user/cli/help.c"
#include "user/cli/linediff.c"
#include "user/cli/measure.c"
#include "user/cli/membership.c"
#include "user/cli/options.c"
#include "user/cli/output.c"

/* Words that more than one file uses for a thing of its own. */
#define fail weights_fail
#include "user/cli/weights.c"
#undef fail
#define emit yaml_emit
#include "user/cli/yaml_out.c"
#undef emit
#include "user/cli/table.c"

#include "user/input/input.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int run_nothing(struct cli *cli)
{
	return CLI_DONE + (cli == NULL);
}

static const struct option weight_options[] = { { "rule", 0, "NAME|INDEX", "which" } };
static const struct option stats_options[] = { { "watch", 'w', "[SECONDS]", "again" },
					       { "all", 'a', NULL, "all" } };
static const struct option apply_options[] = { { "file", 'f', "FILE", "what" },
					       { "replace", 0, NULL, "whole" } };
static const struct word get_words[] = { { "services", "" }, { "splits", "" } };
static const struct command commands[] = {
	{ .name = "apply",
	  .usage = "-f FILE",
	  .summary = "Apply",
	  .example = "sluice apply",
	  .options = apply_options,
	  .option_count = ARRAY_SIZE(apply_options),
	  .words_max = 9,
	  .flags = COMMAND_CHANGES,
	  .run = run_nothing },
	{ .name = "weight",
	  .usage = "SERVICE V=W",
	  .summary = "Weight",
	  .example = "sluice weight",
	  .options = weight_options,
	  .option_count = ARRAY_SIZE(weight_options),
	  .words_min = 2,
	  .words_max = 9,
	  .flags = COMMAND_CHANGES,
	  .run = run_nothing },
	{ .name = "stats",
	  .usage = "[SERVICE]",
	  .summary = "Stats",
	  .example = "sluice stats",
	  .options = stats_options,
	  .option_count = ARRAY_SIZE(stats_options),
	  .words_max = 1,
	  .run = run_nothing },
	{ .name = "get",
	  .usage = "services|splits",
	  .summary = "Get",
	  .example = "sluice get",
	  .words = get_words,
	  .word_count = ARRAY_SIZE(get_words),
	  .words_min = 1,
	  .words_max = 2,
	  .run = run_nothing },
};

static struct cli *cli_new(void)
{
	struct cli *cli = talloc_zero(NULL, struct cli);

	cli->diags = diags_new(cli);
	cli->commands = commands;
	cli->command_count = ARRAY_SIZE(commands);
	return cli;
}

/* The last thing said; "" when nothing was. */
static const char *said(const struct diags *diags)
{
	return diags->count ? diags->list[diags->count - 1].text : "";
}

#define LINE_WORDS 12

static struct cli *parse(const char *const line[LINE_WORDS], int *ret_exit)
{
	struct cli *cli = cli_new();
	char *argv[LINE_WORDS + 2] = { "sluice" };
	int argc = 1;

	for (size_t i = 0; i < LINE_WORDS && line[i]; i++)
		argv[argc++] = (char *)line[i];
	*ret_exit = args_parse(cli, argc, argv);
	return cli;
}

static void a_line_is_understood_or_refused_with_the_nearest_name(void **state)
{
	static const struct {
		const char *line[LINE_WORDS];
		int exit;
		const char *said; /* a part of it */
	} rows[] = {
		{ { "apply", "-f", "a" }, CLI_DONE, "" },
		{ { "--state", "/x", "apply", "-fa", "--dry-run" }, CLI_DONE, "" },
		{ { "aply" }, CLI_USAGE, "the nearest is \"apply\"" },
		{ { "frobnicate" }, CLI_USAGE, "unknown command \"frobnicate\"" },
		{ { "apply", "--replce" }, CLI_USAGE, "the nearest is --replace" },
		{ { "apply", "-x" }, CLI_USAGE, "unknown option \"-x\"" },
		{ { "apply", "-f" }, CLI_USAGE, "--file needs a value" },
		{ { "apply", "--replace=yes" }, CLI_USAGE, "takes no value" },
		{ { "stats", "--dry-run" }, CLI_USAGE, "unknown option \"--dry-run\"" },
		{ { "stats", "--watch" }, CLI_DONE, "" },
		{ { "stats", "--watch", "2", "reviews" }, CLI_DONE, "" },
		{ { "stats", "--watch", "reviews" }, CLI_DONE, "" },
		{ { "stats", "a", "b" }, CLI_USAGE, "one word too many: \"b\"" },
		{ { "weight", "a" }, CLI_USAGE, "too few words" },
		{ { "weight", "a", "--", "-v1=1" }, CLI_DONE, "" },
		{ { "get", "split" }, CLI_USAGE, "the nearest is \"splits\"" },
		{ { "get", "-o", "json", "services" }, CLI_DONE, "" },
		{ { "get", "-oxml", "services" }, CLI_USAGE, "allowed are table, json and yaml" },
		{ { "get", "services", "--timeout", "soon" }, CLI_USAGE, "allowed are seconds" },
		{ { "get", "services", "--timeout=0.25" }, CLI_DONE, "" },
		{ { "get", "--help" }, CLI_DONE, "" },
		{ { "-h" }, CLI_DONE, "" },
		{ { NULL }, CLI_USAGE, "which command?" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int exit;
		_cleanup_talloc_ struct cli *cli = parse(rows[i].line, &exit);

		print_message("  %s %s\n", rows[i].line[0] ? rows[i].line[0] : "",
			      rows[i].line[0] && rows[i].line[1] ? rows[i].line[1] : "");
		assert_int_equal(exit, rows[i].exit);
		if (!strstr(said(cli->diags), rows[i].said))
			fail_msg("wanted \"%s\", got \"%s\"", rows[i].said, said(cli->diags));
	}
}

static void options_mean_the_same_on_either_side_of_the_command(void **state)
{
	static const char *const before[LINE_WORDS] = { "-o",  "yaml",   "--state=/s", "--timeout",
							"0.5", "weight", "r",          "v1=1" };
	static const char *const after[LINE_WORDS] = { "weight", "r",      "--timeout", "0.5",
						       "v1=1",   "-oyaml", "--state",   "/s" };
	const char *const *lines[] = { before, after };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		int exit;
		_cleanup_talloc_ struct cli *cli = parse(lines[i], &exit);

		assert_int_equal(exit, CLI_DONE);
		assert_int_equal(cli->format, CLI_YAML);
		assert_string_equal(cli->node.state_dir, "/s");
		assert_int_equal(cli->node.timeout_ms, 500);
		assert_int_equal(cli->args.word_count, 2);
		assert_string_equal(cli->args.words[1], "v1=1");
	}
}

static void a_timeout_of_zero_waits_for_nobody(void **state)
{
	static const char *const line[LINE_WORDS] = { "get", "services", "--timeout", "0" };
	int exit;
	_cleanup_talloc_ struct cli *cli = parse(line, &exit);

	assert_int_equal(exit, CLI_DONE);
	assert_int_equal(cli->node.timeout_ms, 1);
}

static void an_optional_value_is_a_number_or_not_there(void **state)
{
	static const char *const with[LINE_WORDS] = { "stats", "-w", "0.5", "r" };
	static const char *const without[LINE_WORDS] = { "stats", "-w", "r" };
	int exit;
	_cleanup_talloc_ struct cli *first = parse(with, &exit), *second = parse(without, &exit);

	assert_string_equal(args_value(&first->args, "watch"), "0.5");
	assert_string_equal(args_value(&second->args, "watch"), "");
	assert_string_equal(second->args.words[0], "r");
}

/* --- weights --- */

static const char weights_yaml[] =
	"apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\n"
	"spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n"
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: mixed}\n"
	"spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}\n"
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: many}\n"
	"spec: {clusterIP: 10.0.0.3, ports: [{name: tcp, port: 80}]}\n"
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
	"metadata: {name: reviews}\n"
	"spec:\n  host: reviews\n  subsets:\n"
	"  - {name: v1, labels: {v: a}}\n  - {name: v2, labels: {v: b}}\n"
	"  - {name: v3, labels: {v: c}}\n"
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\n"
	"spec:\n  hosts: [reviews]\n  http:\n  - name: main\n    route:\n"
	"    - {destination: {host: reviews, subset: v1, port: {number: 80}}, weight: 70}\n"
	"    - {destination: {host: reviews, subset: v2, port: {number: 80}}, weight: 30}\n"
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: many}\n"
	"spec:\n  hosts: [many]\n  tcp:\n"
	"  - match: [{sourceSubnet: 10.0.0.0/8}]\n"
	"    route: [{destination: {host: reviews, subset: v1}}]\n"
	"  - route: [{destination: {host: reviews, subset: v2}}]\n";

static struct model *weights_model(void *memory)
{
	const struct input_text text = { "test.yaml", weights_yaml, sizeof(weights_yaml) - 1 };
	struct diags *diags = diags_new(memory);
	struct input_result result;

	if (input_apply(memory, &text, 1, INPUT_REPLACE, NULL, NULL, diags, &result)) {
		diags_print(diags, stderr, false);
		fail_msg("the test's own input is refused");
	}
	return result.model;
}

/* "v1 90, v3 10" of every rule that was chosen, or what was said against it. */
static char *weights_run(void *memory, const char *name, const char *rule, const char *const *texts)
{
	struct model *model = weights_model(memory);
	struct diags *diags = diags_new(memory);
	struct weight_word words[8];
	struct service *service;
	size_t rules[2], rule_count, count = 0;
	char *text = talloc_strdup(memory, "");
	int err = 0;

	for (; texts[count] && !err; count++)
		err = weight_parse(memory, texts[count], diags, &words[count]);
	assert_int_equal(model_service_resolve(model, name, &service), 0);
	if (!err)
		err = weights_choose(model, service, rule, diags, rules, &rule_count);
	for (size_t i = 0; !err && i < rule_count; i++)
		err = weights_set(model, service, &service->rules[rules[i]], words, count, diags);
	if (err)
		return talloc_strdup(memory, said(diags));
	for (size_t i = 0; i < rule_count; i++) {
		const struct rule *changed = &service->rules[rules[i]];

		text = talloc_asprintf_append(text, "%s%s", i ? "; " : "",
					      changed->kind == RULE_HTTP ? "http" : "tcp");
		for (size_t d = 0; d < changed->destination_count; d++)
			text = talloc_asprintf_append(
				text, " %s:%u=%u", changed->destinations[d].subset,
				changed->destinations[d].port, changed->destinations[d].weight);
	}
	return text;
}

static void weights_are_what_was_asked_and_nothing_else(void **state)
{
	static const struct {
		const char *service, *rule, *words[4];
		const char *wanted; /* all of it, or a part when it is refused */
	} rows[] = {
		{ "reviews", NULL, { "v1=90", "v2=10" }, "http v1:80=90 v2:80=10" },
		{ "reviews", NULL, { "v1=1" }, "http v1:80=1 v2:80=0" },
		{ "reviews", NULL, { "v1=90", "v3=10" }, "http v1:80=90 v2:80=0 v3:80=10" },
		{ "reviews", NULL, { "v2=0", "v3=0", "v1=0" }, "http v1:80=0 v2:80=0 v3:80=0" },
		{ "reviews", "main", { "v1=1000000" }, "http v1:80=1000000 v2:80=0" },
		{ "reviews", "0", { "v1=5" }, "http v1:80=5 v2:80=0" },
		{ "reviews", NULL, { "reviews/v2=5" }, "http v1:80=0 v2:80=5" },
		{ "reviews", NULL, { "mixed=5" }, "http v1:80=0 v2:80=0 :0=5" },
		{ "mixed", NULL, { "reviews/v1=1" }, "http v1:0=1; tcp v1:0=1" },
		{ "many", "1", { "v1=1", "v2=1" }, "\"v1\" is no version of many" },
		{ "many", "1", { "reviews/v1=1", "v2=1" }, "tcp v2:0=1 v1:0=1" },
		{ "many", NULL, { "v1=1" }, "has 2 rules; say which with --rule" },
		{ "many", "2", { "v1=1" }, "has no rule \"2\"" },
		{ "reviews", NULL, { "v4=1" }, "it has: v1, v2, v3" },
		{ "reviews", NULL, { "V1=1" }, "the nearest is \"v1\"" },
		{ "reviews", NULL, { "v1=1", "v1=2" }, "named twice" },
		{ "reviews", NULL, { "v1" }, "allowed is VERSION=WEIGHT" },
		{ "reviews", NULL, { "=1" }, "allowed is VERSION=WEIGHT" },
		{ "reviews", NULL, { "v1=" }, "whole numbers from 0" },
		{ "reviews", NULL, { "v1=1.5" }, "whole numbers from 0" },
		{ "reviews", NULL, { "v1=-1" }, "whole numbers from 0" },
		{ "reviews", NULL, { "v1= 1" }, "whole numbers from 0" },
		{ "reviews", NULL, { "v1=1000001" }, "whole numbers from 0" },
		{ "reviews", NULL, { "v1=99999999999999999999999" }, "whole numbers from 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_talloc_ void *memory = talloc_new(NULL);
		const char *got = weights_run(memory, rows[i].service, rows[i].rule, rows[i].words);

		print_message("  %s %s\n", rows[i].service, rows[i].words[0]);
		if (!strstr(got, rows[i].wanted))
			fail_msg("wanted \"%s\", got \"%s\"", rows[i].wanted, got);
	}
}

/* --- output --- */

static char *printed(void *memory, struct cli *cli, const json_t *tree,
		     const struct section *section)
{
	_cleanup_free_ char *buffer = NULL;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);

	if (section)
		table_print(cli, tree, section, out);
	else
		assert_int_equal(yaml_print(tree, out), 0);
	fclose(out);
	return talloc_strdup(memory, buffer);
}

static void a_table_is_aligned_and_plain_off_a_terminal(void **state)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_PLAIN },     { "N", "n", COLUMN_PLAIN },
		{ "SHARE", "share", COLUMN_PERCENT }, { "", "share", COLUMN_BAR },
		{ "SIZE", "size", COLUMN_BYTES },     { "LIST", "list", COLUMN_PLAIN },
	};
	static const struct section section = SECTION("rows", NULL, NULL, columns);
	_cleanup_talloc_ struct cli *cli = cli_new();
	_cleanup_json_ json_t *tree =
		json_pack("{s:[{s:s,s:i,s:f,s:i,s:[s,s]},{s:s,s:n,s:f,s:i,s:[]}]}", "rows", "name",
			  "gr\u00fcn", "n", 7, "share", 0.125, "size", 2048, "list", "a", "b",
			  "name", "\033[31mred", "n", "share", 1.0, "size", 12, "list");

	assert_string_equal(printed(cli, cli, tree, &section),
			    "NAME      N    SHARE     SIZE  LIST\n"
			    "gr\u00fcn      7   12.5 %  2.0 KiB  a, b\n"
			    " [31mred  -  100.0 %     12 B  -\n");
}

static void a_terminal_gets_bars_and_colours(void **state)
{
	static const struct column columns[] = {
		{ "A", "share", COLUMN_BAR },
		{ "B", "state", COLUMN_STATE },
	};
	static const struct section section = SECTION("rows", NULL, NULL, columns);
	_cleanup_talloc_ struct cli *cli = cli_new();
	_cleanup_json_ json_t *tree = json_pack("{s:[{s:f,s:s},{s:f,s:s}]}", "rows", "share", 0.001,
						"state", "ready", "share", 0.999, "state", "no");

	cli->is_terminal = true;
	assert_string_equal(printed(cli, cli, tree, &section), "A                         B\n"
							       "#.......................  ready\n"
							       "#######################.  no\n");
	cli->has_colour = true;
	assert_non_null(strstr(printed(cli, cli, tree, &section), "\033[32mready\033[0m"));
}

static void yaml_gives_back_the_same_tree(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "plain", "a: plain\n" },       { "", "a: \"\"\n" },
		{ "yes", "a: \"yes\"\n" },       { "NULL", "a: \"NULL\"\n" },
		{ "1.5", "a: \"1.5\"\n" },       { "10.0.0.1", "a: \"10.0.0.1\"\n" },
		{ "- x", "a: \"- x\"\n" },       { "a: b", "a: \"a: b\"\n" },
		{ "# no", "a: \"# no\"\n" },     { "~", "a: \"~\"\n" },
		{ "a\nb", "a: |-\n  a\n  b\n" }, { "80/tcp", "a: \"80/tcp\"\n" },
	};
	_cleanup_talloc_ struct cli *cli = cli_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ json_t *tree = json_pack("{s:s}", "a", rows[i].text);
		const char *got = printed(cli, cli, tree, NULL);

		print_message("  %s\n", rows[i].text);
		assert_string_equal(got + strlen("---\n"), rows[i].wanted);
	}
}

static void numbers_and_words_keep_their_type_in_yaml(void **state)
{
	_cleanup_talloc_ struct cli *cli = cli_new();
	_cleanup_json_ json_t *tree =
		json_pack("{s:i,s:f,s:b,s:n,s:[],s:{}}", "i", 5, "f", 0.1, "b", 1, "n", "l", "m");

	assert_string_equal(printed(cli, cli, tree, NULL),
			    "---\ni: 5\nf: 0.1\nb: true\n\"n\": null\nl: []\nm: {}\n");
}

static void a_number_with_an_exponent_is_one_in_yaml_1_1_too(void **state)
{
	_cleanup_talloc_ struct cli *cli = cli_new();
	_cleanup_json_ json_t *tree =
		json_pack("{s:f,s:f,s:f,s:f}", "a", 1e-5, "b", -1.5e-7, "c", 1e20, "d", 2.5e30);

	assert_string_equal(printed(cli, cli, tree, NULL),
			    "---\na: 1.0e-5\nb: -1.5e-7\nc: 1.0e+20\nd: 2.5e+30\n");
}

static void text_that_is_no_utf8_is_not_lost(void **state)
{
	_cleanup_json_ json_t *text = json_text("a\xff"
						"b");

	assert_string_equal(json_string_value(text), "a?b");
}

static void help_names_every_option_and_shows_an_example(void **state)
{

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_free_ char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		help_print(&commands[i], out);
		fclose(out);
		for (size_t o = 0; o < commands[i].option_count; o++)
			assert_non_null(strstr(text, commands[i].options[o].name));
		assert_non_null(strstr(text, "example:\n  sluice "));
		assert_int_equal(strstr(text, "--dry-run") != NULL,
				 (commands[i].flags & COMMAND_CHANGES) != 0);
	}
}

/* --- addresses, differences, statistics, endpoints by hand --- */

static void an_address_may_have_a_port(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *address;
		int port; /* -1: none */
	} rows[] = {
		{ "10.0.0.1:80", 0, "10.0.0.1", 80 }, { "10.0.0.1", 0, "10.0.0.1", -1 },
		{ "[fd00::1]:80", 0, "fd00::1", 80 }, { "[fd00::1]", 0, "fd00::1", -1 },
		{ "fd00::1", 0, "fd00::1", -1 },      { "10.0.0.1:", -EINVAL, "", 0 },
		{ "10.0.0.1:0", -EINVAL, "", 0 },     { "10.0.0.1:65536", -EINVAL, "", 0 },
		{ "10.0.0.1:80x", -EINVAL, "", 0 },   { "[fd00::1", -EINVAL, "", 0 },
		{ "[fd00::1]80", -EINVAL, "", 0 },    { "", -EINVAL, "", 0 },
		{ "reviews:80", -EINVAL, "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr addr;
		uint16_t port;
		bool has_port;

		print_message("  %s\n", rows[i].text);
		assert_int_equal(addr_port_parse(rows[i].text, &addr, &port, &has_port),
				 rows[i].err);
		if (rows[i].err)
			continue;
		assert_string_equal(addr_format(&addr, text), rows[i].address);
		assert_int_equal(has_port ? port : -1, rows[i].port);
	}
}

static void a_difference_is_unified_with_three_lines_around(void **state)
{
	static const struct {
		const char *from, *to, *wanted;
	} rows[] = {
		{ "a\nb\n", "a\nb\n", "" },
		{ "", "", "" },
		{ "a\n", "b\n", "@@ -1,1 +1,1 @@|-a|+b|" },
		{ "", "a\nb\n", "@@ -0,0 +1,2 @@|+a|+b|" },
		{ "a\nb\n", "", "@@ -1,2 +0,0 @@|-a|-b|" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		  "@@ -2,7 +2,7 @@| 2| 3| 4|-5|+x| 6| 7| 8|" },
		{ "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "1\n2\n3\n4\n5\n6\n7\n",
		  "@@ -1,4 +1,3 @@|-a| 1| 2| 3|@@ -6,4 +5,3 @@| 5| 6| 7|-b|" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_talloc_ void *memory = talloc_new(NULL);
		char *got = talloc_strdup(memory, "");
		struct diff_line *lines;
		size_t count;

		assert_int_equal(line_diff(memory, rows[i].from, rows[i].to, &lines, &count), 0);
		for (size_t l = 0; l < count; l++) {
			if (lines[l].mark == '@')
				got = talloc_asprintf_append(got, "%s|", lines[l].text);
			else
				got = talloc_asprintf_append(got, "%c%s|", lines[l].mark,
							     lines[l].text);
		}
		assert_string_equal(got, rows[i].wanted);
	}
}

static void a_share_has_wilsons_interval(void **state)
{
	/* In ten thousandths; worked out apart, by Python's statistics.NormalDist and sqrt. */
	static const struct {
		__u64 hits, total;
		int low, high;
	} rows[] = {
		{ 0, 10, 0, 2775 },     { 10, 10, 7225, 10000 },   { 5, 10, 2366, 7634 },
		{ 10, 100, 552, 1744 }, { 900, 1000, 8798, 9171 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		double low, high;

		share_interval(rows[i].hits, rows[i].total, &low, &high);
		assert_int_equal((int)(low * 10000 + 0.5), rows[i].low);
		assert_int_equal((int)(high * 10000 + 0.5), rows[i].high);
	}
}

static void a_quantile_lies_in_its_bucket(void **state)
{
	__u64 buckets[SL_HANDSHAKE_BUCKETS] = { 0 };

	assert_true(handshake_quantile(buckets, 0.5) < 0);
	buckets[3] = 100;
	assert_true(handshake_quantile(buckets, 0.5) == 12);
	buckets[10] = 1;
	assert_true(handshake_quantile(buckets, 0.5) < 16);
	assert_true(handshake_quantile(buckets, 1) == 2048);
}

static void endpoints_by_hand_stay_sorted_and_leave_no_drain_behind(void **state)
{
	_cleanup_talloc_ struct inventory *inventory = talloc_zero(NULL, struct inventory);
	struct endpoint endpoint = { .workload = "", .weight = 1 };
	const char *source = "?";
	struct service_port port = { .number = 80 };
	const struct service a = { .host = "a", .ports = &port, .port_count = 1 };
	const struct service c = { .host = "c", .ports = &port, .port_count = 1 };

	assert_int_equal(addr_parse("10.0.0.1", &endpoint.addr), 0);
	assert_int_equal(membership_add(inventory, "b", &endpoint), 0);
	assert_int_equal(membership_add(inventory, "a", &endpoint), 0);
	endpoint.weight = 5;
	assert_int_equal(membership_add(inventory, "a", &endpoint), 0);
	assert_int_equal(inventory->group_count, 2);
	assert_string_equal(inventory->groups[0].key, "cli/a");
	assert_int_equal(inventory->groups[0].endpoint_count, 1);
	assert_int_equal(inventory->groups[0].endpoints[0].weight, 5);

	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 80), 0);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 80), -EALREADY);
	assert_int_equal(membership_drain(inventory, &c, &endpoint.addr, 80), -ENOENT);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 0), 0);
	assert_int_equal(inventory->drains[0].port, 0);
	assert_int_equal(membership_undrain(inventory, "a", &endpoint.addr, 0), 0);
	assert_int_equal(membership_undrain(inventory, "a", &endpoint.addr, 0), -EALREADY);

	assert_int_equal(membership_remove(inventory, &a, &endpoint.addr, 0, &source), 0);
	assert_int_equal(inventory->group_count, 1);
	assert_int_equal(inventory->drain_count, 0);
	assert_int_equal(membership_remove(inventory, &a, &endpoint.addr, 0, &source), -ENOENT);
	assert_null(source);
}

static void a_removal_names_the_file_that_would_bring_it_back(void **state)
{
	_cleanup_talloc_ struct inventory *inventory = talloc_zero(NULL, struct inventory);
	struct endpoint endpoint = { .workload = "" };
	struct endpoint_group group = { "EndpointSlice/x", "a", &endpoint, 1 };
	const struct service a = { .host = "a" };
	const char *source = NULL;

	assert_int_equal(addr_parse("fd00::1", &endpoint.addr), 0);
	inventory->groups = &group;
	inventory->group_count = 1;
	assert_int_equal(membership_remove(inventory, &a, &endpoint.addr, 0, &source), -ENOENT);
	assert_string_equal(source, "EndpointSlice/x");
}

static void an_endpoint_without_ports_has_those_of_its_service(void **state)
{
	_cleanup_talloc_ struct inventory *inventory = talloc_zero(NULL, struct inventory);
	struct endpoint endpoint = { .workload = "", .weight = 1 };
	struct endpoint_port own = { .name = "", .number = 7000 };
	struct service_port ports[] = { { .number = 80, .target_number = 8080 }, { .number = 53 } };
	const struct service a = { .host = "a", .ports = ports, .port_count = 2 };
	const char *source = "?";

	assert_int_equal(addr_parse("10.0.0.1", &endpoint.addr), 0);
	assert_string_equal(membership_ports(inventory, inventory, &a, &endpoint.addr), "");
	assert_int_equal(membership_add(inventory, "a", &endpoint), 0);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 80), -ENOENT);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 8080), 0);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 53), 0);
	assert_string_equal(membership_ports(inventory, inventory, &a, &endpoint.addr), "53, 8080");
	assert_int_equal(membership_remove(inventory, &a, &endpoint.addr, 80, &source), -ENOENT);
	assert_null(source);

	endpoint.ports = &own;
	endpoint.port_count = 1;
	assert_int_equal(membership_add(inventory, "a", &endpoint), 0);
	assert_string_equal(membership_ports(inventory, inventory, &a, &endpoint.addr),
			    "53, 7000, 8080");
	assert_int_equal(membership_remove(inventory, &a, &endpoint.addr, 7000, &source), 0);
	assert_int_equal(membership_drain(inventory, &a, &endpoint.addr, 7000), -ENOENT);
}

static void a_version_key_comes_apart(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct version_key whole = version_key_split(memory, "a.b|v1|80/tcp#1234");
	struct version_key cut = version_key_split(memory, "a.b|v");

	assert_string_equal(whole.host, "a.b");
	assert_string_equal(whole.subset, "v1");
	assert_string_equal(whole.port, "80/tcp");
	assert_string_equal(cut.subset, "v");
	assert_null(cut.port);
}

static void a_warning_belongs_to_the_services_that_a_change_names(void **state)
{
	static const struct {
		const char *path, *text;
		bool wanted;
	} rows[] = {
		{ "", "reviews.default: version \"v1\" has no ready endpoint", true },
		{ "", "ratings.default: version \"v1\" has no ready endpoint", true },
		{ "", "view.default: version \"v1\" has no ready endpoint", false },
		{ "", "other.default: version \"v1\" has no ready endpoint", false },
		{ "", "mine.default: version \"v1\" has no ready endpoint", true },
		{ NULL, "other.default: something else", true },
	};
	_cleanup_talloc_ struct cli *cli = cli_new();

	cli_about(cli, "~ reviews.default: ratings/v1 10 (was v1 10)", "mine.default");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diag diag = { DIAG_WARNING, .path = rows[i].path, .text = rows[i].text };

		print_message("  %s\n", rows[i].text);
		assert_int_equal(cli_is_about(cli, &diag), rows[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_understood_or_refused_with_the_nearest_name),
		cmocka_unit_test(options_mean_the_same_on_either_side_of_the_command),
		cmocka_unit_test(a_timeout_of_zero_waits_for_nobody),
		cmocka_unit_test(an_optional_value_is_a_number_or_not_there),
		cmocka_unit_test(weights_are_what_was_asked_and_nothing_else),
		cmocka_unit_test(a_table_is_aligned_and_plain_off_a_terminal),
		cmocka_unit_test(a_terminal_gets_bars_and_colours),
		cmocka_unit_test(yaml_gives_back_the_same_tree),
		cmocka_unit_test(numbers_and_words_keep_their_type_in_yaml),
		cmocka_unit_test(a_number_with_an_exponent_is_one_in_yaml_1_1_too),
		cmocka_unit_test(text_that_is_no_utf8_is_not_lost),
		cmocka_unit_test(help_names_every_option_and_shows_an_example),
		cmocka_unit_test(an_address_may_have_a_port),
		cmocka_unit_test(a_difference_is_unified_with_three_lines_around),
		cmocka_unit_test(a_share_has_wilsons_interval),
		cmocka_unit_test(a_quantile_lies_in_its_bucket),
		cmocka_unit_test(endpoints_by_hand_stay_sorted_and_leave_no_drain_behind),
		cmocka_unit_test(an_endpoint_without_ports_has_those_of_its_service),
		cmocka_unit_test(a_removal_names_the_file_that_would_bring_it_back),
		cmocka_unit_test(a_version_key_comes_apart),
		cmocka_unit_test(a_warning_belongs_to_the_services_that_a_change_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
