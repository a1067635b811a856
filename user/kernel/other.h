/* SPDX-License-Identifier: Apache-2.0 */
/* Another release's maps, while their flows are read: what other.c and other_ways.c share. */
#pragma once
#include "internal.h"

/* Of a place that was not asked for yet, and of one that there is not. */
#define UNKNOWN UINT32_MAX
#define NOWHERE (UINT32_MAX - 1)

struct table {
	const uint8_t *at;
	uint32_t entries;
	size_t stride, size;
};

struct other {
	const char *dir;
	struct kernel *kernel; /* into which */
	struct diags *diags;
	struct sl_layout layout;
	struct table flows, spilled, endpoints, vips, versions;
	bool has_our_homes;
	struct ways ways;
	_Atomic uint64_t *our_spilled;
	size_t our_spilled_size;
	struct index *endpoint_index, *vip_index; /* ours, by what they are */
	uint32_t *endpoint_at, *vip_at;           /* theirs to ours; UNKNOWN: not asked yet */
	uint32_t next_version, next_endpoint, next_vip;
};

/* What is at an index, or NULL. */
const uint8_t *record_at(const struct table *table, uint32_t index);
/*
 * Ours for a flow's endpoint and VIP, by theirs; NOWHERE when there is no such thing. -ENOSPC is in
 * diags.
 */
int endpoint_ours(struct other *other, uint32_t index, uint32_t *ret_index);
int vip_ours(struct other *other, uint32_t index, uint32_t *ret_index);
