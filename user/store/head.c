// SPDX-License-Identifier: Apache-2.0
#include "head.h"

#include "../base/cleanup.h"
#include "digits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define CHANGED "# changed "

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

	fprintf(out, "# sluice revision %" PRIu32 "\n# parent %" PRIu32 "\n", revision->number,
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

/*
 * The value of the line at `*cursor` if it is the named field; the cursor then stands at the
 * next line.
 */
static char *field_take(char **cursor, const char *name)
{
	char *line = *cursor, *newline = strchr(line, '\n');
	size_t length = strlen(name);

	if (!newline || strncmp(line, "# ", 2) || strncmp(line + 2, name, length) ||
	    line[2 + length] != ' ')
		return NULL;
	*newline = '\0';
	*cursor = newline + 1;
	return line + 3 + length;
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

int head_parse(char *head, struct store_revision *ret_revision)
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
