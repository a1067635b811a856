/* SPDX-License-Identifier: Apache-2.0 */
/* A hash from content to the ordinal of an equal element, for lists that hold equal things once. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_place {
	uint32_t hash;
	uint32_t ordinal_1; /* ordinal + 1; 0: free */
};

/* All zero is an empty one; its places are a talloc child of the parent given to index_put. */
struct index {
	struct index_place *places;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

#define INDEX_NONE UINT32_MAX

/* Is the list's element the one that the key describes? */
typedef bool (*index_same)(const void *list, uint32_t ordinal, const void *key);

/* The ordinal of the element that is the same, or INDEX_NONE. */
uint32_t index_find(const struct index *index, uint32_t hash, index_same same, const void *list,
		    const void *key);

/* Adds one that index_find does not find. 0 or -ENOMEM. */
int index_put(void *parent, struct index *index, uint32_t hash, uint32_t ordinal);

/* FNV-1a, continued from `hash`; begin with INDEX_HASH. Never leaves the process. */
#define INDEX_HASH 2166136261u
uint32_t index_hash(uint32_t hash, const void *bytes, size_t size);
