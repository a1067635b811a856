// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <math.h>

void share_interval(__u64 hits, __u64 total, double *ret_low, double *ret_high)
{
	const double z = 1.959964; /* of the normal distribution, 2.5 % on either side */
	double n = (double)total, p = (double)hits / n;
	double centre = p + z * z / (2 * n), scale = 1 + z * z / n;
	double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
	double low = (centre - half) / scale, high = (centre + half) / scale;

	/* The exact ends are 0 and 1; rounding must not leave them by a hair. */
	*ret_low = hits == 0 || low < 0 ? 0 : low;
	*ret_high = hits == total || high > 1 ? 1 : high;
}

double handshake_quantile(const __u64 buckets[SL_HANDSHAKE_BUCKETS], double part)
{
	double total = 0, below = 0;

	for (unsigned i = 0; i < SL_HANDSHAKE_BUCKETS; i++)
		total += (double)buckets[i];
	if (total <= 0)
		return -1;
	for (unsigned i = 0; i < SL_HANDSHAKE_BUCKETS; i++) {
		double low = i ? (double)(1u << i) : 0, high = (double)(2u << i);

		if (!buckets[i])
			continue;
		if (below + (double)buckets[i] >= part * total)
			return low + (high - low) * (part * total - below) / (double)buckets[i];
		below += (double)buckets[i];
	}
	return (double)(2u << (SL_HANDSHAKE_BUCKETS - 1));
}
