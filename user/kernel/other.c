// SPDX-License-Identifier: Apache-2.0
/*
 * Another release's maps, read by what it says of them (bpf/layout.h): its endpoints and VIPs are
 * found in ours by what they are.
 */
#include "other.h"

#include "../base/cleanup.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <talloc.h>

/* How ours are found again. */
struct endpoint_key {
	uint32_t addr[4];
	uint32_t version;
	uint32_t port;
};
struct vip_key {
	uint32_t addr[4];
	uint16_t port;
	uint16_t protocol;
};

static struct endpoint_key endpoint_key_of(const struct sl_endpoint *endpoint)
{
	struct endpoint_key key = { .version = endpoint->version, .port = endpoint->port };

	memcpy(key.addr, endpoint->addr, sizeof(key.addr));
	return key;
}

static struct vip_key vip_key_of(const struct sl_vip *vip)
{
	struct vip_key key = { .port = vip->port, .protocol = vip->protocol };

	memcpy(key.addr, vip->addr, sizeof(key.addr));
	return key;
}

/* --- opening --- */

static int other_free(struct other *other)
{
	struct table *tables[] = { &other->flows, &other->spilled, &other->endpoints, &other->vips,
				   &other->versions };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i]->at)
			munmap((void *)tables[i]->at, tables[i]->size);
	if (other->our_spilled)
		munmap((void *)other->our_spilled, other->our_spilled_size);
	ways_unmap(&other->ways);
	return 0;
}

/* `record`: the size that a value must have by what the other says of it. */
static int table_open(const char *pin_dir, enum map_id id, uint32_t record, struct table *ret_table)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	struct table table;
	char path[320];
	void *data;
	int err = path_join(path, sizeof(path), pin_dir, map_names[id]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.value_size != record || !(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	table.entries = info.max_entries;
	table.stride = (info.value_size + 7) & ~7ul;
	table.size = (table.entries * table.stride + page - 1) / page * page;
	data = mmap(NULL, table.size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	table.at = data;
	*ret_table = table;
	return 0;
}

static bool fits(uint32_t at, uint32_t size, uint32_t within)
{
	return at <= within && size <= within - at;
}

static bool bits_fit(struct sl_layout_bits bits, uint32_t most)
{
	return bits.count && bits.count <= most && bits.at + bits.count <= 64;
}

/* What it says must be possible: it is read without looking again. */
static bool layout_is_sound(const struct sl_layout *layout)
{
	const struct sl_layout_record *endpoints = &layout->endpoints, *vips = &layout->vips;
	const struct sl_layout_record *versions = &layout->versions;

	return !((layout->tag_at | layout->word_at | layout->way_size | layout->bucket_size) & 7) &&
	       layout->ways && (uint32_t)layout->ways * layout->way_size <= layout->bucket_size &&
	       fits(layout->tag_at, 8, layout->way_size) &&
	       fits(layout->word_at, 8, layout->way_size) && bits_fit(layout->endpoint, 32) &&
	       bits_fit(layout->vip, 32) && bits_fit(layout->seen, 32) && layout->tick_ns &&
	       layout->seen_shift < 32 && fits(endpoints->addr, 16, endpoints->size) &&
	       fits(endpoints->port, 2, endpoints->size) &&
	       fits(endpoints->more, 4, endpoints->size) && fits(vips->addr, 16, vips->size) &&
	       fits(vips->port, 2, vips->size) && fits(vips->more, 1, vips->size) &&
	       versions->most && fits(versions->more, versions->most, versions->size);
}

static int tables_open(struct other *other)
{
	const struct sl_layout *layout = &other->layout;
	const char *from = other->dir;
	int err = layout_read(from, &other->layout);

	if (!err && !layout_is_sound(layout))
		err = -EPROTO;
	if (!err)
		err = table_open(from, MAP_FLOWS, layout->bucket_size, &other->flows);
	if (!err)
		err = table_open(from, MAP_SPILLED, 8, &other->spilled);
	if (!err)
		err = table_open(from, MAP_ENDPOINTS, layout->endpoints.size, &other->endpoints);
	if (!err)
		err = table_open(from, MAP_VIPS, layout->vips.size, &other->vips);
	if (!err)
		err = table_open(from, MAP_VERSIONS, layout->versions.size, &other->versions);
	return err;
}

static int ours_index(struct other *other)
{
	const struct kernel *kernel = other->kernel;

	for (uint32_t i = 0; i < kernel_endpoint_limit(kernel); i++) {
		const struct sl_endpoint *endpoint = kernel_endpoint(kernel, i);
		struct endpoint_key *key;

		if (!endpoint->used)
			continue;
		key = talloc(other->endpoint_index, struct endpoint_key);
		if (!key)
			return -ENOMEM;
		*key = endpoint_key_of(endpoint);
		if (index_put(other->endpoint_index, key, sizeof(*key), i))
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < kernel->map[MAP_VIPS].entries; i++) {
		const struct sl_vip *vip = MAPPED(kernel, MAP_VIPS, struct sl_vip) + i;
		struct vip_key *key;

		if (!vip->used)
			continue;
		key = talloc(other->vip_index, struct vip_key);
		if (!key)
			return -ENOMEM;
		*key = vip_key_of(vip);
		if (index_put(other->vip_index, key, sizeof(*key), i))
			return -ENOMEM;
	}
	return 0;
}

static int ours_open(struct other *other)
{
	const struct map *spilled = &other->kernel->map[MAP_SPILLED];
	void *data = mmap(NULL, spilled->size, PROT_READ | PROT_WRITE, MAP_SHARED, spilled->fd, 0);

	if (data == MAP_FAILED)
		return -errno;
	other->our_spilled = data;
	other->our_spilled_size = spilled->size;
	other->endpoint_index = index_new(other, 1024);
	other->vip_index = index_new(other, 1024);
	other->endpoint_at = talloc_array(other, uint32_t, other->endpoints.entries);
	other->vip_at = talloc_array(other, uint32_t, other->vips.entries);
	if (!other->endpoint_index || !other->vip_index || !other->endpoint_at || !other->vip_at)
		return -ENOMEM;
	memset(other->endpoint_at, 0xff, other->endpoints.entries * sizeof(uint32_t));
	memset(other->vip_at, 0xff, other->vips.entries * sizeof(uint32_t));
	other->has_our_homes = layout_has_our_homes(&other->layout) &&
			       other->flows.entries == other->kernel->map[MAP_FLOWS].entries;
	return ways_map(other->kernel, &other->ways);
}

int other_open(void *parent, struct kernel *kernel, const char *dir, struct diags *diags,
	       struct other **ret_other)
{
	_cleanup_talloc_ struct other *other = talloc_zero(parent, struct other);
	int err;

	if (!other)
		return -ENOMEM;
	talloc_set_destructor(other, other_free);
	other->kernel = kernel;
	other->diags = diags;
	other->dir = talloc_strdup(other, dir);
	if (!other->dir)
		return -ENOMEM;
	err = tables_open(other);
	if (!err)
		err = ours_open(other);
	if (!err)
		err = ours_index(other);
	if (err)
		return err;
	*ret_other = TAKE_PTR(other);
	return 0;
}

/* --- endpoints and VIPs: found by what they are, or given a place --- */

const uint8_t *record_at(const struct table *table, uint32_t index)
{
	return index < table->entries ? table->at + index * table->stride : NULL;
}

static int place_full(struct other *other, enum map_id id)
{
	uint64_t value;
	const char *option =
		map_option(other->kernel, id, 2ull * other->kernel->map[id].entries, &value);

	diag_add(other->diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "the map \"%s\" has no room for what live connections name: start with %s %llu",
		 map_names[id], option, (unsigned long long)value);
	return -ENOSPC;
}

/* A version that no hot revision names lives on as long as its connections do. */
static int version_place(struct other *other, uint32_t index, uint32_t *ret_index)
{
	const struct sl_layout_record *record = &other->layout.versions;
	const uint8_t *theirs = record_at(&other->versions, index);
	struct sl_version *ours = MAPPED(other->kernel, MAP_VERSIONS, struct sl_version);
	uint32_t limit = kernel_version_limit(other->kernel);
	char key[SL_VERSION_KEY_MAX] = "";

	if (!theirs)
		return -ENOENT;
	memcpy(key, theirs + record->more,
	       record->most < sizeof(key) ? record->most : sizeof(key) - 1);
	if (!*key)
		return -ENOENT;
	if (!kernel_version_find(other->kernel, key, ret_index))
		return 0;
	while (other->next_version < limit && ours[other->next_version].used)
		other->next_version++;
	if (other->next_version == limit)
		return place_full(other, MAP_VERSIONS);
	*ret_index = other->next_version++;
	memcpy(ours[*ret_index].key, key, sizeof(key));
	ours[*ret_index].used = 1;
	return 0;
}

static int endpoint_add(struct other *other, const struct sl_endpoint *endpoint,
			uint32_t *ret_index)
{
	struct sl_endpoint *ours = MAPPED(other->kernel, MAP_ENDPOINTS, struct sl_endpoint);
	uint32_t limit = kernel_endpoint_limit(other->kernel);
	struct addr addr;

	while (other->next_endpoint < limit && ours[other->next_endpoint].used)
		other->next_endpoint++;
	if (other->next_endpoint == limit)
		return place_full(other, MAP_ENDPOINTS);
	*ret_index = other->next_endpoint++;
	ours[*ret_index] = *endpoint;
	addr_from_words(endpoint->addr, &addr);
	known_add(other->kernel, &addr, ntohs(endpoint->port));
	return 0;
}

static int endpoint_place(struct other *other, uint32_t index, uint32_t *ret_index)
{
	const struct sl_layout_record *record = &other->layout.endpoints;
	const uint8_t *theirs = record_at(&other->endpoints, index);
	struct sl_endpoint endpoint = { .used = 1 };
	struct endpoint_key *key;
	uint32_t version;
	int err;

	if (!theirs)
		return -ENOENT;
	memcpy(endpoint.addr, theirs + record->addr, sizeof(endpoint.addr));
	memcpy(&endpoint.port, theirs + record->port, sizeof(endpoint.port));
	memcpy(&version, theirs + record->more, sizeof(version));
	err = version_place(other, version, &endpoint.version);
	if (err)
		return err;
	key = talloc(other->endpoint_index, struct endpoint_key);
	if (!key)
		return -ENOMEM;
	*key = endpoint_key_of(&endpoint);
	if (!index_find(other->endpoint_index, key, sizeof(*key), ret_index))
		return 0;
	err = endpoint_add(other, &endpoint, ret_index);
	return err ? err : index_put(other->endpoint_index, key, sizeof(*key), *ret_index);
}

static int vip_add(struct other *other, const struct sl_vip *vip, uint32_t *ret_index)
{
	struct sl_vip *ours = MAPPED(other->kernel, MAP_VIPS, struct sl_vip);
	uint32_t limit = other->kernel->map[MAP_VIPS].entries;
	struct addr addr;

	while (other->next_vip < limit && ours[other->next_vip].used)
		other->next_vip++;
	if (other->next_vip == limit)
		return place_full(other, MAP_VIPS);
	*ret_index = other->next_vip++;
	ours[*ret_index] = *vip;
	addr_from_words(vip->addr, &addr);
	known_add(other->kernel, &addr, ntohs(vip->port));
	return 0;
}

static int vip_place(struct other *other, uint32_t index, uint32_t *ret_index)
{
	const struct sl_layout_record *record = &other->layout.vips;
	const uint8_t *theirs = record_at(&other->vips, index);
	struct sl_vip vip = { .used = 1 };
	struct vip_key *key;
	int err;

	if (!theirs)
		return -ENOENT;
	memcpy(vip.addr, theirs + record->addr, sizeof(vip.addr));
	memcpy(&vip.port, theirs + record->port, sizeof(vip.port));
	vip.protocol = theirs[record->more];
	if (!vip.port)
		return -ENOENT;
	key = talloc(other->vip_index, struct vip_key);
	if (!key)
		return -ENOMEM;
	*key = vip_key_of(&vip);
	if (!index_find(other->vip_index, key, sizeof(*key), ret_index))
		return 0;
	err = vip_add(other, &vip, ret_index);
	return err ? err : index_put(other->vip_index, key, sizeof(*key), *ret_index);
}

/* A record that is damaged is nobody's; everything else that fails ends the copy. */
static int place_of(struct other *other, uint32_t index, uint32_t *places, uint32_t limit,
		    int (*find)(struct other *other, uint32_t index, uint32_t *ret_index),
		    uint32_t *ret_place)
{
	int err = 0;

	if (index >= limit) {
		*ret_place = NOWHERE;
		return 0;
	}
	if (places[index] == UNKNOWN)
		err = find(other, index, &places[index]);
	if (err == -ENOENT) {
		places[index] = NOWHERE;
		err = 0;
	}
	*ret_place = places[index];
	return err;
}

int endpoint_ours(struct other *other, uint32_t index, uint32_t *ret_index)
{
	return place_of(other, index, other->endpoint_at, other->endpoints.entries, endpoint_place,
			ret_index);
}

int vip_ours(struct other *other, uint32_t index, uint32_t *ret_index)
{
	return place_of(other, index, other->vip_at, other->vips.entries, vip_place, ret_index);
}

/* --- */

static int device_copy(void *context, void *key, void *value)
{
	const struct other *other = context;

	return bpf_map_update_elem(other->kernel->map[MAP_DEVICES].fd, key, value, BPF_ANY) ? -errno
											    : 0;
}

int other_devices(struct other *other)
{
	struct map map = { .key_size = 4, .value_size = 4 };
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	char path[320];
	int err = path_join(path, sizeof(path), other->dir, map_names[MAP_DEVICES]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.key_size != 4 || info.value_size != 4)
		return -EPROTO;
	map.fd = fd;
	return map_walk(&map, device_copy, other);
}
