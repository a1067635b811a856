/* SPDX-License-Identifier: Apache-2.0 */
/* A hash from content to the ordinal of an equal element, for lists that hold equal things once. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern_place {
	uint32_t hash;
	uint32_t ordinal_1; /* ordinal + 1; 0: free */
};

/* All zero is an empty one; its places are a talloc child of the parent given to intern_put. */
struct intern {
	struct intern_place *places;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

#define INTERN_NONE UINT32_MAX

/* Is the list's element the one that the key describes? */
typedef bool (*intern_same)(const void *list, uint32_t ordinal, const void *key);

/* The ordinal of the element that is the same, or INTERN_NONE. */
uint32_t intern_find(const struct intern *table, uint32_t hash, intern_same same, const void *list,
		     const void *key);

/* Adds one that intern_find does not find. 0 or -ENOMEM. */
int intern_put(void *parent, struct intern *table, uint32_t hash, uint32_t ordinal);

/* FNV-1a, continued from `hash`; begin with INTERN_HASH. Never leaves the process. */
#define INTERN_HASH 2166136261u
uint32_t intern_hash(uint32_t hash, const void *bytes, size_t size);
