// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include "../plan/ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

void version_key_pack(const char *key, char ret_key[SL_VERSION_KEY_MAX])
{
	uint64_t hash = 0xcbf29ce484222325u;
	size_t length = strlen(key);

	memset(ret_key, 0, SL_VERSION_KEY_MAX);
	if (length < SL_VERSION_KEY_MAX) {
		memcpy(ret_key, key, length + 1);
		return;
	}
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)key[i]) * 0x100000001b3u;
	snprintf(ret_key, SL_VERSION_KEY_MAX, "%.*s~%016llx", SL_VERSION_KEY_MAX - 18, key,
		 (unsigned long long)hash);
}

int stage_service_use(struct stage *stage, const struct sl_service *service)
{
	const struct sl_rule *rules = MAPPED(stage->kernel, MAP_RULES, struct sl_rule);
	uint32_t count = service->rule_count;
	int err = stage_split_use(stage, &service->otherwise);

	arena_mark(&stage->rules, service->rule_base, service->rule_count);
	if (count > SL_RULES_MAX)
		count = SL_RULES_MAX;
	if (!err)
		err = map_reach(stage->kernel, MAP_RULES, service->rule_base * sizeof(*rules),
				count * sizeof(*rules));
	for (uint32_t i = 0; !err && i < count; i++)
		if ((uint64_t)service->rule_base + i < stage->kernel->map[MAP_RULES].entries)
			err = stage_split_use(stage, &rules[service->rule_base + i].split);
	return err;
}

static int service_use(void *context, void *key, void *value)
{
	struct stage *stage = context;

	stage->has_orphans |=
		!revision_is_read(stage->kernel, ((struct sl_service_key *)key)->revision);
	return stage_service_use(stage, value);
}

/* Every entry of every hot revision is looked at, and every bucket of their map. */
static int stage_arenas(struct stage *stage)
{
	struct kernel *kernel = stage->kernel;
	struct sl_control *control = control_of(kernel);

	if (arena_init(stage, &stage->slots, kernel->map[MAP_SLOTS].entries,
		       control->slot_cursor) ||
	    arena_init(stage, &stage->members, kernel->map[MAP_MEMBERS].entries * 2,
		       control->member_cursor) ||
	    arena_init(stage, &stage->rules, kernel->map[MAP_RULES].entries, control->rule_cursor))
		return -ENOMEM;
	return map_walk(&kernel->map[MAP_SERVICES], service_use, stage);
}

/* What an endpoint is known by: address, port, version. */
#define ENDPOINT_KEY_SIZE offsetof(struct sl_endpoint, used)

int stage_index_vips(struct stage *stage)
{
	const struct sl_vip *vips = MAPPED(stage->kernel, MAP_VIPS, struct sl_vip);

	stage->vip_index = index_new(stage, 1024);
	if (!stage->vip_index)
		return -ENOMEM;
	for (uint32_t i = 0; i < stage->kernel->map[MAP_VIPS].entries; i++)
		if (vips[i].used && index_put(stage->vip_index, &vips[i], sizeof(vips[i]), i))
			return -ENOMEM;
	return 0;
}

static int stage_indices(struct stage *stage)
{
	struct kernel *kernel = stage->kernel;

	stage->version_index = index_new(stage, 256);
	stage->endpoint_index = index_new(stage, 1024);
	if (!stage->version_index || !stage->endpoint_index ||
	    arena_init(stage, &stage->rings, kernel->map[MAP_RINGS].entries * 2,
		       control_of(kernel)->ring_cursor))
		return -ENOMEM;
	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++) {
		const struct sl_version *version = kernel_version(kernel, i);

		arena_mark(&stage->rings, (uint32_t)version->ring, version->ring >> 32);
		if (!version->used)
			continue;
		if (index_put(stage->version_index, version->key,
			      strnlen(version->key, SL_VERSION_KEY_MAX), i))
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < kernel_endpoint_limit(kernel); i++) {
		const struct sl_endpoint *endpoint = kernel_endpoint(kernel, i);

		if (endpoint->used &&
		    index_put(stage->endpoint_index, endpoint, ENDPOINT_KEY_SIZE, i))
			return -ENOMEM;
	}
	return stage_index_vips(stage);
}

int stage_new(void *parent, struct kernel *kernel, const struct plan *plan, struct diags *diags,
	      struct stage **ret_stage)
{
	struct stage *stage = talloc_zero(parent, struct stage);
	size_t versions = plan->version_count + 1, splits = plan->split_count + 1;

	if (!stage)
		return -ENOMEM;
	stage->kernel = kernel;
	stage->plan = plan;
	stage->diags = diags;
	stage->version_at = talloc_zero_array(stage, uint32_t, versions);
	stage->ring_at = talloc_zero_array(stage, uint64_t, versions);
	stage->ring_words = talloc_zero_array(stage, uint32_t *, versions);
	stage->splits = talloc_zero_array(stage, struct sl_split, splits);
	stage->members_of = talloc_zero_array(stage, uint32_t *, splits);
	stage->new_versions = talloc_zero_array(stage, struct sl_version, versions);
	stage->table_index = index_new(stage, 64);
	if (!stage->table_index || !stage->version_at || !stage->ring_at || !stage->ring_words ||
	    !stage->splits || !stage->members_of || !stage->new_versions) {
		talloc_free(stage);
		return -ENOMEM;
	}
	*ret_stage = stage;
	return 0;
}

int stage_open(void *parent, struct kernel *kernel, const struct plan *plan, struct diags *diags,
	       enum stage_reach reach, struct stage **ret_stage)
{
	struct stage *stage;
	int err = stage_new(parent, kernel, plan, diags, &stage);

	if (err)
		return err;
	err = stage_indices(stage);
	if (!err && reach == STAGE_ALL)
		err = stage_arenas(stage);
	if (!err && reach == STAGE_ROOM)
		err = room_open(stage);
	if (!err && reach == STAGE_ROOM)
		err = room_offer(stage);
	if (err) {
		talloc_free(stage);
		return err;
	}
	*ret_stage = stage;
	return 0;
}

/* --- versions, endpoints, rings --- */

static int version_take(struct stage *stage, size_t at, bool known_only)
{
	const struct sl_version *versions = MAPPED(stage->kernel, MAP_VERSIONS, struct sl_version);
	struct sl_version *fresh = &stage->new_versions[at];
	uint32_t limit = kernel_version_limit(stage->kernel);
	char key[SL_VERSION_KEY_MAX];

	version_key_pack(stage->plan->versions[at].key, key);
	if (!index_find(stage->version_index, key, strlen(key), &stage->version_at[at]))
		return 0;
	stage->version_at[at] = UINT32_MAX;
	if (known_only)
		return 0;
	while (stage->next_version < limit && versions[stage->next_version].used)
		stage->next_version++;
	if (stage->next_version == limit)
		return stage_full(stage, MAP_VERSIONS);
	stage->version_at[at] = stage->next_version++;
	memcpy(fresh->key, key, sizeof(key));
	fresh->used = 1;
	return index_put(stage->version_index, fresh->key, strlen(fresh->key),
			 stage->version_at[at]);
}

static int endpoint_keep(struct stage *stage, const struct sl_endpoint *endpoint, uint32_t index)
{
	size_t count = stage->new_endpoint_count;

	if (!(count & (count - 1))) {
		struct stage_endpoint *list = talloc_realloc(
			stage, stage->new_endpoints, struct stage_endpoint, count ? count * 2 : 1);

		if (!list)
			return -ENOMEM;
		stage->new_endpoints = list;
	}
	stage->new_endpoints[stage->new_endpoint_count++] =
		(struct stage_endpoint){ index, *endpoint };
	return 0;
}

/*
 * An address without an index gets one that no live flow can name: never used, or freed by the
 * sweep.
 */
static int endpoint_take(struct stage *stage, const struct plan_endpoint *endpoint,
			 uint32_t version, uint32_t *ret_index)
{
	const struct sl_endpoint *table = MAPPED(stage->kernel, MAP_ENDPOINTS, struct sl_endpoint);
	uint32_t limit = kernel_endpoint_limit(stage->kernel);
	struct sl_endpoint *fresh = talloc_zero(stage, struct sl_endpoint);

	if (!fresh)
		return -ENOMEM;
	addr_to_words(&endpoint->addr, fresh->addr);
	fresh->port = htons(endpoint->port);
	fresh->version = version;
	fresh->used = 1;
	if (!index_find(stage->endpoint_index, fresh, ENDPOINT_KEY_SIZE, ret_index)) {
		talloc_free(fresh);
		return 0;
	}
	while (stage->next_endpoint < limit && table[stage->next_endpoint].used)
		stage->next_endpoint++;
	if (stage->next_endpoint == limit)
		return stage_full(stage, MAP_ENDPOINTS);
	*ret_index = stage->next_endpoint++;

	if (endpoint_keep(stage, fresh, *ret_index))
		return -ENOMEM;
	return index_put(stage->endpoint_index, fresh, ENDPOINT_KEY_SIZE, *ret_index);
}

static bool ring_is(const struct kernel *kernel, uint64_t ring, const uint32_t *words,
		    uint32_t size)
{
	const uint32_t *table = MAPPED(kernel, MAP_RINGS, uint32_t);

	if (ring >> 32 != size ||
	    (uint32_t)ring + (uint64_t)size > kernel->map[MAP_RINGS].entries * 2ull)
		return false;
	return !memcmp(table + (uint32_t)ring, words, (size_t)size * 4);
}

static int ring_take(struct stage *stage, size_t at, const struct ring_member *members,
		     size_t count)
{
	uint32_t size = ring_size(members, count), base = UINT32_MAX;
	uint32_t *words = talloc_array(stage, uint32_t, size + 1);
	uint64_t now = stage->new_versions[at].used
			       ? 0
			       : kernel_version(stage->kernel, stage->version_at[at])->ring;
	int err;

	if (!words)
		return -ENOMEM;
	stage->ring_at[at] = now;
	if (!size) {
		stage->ring_at[at] = 0;
		return 0;
	}
	err = ring_fill(members, count, words, size);
	if (err || ring_is(stage->kernel, now, words, size))
		return err;
	if (!stage->is_comparison && arena_take(&stage->rings, size, &base))
		return stage_full(stage, MAP_RINGS);
	stage->ring_at[at] = base | (uint64_t)size << 32;
	stage->ring_words[at] = words;
	return 0;
}

static int version_members(struct stage *stage, size_t at)
{
	const struct plan_version *version = &stage->plan->versions[at];
	struct ring_member *members =
		talloc_array(stage, struct ring_member, version->endpoint_count + 1);
	int err = members ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < version->endpoint_count; i++) {
		const struct plan_endpoint *endpoint = &version->endpoints[i];

		members[i] = (struct ring_member){ .addr = endpoint->addr,
						   .port = endpoint->port,
						   .weight = endpoint->weight };
		err = endpoint_take(stage, endpoint, stage->version_at[at], &members[i].value);
	}
	return err ? err : ring_take(stage, at, members, version->endpoint_count);
}

int stage_members(struct stage *stage, bool known_only)
{
	for (size_t i = 0; i < stage->plan->version_count; i++) {
		int err = version_take(stage, i, known_only);

		if (!err && stage->version_at[i] != UINT32_MAX)
			err = version_members(stage, i);
		if (err)
			return err;
	}
	return 0;
}

static void endpoints_write(struct stage *stage)
{
	struct sl_endpoint *endpoints = MAPPED(stage->kernel, MAP_ENDPOINTS, struct sl_endpoint);

	for (size_t i = 0; i < stage->new_endpoint_count; i++)
		endpoints[stage->new_endpoints[i].index] = stage->new_endpoints[i].value;
	/* Before a ring names them. Those that were there too: a bit may have been lost. */
	for (size_t i = 0; i < stage->plan->version_count; i++) {
		const struct plan_version *version = &stage->plan->versions[i];

		for (size_t j = 0; j < version->endpoint_count; j++)
			known_add(stage->kernel, &version->endpoints[j].addr,
				  version->endpoints[j].port);
	}
}

/*
 * Returns the ring that was replaced, 0 when none was. The key's place is free, but its ring may
 * not be: see the audit.
 */
static uint64_t version_write(struct stage *stage, size_t at)
{
	struct sl_version *version =
		MAPPED(stage->kernel, MAP_VERSIONS, struct sl_version) + stage->version_at[at];
	uint32_t *rings = MAPPED(stage->kernel, MAP_RINGS, uint32_t);
	uint64_t ring = stage->ring_at[at], old = version->ring;

	if (stage->ring_words[at])
		memcpy(rings + (uint32_t)ring, stage->ring_words[at], (ring >> 32) * 4);
	if (stage->new_versions[at].used) {
		memcpy(version->key, stage->new_versions[at].key, sizeof(version->key));
		version->opened_before = 0;
		version->used = 1;
	}
	if (old == ring)
		return 0;
	__atomic_store_n(&version->ring, ring, __ATOMIC_RELEASE);
	return old;
}

int stage_write_members(struct stage *stage)
{
	bool is_next =
		false; /* a ring was freed that may be handed out again before the arena wraps */

	if (stage->rings.wrapped) {
		int err = kernel_grace();

		if (err)
			return err;
	}
	endpoints_write(stage);
	for (size_t i = 0; i < stage->plan->version_count; i++) {
		uint64_t old = stage->version_at[i] == UINT32_MAX ? 0 : version_write(stage, i);

		is_next |= old >> 32 && (uint32_t)old + (old >> 32) > stage->rings.cursor;
	}
	control_of(stage->kernel)->ring_cursor = stage->rings.cursor;
	return is_next ? kernel_grace() : 0;
}
