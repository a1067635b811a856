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
 */
#pragma once
#include "store.h"

int head_format(void *parent, const struct store_revision *revision, char **ret_head);
/* Cuts `head` up in place; author, reason and summary point into it. 0 or -EBADMSG. */
int head_parse(char *head, struct store_revision *ret_revision);

/* Its lines "time", "author" and "reason" alone, as they follow the pointer to a revision. */
int activation_format(void *parent, const struct store_activation *activation, char **ret_text);
/* Cuts `text` up in place. 0, -ENOENT when it is empty, or -EBADMSG. */
int activation_parse(char *text, struct store_activation *ret_activation);
