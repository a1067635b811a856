/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of what was counted. PURE. */
#pragma once
#include "../../bpf/abi.h"

/*
 * The 95 % interval of a share of which `hits` of `total` were seen: Wilson's, which holds for few
 * connections and for shares near 0 and 1, where the usual one does not (E. B. Wilson, 1927).
 * The total is not 0.
 */
void share_interval(__u64 hits, __u64 total, double *ret_low, double *ret_high);

/*
 * The time in us below which a part (0..1) of the handshakes took, interpolated within its bucket;
 * -1: none was seen.
 */
double handshake_quantile(const __u64 buckets[SL_HANDSHAKE_BUCKETS], double part);
