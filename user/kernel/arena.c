// SPDX-License-Identifier: Apache-2.0
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <talloc.h>

/* Pages of the kernel's: of millions of places a change looks at a few. */
struct arena_pages {
	void *bytes;
	size_t size;
};

static int pages_free(struct arena_pages *pages)
{
	return munmap(pages->bytes, pages->size);
}

int arena_init(void *parent, struct arena *arena, uint32_t size, uint32_t cursor)
{
	struct arena_pages *pages = talloc(parent, struct arena_pages);

	if (!pages)
		return -ENOMEM;
	pages->size = size ? size : 1;
	pages->bytes = mmap(NULL, pages->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pages->bytes == MAP_FAILED) {
		talloc_free(pages);
		return -ENOMEM;
	}
	talloc_set_destructor(pages, pages_free);
	arena->used = pages->bytes;
	arena->size = size;
	arena->cursor = cursor < size ? cursor : 0;
	arena->wrapped = false;
	arena->taken = 0;
	return 0;
}

void arena_mark(struct arena *arena, uint32_t base, uint32_t count)
{
	if (base < arena->size && count <= arena->size - base)
		memset(arena->used + base, 1, count);
}

uint32_t arena_free(const struct arena *arena)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < arena->size; i++)
		count += !arena->used[i];
	return count;
}

/* The first free run of `count` places in [from, to). */
static int run_find(const struct arena *arena, uint32_t from, uint32_t to, uint32_t count,
		    uint32_t *ret_base)
{
	uint32_t run = 0;

	for (uint32_t i = from; i < to; i++) {
		run = arena->used[i] ? 0 : run + 1;
		if (run == count) {
			*ret_base = i + 1 - count;
			return 0;
		}
	}
	return -ENOSPC;
}

int arena_take(struct arena *arena, uint32_t count, uint32_t *ret_base)
{
	uint32_t base;

	if (!count || count > arena->size)
		return -ENOSPC;
	if (run_find(arena, arena->cursor, arena->size, count, &base)) {
		/* Round the end: what was freed last may be handed out next. */
		if (run_find(arena, 0, arena->size, count, &base))
			return -ENOSPC;
		arena->wrapped = true;
	}
	memset(arena->used + base, 1, count);
	arena->taken += count;
	arena->cursor = base + count < arena->size ? base + count : 0;
	arena->wrapped |= !arena->cursor;
	*ret_base = base;
	return 0;
}

struct index_entry {
	const void *key;
	size_t size;
	uint32_t value;
};

struct index {
	struct index_entry *entries;
	size_t mask, count;
};

static uint64_t bytes_hash(const void *key, size_t size)
{
	const uint8_t *bytes = key;
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: in-process only, keys are our own */

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

struct index *index_new(void *parent, size_t expected)
{
	struct index *index = talloc_zero(parent, struct index);
	size_t size = 16;

	if (!index)
		return NULL;
	while (size < expected * 2)
		size *= 2;
	index->entries = talloc_zero_array(index, struct index_entry, size);
	index->mask = size - 1;
	if (!index->entries) {
		talloc_free(index);
		return NULL;
	}
	return index;
}

static struct index_entry *entry_for(const struct index *index, const void *key, size_t size)
{
	size_t at = bytes_hash(key, size) & index->mask;

	while (index->entries[at].key &&
	       (index->entries[at].size != size || memcmp(index->entries[at].key, key, size)))
		at = (at + 1) & index->mask;
	return &index->entries[at];
}

int index_find(const struct index *index, const void *key, size_t size, uint32_t *ret_value)
{
	const struct index_entry *entry = entry_for(index, key, size);

	if (!entry->key)
		return -ENOENT;
	*ret_value = entry->value;
	return 0;
}

static int index_grow(struct index *index)
{
	struct index_entry *old = index->entries;
	size_t old_size = index->mask + 1;

	index->entries = talloc_zero_array(index, struct index_entry, old_size * 2);
	if (!index->entries) {
		index->entries = old;
		return -ENOMEM;
	}
	index->mask = old_size * 2 - 1;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].key)
			*entry_for(index, old[i].key, old[i].size) = old[i];
	talloc_free(old);
	return 0;
}

int index_put(struct index *index, const void *key, size_t size, uint32_t value)
{
	struct index_entry *entry;

	if (index->count * 2 > index->mask && index_grow(index))
		return -ENOMEM;
	entry = entry_for(index, key, size);
	index->count += !entry->key;
	*entry = (struct index_entry){ key, size, value };
	return 0;
}
