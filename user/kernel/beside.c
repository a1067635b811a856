// SPDX-License-Identifier: Apache-2.0
/* A revision that differs from a hot one in a few services: the others' entries are copied. */
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

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
		if (!err)
			err = map_reach(beside->kernel, MAP_RULES,
					beside->values[at].rule_base * sizeof(struct sl_rule),
					beside->values[at].rule_count * sizeof(struct sl_rule));
		if (err)
			return err;
	}
	return 0;
}

static int beside_stage(struct beside *beside)
{
	struct stage *stage = beside->stage;
	int err = room_open(stage);

	if (!err)
		err = stage_index_vips(stage);
	if (!err)
		err = versions_find(stage);
	if (!err)
		err = base_copy(beside);
	if (!err)
		err = room_offer(stage);
	if (!err)
		err = stage_splits(stage);
	if (!err)
		err = services_replace(beside);
	if (!err)
		err = stage_reach_splits(stage);
	return !err && (!room_is_kept(stage) || stage->new_vip_count) ? -EAGAIN : err;
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
	room_note(stage);
	return 0;
}
