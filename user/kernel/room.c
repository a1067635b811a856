// SPDX-License-Identifier: Apache-2.0
/*
 * Free places without reading every hot revision: the last one who did read them leaves a note of
 * how much lies free behind the cursors. A note holds as long as the cursors and the directory are
 * what they were then; it is taken away before anything changes, so whoever is killed leaves none,
 * and who finds none reads everything and repairs.
 */
#include "stage.h"

#include "../base/cleanup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#define SHARES_MAX 255u  /* a note has eight bits for them */
#define OFFERS_MAX 2048u /* look-ups for tables that may serve again */

struct share {
	enum map_id id;
	struct arena *arena;
	uint32_t *cursor;
	uint32_t per_entry, size;
};

static void shares_list(struct stage *stage, struct share ret_list[3])
{
	struct sl_control *control = control_of(stage->kernel);
	uint32_t groups = (kernel_slots(stage->kernel) - 1) / SL_SLOTS_PER_GROUP + 1;

	ret_list[0] = (struct share){ MAP_SLOTS, &stage->slots, &control->slot_cursor, 1,
				      SHARE_TABLES * groups };
	ret_list[1] = (struct share){ MAP_MEMBERS, &stage->members, &control->member_cursor, 2,
				      SHARE_PLACES };
	ret_list[2] =
		(struct share){ MAP_RULES, &stage->rules, &control->rule_cursor, 1, SHARE_PLACES };
}

static uint32_t hash_add(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

/* What moves when somebody writes or evicts who leaves no note. */
static uint32_t room_hash(const struct kernel *kernel)
{
	const struct sl_control *control = control_of(kernel);
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(kernel, hot);
	uint32_t hash = hash_add(0, control->slot_cursor);

	hash = hash_add(hash, control->member_cursor);
	hash = hash_add(hash, control->rule_cursor);
	for (size_t i = 0; i < count; i++)
		hash = hash_add(hash, hot[i].number);
	return hash & ~SHARES_MAX;
}

static void room_put(struct kernel *kernel, uint32_t shares)
{
	uint32_t note = shares ? room_hash(kernel) | shares : 0;

	__atomic_store_n(&control_of(kernel)->room, note, __ATOMIC_RELEASE);
}

void room_forget(struct kernel *kernel)
{
	room_put(kernel, 0);
}

uint32_t room_shares(const struct kernel *kernel)
{
	uint32_t note = control_of(kernel)->room;

	return (note & ~SHARES_MAX) == room_hash(kernel) ? note & SHARES_MAX : 0;
}

int room_open(struct stage *stage)
{
	struct share list[3];

	stage->shares = room_shares(stage->kernel);
	if (!stage->shares)
		return -EAGAIN;
	shares_list(stage, list);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		uint64_t end = *list[i].cursor + (uint64_t)stage->shares * list[i].size;
		uint64_t size =
			(uint64_t)stage->kernel->map[list[i].id].entries * list[i].per_entry;

		stage->began[i] = *list[i].cursor;
		if (arena_init(stage, list[i].arena, end < size ? end : size, *list[i].cursor))
			return -ENOMEM;
	}
	return 0;
}

bool room_is_kept(const struct stage *stage)
{
	return !stage->slots.wrapped && !stage->members.wrapped && !stage->rules.wrapped;
}

/* Free places from the cursor on. */
static uint32_t arena_run(const struct arena *arena, uint64_t most)
{
	const uint8_t *from = arena->used + arena->cursor, *used;
	uint64_t left = arena->size - arena->cursor;

	most = left < most ? left : most;
	used = memchr(from, 1, most);
	return used ? (uint32_t)(used - from) : (uint32_t)most;
}

void room_note(struct stage *stage)
{
	uint32_t shares = stage->shares ? stage->shares : SHARES_MAX;
	struct share list[3];

	shares_list(stage, list);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		const struct share *share = &list[i];
		uint32_t took = share->arena->cursor - stage->began[i], left;

		if (stage->shares)
			left = stage->shares - (took + share->size - 1) / share->size;
		else
			left = arena_run(share->arena, (uint64_t)share->size * SHARES_MAX) /
			       share->size;
		shares = left < shares ? left : shares;
	}
	room_put(stage->kernel, shares);
}

/* --- tables that may serve again --- */

static int revision_offer(struct stage *stage, uint32_t revision)
{
	int fd = stage->kernel->map[MAP_SERVICES].fd, err = 0;

	for (size_t i = 0; !err && i < stage->plan->service_count; i++) {
		struct sl_service_key key;
		struct sl_service value;

		service_key_fill(&stage->plan->services[i], revision, &key);
		if (!bpf_map_lookup_elem(fd, &key, &value))
			err = stage_service_use(stage, &value);
	}
	return err;
}

int room_offer(struct stage *stage)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(stage->kernel, hot), services = stage->plan->service_count;
	int err = revision_offer(stage, kernel_obeyed(stage->kernel));

	for (size_t i = 1; !err && i <= count && services * (i + 1) <= OFFERS_MAX; i++)
		err = revision_offer(stage, hot[count - i].number);
	return err;
}
