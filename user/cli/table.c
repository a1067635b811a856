// SPDX-License-Identifier: Apache-2.0
/* Aligned tables. Cells are made first, so that each column is as wide as its widest cell. */
#include "output.h"

#include "../base/cleanup.h"

#include <string.h>

#define BAR_WIDTH 24

struct cell {
	char *text;
	bool is_right; /* aligned to the right: a number */
};

struct grid {
	const struct section *section;
	struct cell *cells; /* rows of column_count; row 0 has the titles */
	size_t rows;
	int *widths;
};

/*
 * Code points, not bytes; control characters are replaced, since names and reasons come from
 * anywhere.
 */
static int text_width(char *text)
{
	int width = 0;

	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = ' ';
		width += (*c & 0xc0) != 0x80;
	}
	return width;
}

static char *bar_text(const struct cli *cli, void *parent, double fraction)
{
	const char *full = cli->has_unicode ? "\u2588" : "#";
	const char *rest = cli->has_unicode ? "\u2591" : ".";
	double clipped = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
	int filled = (int)(clipped * BAR_WIDTH + 0.5);
	char *text = talloc_strdup(parent, "");

	/* A share that is there must be seen, and one that is not whole must not look so. */
	if (clipped > 0 && filled == 0)
		filled = 1;
	if (clipped < 1 && filled == BAR_WIDTH)
		filled = BAR_WIDTH - 1;
	for (int i = 0; i < BAR_WIDTH && text; i++)
		text = talloc_strdup_append(text, i < filled ? full : rest);
	return text;
}

static char *value_text(void *parent, const json_t *value);

static char *list_text(void *parent, const json_t *list)
{
	char *text = talloc_strdup(parent, "");
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item)
	{
		_cleanup_talloc_ char *part = value_text(NULL, item);

		text = talloc_asprintf_append(text, "%s%s", i ? ", " : "", part);
	}
	return i ? text : talloc_strdup(parent, "-");
}

static char *map_text(void *parent, const json_t *map)
{
	char *text = talloc_strdup(parent, "");
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)map, key, item)
	{
		_cleanup_talloc_ char *part = value_text(NULL, item);

		text = talloc_asprintf_append(text, "%s%s=%s", *text ? "," : "", key, part);
	}
	return *text ? text : talloc_strdup(parent, "-");
}

static char *value_text(void *parent, const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return talloc_strdup(parent,
				     *json_string_value(value) ? json_string_value(value) : "-");
	case JSON_INTEGER:
		return talloc_asprintf(parent, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL:
		return talloc_asprintf(parent, "%.1f", json_real_value(value));
	case JSON_TRUE:
		return talloc_strdup(parent, "yes");
	case JSON_FALSE:
		return talloc_strdup(parent, "no");
	case JSON_ARRAY:
		return list_text(parent, value);
	case JSON_OBJECT:
		return map_text(parent, value);
	default:
		return talloc_strdup(parent, "-");
	}
}

static char *scaled_text(void *parent, double value, double step, const char *const *units,
			 size_t unit_count)
{
	size_t unit = 0;

	while (value >= step && unit + 1 < unit_count) {
		value /= step;
		unit++;
	}
	return talloc_asprintf(parent, unit && value < 100 ? "%.1f %s" : "%.0f %s", value,
			       units[unit]);
}

static char *number_text(void *parent, enum column_kind kind, double value)
{
	static const char *const bytes[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	static const char *const times[] = { "us", "ms", "s" };

	switch (kind) {
	case COLUMN_PERCENT:
		return talloc_asprintf(parent, "%.1f %%", 100 * value);
	case COLUMN_RATE:
		return talloc_asprintf(parent, "%.1f/s", value);
	case COLUMN_BYTES:
		return scaled_text(parent, value, 1024, bytes, ARRAY_SIZE(bytes));
	case COLUMN_US:
		return scaled_text(parent, value, 1000, times, ARRAY_SIZE(times));
	default:
		return NULL;
	}
}

static struct cell cell_make(const struct cli *cli, void *parent, const struct column *column,
			     const json_t *row)
{
	const json_t *value = json_object_get(row, column->field);
	struct cell cell = { .is_right = json_is_number(value) };

	if (column->kind == COLUMN_BAR && json_is_number(value))
		cell = (struct cell){ bar_text(cli, parent, json_number_value(value)), false };
	else if (column->kind == COLUMN_SHORT && json_is_string(value))
		cell.text = talloc_strndup(parent, json_string_value(value), 12);
	else if (cell.is_right)
		cell.text = number_text(parent, column->kind, json_number_value(value));
	if (!cell.text)
		cell.text = value_text(parent, value);
	if (!cell.text)
		cell.text = talloc_strdup(parent, "?");
	return cell;
}

/* A bar is there to be looked at: a program that reads the table has the number beside it. */
static bool is_shown(const struct cli *cli, const struct column *column)
{
	return column->kind != COLUMN_BAR || cli->is_terminal;
}

static void grid_fill(const struct cli *cli, struct grid *grid, const json_t *list)
{
	size_t columns = grid->section->column_count;

	for (size_t i = 0; i < grid->rows * columns; i++) {
		const struct column *column = &grid->section->columns[i % columns];
		struct cell *cell = &grid->cells[i];
		int width;

		if (i < columns)
			*cell = (struct cell){ talloc_strdup(grid->cells, column->title), false };
		else
			*cell = cell_make(cli, grid->cells, column,
					  json_array_get(list, i / columns - 1));
		if (cell->is_right)
			grid->cells[i % columns].is_right = true;
		width = cell->text ? text_width(cell->text) : 0;
		if (width > grid->widths[i % columns])
			grid->widths[i % columns] = width;
	}
}

static const char *state_colour(const struct cli *cli, const char *word)
{
	static const struct {
		const char *word, *sequence;
	} words[] = {
		{ "ready", COLOUR_GREEN },        { "ok", COLOUR_GREEN },
		{ "active", COLOUR_GREEN },       { "yes", COLOUR_GREEN },
		{ "terminating", COLOUR_YELLOW }, { "drained", COLOUR_YELLOW },
		{ "not ready", COLOUR_RED },      { "no", COLOUR_RED },
		{ "drift", COLOUR_RED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(word, words[i].word))
			return colour(cli, words[i].sequence);
	}
	return "";
}

static const char *cell_colour(const struct cli *cli, const struct column *column,
			       const struct cell *cell, bool is_title)
{
	if (is_title)
		return colour(cli, COLOUR_BOLD);
	if (column->kind == COLUMN_BAR)
		return colour(cli, COLOUR_CYAN);
	return column->kind == COLUMN_STATE ? state_colour(cli, cell->text) : "";
}

static void row_print(const struct cli *cli, const struct grid *grid, size_t row, FILE *out)
{
	size_t columns = grid->section->column_count, last = columns - 1;

	while (last && !is_shown(cli, &grid->section->columns[last]))
		last--;
	for (size_t c = 0; c <= last; c++) {
		const struct column *column = &grid->section->columns[c];
		const struct cell *cell = &grid->cells[row * columns + c];
		/* A title and a missing number stand where the numbers do. */
		bool is_right = cell->is_right ||
				(grid->cells[c].is_right && (row == 0 || !strcmp(cell->text, "-")));
		int room = grid->widths[c] - text_width(cell->text);
		const char *sequence = cell_colour(cli, column, cell, row == 0);

		if (!is_shown(cli, column))
			continue;
		/* No blanks at a line's end: they would show in a selection and in a diff. */
		fprintf(out, "%*s%s%s%s%*s%s", is_right ? room : 0, "", sequence, cell->text,
			*sequence ? COLOUR_OFF : "", is_right || c == last ? 0 : room, "",
			c == last ? "\n" : "  ");
	}
}

static void rows_print(const struct cli *cli, const json_t *list, const struct section *section,
		       FILE *out)
{
	size_t rows = json_array_size(list) + 1, columns = section->column_count;
	_cleanup_talloc_ struct cell *cells =
		talloc_zero_array(NULL, struct cell, (unsigned)(rows * columns));
	_cleanup_talloc_ int *widths = talloc_zero_array(NULL, int, (unsigned)columns);
	struct grid grid = { .section = section, .cells = cells, .rows = rows, .widths = widths };

	if (!cells || !widths)
		return;
	grid_fill(cli, &grid, list);
	for (size_t i = 0; i < rows; i++)
		row_print(cli, &grid, i, out);
}

/* The tree's own fields, one a line. */
static void fields_print(const struct cli *cli, const json_t *tree, const struct section *section,
			 FILE *out)
{
	int width = 0;

	for (size_t c = 0; c < section->column_count; c++) {
		int size = (int)strlen(section->columns[c].title);

		width = size > width ? size : width;
	}
	for (size_t c = 0; c < section->column_count; c++) {
		const struct column *column = &section->columns[c];
		_cleanup_talloc_ void *scratch = talloc_new(NULL);
		struct cell cell;

		if (!json_object_get(tree, column->field) || !is_shown(cli, column))
			continue;
		cell = cell_make(cli, scratch, column, tree);
		text_width(cell.text);
		const char *sequence = cell_colour(cli, column, &cell, false);

		fprintf(out, "%s%-*s%s  %s%s%s\n", colour(cli, COLOUR_BOLD), width, column->title,
			colour(cli, COLOUR_OFF), sequence, cell.text, *sequence ? COLOUR_OFF : "");
	}
}

void table_print(const struct cli *cli, const json_t *tree, const struct section *section,
		 FILE *out)
{
	const json_t *list = section->list ? json_object_get(tree, section->list) : NULL;
	bool is_empty = section->list && !json_array_size(list);

	if (is_empty && !section->empty)
		return;
	if (section->heading)
		fprintf(out, "\n%s%s%s\n", colour(cli, COLOUR_BOLD), section->heading,
			colour(cli, COLOUR_OFF));
	if (is_empty)
		fprintf(out, "%s\n", section->empty);
	else if (section->list)
		rows_print(cli, list, section, out);
	else
		fields_print(cli, tree, section, out);
}
