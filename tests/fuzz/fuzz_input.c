// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever the bytes are: refused with a reason, or taken; and what is taken goes out as text that
 * is taken again and goes out as the same text.
 */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input_try(&(struct input_text){ "fuzz", (const char *)data, size });
	return 0;
}
