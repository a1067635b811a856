/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comment lines that begin a revision file, for people and for listings:
 *
 *   # sluice revision 42
 *   # parent 41
 *   # time 2026-01-31T23:59:59Z
 *   # author ann
 *   # reason a newline is \n, a backslash \\, any other control character \x07
 *   # members 5f70...
 *   # changed ~ reviews.default: v1 90, v3 10 (was v1 100)      one for each line of the summary
 *
 * A later release may add lines "# word value" anywhere below the first; those whose word is not
 * known are passed over. One that must not be read without what it adds writes a line "# format N",
 * which this release never does. Body line and digest line (seal.h) stay what they are, so that
 * every release can tell a damaged file from another release's.
 */
#pragma once
#include "store.h"

int head_format(void *parent, const struct store_revision *revision, char **ret_head);
/*
 * The head of a file whose digest fits: 0 when its first line begins with `title` and no other says
 * that this release cannot read it; -EPROTO: another release wrote it, in a form of its own.
 */
int head_check(const char *head, const char *title);
/* Checks it, and cuts it up in place; author, reason and summary point into it. 0 or -EPROTO. */
int head_parse(char *head, struct store_revision *ret_revision);

/* Its lines "time", "author" and "reason" alone, as they follow the pointer to a revision. */
int activation_format(void *parent, const struct store_activation *activation, char **ret_text);
/* Cuts `text` up in place. 0, -ENOENT when it is empty, or -EBADMSG. */
int activation_parse(char *text, struct store_activation *ret_activation);
