// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include "../base/cleanup.h"

#include <string.h>
#include <time.h>

const char *colour(const struct cli *cli, const char *sequence)
{
	return cli->has_colour ? sequence : "";
}

bool output_is_table(const struct cli *cli)
{
	return cli->format == CLI_TABLE;
}

/* A change is made, and its lock given back, before anything is said of it. */
static int output_failed(struct cli *cli)
{
	bool is_made = cli->command && (cli->command->flags & COMMAND_CHANGES) && !cli->is_dry_run;

	return cli_fail(cli, CLI_FAILED, "cannot write the output: %m%s",
			is_made ? "; the change itself is made" : "");
}

int output_end(struct cli *cli)
{
	return fflush(stdout) || ferror(stdout) ? output_failed(cli) : CLI_DONE;
}

int output_tree(struct cli *cli, const json_t *tree)
{
	int err;

	if (!tree)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (cli->format == CLI_YAML)
		err = yaml_print(tree, stdout);
	else
		err = json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) ||
		      putchar('\n') == EOF;
	return err ? output_failed(cli) : output_end(cli);
}

int output_print(struct cli *cli, const json_t *tree, const struct section *sections, size_t count)
{
	if (!tree || !output_is_table(cli))
		return output_tree(cli, tree);
	for (size_t i = 0; i < count; i++)
		table_print(cli, tree, &sections[i], stdout);
	return output_end(cli);
}

json_t *json_text(const char *text)
{
	json_t *json = text ? json_string(text) : json_null();
	_cleanup_free_ char *plain = NULL;

	if (json || !text)
		return json;
	plain = strdup(text);
	for (char *c = plain; c && *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	return plain ? json_string(plain) : NULL;
}

json_t *json_lines(const char *text)
{
	json_t *list = json_array();

	while (text && *text) {
		size_t size = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, size);

		json_array_append_new(list, json_text(line));
		text += size + (text[size] == '\n');
	}
	return list;
}

json_t *json_time(int64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm parts;
	char text[32];

	if (!gmtime_r(&when, &parts) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts))
		return json_null();
	return json_string(text);
}

json_t *json_digest(const uint8_t digest[STORE_DIGEST_SIZE])
{
	char text[2 * STORE_DIGEST_SIZE + 1];

	for (size_t i = 0; i < STORE_DIGEST_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return json_string(text);
}

json_t *json_addr(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return json_string(addr_format(addr, text));
}

const char *addr_port_format(const struct addr *addr, uint16_t port,
			     char text[static ADDR_PORT_TEXT_MAX])
{
	char only[ADDR_TEXT_MAX];

	addr_format(addr, only);
	snprintf(text, ADDR_PORT_TEXT_MAX, addr->family == 6 ? "[%s]:%u" : "%s:%u", only, port);
	return text;
}

json_t *json_labels(const struct label_list *labels)
{
	json_t *map = json_object();

	for (size_t i = 0; i < labels->count; i++)
		json_object_set_new(map, labels->list[i].key, json_text(labels->list[i].value));
	return map;
}

json_t *json_diags(const struct diags *diags)
{
	static const char *const levels[] = {
		[DIAG_NOTE] = "note",
		[DIAG_WARNING] = "warning",
		[DIAG_ERROR] = "error",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < diags->count; i++) {
		const struct diag *diag = &diags->list[i];
		json_t *row = json_object();

		json_object_set_new(row, "level", json_string(levels[diag->level]));
		json_object_set_new(row, "file", json_text(diag->file));
		json_object_set_new(row, "line", json_integer(diag->line));
		json_object_set_new(row, "column", json_integer(diag->column));
		json_object_set_new(row, "path", json_text(diag->path));
		json_object_set_new(row, "text", json_text(diag->text));
		json_array_append_new(list, row);
	}
	return list;
}

json_t *json_result(const struct cli *cli, const struct node_result *result)
{
	return json_pack("{s:I, s:b, s:b, s:b, s:o}", "revision", (json_int_t)result->revision,
			 "new_revision", result->is_new, "dry_run", cli->is_dry_run,
			 "members_changed", result->members_changed, "changes",
			 json_lines(result->summary));
}

static void change_print(const struct cli *cli, const char *line, size_t size, FILE *out)
{
	const char *sequence = line[0] == '+'   ? COLOUR_GREEN
			       : line[0] == '-' ? COLOUR_RED
						: COLOUR_YELLOW;

	fprintf(out, "%s%.*s%s\n", colour(cli, sequence), (int)size, line, colour(cli, COLOUR_OFF));
}

void changes_print(const struct cli *cli, const struct node_result *result, FILE *out)
{
	for (const char *line = result->summary; line && *line;) {
		size_t size = strcspn(line, "\n");

		change_print(cli, line, size, out);
		line += size + (line[size] == '\n');
	}
}

void result_print(const struct cli *cli, const struct node_result *result, FILE *out)
{
	const char *members = result->members_changed ? "; endpoints changed" : "";

	changes_print(cli, result, out);
	if (cli->is_dry_run)
		fprintf(out, "dry run: %s%s; nothing was written\n",
			result->is_new ? "would become a new revision" : "no new revision",
			result->members_changed ? ", endpoints would change" : "");
	else if (result->is_new)
		fprintf(out, "revision %s%u%s is active%s\n", colour(cli, COLOUR_BOLD),
			result->revision, colour(cli, COLOUR_OFF), members);
	else
		fprintf(out, "no new revision, %u stays active%s\n", result->revision, members);
}
