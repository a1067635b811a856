/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * Takes a number of at most `digits` digits (base 10 or 16; no sign, no space) from `*text` and
 * moves `*text` behind it. -EBADMSG when there is none or it exceeds `most`; the outputs are then
 * untouched. scanf takes a number that is too large for another one.
 */
int digits_take(const char **text, unsigned base, size_t digits, uint64_t most,
		uint64_t *ret_number);
