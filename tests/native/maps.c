// SPDX-License-Identifier: Apache-2.0
/*
 * Maps in memory: arrays that others may map too, per-CPU arrays of one CPU, hashes, and hashes
 * that forget the least recently used. An entry of a hash is an allocation of its own, so that the
 * address sanitizer sees its end.
 */
#include "maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#define STORES_MAX 256
#define CHAINS 4096u

struct entry {
	LIST_ENTRY(entry) chain;
	TAILQ_ENTRY(entry) age;
	__u8 *key, *value;
};

LIST_HEAD(chain, entry);
TAILQ_HEAD(ages, entry);

struct store {
	__u32 type, key_size, value_size, entries, holders;
	int fd;
	__u8 *room; /* of an array: its elements, and the page behind them */
	size_t room_size;
	struct chain chains[CHAINS];
	struct ages ages; /* oldest first */
	__u32 count;
};

static struct store *stores[STORES_MAX];

static bool is_array(const struct store *store)
{
	return store->type == BPF_MAP_TYPE_ARRAY || store->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static size_t store_stride(const struct store *store)
{
	return (store->value_size + 7u) & ~7u;
}

/* --- hashes --- */

static struct chain *chain_of(struct store *store, const void *key)
{
	const __u8 *bytes = key;
	__u32 hash = 2166136261u;

	for (__u32 i = 0; i < store->key_size; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &store->chains[hash % CHAINS];
}

static struct entry *entry_find(struct store *store, const void *key)
{
	struct entry *entry;

	LIST_FOREACH(entry, chain_of(store, key), chain)
	{
		if (!memcmp(entry->key, key, store->key_size))
			return entry;
	}
	return NULL;
}

static void entry_drop(struct store *store, struct entry *entry)
{
	LIST_REMOVE(entry, chain);
	TAILQ_REMOVE(&store->ages, entry, age);
	store->count--;
	free(entry->key);
	free(entry->value);
	free(entry);
}

static struct entry *entry_new(struct store *store, const void *key)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		native_die("make an entry of a map");
	entry->key = malloc(store->key_size);
	entry->value = malloc(store->value_size);
	if (!entry->key || !entry->value)
		native_die("make an entry of a map");
	memcpy(entry->key, key, store->key_size);
	LIST_INSERT_HEAD(chain_of(store, key), entry, chain);
	TAILQ_INSERT_TAIL(&store->ages, entry, age);
	store->count++;
	return entry;
}

static void entry_use(struct store *store, struct entry *entry)
{
	if (store->type != BPF_MAP_TYPE_LRU_HASH)
		return;
	TAILQ_REMOVE(&store->ages, entry, age);
	TAILQ_INSERT_TAIL(&store->ages, entry, age);
}

static int hash_update(struct store *store, const void *key, const void *value)
{
	struct entry *entry = entry_find(store, key);

	if (!entry && store->count == store->entries) {
		if (store->type != BPF_MAP_TYPE_LRU_HASH)
			return -E2BIG;
		entry_drop(store, TAILQ_FIRST(&store->ages));
	}
	if (!entry)
		entry = entry_new(store, key);
	entry_use(store, entry);
	memcpy(entry->value, value, store->value_size);
	return 0;
}

/* --- maps --- */

/* An array's elements are the file's bytes, with a page behind them that nobody may touch. */
static int room_make(struct store *store)
{
	size_t size = (store->entries * store_stride(store) + 4095) & ~4095ul;
	__u8 *room = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return -1;
	store->room = room;
	store->room_size = size + 4096;
	if (ftruncate(store->fd, size))
		return -1;
	room = mmap(room, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, store->fd, 0);
	return room == MAP_FAILED ? -1 : 0;
}

static void store_free(struct store *store)
{
	while (!TAILQ_EMPTY(&store->ages))
		entry_drop(store, TAILQ_FIRST(&store->ages));
	if (store->room)
		munmap(store->room, store->room_size);
	if (store->fd >= 0)
		close(store->fd);
	free(store);
}

struct store *store_new(const struct native_declared *declared, __u32 entries)
{
	struct store *store = calloc(1, sizeof(*store));
	unsigned place = 0;

	while (place < STORES_MAX && stores[place])
		place++;
	if (!store || place == STORES_MAX) {
		free(store);
		errno = ENOMEM;
		return NULL;
	}
	store->type = declared->type;
	store->key_size = declared->key_size;
	store->value_size = declared->value_size;
	store->entries = entries;
	store->holders = 1;
	TAILQ_INIT(&store->ages);
	store->fd = memfd_create(declared->name, MFD_CLOEXEC);
	if (store->fd < 0 || (is_array(store) && room_make(store))) {
		store_free(store);
		return NULL;
	}
	return stores[place] = store;
}

struct store *store_of(int fd)
{
	for (unsigned i = 0; i < STORES_MAX; i++)
		if (stores[i] && stores[i]->fd == fd)
			return stores[i];
	errno = EBADF;
	return NULL;
}

int store_fd(const struct store *store)
{
	return store->fd;
}

struct store *store_hold(struct store *store)
{
	store->holders++;
	return store;
}

void store_drop(struct store *store)
{
	if (--store->holders)
		return;
	for (unsigned i = 0; i < STORES_MAX; i++)
		if (stores[i] == store)
			stores[i] = NULL;
	store_free(store);
}

/* --- both kinds --- */

static void *store_find(struct store *store, const void *key)
{
	struct entry *entry;
	__u32 index;

	if (is_array(store)) {
		memcpy(&index, key, sizeof(index));
		return index < store->entries ? store->room + index * store_stride(store) : NULL;
	}
	entry = entry_find(store, key);
	return entry ? entry->value : NULL;
}

static int store_update(struct store *store, const void *key, const void *value, __u64 flags)
{
	void *at;

	if (flags != BPF_ANY)
		return -EINVAL;
	if (!is_array(store))
		return hash_update(store, key, value);
	at = store_find(store, key);
	if (!at)
		return -E2BIG;
	memcpy(at, value, store->value_size);
	return 0;
}

/* --- for the programs --- */

static struct store *store_declared(const void *declared)
{
	struct store *store = *(struct store *const *)declared;

	if (!store)
		native_die("look into a map that tests/native/native.h does not name");
	return store;
}

void *native_map_lookup(const void *map, const void *key)
{
	struct store *store = store_declared(map);
	struct entry *entry;

	if (is_array(store))
		return store_find(store, key);
	entry = entry_find(store, key);
	if (!entry)
		return NULL;
	entry_use(store, entry);
	return entry->value;
}

long native_map_update(const void *map, const void *key, const void *value, __u64 flags)
{
	return store_update(store_declared(map), key, value, flags);
}

/* --- for the user half: libbpf's functions --- */

static int said(int err)
{
	errno = -err;
	return err;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	struct store *store = store_of(fd);
	const void *at = store ? store_find(store, key) : NULL;

	if (!at)
		return said(store ? -ENOENT : -EBADF);
	memcpy(value, at, store->value_size);
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct store *store = store_of(fd);
	int err = store ? store_update(store, key, value, flags) : -EBADF;

	return err ? said(err) : 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct store *store = store_of(fd);
	struct entry *entry;

	if (!store || is_array(store))
		return said(store ? -EINVAL : -EBADF);
	entry = entry_find(store, key);
	if (!entry)
		return said(-ENOENT);
	entry_drop(store, entry);
	return 0;
}

/* Of a hash; from a key that is gone it begins all over, as the kernel does. */
int bpf_map_get_next_key(int fd, const void *key, void *next_key)
{
	struct store *store = store_of(fd);
	struct entry *entry;

	if (!store || is_array(store))
		return said(store ? -EINVAL : -EBADF);
	entry = key ? entry_find(store, key) : NULL;
	entry = entry ? TAILQ_NEXT(entry, age) : TAILQ_FIRST(&store->ages);
	if (!entry)
		return said(-ENOENT);
	memcpy(next_key, entry->key, store->key_size);
	return 0;
}
