// SPDX-License-Identifier: Apache-2.0
#include "slots.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SLOTS_SIZE_MAX 65536u

/* Before which of two versions may the rounding stop? The one that rounding up would favour less. */
static bool is_owed_more(const uint32_t *weights, const uint32_t *quota, size_t a, size_t b)
{
	/* weights[a] / (quota[a] + 1/2) > weights[b] / (quota[b] + 1/2), without a division */
	return weights[a] * (2 * (uint64_t)quota[b] + 1) >
	       weights[b] * (2 * (uint64_t)quota[a] + 1);
}

int slots_quota(const uint32_t *weights, size_t count, uint32_t *ret_quota, size_t size)
{
	uint32_t quota[SLOTS_VERSIONS_MAX];
	bool open[SLOTS_VERSIONS_MAX];
	uint64_t sum = 0;
	size_t left = size;

	if (!count || count > SLOTS_VERSIONS_MAX || !size || size > SLOTS_SIZE_MAX ||
	    (size & (size - 1)))
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		sum += weights[i];
	if (!sum)
		return -EINVAL;

	for (size_t i = 0; i < count; i++) {
		quota[i] = (uint32_t)(weights[i] * (uint64_t)size / sum);
		open[i] = weights[i] * (uint64_t)size % sum;
		left -= quota[i];
	}
	for (; left; left--) {
		size_t best = count;

		for (size_t i = 0; i < count; i++) {
			if (open[i] && (best == count || is_owed_more(weights, quota, i, best)))
				best = i;
		}
		quota[best]++;
		open[best] = false;
	}
	memcpy(ret_quota, quota, count * sizeof(*quota));
	return 0;
}

int slots_fill(const uint32_t *weights, size_t count, uint8_t *ret_slots, size_t size)
{
	uint32_t quota[SLOTS_VERSIONS_MAX];
	size_t low = 0, high = size;
	int err = slots_quota(weights, count, quota, size);

	if (err)
		return err;
	for (size_t i = 1; i < count; i++) {
		if (i % 2) {
			high -= quota[i];
			memset(ret_slots + high, (int)i, quota[i]);
		} else {
			memset(ret_slots + low, (int)i, quota[i]);
			low += quota[i];
		}
	}
	memset(ret_slots + low, 0, high - low);
	return 0;
}
