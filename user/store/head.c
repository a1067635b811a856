// SPDX-License-Identifier: Apache-2.0
#include "head.h"

#include "../base/cleanup.h"
#include "digits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define REVISION_TITLE "# sluice revision "

static void escaped_put(FILE *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\\')
			fputs("\\\\", out);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c < ' ' || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

/* In place: what is written is never longer than what was read. */
static int unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		const char *digits;
		uint64_t c;

		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		from++;
		digits = from + 1;
		if (*from == '\\' || *from == 'n') {
			*to++ = *from == 'n' ? '\n' : '\\';
		} else if (*from == 'x' && !digits_take(&digits, 16, 2, UINT8_MAX, &c) &&
			   digits == from + 3) {
			*to++ = (char)c;
			from += 2;
		} else {
			return -EBADMSG;
		}
	}
	*to = '\0';
	return 0;
}

static void field_put(FILE *out, const char *name, const char *value, size_t size)
{
	fprintf(out, "# %s ", name);
	escaped_put(out, value, size);
	fputc('\n', out);
}

static void changed_put(FILE *out, const char *summary)
{
	while (*summary) {
		size_t length = strcspn(summary, "\n");

		field_put(out, "changed", summary, length);
		summary += length + (summary[length] == '\n');
	}
}

static void who_put(FILE *out, int64_t since, const char *author, const char *reason)
{
	time_t seconds = (time_t)since;
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%FT%TZ", &tm);
	fprintf(out, "# time %s\n", when);
	author = author ? author : "";
	reason = reason ? reason : "";
	field_put(out, "author", author, strlen(author));
	field_put(out, "reason", reason, strlen(reason));
}

static void head_put(FILE *out, const struct store_revision *revision)
{
	const char *members = revision->members ? revision->members : "";

	fprintf(out, REVISION_TITLE "%" PRIu32 "\n# parent %" PRIu32 "\n", revision->number,
		revision->parent);
	who_put(out, revision->time, revision->author, revision->reason);
	field_put(out, "members", members, strlen(members));
	changed_put(out, revision->summary ? revision->summary : "");
}

int head_format(void *parent, const struct store_revision *revision, char **ret_head)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	char *head;
	bool failed;

	if (!out)
		return -ENOMEM;
	head_put(out, revision);
	failed = ferror(out);
	if (fclose(out) || failed)
		return -ENOMEM;
	head = talloc_strdup(parent, text);
	if (!head)
		return -ENOMEM;
	*ret_head = head;
	return 0;
}

/* The word of a whole line "# word value", and its size; NULL when the line is none. */
static const char *word_find(const char *line, size_t *ret_size)
{
	size_t size;

	if (strncmp(line, "# ", 2) || !strchr(line, '\n'))
		return NULL;
	size = strcspn(line + 2, " \n");
	if (!size || line[2 + size] != ' ')
		return NULL;
	*ret_size = size;
	return line + 2;
}

/* Of a name with a blank in it ("sluice revision") the word is the first half. */
static bool is_line_of(const char *line, const char *name)
{
	size_t size, length = strlen(name);
	const char *word = word_find(line, &size);

	return word && !strncmp(word, name, length) && word[length] == ' ';
}

/* What a later release has to say beside what this one knows. */
static bool is_unknown(const char *line)
{
	static const char *const known[] = { "sluice", "parent",  "time",   "author",
					     "reason", "members", "changed" };
	size_t size;

	if (!word_find(line, &size))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (is_line_of(line, known[i]))
			return false;
	}
	return true;
}

/*
 * The value of the line at `*cursor`, or of the first after it that is not unknown, if it is the
 * named field; the cursor then stands at the next line.
 */
static char *field_take(char **cursor, const char *name)
{
	char *line = *cursor, *newline;

	while (is_unknown(line))
		line = strchr(line, '\n') + 1;
	*cursor = line;
	if (!is_line_of(line, name))
		return NULL;
	newline = strchr(line, '\n');
	*newline = '\0';
	*cursor = newline + 1;
	return line + 3 + strlen(name);
}

int head_check(const char *head, const char *title)
{
	const char *line = strchr(head, '\n');
	size_t size;

	if (!line || strncmp(head, title, strlen(title)))
		return -EPROTO;
	while (*++line) {
		if (!word_find(line, &size) || is_line_of(line, "format"))
			return -EPROTO;
		line = strchr(line, '\n');
	}
	return 0;
}

static int number_parse(const char *text, uint32_t *ret_number)
{
	uint64_t number;

	if (!text || digits_take(&text, 10, 10, UINT32_MAX, &number) || *text)
		return -EBADMSG;
	*ret_number = (uint32_t)number;
	return 0;
}

static int time_parse(const char *text, int64_t *ret_time)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;

	if (!end || *end)
		return -EBADMSG;
	*ret_time = (int64_t)timegm(&tm);
	return 0;
}

/* The lines become one text, in place: each loses its "# changed ". */
static int changed_take(char *cursor, const char **ret_summary)
{
	char *summary = cursor, *to = cursor, *value;

	while ((value = field_take(&cursor, "changed"))) {
		size_t length;

		if (unescape(value))
			return -EBADMSG;
		length = strlen(value);
		memmove(to, value, length);
		to += length;
		*to++ = '\n';
	}
	if (*cursor)
		return -EBADMSG;
	if (to > summary)
		to--;
	*to = '\0';
	*ret_summary = summary;
	return 0;
}

static int fields_parse(char *head, struct store_revision *ret_revision)
{
	struct store_revision revision = { 0 };
	char *cursor = head, *author, *reason, *members;

	if (number_parse(field_take(&cursor, "sluice revision"), &revision.number) ||
	    number_parse(field_take(&cursor, "parent"), &revision.parent) ||
	    time_parse(field_take(&cursor, "time"), &revision.time))
		return -EBADMSG;
	author = field_take(&cursor, "author");
	reason = field_take(&cursor, "reason");
	members = field_take(&cursor, "members");
	if (!author || !reason || !members || unescape(author) || unescape(reason) ||
	    unescape(members) || changed_take(cursor, &revision.summary))
		return -EBADMSG;
	revision.author = author;
	revision.reason = reason;
	revision.members = members;
	*ret_revision = revision;
	return 0;
}

int head_parse(char *head, struct store_revision *ret_revision)
{
	int err = head_check(head, REVISION_TITLE);

	/* No byte of it was altered: who wrote it meant it so. */
	return !err && fields_parse(head, ret_revision) ? -EPROTO : err;
}

int activation_format(void *parent, const struct store_activation *activation, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	char *copy;
	bool failed;

	if (!out)
		return -ENOMEM;
	who_put(out, activation->time, activation->author, activation->reason);
	failed = ferror(out);
	copy = fclose(out) || failed ? NULL : talloc_strdup(parent, text);
	if (!copy)
		return -ENOMEM;
	*ret_text = copy;
	return 0;
}

int activation_parse(char *text, struct store_activation *ret_activation)
{
	struct store_activation activation = { 0 };
	char *cursor = text, *author, *reason;

	if (!*text)
		return -ENOENT;
	if (time_parse(field_take(&cursor, "time"), &activation.time))
		return -EBADMSG;
	author = field_take(&cursor, "author");
	reason = author ? field_take(&cursor, "reason") : NULL;
	if (!reason || unescape(author) || unescape(reason))
		return -EBADMSG;
	activation.author = author;
	activation.reason = reason;
	*ret_activation = activation;
	return 0;
}
