// SPDX-License-Identifier: Apache-2.0
#include "intern.h"

#include <errno.h>
#include <talloc.h>

uint32_t intern_hash(uint32_t hash, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 16777619u;
	return hash;
}

uint32_t intern_find(const struct intern *table, uint32_t hash, intern_same same, const void *list,
		     const void *key)
{
	if (!table->size)
		return INTERN_NONE;
	for (size_t at = hash;; at++) {
		const struct intern_place *place = &table->places[at & (table->size - 1)];

		if (!place->ordinal_1)
			return INTERN_NONE;
		if (place->hash == hash && same(list, place->ordinal_1 - 1, key))
			return place->ordinal_1 - 1;
	}
}

static void place_put(struct intern *table, struct intern_place new)
{
	size_t at = new.hash;

	while (table->places[at & (table->size - 1)].ordinal_1)
		at++;
	table->places[at & (table->size - 1)] = new;
}

static int intern_grow(void *parent, struct intern *table)
{
	struct intern old = *table;
	size_t size = old.size ? old.size * 2 : 64;
	struct intern_place *places =
		talloc_zero_array(parent, struct intern_place, (unsigned)size);

	if (!places)
		return -ENOMEM;
	table->places = places;
	table->size = size;
	for (size_t i = 0; i < old.size; i++) {
		if (old.places[i].ordinal_1)
			place_put(table, old.places[i]);
	}
	talloc_free(old.places);
	return 0;
}

int intern_put(void *parent, struct intern *table, uint32_t hash, uint32_t ordinal)
{
	/* At most half full: probes stay short, and a search always meets a free place. */
	if (table->count * 2 >= table->size) {
		int err = intern_grow(parent, table);

		if (err)
			return err;
	}
	place_put(table, (struct intern_place){ .hash = hash, .ordinal_1 = ordinal + 1 });
	table->count++;
	return 0;
}
