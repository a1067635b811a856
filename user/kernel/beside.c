// SPDX-License-Identifier: Apache-2.0
/*
 * A revision that differs from a hot one in a few services: the others' entries are copied. To find
 * free places without reading every hot revision, the last one who did read them leaves a note of
 * how much lies free behind the cursors. A note holds as long as the cursors stand where they stood
 * then; it is taken away before anything changes, so whoever is killed leaves none, and who finds
 * none reads everything and repairs.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

/* What one such revision may take; a note counts in these. */
#define SHARE_TABLES 4u
#define SHARE_PLACES 64u
#define SHARES_MAX 48u

static uint32_t share_slots(const struct kernel *kernel)
{
	return SHARE_TABLES * ((kernel_slots(kernel) - 1) / SL_SLOTS_PER_GROUP + 1);
}

/* --- the note: shares that are free, and what the cursors were --- */

static uint32_t cursors_hash(const struct sl_control *control)
{
	uint32_t words[] = { control->slot_cursor, control->member_cursor, control->rule_cursor };
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b1 ^ hash >> 15;
	return hash & ~0xffu;
}

static void room_put(struct kernel *kernel, uint32_t shares)
{
	struct sl_control *control = control_of(kernel);
	uint32_t note = shares ? cursors_hash(control) | shares : 0;

	__atomic_store_n(&control->room, note, __ATOMIC_RELEASE);
}

void room_forget(struct kernel *kernel)
{
	room_put(kernel, 0);
}

static uint32_t room_shares(const struct kernel *kernel)
{
	const struct sl_control *control = control_of(kernel);

	return (control->room & ~0xffu) == cursors_hash(control) ? control->room & 0xff : 0;
}

/* Free places from the cursor on, in shares. */
static uint32_t arena_shares(const struct arena *arena, uint32_t share)
{
	uint64_t most = (uint64_t)share * SHARES_MAX;
	uint64_t left = arena->size - arena->cursor;
	size_t size = left < most ? left : most;
	const uint8_t *used = memchr(arena->used + arena->cursor, 1, size);

	return (used ? (size_t)(used - (arena->used + arena->cursor)) : size) / share;
}

void room_note(const struct stage *stage)
{
	uint32_t slots = arena_shares(&stage->slots, share_slots(stage->kernel));
	uint32_t members = arena_shares(&stage->members, SHARE_PLACES);
	uint32_t rules = arena_shares(&stage->rules, SHARE_PLACES);
	uint32_t least = slots < members ? slots : members;

	room_put(stage->kernel, least < rules ? least : rules);
}

/* --- staging --- */

struct beside {
	struct kernel *kernel;
	struct stage *stage;
	uint32_t base, revision;
	struct sl_service_key
		*keys; /* of all entries of the base, with the new revision's number */
	struct sl_service *values;
	uint32_t count;
	struct index *by_key;
};

/* An arena that ends where what is known to be free ends. */
static int arena_of_share(struct stage *stage, struct arena *arena, enum map_id id,
			  uint32_t per_entry, uint32_t cursor, uint32_t share)
{
	uint64_t end = (uint64_t)cursor + share;
	uint64_t size = (uint64_t)stage->kernel->map[id].entries * per_entry;

	return arena_init(stage, arena, end < size ? end : size, cursor);
}

static int share_open(struct stage *stage)
{
	const struct kernel *kernel = stage->kernel;
	const struct sl_control *control = control_of(kernel);

	if (arena_of_share(stage, &stage->slots, MAP_SLOTS, 1, control->slot_cursor,
			   share_slots(kernel)) ||
	    arena_of_share(stage, &stage->members, MAP_MEMBERS, 2, control->member_cursor,
			   SHARE_PLACES) ||
	    arena_of_share(stage, &stage->rules, MAP_RULES, 1, control->rule_cursor, SHARE_PLACES))
		return -ENOMEM;
	return 0;
}

/* Every version is known, and one that gets connections has an endpoint: nobody need be warned. */
static int versions_find(struct stage *stage)
{
	const struct plan *plan = stage->plan;

	for (size_t i = 0; i < plan->version_count; i++)
		if (kernel_version_find(stage->kernel, plan->versions[i].key,
					&stage->version_at[i]))
			return -EAGAIN;
	for (size_t s = 0; s < plan->split_count; s++) {
		const struct plan_split *split = &plan->splits[s];

		for (size_t i = 0; i < split->count; i++) {
			uint32_t version = stage->version_at[split->versions[i]];

			if (split->weights[i] &&
			    !(kernel_version(stage->kernel, version)->ring >> 32))
				return -EAGAIN;
		}
	}
	return 0;
}

static int table_offer(struct stage *stage, const struct sl_service *service)
{
	const struct sl_rule *rules = MAPPED(stage->kernel, MAP_RULES, struct sl_rule);
	int err = stage_split_use(stage, &service->otherwise);

	for (uint32_t i = 0; !err && i < service->rule_count && i < SL_RULES_MAX; i++)
		if ((uint64_t)service->rule_base + i < stage->kernel->map[MAP_RULES].entries)
			err = stage_split_use(stage, &rules[service->rule_base + i].split);
	return err;
}

/* What the plan's services had in any hot revision: weights that come back find their tables. */
static int tables_offer(struct stage *stage)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(stage->kernel, hot);
	int fd = stage->kernel->map[MAP_SERVICES].fd, err = 0;

	for (size_t i = 0; !err && i < stage->plan->service_count; i++) {
		for (size_t r = 0; !err && r < count; r++) {
			struct sl_service_key key;
			struct sl_service value;

			service_key_fill(&stage->plan->services[i], hot[r].number, &key);
			if (!bpf_map_lookup_elem(fd, &key, &value))
				err = table_offer(stage, &value);
		}
	}
	return err;
}

/* Each entry has a VIP of the VIPs' table, so that table leads to all of them. */
static int base_copy(struct beside *beside)
{
	const struct sl_vip *vips = MAPPED(beside->kernel, MAP_VIPS, struct sl_vip);
	uint32_t wanted = revision_place(beside->kernel, beside->base)->services;
	int fd = beside->kernel->map[MAP_SERVICES].fd;
	struct stage *stage = beside->stage;

	beside->keys = talloc_array(stage, struct sl_service_key, wanted + 1);
	beside->values = talloc_array(stage, struct sl_service, wanted + 1);
	beside->by_key = index_new(stage, wanted);
	if (!beside->keys || !beside->values || !beside->by_key)
		return -ENOMEM;
	for (uint32_t i = 0; i < beside->kernel->map[MAP_VIPS].entries; i++) {
		struct sl_service_key *key = &beside->keys[beside->count];

		if (!vips[i].used)
			continue;
		*key = (struct sl_service_key){ .revision = beside->base,
						.port = vips[i].port,
						.protocol = vips[i].protocol };
		memcpy(key->vip, vips[i].addr, sizeof(key->vip));
		if (bpf_map_lookup_elem(fd, key, &beside->values[beside->count]))
			continue;
		if (beside->count == wanted)
			return -EAGAIN;
		key->revision = beside->revision;
		if (index_put(beside->by_key, key, sizeof(*key), beside->count++))
			return -ENOMEM;
	}
	return beside->count == wanted ? 0 : -EAGAIN;
}

/* The plan's services take the place of what they were. */
static int services_replace(struct beside *beside)
{
	const struct plan *plan = beside->stage->plan;

	for (size_t i = 0; i < plan->service_count; i++) {
		struct sl_service_key key;
		uint32_t at;
		int err;

		service_key_fill(&plan->services[i], beside->revision, &key);
		if (index_find(beside->by_key, &key, sizeof(key), &at))
			return -EAGAIN;
		err = service_stage(beside->stage, &plan->services[i], &beside->values[at]);
		if (err)
			return err;
	}
	return 0;
}

static int beside_stage(struct beside *beside)
{
	struct stage *stage = beside->stage;
	int err = share_open(stage);

	if (!err)
		err = stage_index_vips(stage);
	if (!err)
		err = versions_find(stage);
	if (!err)
		err = base_copy(beside);
	if (!err)
		err = tables_offer(stage);
	if (!err)
		err = stage_splits(stage);
	if (!err)
		err = services_replace(beside);
	if (!err && (stage->slots.wrapped || stage->members.wrapped || stage->rules.wrapped ||
		     stage->new_vip_count))
		err = -EAGAIN;
	return err;
}

static int beside_write(struct beside *beside)
{
	struct stage *stage = beside->stage;
	const struct plan *plan = stage->plan;
	int err;

	stage_write_vips(stage);
	err = stage_write_splits(stage);
	for (size_t i = 0; !err && i < plan->service_count; i++) {
		struct sl_service_key key;
		uint32_t at = 0;

		service_key_fill(&plan->services[i], beside->revision, &key);
		if (!index_find(beside->by_key, &key, sizeof(key), &at))
			service_write_rules(stage, &plan->services[i], &beside->values[at]);
	}
	return err ? err
		   : services_put(beside->kernel, beside->keys, beside->values, beside->count);
}

bool kernel_has_room_beside(const struct kernel *kernel, uint32_t base)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(kernel, hot);
	uint64_t used = revision_place(kernel, base)->services;

	for (size_t i = 0; i < count; i++)
		used += hot[i].services;
	return room_shares(kernel) && kernel_is_hot(kernel, base) && count < SL_HOT_MAX &&
	       used <= kernel->map[MAP_SERVICES].entries;
}

int kernel_write_beside(struct kernel *kernel, const struct plan *plan, uint32_t base,
			uint32_t revision, const uint8_t digest[32])
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	_cleanup_talloc_ struct stage *stage = NULL;
	struct beside beside = { .kernel = kernel, .base = base, .revision = revision };
	uint32_t shares = room_shares(kernel);
	int err;

	if (!kernel_has_room_beside(kernel, base) || revision_place(kernel, revision)->number)
		return -EAGAIN;
	err = quiet ? stage_new(NULL, kernel, plan, quiet, &stage) : -ENOMEM;
	beside.stage = stage;
	if (!err)
		err = beside_stage(&beside);
	if (err)
		return err == -ENOSPC ? -EAGAIN : err;
	room_forget(kernel);
	err = beside_write(&beside);
	if (err)
		return err;
	revision_put(kernel, revision, beside.count, digest);
	room_put(kernel, shares - 1);
	return 0;
}
