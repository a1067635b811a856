// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include "diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static enum log_level highest = LOG_LEVEL_NOTE;
static bool is_journal;

static const struct {
	const char *name;
	enum log_level level;
} names[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "note", LOG_LEVEL_NOTE },
	{ "debug", LOG_LEVEL_DEBUG },
};

/* The variable is inherited also by who has another standard error by now: systemd.exec(5). */
void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat status;

	if (!stream || fstat(STDERR_FILENO, &status))
		return;
	snprintf(mine, sizeof(mine), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	is_journal = !strcmp(stream, mine);
}

void log_set_level(enum log_level level)
{
	highest = level;
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i].name)) {
			*ret_level = names[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

static const char *level_name(enum log_level level)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].level == level)
			return names[i].name;
	return "?";
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[4096], stamp[40];
	time_t now = time(NULL);
	struct tm utc;
	va_list args;

	if (level > highest)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_journal) {
		fprintf(stderr, "<%d>%s\n", level, text);
		return;
	}
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	fprintf(stderr, "%s %s: %s\n", stamp, level_name(level), text);
}

void log_diags(const struct diags *diags)
{
	static const enum log_level levels[] = {
		[DIAG_NOTE] = LOG_LEVEL_NOTE,
		[DIAG_WARNING] = LOG_LEVEL_WARNING,
		[DIAG_ERROR] = LOG_LEVEL_ERROR,
	};

	for (size_t i = 0; i < diags->count; i++) {
		const struct diag *d = &diags->list[i];
		char place[512] = "";

		if (d->file && d->line)
			snprintf(place, sizeof(place), "%s:%u:%u: ", d->file, d->line, d->column);
		else if (d->file)
			snprintf(place, sizeof(place), "%s: ", d->file);
		log_line(levels[d->level], "%s%s%s%s", place, d->path ? d->path : "",
			 d->path && *d->path ? ": " : "", d->text ? d->text : "");
	}
}
