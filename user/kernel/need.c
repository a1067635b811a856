// SPDX-License-Identifier: Apache-2.0
/* A map is full: how large must it be for the plan and what stays beside it? */
#include "stage.h"

#include "../base/cleanup.h"
#include "../plan/ring.h"

#include <errno.h>
#include <talloc.h>

/* Places that are others'. */
static uint64_t arena_used(const struct arena *arena)
{
	return arena->size - arena_free(arena) - arena->taken;
}

static uint64_t versions_missing(const struct stage *stage)
{
	uint64_t count = 0;
	char key[SL_VERSION_KEY_MAX];
	uint32_t at;

	for (size_t i = 0; i < stage->plan->version_count; i++) {
		version_key_pack(stage->plan->versions[i].key, key);
		count += index_find(stage->version_index, key, strlen(key), &at) != 0;
	}
	return count;
}

static uint64_t endpoints_named(const struct plan *plan)
{
	uint64_t count = 0;

	for (size_t i = 0; i < plan->version_count; i++)
		count += plan->versions[i].endpoint_count;
	return count;
}

static uint64_t ring_words(const struct plan *plan)
{
	uint64_t words = 0;

	for (size_t i = 0; i < plan->version_count; i++) {
		const struct plan_version *version = &plan->versions[i];
		_cleanup_talloc_ struct ring_member *members =
			talloc_zero_array(NULL, struct ring_member, version->endpoint_count + 1);

		for (size_t k = 0; members && k < version->endpoint_count; k++)
			members[k].weight = version->endpoints[k].weight;
		words += members ? ring_size(members, version->endpoint_count) : 0;
	}
	return words;
}

/* Groups of the splits' tables: equal weights share one. */
static uint64_t groups_named(const struct stage *stage)
{
	const struct plan *plan = stage->plan;
	uint64_t each = (kernel_slots(stage->kernel) - 1) / SL_SLOTS_PER_GROUP + 1, count = 0;
	struct index *seen = index_new((void *)stage, plan->split_count + 1);
	uint32_t at;

	for (size_t i = 0; seen && i < plan->split_count; i++) {
		const struct plan_split *split = &plan->splits[i];
		size_t size = split->count * sizeof(*split->weights);

		if (index_find(seen, split->weights, size, &at) &&
		    !index_put(seen, split->weights, size, 0))
			count++;
	}
	return count * each;
}

static uint64_t members_named(const struct plan *plan)
{
	uint64_t count = 0;

	for (size_t i = 0; i < plan->split_count; i++)
		count += plan->splits[i].count;
	return count;
}

static uint64_t rules_named(const struct plan *plan)
{
	uint64_t count = 0;

	for (size_t i = 0; i < plan->service_count; i++)
		count += plan->services[i].rule_count;
	return count;
}

/* What others hold, and all that the plan names and has no place yet: enough, and seldom more. */
static uint64_t entries_needed(const struct stage *stage, enum map_id id)
{
	const struct plan *plan = stage->plan;
	uint64_t entries = stage->kernel->map[id].entries;

	switch (id) {
	case MAP_VERSIONS:
		return entries + versions_missing(stage);
	case MAP_ENDPOINTS:
		return entries + endpoints_named(plan) - stage->new_endpoint_count;
	case MAP_VIPS:
		return entries + plan->service_count - stage->new_vip_count;
	case MAP_RINGS: /* pairs */
		return (arena_used(&stage->rings) + ring_words(plan)) / 2 + 1;
	case MAP_MEMBERS:
		return (arena_used(&stage->members) + members_named(plan)) / 2 + 1;
	case MAP_SLOTS:
		return arena_used(&stage->slots) + groups_named(stage);
	default:
		return arena_used(&stage->rules) + rules_named(plan);
	}
}

static int full_say(const struct kernel *kernel, enum map_id id, uint64_t needed,
		    struct diags *diags)
{
	uint64_t entries = kernel->map[id].entries, value;
	/* Enough places, but no run of them that is long enough. */
	const char *option =
		map_option(kernel, id, needed > entries ? needed : 2 * entries, &value);

	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "the map '%s' is full: %llu places, %llu needed: sluice detach, then start "
		 "sluiced with %s %llu",
		 map_names[id], (unsigned long long)entries, (unsigned long long)needed, option,
		 (unsigned long long)value);
	return -ENOSPC;
}

int stage_full(const struct stage *stage, enum map_id id)
{
	return full_say(stage->kernel, id, entries_needed(stage, id), stage->diags);
}

int plan_alone_fits(const struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	const struct {
		enum map_id id;
		uint64_t needed;
	} rows[] = {
		{ MAP_VERSIONS, plan->version_count },
		{ MAP_ENDPOINTS, endpoints_named(plan) },
		{ MAP_RINGS, (ring_words(plan) + 1) / 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].needed > kernel->map[rows[i].id].entries)
			return full_say(kernel, rows[i].id, rows[i].needed, diags);
	return 0;
}
