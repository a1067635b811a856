// SPDX-License-Identifier: Apache-2.0
/*
 * The one thing in which JSON is no YAML: characters beyond U+FFFF as a pair of escapes. They
 * become YAML's single escape, two characters shorter each, so that a place behind one on its line
 * is shown that much too far left.
 */
#include "node.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#define ESCAPE_LENGTH 6 /* \uXXXX */

static bool is_json(const struct input_text *text)
{
	size_t i = 0;

	while (i < text->size && strchr(" \t\r\n", text->data[i]) && text->data[i])
		i++;
	return i < text->size && (text->data[i] == '{' || text->data[i] == '[');
}

/* The value of the escape there, or 0. */
static unsigned escape_value(const char *data, const char *end)
{
	char digits[5] = "";

	if (end - data < ESCAPE_LENGTH || data[0] != '\\' || data[1] != 'u')
		return 0;
	memcpy(digits, data + 2, 4);
	for (int i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)digits[i]))
			return 0;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* 0: no pair begins there. */
static unsigned pair_value(const char *data, const char *end)
{
	unsigned high = escape_value(data, end);

	if (high < 0xd800 || high > 0xdbff)
		return 0;
	unsigned low = escape_value(data + ESCAPE_LENGTH, end);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

int json_pairs_join(void *parent, struct input_text *text)
{
	const char *from = text->data, *end = from + text->size;

	if (!is_json(text) || !memmem(from, text->size, "\\u", 2))
		return 0;

	char *data = talloc_size(parent, text->size + 1), *to = data;
	if (!data)
		return -ENOMEM;
	while (from < end) {
		unsigned value = pair_value(from, end);

		if (value) {
			to += sprintf(to, "\\U%08X", value);
			from += (ptrdiff_t)2 * ESCAPE_LENGTH;
			continue;
		}
		/* The character behind a backslash is its own: in "\\u" there is no escape. */
		if (*from == '\\' && from + 1 < end)
			*to++ = *from++;
		*to++ = *from++;
	}
	*text = (struct input_text){ text->name, data, (size_t)(to - data) };
	return 0;
}
