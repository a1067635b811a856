// SPDX-License-Identifier: Apache-2.0
/*
 * The inventory under change: new entries are added at the end and the lists are put in order once,
 * so that a hundred thousand endpoints cost a sort and not a shift each. Of entries with one key
 * the last one wins.
 */
#include "work.h"

#include <stdlib.h>
#include <string.h>

void group_put(struct work *work, const struct endpoint_group *group)
{
	struct inventory *inventory = work->inventory;

	if (inventory->group_count >= work->group_capacity) {
		work->group_capacity = inventory->group_count * 2 + 16;
		struct endpoint_group *list = talloc_realloc(
			inventory, inventory->groups, struct endpoint_group, work->group_capacity);
		if (!list) {
			work->is_failed = true;
			return;
		}
		inventory->groups = list;
	}
	inventory->groups[inventory->group_count++] = *group;
}

void workload_put(struct work *work, const struct workload *workload)
{
	struct inventory *inventory = work->inventory;

	if (inventory->workload_count >= work->workload_capacity) {
		work->workload_capacity = inventory->workload_count * 2 + 16;
		struct workload *list = talloc_realloc(inventory, inventory->workloads,
						       struct workload, work->workload_capacity);
		if (!list) {
			work->is_failed = true;
			return;
		}
		inventory->workloads = list;
	}
	inventory->workloads[inventory->workload_count++] = *workload;
}

/* Its place is found again by settling: a workload without an address is none. */
void workload_remove(struct work *work, const char *name)
{
	struct workload gone = { .name = keep_text(work, work->inventory, name) };

	workload_put(work, &gone);
}

void drain_put(struct work *work, const struct drain *drain)
{
	struct inventory *inventory = work->inventory;

	if (inventory->drain_count >= work->drain_capacity) {
		work->drain_capacity = inventory->drain_count * 2 + 16;
		struct drain *list = talloc_realloc(inventory, inventory->drains, struct drain,
						    work->drain_capacity);
		if (!list) {
			work->is_failed = true;
			return;
		}
		inventory->drains = list;
	}
	inventory->drains[inventory->drain_count++] = *drain;
}

static int compare_groups(const void *a, const void *b)
{
	return strcmp(((const struct endpoint_group *)a)->key,
		      ((const struct endpoint_group *)b)->key);
}

static int compare_workloads(const void *a, const void *b)
{
	return strcmp(((const struct workload *)a)->name, ((const struct workload *)b)->name);
}

static int compare_drains(const void *a, const void *b)
{
	const struct drain *first = a, *second = b;
	int order = strcmp(first->host, second->host);

	if (!order)
		order = addr_compare(&first->addr, &second->addr);
	return order ? order : (int)first->port - (int)second->port;
}

/* qsort keeps no order among equals, so the sort is made to: by place, through a list of pointers.
 */
struct placed {
	const char *item;
	int (*compare)(const void *a, const void *b);
};

static int compare_placed(const void *a, const void *b)
{
	const struct placed *first = a, *second = b;
	int order = first->compare(first->item, second->item);

	return order ? order : (first->item > second->item) - (first->item < second->item);
}

static size_t list_settle(struct work *work, void *list, size_t size, size_t count,
			  int (*compare)(const void *a, const void *b))
{
	struct placed *order = talloc_array(work->reader.memory, struct placed, count + 1);
	char *sorted = talloc_size(work->reader.memory, size * (count + 1));
	size_t kept = 0;

	if (!order || !sorted) {
		work->is_failed = true;
		return count;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = (struct placed){ (char *)list + i * size, compare };
	qsort(order, count, sizeof(*order), compare_placed);
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || compare(order[i].item, order[i + 1].item))
			memcpy(sorted + size * kept++, order[i].item, size);
	if (kept)
		memcpy(list, sorted, kept * size);
	talloc_free(order);
	talloc_free(sorted);
	return kept;
}

void inventory_settle(struct work *work)
{
	struct inventory *inventory = work->inventory;
	size_t kept = 0;

	inventory->group_count = list_settle(work, inventory->groups, sizeof(*inventory->groups),
					     inventory->group_count, compare_groups);
	inventory->drain_count = list_settle(work, inventory->drains, sizeof(*inventory->drains),
					     inventory->drain_count, compare_drains);
	inventory->workload_count =
		list_settle(work, inventory->workloads, sizeof(*inventory->workloads),
			    inventory->workload_count, compare_workloads);
	for (size_t i = 0; i < inventory->workload_count; i++)
		if (inventory->workloads[i].addr.family)
			inventory->workloads[kept++] = inventory->workloads[i];
	inventory->workload_count = kept;
}
