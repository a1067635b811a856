/* SPDX-License-Identifier: Apache-2.0 */
/* The lines in which two texts differ. PURE. */
#pragma once
#include <stddef.h>

struct diff_line {
	char mark; /* ' ' in both, '-' in the first, '+' in the second, '@' a hunk's head */
	const char *text;
};

/*
 * A unified diff with three lines of context, without the file names' heads; no lines when the
 * texts are equal. By the longest common subsequence: meant for texts of hundreds of lines, and
 * beyond thousands of differing lines all of them stand as removed and added. 0 or -ENOMEM. What is
 * returned hangs from `parent`.
 */
int line_diff(void *parent, const char *from, const char *to, struct diff_line **ret_lines,
	      size_t *ret_count);
