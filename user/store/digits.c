// SPDX-License-Identifier: Apache-2.0
#include "digits.h"

#include <errno.h>

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

int digits_take(const char **text, unsigned base, size_t digits, uint64_t most,
		uint64_t *ret_number)
{
	const char *at = *text;
	uint64_t number = 0;

	for (; (size_t)(at - *text) < digits && digit_value(*at) < base; at++) {
		unsigned digit = digit_value(*at);

		if (digit > most || number > (most - digit) / base)
			return -EBADMSG;
		number = number * base + digit;
	}
	if (at == *text)
		return -EBADMSG;
	*text = at;
	*ret_number = number;
	return 0;
}
