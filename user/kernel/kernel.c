// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include "../base/cleanup.h"
#include "stage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const char *const map_names[MAP_COUNT] = {
	"active",   "control", "revisions", "services", "rules",    "slots",   "members",
	"versions", "rings",   "endpoints", "vips",     "known",    "flows",   "spilled",
	"opens",    "exits",   "fragments", "stats",    "verdicts", "devices", "layout",
};

int path_join(char *path, size_t size, const char *dir, const char *name)
{
	int length = snprintf(path, size, "%s/%s", dir, name);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

void addr_to_words(const struct addr *addr, uint32_t ret_words[4])
{
	if (addr->family == 6) {
		memcpy(ret_words, addr->bytes, 16);
		return;
	}
	ret_words[0] = ret_words[1] = 0;
	ret_words[2] = htonl(0xffff);
	memcpy(&ret_words[3], addr->bytes, 4);
}

void addr_from_words(const uint32_t words[4], struct addr *ret_addr)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (!words[0] && !words[1] && words[2] == htonl(0xffff)) {
		ret_addr->family = 4;
		memcpy(ret_addr->bytes, &words[3], 4);
		return;
	}
	ret_addr->family = 6;
	memcpy(ret_addr->bytes, words, 16);
}

/*
 * MEMBARRIER_CMD_GLOBAL is synchronize_rcu: when it returns, every packet that was in a door has
 * left it. Kernels that run tickless CPUs refuse it; a second is then longer than any packet stays.
 */
int kernel_grace(void)
{
	struct timespec left = { .tv_sec = 1 };

	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	while (nanosleep(&left, &left))
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int map_open(const char *pin_dir, enum map_id id, struct map *map)
{
	struct bpf_map_info info = {};
	uint32_t info_size = sizeof(info);
	char path[320];
	int err = map_pin_path(pin_dir, map_names[id], path);

	if (err)
		return err;
	map->fd = bpf_obj_get(path);
	if (map->fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(map->fd, &info, &info_size))
		return -errno;
	map->entries = info.max_entries;
	map->key_size = info.key_size;
	map->value_size = info.value_size;
	if (info.map_flags & BPF_F_MMAPABLE) {
		size_t page = sysconf(_SC_PAGESIZE);

		map->size = ((size_t)map->entries * map->value_size + page - 1) / page * page;
	}
	return 0;
}

/* The kernel enters every page of it at once, which for the large ones takes milliseconds. */
static int map_mmap(struct map *map)
{
	int flags = MAP_SHARED | (map->is_reserved ? MAP_FIXED : 0);
	void *data;

	if (!map->size || (map->data && !map->is_reserved))
		return 0;
	data = mmap(map->data, map->size, PROT_READ | PROT_WRITE, flags, map->fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	map->data = data;
	map->is_reserved = false;
	return 0;
}

/* So whoever needs a few of its pages has them entered alone. */
static int map_reserve(struct map *map)
{
	void *data;

	if (!map->size || map->data)
		return 0;
	data = mmap(NULL, map->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (data == MAP_FAILED)
		return -errno;
	map->data = data;
	map->is_reserved = true;
	return 0;
}

int map_reach(const struct kernel *kernel, enum map_id id, uint64_t at, uint64_t size)
{
	const struct map *map = &kernel->map[id];
	uint64_t page = sysconf(_SC_PAGESIZE), from = at / page * page;
	uint64_t to = (at + size + page - 1) / page * page;
	void *data;

	if (!map->is_reserved || !size)
		return 0;
	if (to > map->size || to < from)
		return -ERANGE;
	data = mmap((char *)map->data + from, to - from, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, map->fd, from);
	return data == MAP_FAILED ? -errno : 0;
}

int kernel_map(struct kernel *kernel)
{
	int err = 0;

	/* What the doors alone write is large, and mapped by flows.c when it is read. */
	for (int i = 0; !err && i < MAP_COUNT; i++)
		if (i < MAP_FLOWS || i > MAP_EXITS)
			err = map_mmap(&kernel->map[i]);
	return err;
}

static int maps_mmap(struct kernel *kernel, const enum map_id *ids, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = map_mmap(&kernel->map[ids[i]]);
	return err;
}

int kernel_map_splits(struct kernel *kernel)
{
	static const enum map_id needed[] = { MAP_VIPS, MAP_KNOWN };
	static const enum map_id reached[] = { MAP_RULES, MAP_SLOTS, MAP_MEMBERS };
	int err = maps_mmap(kernel, needed, ARRAY_SIZE(needed));

	for (size_t i = 0; !err && i < ARRAY_SIZE(reached); i++)
		err = map_reserve(&kernel->map[reached[i]]);
	return err;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	for (int i = 0; i < MAP_COUNT; i++) {
		if (kernel->map[i].data)
			munmap(kernel->map[i].data, kernel->map[i].size);
		if (kernel->map[i].fd >= 0)
			close(kernel->map[i].fd);
	}
	version_index_free(kernel->version_index);
	free(kernel);
}

static void cleanup_kernel_p(struct kernel **kernel)
{
	kernel_close(*kernel);
}

/* Another layout under the same names must not be read as ours, whatever number it says it has. */
static bool layout_fits(const struct kernel *kernel)
{
	static const struct {
		enum map_id id;
		uint32_t key, value;
	} wanted[] = {
		{ MAP_ACTIVE, 4, 4 },
		{ MAP_CONTROL, 4, sizeof(struct sl_control) },
		{ MAP_REVISIONS, 4, sizeof(struct sl_revision) },
		{ MAP_SERVICES, sizeof(struct sl_service_key), sizeof(struct sl_service) },
		{ MAP_RULES, 4, sizeof(struct sl_rule) },
		{ MAP_SLOTS, 4, sizeof(struct sl_slots) },
		{ MAP_MEMBERS, 4, sizeof(struct sl_pair) },
		{ MAP_VERSIONS, 4, sizeof(struct sl_version) },
		{ MAP_RINGS, 4, sizeof(struct sl_pair) },
		{ MAP_ENDPOINTS, 4, sizeof(struct sl_endpoint) },
		{ MAP_VIPS, 4, sizeof(struct sl_vip) },
		{ MAP_KNOWN, 4, sizeof(uint64_t) },
		{ MAP_FLOWS, 4, sizeof(struct sl_bucket) },
		{ MAP_SPILLED, 4, sizeof(uint64_t) },
		{ MAP_OPENS, 4, sizeof(struct sl_open) },
		{ MAP_EXITS, 4, sizeof(struct sl_exit) },
		{ MAP_STATS, 4, sizeof(struct sl_stats) },
		{ MAP_VERDICTS, 4, sizeof(struct sl_counters) },
		{ MAP_LAYOUT, 4, sizeof(struct sl_layout) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct map *map = &kernel->map[wanted[i].id];

		if (map->key_size != wanted[i].key || map->value_size != wanted[i].value)
			return false;
	}
	return kernel->map[MAP_REVISIONS].entries == SL_PLACES;
}

static int flip_map(struct kernel *kernel)
{
	static const enum map_id needed[] = { MAP_ACTIVE, MAP_CONTROL, MAP_REVISIONS,
					      MAP_VERSIONS };

	return maps_mmap(kernel, needed, ARRAY_SIZE(needed));
}

static int maps_open(struct kernel *kernel)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		int err = map_open(kernel->pin_dir, i, &kernel->map[i]);

		if (err)
			return err;
	}
	return layout_fits(kernel) ? flip_map(kernel) : -EPROTO;
}

int kernel_open_to_flip(const char *pin_dir, struct kernel **ret_kernel)
{
	__attribute__((cleanup(cleanup_kernel_p))) struct kernel *kernel =
		calloc(1, sizeof(*kernel));
	uint32_t abi = 0;
	int err;

	if (!kernel)
		return -ENOMEM;
	for (int i = 0; i < MAP_COUNT; i++)
		kernel->map[i].fd = -1;
	kernel->version_index = version_index_new();
	if (!kernel->version_index)
		return -ENOMEM;
	pin_dir = pin_dir ? pin_dir : SL_PIN_DIR;
	if (strlen(pin_dir) >= sizeof(kernel->pin_dir))
		return -ENAMETOOLONG;
	snprintf(kernel->pin_dir, sizeof(kernel->pin_dir), "%s", pin_dir);
	snprintf(kernel->base_dir, sizeof(kernel->base_dir), "%s", pin_dir);
	err = abi_pinned(kernel->pin_dir, &abi);
	if (err)
		return err;
	/* Maps that were made, and whose maker died before it was done. */
	if (!abi)
		return -ENOENT;
	if (abi != SL_ABI)
		return -EPROTO;
	err = maps_open(kernel);
	/* Whole by its own word, and yet a pin is gone: the doors run on, and nobody may think that
	 * there is nothing to change. */
	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	*ret_kernel = TAKE_PTR(kernel);
	return 0;
}

int kernel_open(const char *pin_dir, struct kernel **ret_kernel)
{
	__attribute__((cleanup(cleanup_kernel_p))) struct kernel *kernel = NULL;
	int err = kernel_open_to_flip(pin_dir, &kernel);

	if (!err)
		err = kernel_map(kernel);
	if (!err)
		*ret_kernel = TAKE_PTR(kernel);
	return err;
}

uint32_t kernel_slots(const struct kernel *kernel)
{
	return control_of(kernel)->slots;
}

/* --- revisions --- */

uint32_t kernel_active(const struct kernel *kernel)
{
	return __atomic_load_n(MAPPED(kernel, MAP_ACTIVE, uint32_t), __ATOMIC_ACQUIRE);
}

bool kernel_is_hot(const struct kernel *kernel, uint32_t revision)
{
	return revision && revision_place(kernel, revision)->number == revision;
}

bool revision_is_read(const struct kernel *kernel, uint32_t revision)
{
	return kernel_is_hot(kernel, revision) || revision == kernel_active(kernel) ||
	       revision == control_of(kernel)->fallback;
}

uint32_t kernel_obeyed(const struct kernel *kernel)
{
	uint32_t active = kernel_active(kernel);

	return kernel_is_hot(kernel, active) ? active : control_of(kernel)->fallback;
}

static int revision_order(const void *a, const void *b)
{
	uint32_t x = ((const struct sl_revision *)a)->number;
	uint32_t y = ((const struct sl_revision *)b)->number;

	return x < y ? -1 : x > y;
}

size_t kernel_revisions(const struct kernel *kernel, struct sl_revision *ret_list)
{
	const struct sl_revision *places = MAPPED(kernel, MAP_REVISIONS, struct sl_revision);
	size_t count = 0;

	for (uint32_t i = 0; i < SL_PLACES && count < SL_HOT_MAX; i++)
		if (places[i].number)
			ret_list[count++] = places[i];
	qsort(ret_list, count, sizeof(*ret_list), revision_order);
	return count;
}

/*
 * Everything that the revision needs is in place before the store (release); a door reads the word
 * once a packet. The fallback follows, for the case that somebody later writes a number that is not
 * hot; after a flip by hand the doors have it follow.
 */
int kernel_switch(struct kernel *kernel, uint32_t revision)
{
	if (!kernel_is_hot(kernel, revision))
		return -ENOENT;
	__atomic_store_n(MAPPED(kernel, MAP_ACTIVE, uint32_t), revision, __ATOMIC_RELEASE);
	__atomic_store_n(&control_of(kernel)->fallback, revision, __ATOMIC_RELEASE);
	return 0;
}

/*
 * To where it is already nothing flips, and the marks stay: endpoints that come and go must not
 * begin a new measurement.
 */
int kernel_flip(struct kernel *kernel, uint32_t revision)
{
	bool is_flip = kernel_obeyed(kernel) != revision;
	int err = kernel_switch(kernel, revision);

	if (!err && is_flip)
		versions_mark(kernel);
	return err;
}

/* --- looking inside --- */

uint32_t kernel_endpoint_limit(const struct kernel *kernel)
{
	return kernel->map[MAP_ENDPOINTS].entries;
}

const struct sl_endpoint *kernel_endpoint(const struct kernel *kernel, uint32_t index)
{
	return index < kernel_endpoint_limit(kernel)
		       ? MAPPED(kernel, MAP_ENDPOINTS, struct sl_endpoint) + index
		       : NULL;
}

uint32_t kernel_ring_word(const struct kernel *kernel, uint32_t version, uint32_t place)
{
	uint32_t at = (uint32_t)kernel_version(kernel, version)->ring + place;

	if (at / 2 >= kernel->map[MAP_RINGS].entries)
		return UINT32_MAX;
	return MAPPED(kernel, MAP_RINGS, struct sl_pair)[at / 2].at[at & 1];
}

#define BATCH 1024

int map_walk(const struct map *map, int (*each)(void *context, void *key, void *value),
	     void *context)
{
	_cleanup_free_ char *keys = malloc((size_t)BATCH * map->key_size);
	_cleanup_free_ char *values = malloc((size_t)BATCH * map->value_size);
	uint32_t cursor = 0, count;
	void *in = NULL;
	int err = 0, end = 0;

	if (!keys || !values)
		return -ENOMEM;
	while (!err && !end) {
		count = BATCH;
		end = bpf_map_lookup_batch(map->fd, in, &cursor, keys, values, &count, NULL);
		if (end && errno != ENOENT)
			return -errno;
		in = &cursor;
		for (uint32_t i = 0; i < count && !err; i++)
			err = each(context, keys + (size_t)i * map->key_size,
				   values + (size_t)i * map->value_size);
	}
	return err;
}

static int walk_count(void *context, void *key, void *value)
{
	++*(uint32_t *)context;
	return 0;
}

static uint32_t hash_used(const struct map *map)
{
	uint32_t count = 0;

	return map_walk(map, walk_count, &count) ? 0 : count;
}

static uint32_t versions_used(const struct kernel *kernel)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++)
		count += kernel_version(kernel, i)->used != 0;
	return count;
}

static uint32_t endpoints_used(const struct kernel *kernel)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < kernel_endpoint_limit(kernel); i++)
		count += kernel_endpoint(kernel, i)->used != 0;
	return count;
}

static uint32_t vips_used(const struct kernel *kernel)
{
	const struct sl_vip *vips = MAPPED(kernel, MAP_VIPS, struct sl_vip);
	uint32_t count = 0;

	for (uint32_t i = 0; i < kernel->map[MAP_VIPS].entries; i++)
		count += vips[i].used != 0;
	return count;
}

static uint32_t ring_words_used(const struct kernel *kernel)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < kernel_version_limit(kernel); i++)
		count += kernel_version(kernel, i)->ring >> 32;
	return count;
}

size_t kernel_fill(const struct kernel *kernel, bool with_flows, struct kernel_fill *ret_fill)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = 0;

#define FILL(id, n, total) ret_fill[count++] = (struct kernel_fill){ map_names[id], (n), (total) }
	FILL(MAP_REVISIONS, kernel_revisions(kernel, hot), SL_HOT_MAX);
	FILL(MAP_SERVICES, hash_used(&kernel->map[MAP_SERVICES]),
	     kernel->map[MAP_SERVICES].entries);
	FILL(MAP_VERSIONS, versions_used(kernel), kernel_version_limit(kernel));
	FILL(MAP_ENDPOINTS, endpoints_used(kernel), kernel_endpoint_limit(kernel));
	FILL(MAP_VIPS, vips_used(kernel), kernel->map[MAP_VIPS].entries);
	FILL(MAP_RINGS, ring_words_used(kernel), kernel->map[MAP_RINGS].entries * 2);
	FILL(MAP_DEVICES, hash_used(&kernel->map[MAP_DEVICES]), kernel->map[MAP_DEVICES].entries);
	if (with_flows) {
		FILL(MAP_FLOWS, ways_used(kernel), kernel->map[MAP_FLOWS].entries * SL_WAYS);
		FILL(MAP_FRAGMENTS, hash_used(&kernel->map[MAP_FRAGMENTS]),
		     kernel->map[MAP_FRAGMENTS].entries);
	}
#undef FILL
	return count;
}
