// SPDX-License-Identifier: Apache-2.0
/* Splits on their way into the kernel: slot tables, which equal splits share, and members. */
#include "stage.h"

#include "../plan/slots.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

static int table_add(struct stage *stage, const uint8_t *ordinals, uint32_t base, uint32_t size,
		     bool is_new)
{
	struct stage_table *tables =
		talloc_realloc(stage, stage->tables, struct stage_table, stage->table_count + 1);

	if (!tables)
		return -ENOMEM;
	stage->tables = tables;
	tables[stage->table_count++] = (struct stage_table){ ordinals, base, size, is_new };
	return 0;
}

int stage_split_use(struct stage *stage, const struct sl_split *split)
{
	const struct map *map = &stage->kernel->map[MAP_SLOTS];
	uint32_t groups = split->slot_mask / SL_SLOTS_PER_GROUP + 1;
	int err;

	if (split->flags & SL_SPLIT_NONE || split->slot_base > map->entries ||
	    groups > map->entries - split->slot_base)
		return 0;
	arena_mark(&stage->members, split->member_base, split->member_count);
	if (split->slot_base < stage->slots.size && stage->slots.used[split->slot_base])
		return 0;
	err = map_reach(stage->kernel, MAP_SLOTS, (uint64_t)split->slot_base * SL_SLOTS_PER_GROUP,
			(uint64_t)groups * SL_SLOTS_PER_GROUP);
	if (err)
		return err;
	arena_mark(&stage->slots, split->slot_base, groups);
	return table_add(stage,
			 (uint8_t *)map->data + (size_t)split->slot_base * SL_SLOTS_PER_GROUP,
			 split->slot_base, split->slot_mask + 1, false);
}

static int table_take(struct stage *stage, const uint8_t *ordinals, uint32_t size,
		      uint32_t *ret_base)
{
	uint32_t groups = size / SL_SLOTS_PER_GROUP + (size < SL_SLOTS_PER_GROUP);

	for (size_t i = 0; i < stage->table_count; i++) {
		if (stage->tables[i].size == size &&
		    !memcmp(stage->tables[i].ordinals, ordinals, size)) {
			*ret_base = stage->tables[i].base;
			return 0;
		}
	}
	*ret_base = UINT32_MAX - (uint32_t)stage->table_count; /* nowhere, and no other's */
	if (!stage->is_comparison && arena_take(&stage->slots, groups, ret_base))
		return stage_full(stage, MAP_SLOTS);
	return table_add(stage, ordinals, *ret_base, size, true);
}

/*
 * `only` is the one version that has a weight, or negative: it needs no table of thousands of equal
 * slots.
 */
static int split_table(struct stage *stage, const struct plan_split *from, int64_t only,
		       struct sl_split *split)
{
	uint32_t size = only < 0 ? kernel_slots(stage->kernel) : 1;
	size_t weights = from->count * sizeof(*from->weights);
	uint8_t *ordinals;
	int err;

	split->slot_mask = size - 1;
	/* Thousands of services share a few splits: equal weights have equal tables. */
	if (!index_find(stage->table_index, from->weights, weights, &split->slot_base))
		return 0;
	ordinals = talloc_zero_array(stage, uint8_t, size + SL_SLOTS_PER_GROUP);
	err = ordinals ? 0 : -ENOMEM;
	if (!err && only >= 0)
		ordinals[0] = only;
	else if (!err)
		err = slots_fill(from->weights, from->count, ordinals, size);
	if (!err)
		err = table_take(stage, ordinals, size, &split->slot_base);
	return err ? err : index_put(stage->table_index, from->weights, weights, split->slot_base);
}

/*
 * Every listed version stays a member, weight 0 too: see SL_MEMBER_NO_WEIGHT. The sweep takes what
 * nobody names.
 */
static int split_stage(struct stage *stage, size_t at)
{
	const struct plan_split *from = &stage->plan->splits[at];
	struct sl_split *split = &stage->splits[at];
	uint32_t *members = talloc_array(stage, uint32_t, from->count + 1);
	uint32_t heavy = 0, only = 0;
	int err;

	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < from->count; i++) {
		members[i] = stage->version_at[from->versions[i]] |
			     (from->weights[i] ? 0 : SL_MEMBER_NO_WEIGHT);
		heavy += from->weights[i] > 0;
		only = from->weights[i] > 0 ? i : only;
	}
	split->flags =
		(from->by_client ? SL_SPLIT_BY_CLIENT : 0) | (from->spill ? SL_SPLIT_SPILL : 0);
	if (!heavy) {
		split->flags |= SL_SPLIT_NONE;
		return 0;
	}
	split->member_count = from->count;
	err = split_table(stage, from, heavy == 1 ? (int64_t)only : -1, split);
	if (err)
		return err;
	stage->members_of[at] = members;
	if (!stage->is_comparison &&
	    arena_take(&stage->members, split->member_count, &split->member_base))
		return stage_full(stage, MAP_MEMBERS);
	return 0;
}

int stage_splits(struct stage *stage)
{
	for (size_t i = 0; i < stage->plan->split_count; i++) {
		int err = split_stage(stage, i);

		if (err)
			return err;
	}
	return 0;
}

int stage_reach_splits(struct stage *stage)
{
	int err = 0;

	for (size_t i = 0; !err && i < stage->table_count; i++) {
		const struct stage_table *table = &stage->tables[i];

		if (table->is_new)
			err = map_reach(stage->kernel, MAP_SLOTS,
					(uint64_t)table->base * SL_SLOTS_PER_GROUP, table->size);
	}
	for (size_t i = 0; !err && i < stage->plan->split_count; i++) {
		const struct sl_split *split = &stage->splits[i];

		if (stage->members_of[i])
			err = map_reach(stage->kernel, MAP_MEMBERS, split->member_base * 4ull,
					split->member_count * 4ull);
	}
	return err;
}

int stage_write_splits(struct stage *stage)
{
	struct kernel *kernel = stage->kernel;
	uint8_t *slots = MAPPED(kernel, MAP_SLOTS, uint8_t);
	uint32_t *members = MAPPED(kernel, MAP_MEMBERS, uint32_t);

	if (stage->slots.wrapped || stage->members.wrapped || stage->rules.wrapped) {
		int err = kernel_grace();

		if (err)
			return err;
	}
	for (size_t i = 0; i < stage->table_count; i++) {
		const struct stage_table *table = &stage->tables[i];

		if (table->is_new)
			memcpy(slots + (size_t)table->base * SL_SLOTS_PER_GROUP, table->ordinals,
			       table->size);
	}
	for (size_t i = 0; i < stage->plan->split_count; i++)
		if (stage->members_of[i])
			memcpy(members + stage->splits[i].member_base, stage->members_of[i],
			       stage->splits[i].member_count * sizeof(*members));
	control_of(kernel)->slot_cursor = stage->slots.cursor;
	control_of(kernel)->member_cursor = stage->members.cursor;
	control_of(kernel)->rule_cursor = stage->rules.cursor;
	return 0;
}
