/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to standard error: with a priority prefix for the journal, with a time for everybody else.
 */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR = 3, /* as syslog numbers them */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTE = 5,
	LOG_LEVEL_DEBUG = 7,
};

struct diags;

/* Looks whether standard error is the journal; nobody is taken for it before. */
void log_open(void);
void log_set_level(enum log_level level);
/* "error", "warning", "note", "debug"; -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Every finding, one line each. */
void log_diags(const struct diags *diags);
