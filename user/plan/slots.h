/* SPDX-License-Identifier: Apache-2.0 */
/* Weights to a slot table. PURE: a function of its arguments alone, the same on every node. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SLOTS_VERSIONS_MAX 255

/*
 * Fills `ret_slots` (size slots, a power of two from 1 to 65,536) with version ordinals 0..count-1.
 *
 * weights[0] is the stable version's (the first that the rule lists), the others follow in the order of their names, so
 * that a version's ordinal does not depend on the weights. Each version's number of slots differs from its exact share
 * by less than one; weight 0 gets none. -EINVAL when count is 0 or over SLOTS_VERSIONS_MAX, when all weights are 0, or
 * when size is not such a power of two; ret_slots is then untouched.
 */
int slots_fill(const uint32_t *weights, size_t count, uint8_t *ret_slots, size_t size);

/* The exact numbers of slots that slots_fill gives: sums to size. Same errors. */
int slots_quota(const uint32_t *weights, size_t count, uint32_t *ret_quota, size_t size);
