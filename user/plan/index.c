// SPDX-License-Identifier: Apache-2.0
#include "index.h"

#include <errno.h>
#include <talloc.h>

uint32_t index_hash(uint32_t hash, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 16777619u;
	return hash;
}

uint32_t index_find(const struct index *index, uint32_t hash, index_same same, const void *list,
		    const void *key)
{
	if (!index->size)
		return INDEX_NONE;
	for (size_t at = hash;; at++) {
		const struct index_place *place = &index->places[at & (index->size - 1)];

		if (!place->ordinal_1)
			return INDEX_NONE;
		if (place->hash == hash && same(list, place->ordinal_1 - 1, key))
			return place->ordinal_1 - 1;
	}
}

static void place_put(struct index *index, struct index_place new)
{
	size_t at = new.hash;

	while (index->places[at & (index->size - 1)].ordinal_1)
		at++;
	index->places[at & (index->size - 1)] = new;
}

static int index_grow(void *parent, struct index *index)
{
	struct index old = *index;
	size_t size = old.size ? old.size * 2 : 64;
	struct index_place *places = talloc_zero_array(parent, struct index_place, (unsigned)size);

	if (!places)
		return -ENOMEM;
	index->places = places;
	index->size = size;
	for (size_t i = 0; i < old.size; i++) {
		if (old.places[i].ordinal_1)
			place_put(index, old.places[i]);
	}
	talloc_free(old.places);
	return 0;
}

int index_put(void *parent, struct index *index, uint32_t hash, uint32_t ordinal)
{
	/* At most half full: probes stay short, and a search always meets a free place. */
	if (index->count * 2 >= index->size) {
		int err = index_grow(parent, index);

		if (err)
			return err;
	}
	place_put(index, (struct index_place){ .hash = hash, .ordinal_1 = ordinal + 1 });
	index->count++;
	return 0;
}
