/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights to a slot table. PURE: a function of its arguments alone, the same on every node.
 *
 * "Moved" are the slots that change their version; the "minimum" is what the change of the numbers
 * of slots makes necessary. What holds exactly:
 *
 *   - Each version's number of slots differs from its exact share by less than one; weight 0 has
 *     none.
 *   - Up to three versions: a change between the stable version and one other moves the minimum,
 *     any change at most twice the minimum; while one weight grows alone, its version keeps all.
 *   - More versions: a change between the stable version and one other moves the minimum (the
 *     rounding of a third may add a slot or two) as long as the others fit in their blocks, as in a
 *     canary release they do: neighbours (1 and 2, 3 and 4, ...) have at most 2 / (count - 1) of
 *     the slots together, a last one without a neighbour half of that.
 *
 * What does not, and cannot: with four versions or more no pure function keeps every change within
 * twice the minimum. (Exhaustively searched with a SAT solver: four versions on 9, 10 and 12 slots,
 * five on 3 to 6. Within three times there are some, on the sizes searched.) Measured on 16,384
 * slots, weights of 0 to 100: the mean of moved / minimum over 1,000 random changes, the worst over
 * 10,000, and how many of these moved more than twice the minimum:
 *
 *     versions                            2     3      4      5      6      7      8
 *     stable and one other      mean   1.00  1.00   1.10   1.12   1.21   1.26   1.33
 *                               worst  1.00  1.00   3.00   3.00   4.00   4.58   5.10
 *                               over      0     0  0.2 %  0.4 %  1.6 %  2.9 %  6.2 %
 *     any two                   mean   1.00  1.29   1.44   1.55   1.65   1.76   1.87
 *                               worst  1.00  2.00   3.00   4.00   4.00   5.00   5.05
 *     one weight, others stay   mean   1.00  1.27   1.36   1.46   1.54   1.61   1.68
 *                               worst  1.00  2.00   2.51   2.90   3.34   3.47   4.13
 *     all weights drawn anew    mean   1.00  1.27   1.32   1.33   1.31   1.32   1.29
 *                               worst  1.00  2.00   2.77   2.77   2.40   2.32   2.26
 *
 * Weighted rendezvous hashing has means of 1.00 to 1.70, 1.00 to 1.70, 1.00 and 1.01 to 1.23 in the
 * four (two versions to eight), its shares are not exact, and between the stable version and one
 * other it is never minimal: who is minimal there must move more where all others' shares change.
 *
 * With four versions or more of any weights, a version whose weight grows alone may lose one slot
 * because the rounding of two others turns: seen in one step of 10,000 on 64 slots, of 60,000 on
 * 1,024, of a million on 16,384; not seen while all fit in their blocks and it is not the stable
 * version that grows.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SLOTS_VERSIONS_MAX 255

/*
 * Fills `ret_slots` (size slots, a power of two from 1 to 65,536) with version ordinals 0..count-1.
 *
 * weights[0] is the stable version's (the first that the rule lists), the others follow in the
 * order of their names, so that a version's ordinal does not depend on the weights. -EINVAL when
 * count is 0 or over SLOTS_VERSIONS_MAX, when all weights are 0, or when size is not such a power
 * of two; -ENOMEM; ret_slots is then untouched.
 */
int slots_fill(const uint32_t *weights, size_t count, uint8_t *ret_slots, size_t size);

/* The exact numbers of slots that slots_fill gives: sums to size. -EINVAL as above. */
int slots_quota(const uint32_t *weights, size_t count, uint32_t *ret_quota, size_t size);
