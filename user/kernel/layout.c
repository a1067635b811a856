// SPDX-License-Identifier: Apache-2.0
/* The record by which releases with other maps read each other's flows: see bpf/layout.h. */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

static void keys_set(struct sl_layout *layout, const struct way_keys *keys)
{
	memcpy(layout->high, keys->high, sizeof(keys->high));
	memcpy(layout->low, keys->low, sizeof(keys->low));
	memcpy(layout->home, keys->home, sizeof(keys->home));
}

bool layout_has_our_tags(const struct sl_layout *layout)
{
	__u64 tag, home;

	layout_probe(layout, &tag, &home);
	return tag == layout->probe_tag;
}

bool layout_has_our_homes(const struct sl_layout *layout)
{
	__u64 tag, home;

	layout_probe(layout, &tag, &home);
	return home == layout->probe_home;
}

/*
 * Tags stay valid when their keys do; who finds buckets otherwise has no use for the other's keys.
 */
static void layout_make(const struct sl_layout *origin, const struct sl_control *made,
			struct sl_layout *ret_layout)
{
	struct sl_layout layout;
	struct way_keys keys;

	memset(&layout, 0, sizeof(layout));
	layout_describe(&layout);
	memcpy(layout.seed, made->seed, sizeof(layout.seed));
	door_keys(made->seed, &keys);
	keys_set(&layout, &keys);
	if (origin) {
		memcpy(layout.high, origin->high, sizeof(layout.high));
		memcpy(layout.low, origin->low, sizeof(layout.low));
		if (layout_has_our_homes(origin))
			memcpy(layout.home, origin->home, sizeof(layout.home));
	}
	layout_probe(&layout, &layout.probe_tag, &layout.probe_home);
	layout.slots = made->slots;
	layout.tick_ns = made->tick_ns;
	layout.tick_offset = made->tick_offset;
	layout.seen_shift = made->seen_shift;
	*ret_layout = layout;
}

int layout_read(const char *pin_dir, struct sl_layout *ret_layout)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0;
	char path[320];
	int err = map_pin_path(pin_dir, map_names[MAP_LAYOUT], path);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;

	/* A later release's is longer, an earlier one's shorter. */
	_cleanup_free_ void *value = calloc(1, info.value_size + sizeof(*ret_layout));

	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	memcpy(ret_layout, value, sizeof(*ret_layout));
	return ret_layout->size ? 0 : -ENOENT;
}

void layout_find(const struct plane *plane, const struct sl_control *made,
		 struct sl_layout *ret_layout)
{
	if (layout_read(plane->pin_dir, ret_layout))
		layout_make(plane->origin, made, ret_layout);
}

int layout_write(const struct plane *plane, const struct sl_control *made)
{
	struct sl_layout layout;
	uint32_t zero = 0;
	char path[320];
	int err = path_join(path, sizeof(path), plane->pin_dir, map_names[MAP_LAYOUT]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	layout_find(plane, made, &layout);
	layout.tick_offset = made->tick_offset;
	return fd < 0 || bpf_map_update_elem(fd, &zero, &layout, BPF_ANY) ? -errno : 0;
}

void kernel_keys(const struct kernel *kernel, struct way_keys *ret_keys)
{
	const struct sl_layout *layout = MAPPED(kernel, MAP_LAYOUT, struct sl_layout);

	if (layout && layout->size)
		layout_keys(layout, ret_keys);
	else
		door_keys(control_of(kernel)->seed, ret_keys);
}
