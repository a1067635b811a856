// SPDX-License-Identifier: Apache-2.0
#include "linediff.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CONTEXT 3
#define CELLS_MAX (16u << 20)

struct text {
	char **lines;
	size_t count;
};

struct script {
	struct diff_line *list;
	size_t count;
};

static int text_split(void *parent, const char *from, struct text *ret_text)
{
	char *copy = talloc_strdup(parent, from), *line = copy;
	size_t room = 1;

	for (const char *c = from; *c; c++)
		room += *c == '\n';
	ret_text->lines = talloc_array(parent, char *, (unsigned)room);
	ret_text->count = 0;
	if (!copy || !ret_text->lines)
		return -ENOMEM;
	while (*line) {
		size_t size = strcspn(line, "\n");
		char *next = line + size + (line[size] == '\n');

		line[size] = '\0';
		ret_text->lines[ret_text->count++] = line;
		line = next;
	}
	return 0;
}

static void script_add(struct script *script, char mark, const char *text)
{
	script->list[script->count++] = (struct diff_line){ mark, text };
}

/* table[i][j]: the length of the longest subsequence that a from line i and b from line j share. */
static uint16_t *table_fill(const struct text *a, const struct text *b)
{
	size_t width = b->count + 1, cells = (a->count + 1) * width;
	uint16_t *table = cells <= CELLS_MAX && a->count < UINT16_MAX && b->count < UINT16_MAX
				  ? talloc_zero_array(NULL, uint16_t, (unsigned)cells)
				  : NULL;

	for (size_t i = table ? a->count : 0; i-- > 0;) {
		for (size_t j = b->count; j-- > 0;) {
			uint16_t down = table[(i + 1) * width + j];
			uint16_t right = table[i * width + j + 1];

			if (!strcmp(a->lines[i], b->lines[j]))
				table[i * width + j] = table[(i + 1) * width + j + 1] + 1;
			else
				table[i * width + j] = down >= right ? down : right;
		}
	}
	return table;
}

/* Without a table (texts too long for one) nothing is taken for common. */
static void middle_write(const struct text *a, const struct text *b, struct script *script)
{
	_cleanup_talloc_ uint16_t *table = table_fill(a, b);
	size_t width = b->count + 1, i = 0, j = 0;

	while (table && i < a->count && j < b->count) {
		if (!strcmp(a->lines[i], b->lines[j])) {
			script_add(script, ' ', a->lines[i++]);
			j++;
		} else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) {
			script_add(script, '-', a->lines[i++]);
		} else {
			script_add(script, '+', b->lines[j++]);
		}
	}
	while (i < a->count)
		script_add(script, '-', a->lines[i++]);
	while (j < b->count)
		script_add(script, '+', b->lines[j++]);
}

/* What both begin and end with needs no table. */
static void script_write(const struct text *a, const struct text *b, struct script *script)
{
	size_t head = 0, tail = 0, least = a->count < b->count ? a->count : b->count;

	while (head < least && !strcmp(a->lines[head], b->lines[head]))
		script_add(script, ' ', a->lines[head++]);
	while (tail < least - head &&
	       !strcmp(a->lines[a->count - 1 - tail], b->lines[b->count - 1 - tail]))
		tail++;
	struct text from = { a->lines + head, a->count - head - tail };
	struct text to = { b->lines + head, b->count - head - tail };

	middle_write(&from, &to, script);
	for (size_t i = a->count - tail; i < a->count; i++)
		script_add(script, ' ', a->lines[i]);
}

static bool is_near_change(const struct script *script, size_t at)
{
	size_t first = at < CONTEXT ? 0 : at - CONTEXT;

	for (size_t i = first; i < script->count && i <= at + CONTEXT; i++) {
		if (script->list[i].mark != ' ')
			return true;
	}
	return false;
}

/* "@@ -12,7 +12,8 @@" for the hunk that begins at `at`; numbers as diff -u has them. */
static const char *hunk_head(void *parent, const struct script *script, size_t at, size_t line_a,
			     size_t line_b)
{
	size_t size_a = 0, size_b = 0;

	for (size_t i = at; i < script->count && is_near_change(script, i); i++) {
		size_a += script->list[i].mark != '+';
		size_b += script->list[i].mark != '-';
	}
	return talloc_asprintf(parent, "@@ -%zu,%zu +%zu,%zu @@", size_a ? line_a : line_a - 1,
			       size_a, size_b ? line_b : line_b - 1, size_b);
}

static int hunks_write(void *parent, const struct script *script, struct script *ret_hunks)
{
	size_t line_a = 1, line_b = 1;
	bool was_near = false;

	for (size_t i = 0; i < script->count; i++) {
		const struct diff_line *line = &script->list[i];
		bool is_near = is_near_change(script, i);

		if (is_near && !was_near) {
			const char *head = hunk_head(parent, script, i, line_a, line_b);

			if (!head)
				return -ENOMEM;
			script_add(ret_hunks, '@', head);
		}
		if (is_near)
			script_add(ret_hunks, line->mark, line->text);
		was_near = is_near;
		line_a += line->mark != '+';
		line_b += line->mark != '-';
	}
	return 0;
}

int line_diff(void *parent, const char *from, const char *to, struct diff_line **ret_lines,
	      size_t *ret_count)
{
	struct script script = { 0 }, hunks = { 0 };
	struct text a, b;

	if (text_split(parent, from, &a) || text_split(parent, to, &b))
		return -ENOMEM;
	script.list = talloc_array(parent, struct diff_line, (unsigned)(a.count + b.count) + 1);
	hunks.list = talloc_array(parent, struct diff_line, 2 * (unsigned)(a.count + b.count) + 1);
	if (!script.list || !hunks.list)
		return -ENOMEM;
	script_write(&a, &b, &script);
	if (hunks_write(parent, &script, &hunks))
		return -ENOMEM;
	*ret_lines = hunks.list;
	*ret_count = hunks.count;
	return 0;
}
