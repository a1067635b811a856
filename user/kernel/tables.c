// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

/* --- eviction: the oldest revisions leave when there is no more room for a new one --- */

/* Entries of the services map that are to go. */
struct key_list {
	const struct kernel *kernel;
	struct sl_service_key *keys; /* talloc array */
	size_t count;
};

static int key_add(struct key_list *list, const struct sl_service_key *key)
{
	if (list->count == talloc_array_length(list->keys)) {
		struct sl_service_key *keys = talloc_realloc(
			NULL, list->keys, struct sl_service_key, list->count * 2 + 64);

		if (!keys)
			return -ENOMEM;
		list->keys = keys;
	}
	list->keys[list->count++] = *key;
	return 0;
}

static void keys_delete(struct key_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		bpf_map_delete_elem(list->kernel->map[MAP_SERVICES].fd, &list->keys[i]);
}

static int orphan_collect(void *context, void *key, void *value)
{
	struct key_list *list = context;

	return revision_is_read(list->kernel, ((struct sl_service_key *)key)->revision)
		       ? 0
		       : key_add(list, key);
}

/*
 * Removes the entries of revisions that no door looks up: evicted a moment ago, or left over from
 * whoever was killed while writing or evicting. After the grace period nothing reads their places,
 * tables and keys any more.
 */
static int orphans_remove(struct kernel *kernel)
{
	struct key_list list = { .kernel = kernel };
	int err = kernel_grace();

	if (!err)
		err = map_walk(&kernel->map[MAP_SERVICES], orphan_collect, &list);
	if (!err)
		keys_delete(&list);
	talloc_free(list.keys);
	return err;
}

static uint32_t services_used(const struct kernel *kernel, const struct sl_revision *hot,
			      size_t count)
{
	uint32_t used = 0;

	for (size_t i = 0; i < count; i++)
		used += hot[i].services;
	return used;
}

/*
 * Evicts down to `keep` hot revisions, never the active one nor the fallback. Done in one go for
 * many, because each time costs a grace period: with room for SL_HOT_MAX and SL_HOT_MIN kept, one
 * in 48 changes pays.
 */
static int revisions_evict(struct kernel *kernel, size_t keep)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(kernel, hot), left = count;

	/*
	 * The directory entry goes first, so that a flip by hand finds it gone rather than half
	 * empty.
	 */
	for (size_t i = 0; i < count && left > keep; i++) {
		if (hot[i].number == kernel_active(kernel) ||
		    hot[i].number == control_of(kernel)->fallback)
			continue;
		room_forget(kernel);
		memset(revision_place(kernel, hot[i].number), 0, sizeof(struct sl_revision));
		left--;
	}
	return left < count ? orphans_remove(kernel) : 0;
}

bool kernel_has_place(const struct kernel *kernel, uint32_t revision)
{
	uint32_t held = revision_place(kernel, revision)->number;

	return !held || held == revision ||
	       (held != kernel_active(kernel) && held != control_of(kernel)->fallback);
}

/*
 * A thousand revisions later the directory's place comes round: whoever holds it leaves, unless it
 * is obeyed.
 */
static int place_clear(struct kernel *kernel, uint32_t revision, struct diags *diags)
{
	struct sl_revision *place = revision_place(kernel, revision);

	if (!place->number || place->number == revision)
		return 0;
	if (!kernel_has_place(kernel, revision)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "revision %u would take the place of revision %u, which is active: the "
			 "next number is free",
			 revision, place->number);
		return -EBUSY;
	}
	room_forget(kernel);
	memset(place, 0, sizeof(*place));
	return orphans_remove(kernel);
}

static int services_fit(const struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	uint32_t size = kernel->map[MAP_SERVICES].entries;

	if (plan->service_count <= size / (SL_HOT_MIN + 1))
		return 0;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "%zu VIPs and ports in one revision, room for %u: sluice detach, then "
		 "start sluiced with --services %zu",
		 plan->service_count, size / (SL_HOT_MIN + 1), plan->service_count);
	return -ENOSPC;
}

static int room_make(struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(kernel, hot);
	uint32_t size = kernel->map[MAP_SERVICES].entries;
	int err = services_fit(kernel, plan, diags);

	if (err ||
	    (count < SL_HOT_MAX && services_used(kernel, hot, count) + plan->service_count <= size))
		return err;
	return revisions_evict(kernel, SL_HOT_MIN - 1);
}

/* --- services --- */

void rule_fill(const struct prefix *source, const struct sl_split *split, struct sl_rule *ret_rule)
{
	uint32_t bits = source->len + (source->addr.family == 4 ? 96 : 0);

	addr_to_words(&source->addr, ret_rule->prefix);
	for (int i = 0; i < 4; i++) {
		uint32_t here = bits > 32u * i ? bits - 32u * i : 0;

		ret_rule->mask[i] = here >= 32 ? 0xffffffff : here ? htonl(~0u << (32 - here)) : 0;
		ret_rule->prefix[i] &= ret_rule->mask[i];
	}
	ret_rule->split = *split;
}

void service_key_fill(const struct plan_service *service, uint32_t revision,
		      struct sl_service_key *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	ret_key->revision = revision;
	addr_to_words(&service->vip, ret_key->vip);
	ret_key->port = htons(service->port);
	ret_key->protocol = service->protocol;
}

/* Rules up to the first that matches every source; that one's split is the service's own. */
static uint32_t service_sources(const struct plan_service *service)
{
	uint32_t count = 0;

	while (count < service->rule_count && service->rules[count].source.addr.family)
		count++;
	return count;
}

int service_stage(struct stage *stage, const struct plan_service *service,
		  struct sl_service *ret_service)
{
	uint32_t count = service_sources(service);
	int err;

	*ret_service = (struct sl_service){ .rule_count = count };
	err = stage_vip(stage, service, &ret_service->vip);
	if (err)
		return err;
	if (count < service->rule_count)
		ret_service->otherwise = stage->splits[service->rules[count].split];
	else
		ret_service->otherwise.flags = SL_SPLIT_NONE;
	if (!count)
		return 0;
	return arena_take(&stage->rules, count, &ret_service->rule_base)
		       ? stage_full(stage, MAP_RULES)
		       : 0;
}

void service_write_rules(struct stage *stage, const struct plan_service *service,
			 const struct sl_service *value)
{
	struct sl_rule *rules = MAPPED(stage->kernel, MAP_RULES, struct sl_rule);

	for (uint32_t i = 0; i < value->rule_count; i++)
		rule_fill(&service->rules[i].source, &stage->splits[service->rules[i].split],
			  &rules[value->rule_base + i]);
}

/*
 * All in one system call where the kernel has it: an insertion costs less than the way into the
 * kernel.
 */
int services_put(const struct kernel *kernel, const struct sl_service_key *keys,
		 const struct sl_service *values, uint32_t count)
{
	int fd = kernel->map[MAP_SERVICES].fd;
	uint32_t done = count;

	if (!count || !bpf_map_update_batch(fd, keys, values, &done, NULL))
		return 0;
	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(fd, &keys[i], &values[i], BPF_ANY))
			return -errno;
	return 0;
}

static int services_write(struct stage *stage, const struct sl_service *values, uint32_t revision)
{
	const struct plan *plan = stage->plan;
	struct sl_service_key *keys =
		talloc_array(stage, struct sl_service_key, plan->service_count + 1);

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < plan->service_count; i++)
		service_key_fill(&plan->services[i], revision, &keys[i]);
	return services_put(stage->kernel, keys, values, plan->service_count);
}

void revision_put(struct kernel *kernel, uint32_t revision, uint32_t services,
		  const uint8_t digest[32])
{
	struct sl_revision *place = revision_place(kernel, revision);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	place->services = services;
	place->built_ns = (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
	memcpy(place->digest, digest, sizeof(place->digest));
	__atomic_store_n(&place->number, revision, __ATOMIC_RELEASE);
}

struct strays {
	uint32_t revision;
	struct index *wanted;
	struct key_list found;
};

static int stray_collect(void *context, void *key, void *value)
{
	struct strays *strays = context;
	const struct sl_service_key *service = key;
	uint32_t at;

	return service->revision != strays->revision ||
			       !index_find(strays->wanted, key, sizeof(*service), &at)
		       ? 0
		       : key_add(&strays->found, key);
}

/*
 * Entries of the revision that the plan does not have: left over from a write that never ended, or
 * put there by hand.
 */
static int strays_remove(struct stage *stage, uint32_t revision)
{
	const struct plan *plan = stage->plan;
	struct strays strays = { .revision = revision, .found = { .kernel = stage->kernel } };
	struct sl_service_key *keys =
		talloc_array(stage, struct sl_service_key, plan->service_count + 1);
	int err = 0;

	strays.wanted = index_new(stage, plan->service_count + 1);
	if (!strays.wanted || !keys)
		return -ENOMEM;
	for (size_t i = 0; !err && i < plan->service_count; i++) {
		service_key_fill(&plan->services[i], revision, &keys[i]);
		err = index_put(strays.wanted, &keys[i], sizeof(keys[i]), i);
	}
	if (!err)
		err = map_walk(&stage->kernel->map[MAP_SERVICES], stray_collect, &strays);
	if (!err)
		keys_delete(&strays.found);
	talloc_free(strays.found.keys);
	return err;
}

/* Room for everything, in memory alone. */
static int plan_stage(struct kernel *kernel, const struct plan *plan, struct diags *diags,
		      enum stage_reach reach, struct stage **ret_stage,
		      struct sl_service **ret_values)
{
	_cleanup_talloc_ struct stage *stage = NULL;
	struct sl_service *values;
	int err = stage_open(NULL, kernel, plan, diags, reach, &stage);

	if (!err)
		err = stage_members(stage, false);
	if (!err)
		err = stage_splits(stage);
	if (err)
		return err;
	values = talloc_array(stage, struct sl_service, plan->service_count + 1);
	for (size_t i = 0; values && !err && i < plan->service_count; i++)
		err = service_stage(stage, &plan->services[i], &values[i]);
	if (err || !values)
		return err ? err : -ENOMEM;
	if (reach == STAGE_ROOM && !room_is_kept(stage))
		return -EAGAIN;
	*ret_stage = TAKE_PTR(stage);
	*ret_values = values;
	return 0;
}

/* What nothing names any more holds places until somebody asks for room. */
static int plan_stage_hard(struct kernel *kernel, const struct plan *plan, struct diags *diags,
			   struct stage **ret_stage, struct sl_service **ret_values)
{
	_cleanup_talloc_ struct diags *first = diags_new(NULL);
	int err = first ? plan_stage(kernel, plan, first, STAGE_ROOM, ret_stage, ret_values)
			: -ENOMEM;

	if (!err || err == -ENOMEM)
		return err;
	err = plan_stage(kernel, plan, first, STAGE_ALL, ret_stage, ret_values);
	if (!err && (*ret_stage)->has_orphans) {
		talloc_free(TAKE_PTR(*ret_stage));
		err = orphans_remove(kernel);
		return err ? err
			   : plan_stage(kernel, plan, diags, STAGE_ALL, ret_stage, ret_values);
	}
	if (err != -ENOSPC)
		return err;
	err = revisions_evict(kernel, SL_HOT_MIN - 1);
	if (!err)
		err = orphans_remove(kernel);
	if (!err)
		err = kernel_flows_sweep(kernel, KERNEL_TCP_IDLE_S);
	return err ? err : plan_stage(kernel, plan, diags, STAGE_ALL, ret_stage, ret_values);
}

int kernel_write(struct kernel *kernel, const struct plan *plan, uint32_t revision,
		 const uint8_t digest[32], struct diags *diags)
{
	_cleanup_talloc_ struct stage *stage = NULL;
	bool is_rewritten = kernel_is_hot(kernel, revision);
	struct sl_service *values;
	int err = place_clear(kernel, revision, diags);

	if (!err)
		err = room_make(kernel, plan, diags);
	if (!err)
		err = plan_stage_hard(kernel, plan, diags, &stage, &values);
	if (err)
		return err;

	/*
	 * From here on the kernel changes, beside what is active: tables, then the keys that lead
	 * to them, then the entry.
	 */
	room_forget(kernel);
	stage_write_vips(stage);
	err = stage_write_members(stage);
	if (!err)
		err = stage_write_splits(stage);
	for (size_t i = 0; !err && i < plan->service_count; i++)
		service_write_rules(stage, &plan->services[i], &values[i]);
	if (!err)
		err = services_write(stage, values, revision);
	/* A revision that was not hot had its entries removed as orphans, if there were any. */
	if (!err && is_rewritten)
		err = strays_remove(stage, revision);
	if (err) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "cannot write revision %u to the kernel: %s", revision, strerror(-err));
		return err;
	}
	revision_put(kernel, revision, plan->service_count, digest);
	/* What it had before is free now, and a packet may still read it. */
	err = is_rewritten ? kernel_grace() : 0;
	if (!err)
		room_note(stage);
	return err;
}

static int members_try(struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	_cleanup_talloc_ struct stage *stage = NULL;
	int err = stage_open(NULL, kernel, plan, diags, STAGE_MEMBERS, &stage);

	if (!err)
		err = stage_members(stage, true);
	return err ? err : stage_write_members(stage);
}

/*
 * Endpoints that have gone hold their places until they are swept, and nobody may have done so: the
 * agent may be dead.
 */
int kernel_members(struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	_cleanup_talloc_ struct diags *first = diags_new(NULL);
	int err = first ? members_try(kernel, plan, first) : -ENOMEM;

	if (err != -ENOSPC)
		return err;
	err = kernel_flows_sweep(kernel, KERNEL_TCP_IDLE_S);
	return err ? err : members_try(kernel, plan, diags);
}

int kernel_check(struct kernel *kernel, const struct plan *plan, struct diags *diags)
{
	_cleanup_talloc_ struct diags *now = diags_new(NULL);
	_cleanup_talloc_ struct stage *stage = NULL;
	struct sl_service *values;
	int err = services_fit(kernel, plan, diags);

	if (!err)
		err = plan_alone_fits(kernel, plan, diags);
	if (!err)
		err = now ? plan_stage(kernel, plan, now, STAGE_ALL, &stage, &values) : -ENOMEM;
	if (err != -ENOSPC || !now->count)
		return err;
	/* How much comes free is known when it has been freed, and here nothing may be. */
	diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
		 "there may be no room, unless older revisions and ended connections give enough: "
		 "%s",
		 now->list[0].text);
	return 0;
}
