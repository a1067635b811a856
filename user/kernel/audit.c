// SPDX-License-Identifier: Apache-2.0
/*
 * Desired against actual: what the plan would write is staged and compared with what the tables
 * hold.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

struct audit {
	struct stage *stage;
	struct diags *diags;
	uint32_t revision;
	int differences;
	uint32_t entries; /* of the revision, found in the kernel */
};

static void differ(struct audit *audit, const char *noun, const char *name, const char *what)
{
	/* The first few name the cause; thousands more would only hide it. */
	if (audit->differences++ < 10)
		diag_add(audit->diags, DIAG_WARNING, NULL, 0, 0, NULL, "drift: %s %s: %s", noun,
			 name, what);
}

static void audit_versions(struct audit *audit)
{
	const struct stage *stage = audit->stage;

	for (size_t i = 0; i < stage->plan->version_count; i++) {
		const char *key = stage->plan->versions[i].key;

		if (stage->new_versions[i].used)
			differ(audit, "version", key, "is not in the kernel");
		else if (kernel_version(stage->kernel, stage->version_at[i])->ring !=
			 stage->ring_at[i])
			differ(audit, "version", key, "has other endpoints in the kernel");
	}
}

static bool split_is(const struct stage *stage, const struct sl_split *actual, uint32_t wanted_at)
{
	const struct kernel *kernel = stage->kernel;
	const struct sl_split *wanted = &stage->splits[wanted_at];
	const uint8_t *slots = MAPPED(kernel, MAP_SLOTS, uint8_t);
	const uint32_t *members = MAPPED(kernel, MAP_MEMBERS, uint32_t);
	size_t size = (size_t)wanted->slot_mask + 1;

	if (actual->flags != wanted->flags)
		return false;
	if (wanted->flags & SL_SPLIT_NONE)
		return true;
	if (actual->slot_mask != wanted->slot_mask ||
	    actual->member_count != wanted->member_count ||
	    (size_t)actual->slot_base * SL_SLOTS_PER_GROUP + size >
		    (size_t)kernel->map[MAP_SLOTS].entries * SL_SLOTS_PER_GROUP ||
	    (size_t)actual->member_base + actual->member_count >
		    kernel->map[MAP_MEMBERS].entries * 2ull)
		return false;
	if (memcmp(members + actual->member_base, stage->members_of[wanted_at],
		   (size_t)actual->member_count * 4))
		return false;
	for (size_t i = 0; i < stage->table_count; i++)
		if (stage->tables[i].base == wanted->slot_base && stage->tables[i].size == size)
			return !memcmp(slots + (size_t)actual->slot_base * SL_SLOTS_PER_GROUP,
				       stage->tables[i].ordinals, size);
	return false;
}

static bool rules_are(const struct stage *stage, const struct plan_service *wanted,
		      const struct sl_service *actual)
{
	const struct sl_rule *rules = MAPPED(stage->kernel, MAP_RULES, struct sl_rule);
	uint32_t sources = 0;

	while (sources < wanted->rule_count && wanted->rules[sources].source.addr.family)
		sources++;
	if (actual->rule_count != sources ||
	    actual->rule_base + (uint64_t)sources > stage->kernel->map[MAP_RULES].entries)
		return false;
	for (uint32_t i = 0; i < sources; i++) {
		struct sl_rule rule = {};

		rule_fill(&wanted->rules[i].source, &rules[actual->rule_base + i].split, &rule);
		if (memcmp(&rule, &rules[actual->rule_base + i], sizeof(rule)) ||
		    !split_is(stage, &rule.split, wanted->rules[i].split))
			return false;
	}
	return sources < wanted->rule_count
		       ? split_is(stage, &actual->otherwise, wanted->rules[sources].split)
		       : actual->otherwise.flags == SL_SPLIT_NONE;
}

static void audit_services(struct audit *audit)
{
	const struct plan *plan = audit->stage->plan;
	int fd = audit->stage->kernel->map[MAP_SERVICES].fd;

	for (size_t i = 0; i < plan->service_count; i++) {
		struct sl_service_key key;
		struct sl_service actual;
		uint32_t vip;

		service_key_fill(&plan->services[i], audit->revision, &key);
		vip = UINT32_MAX;
		if (stage_vip(audit->stage, &plan->services[i], &vip))
			continue;
		if (bpf_map_lookup_elem(fd, &key, &actual))
			differ(audit, "service", plan->services[i].name, "is not in the kernel");
		else if (actual.vip != vip)
			differ(audit, "service", plan->services[i].name,
			       "has another VIP in the kernel");
		else if (!rules_are(audit->stage, &plan->services[i], &actual))
			differ(audit, "service", plan->services[i].name,
			       "has another split in the kernel");
	}
}

static int entry_count(void *context, void *key, void *value)
{
	struct audit *audit = context;

	audit->entries += ((struct sl_service_key *)key)->revision == audit->revision;
	return 0;
}

/* Those that the ring names: one without a place in it, a drained one, is nobody's to know. */
static bool ring_is_known(const struct stage *stage, size_t at)
{
	const struct kernel *kernel = stage->kernel;
	uint32_t version = stage->version_at[at];
	uint32_t size = kernel_version(kernel, version)->ring >> 32;

	for (uint32_t place = 0; place < size && place < kernel->map[MAP_RINGS].entries; place++) {
		const struct sl_endpoint *endpoint =
			kernel_endpoint(kernel, kernel_ring_word(kernel, version, place));
		struct addr addr;

		if (!endpoint)
			continue;
		addr_from_words(endpoint->addr, &addr);
		if (!known_has(kernel, &addr, ntohs(endpoint->port)))
			return false;
	}
	return true;
}

/* A bit that is lost makes an address one that is not ours. One too many only costs time. */
static void audit_known(struct audit *audit)
{
	const struct stage *stage = audit->stage;

	for (size_t i = 0; i < stage->plan->service_count; i++) {
		const struct plan_service *service = &stage->plan->services[i];

		if (!known_has(stage->kernel, &service->vip, service->port))
			differ(audit, "service", service->name, "its VIP is not known to be ours");
	}
	for (size_t i = 0; i < stage->plan->version_count; i++)
		if (!stage->new_versions[i].used && !ring_is_known(stage, i))
			differ(audit, "version", stage->plan->versions[i].key,
			       "an endpoint is not known to be ours");
}

static int audit_run(struct audit *audit)
{
	int err;

	audit_known(audit);

	audit_versions(audit);
	audit_services(audit);
	err = map_walk(&audit->stage->kernel->map[MAP_SERVICES], entry_count, audit);
	if (!err && audit->entries > audit->stage->plan->service_count)
		differ(audit, "revision", "active", "has services that its rules do not name");
	return err;
}

int kernel_audit(struct kernel *kernel, const struct plan *plan, uint32_t revision, bool repair,
		 struct diags *diags)
{
	_cleanup_talloc_ struct stage *stage = NULL;
	struct audit audit = { .diags = diags, .revision = revision };
	uint8_t digest[32];
	int err = stage_open(NULL, kernel, plan, diags, STAGE_ALL, &stage);

	if (!err) {
		stage->is_comparison = true;
		err = stage_members(stage, false);
	}
	if (!err)
		err = stage_splits(stage);
	if (err)
		return err;
	audit.stage = stage;
	err = audit_run(&audit);
	if (err)
		return err;
	if (audit.differences && repair) {
		memcpy(digest, revision_place(kernel, revision)->digest, sizeof(digest));
		err = kernel_write(kernel, plan, revision, digest, diags);
	}
	return err ? err : audit.differences;
}
