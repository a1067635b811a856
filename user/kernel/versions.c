// SPDX-License-Identifier: Apache-2.0
/* Versions in the kernel: found by key, counted, their counters marked. */
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

uint32_t kernel_version_limit(const struct kernel *kernel)
{
	return kernel->map[MAP_VERSIONS].entries;
}

const struct sl_version *kernel_version(const struct kernel *kernel, uint32_t index)
{
	return index < kernel_version_limit(kernel)
		       ? MAPPED(kernel, MAP_VERSIONS, struct sl_version) + index
		       : NULL;
}

/* --- counters --- */

static void words_sum(const uint64_t *values, size_t words, int cpus, uint64_t *sum)
{
	memset(sum, 0, words * sizeof(*sum));
	for (size_t i = 0; i < words * cpus; i++)
		sum[i % words] += values[i];
}

static int percpu_sum(const struct map *map, uint32_t key, void *ret_sum)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *values = NULL;

	if (cpus < 0)
		return cpus;
	values = calloc(cpus, map->value_size);
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map->fd, &key, values))
		return -errno;
	words_sum(values, map->value_size / 8, cpus, ret_sum);
	return 0;
}

#define STATS_BATCH 256

/*
 * Calls `each` for the first `count` versions, many in one system call; -errno where the kernel has
 * no such call for this kind of map (before 5.13).
 */
static int stats_walk(struct kernel *kernel, uint32_t count,
		      void (*each)(struct kernel *kernel, uint32_t version,
				   const struct sl_stats *stats))
{
	const struct map *map = &kernel->map[MAP_STATS];
	int cpus = libbpf_num_possible_cpus();
	size_t size = (size_t)(cpus > 0 ? cpus : 1) * map->value_size;
	_cleanup_free_ char *values = malloc(size * STATS_BATCH);
	uint32_t keys[STATS_BATCH], cursor, got, done = 0;
	struct sl_stats stats = { 0 };

	if (!values || cpus <= 0)
		return -ENOMEM;
	for (; done < count; done += got) {
		got = count - done < STATS_BATCH ? count - done : STATS_BATCH;
		if (bpf_map_lookup_batch(map->fd, done ? &cursor : NULL, &cursor, keys, values,
					 &got, NULL) &&
		    errno != ENOENT)
			return -errno;
		for (uint32_t i = 0; i < got; i++) {
			words_sum((uint64_t *)(values + i * size), map->value_size / 8, cpus,
				  (uint64_t *)&stats);
			each(kernel, keys[i], &stats);
		}
		if (!got)
			break;
	}
	return 0;
}

int kernel_counters(const struct kernel *kernel, struct sl_counters ret_doors[SL_DOOR_COUNT])
{
	for (uint32_t door = 0; door < SL_DOOR_COUNT; door++) {
		int err = percpu_sum(&kernel->map[MAP_VERDICTS], door, &ret_doors[door]);

		if (err)
			return err;
	}
	return 0;
}

int kernel_stats(const struct kernel *kernel, uint32_t version, struct sl_stats *ret_stats)
{
	return percpu_sum(&kernel->map[MAP_STATS], version, ret_stats);
}

static void opened_note(struct kernel *kernel, uint32_t version, const struct sl_stats *stats)
{
	struct sl_version *at = MAPPED(kernel, MAP_VERSIONS, struct sl_version) + version;

	if (at->used)
		at->opened_before = stats->opened;
}

void versions_mark(struct kernel *kernel)
{
	const struct sl_version *versions = MAPPED(kernel, MAP_VERSIONS, struct sl_version);
	uint32_t end = kernel_version_limit(kernel);
	struct sl_stats stats = { 0 };

	while (end && !versions[end - 1].used)
		end--;
	if (!stats_walk(kernel, end, opened_note))
		return;
	for (uint32_t i = 0; i < end; i++)
		if (versions[i].used && !kernel_stats(kernel, i, &stats))
			opened_note(kernel, i, &stats);
}

/* --- by key --- */

struct version_index {
	struct index *by_key; /* NULL: nobody has searched yet */
};

struct version_index *version_index_new(void)
{
	return talloc_zero(NULL, struct version_index);
}

void version_index_free(struct version_index *index)
{
	talloc_free(index);
}

static bool is_version(const struct kernel *kernel, uint32_t index, const char *packed)
{
	const struct sl_version *version = kernel_version(kernel, index);

	return version && version->used && !memcmp(version->key, packed, SL_VERSION_KEY_MAX);
}

static int version_index_fill(const struct kernel *kernel)
{
	_cleanup_talloc_ struct index *by_key = index_new(NULL, 256);
	uint32_t limit = kernel_version_limit(kernel);

	for (uint32_t i = 0; by_key && i < limit; i++) {
		const struct sl_version *version = kernel_version(kernel, i);

		if (version->used &&
		    index_put(by_key, version->key, strnlen(version->key, SL_VERSION_KEY_MAX), i))
			return -ENOMEM;
	}
	if (!by_key)
		return -ENOMEM;
	kernel->version_index->by_key = talloc_steal(kernel->version_index, TAKE_PTR(by_key));
	return 0;
}

/*
 * The table may have changed since the index was filled, by our hand or another's: what the index
 * says is looked at, and what it does not know is searched for.
 */
int kernel_version_find(const struct kernel *kernel, const char *key, uint32_t *ret_index)
{
	const struct version_index *index = kernel->version_index;
	char packed[SL_VERSION_KEY_MAX];
	uint32_t found;

	version_key_pack(key, packed);
	if ((index->by_key || !version_index_fill(kernel)) &&
	    !index_find(index->by_key, packed, strnlen(packed, sizeof(packed)), &found) &&
	    is_version(kernel, found, packed)) {
		*ret_index = found;
		return 0;
	}
	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++) {
		if (!is_version(kernel, i, packed))
			continue;
		*ret_index = i;
		return 0;
	}
	return -ENOENT;
}

bool kernel_has_endpoints(const struct kernel *kernel)
{
	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++) {
		const struct sl_version *version = kernel_version(kernel, i);

		if (version && version->used && version->ring >> 32)
			return true;
	}
	return false;
}
