// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"
#include "sluice_tc.skel.h"
#include "sluice_xdp.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

/* --- sizes --- */

static uint32_t at_least(uint64_t wanted, uint32_t least)
{
	return wanted > UINT32_MAX ? UINT32_MAX : wanted > least ? wanted : least;
}

static uint32_t at_most(uint32_t wanted, uint32_t most)
{
	return wanted < most ? wanted : most;
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t size = 1;

	while (size < least && size < 1u << 31)
		size *= 2;
	return size;
}

static uint32_t map_entries(const struct kernel_settings *settings, enum map_id id)
{
	uint64_t groups = settings->slots / SL_SLOTS_PER_GROUP;

	switch (id) {
	case MAP_SERVICES: /* one revision more than stays: the one being written */
		return at_least((uint64_t)settings->services * (SL_HOT_MIN + 1), 1024);
	case MAP_RULES:
		return at_least((uint64_t)settings->services * 4, 16384);
	case MAP_SLOTS: /* tables are shared by content: 512 different ones, or one for 32 services
			 */
		return at_least(groups * at_least(settings->services / 32, 512), 4096);
	case MAP_MEMBERS:
		return at_least((uint64_t)settings->services * 16, 65536);
	case MAP_VERSIONS:
	case MAP_STATS:
		return settings->versions;
	case MAP_RINGS: /* pairs: 512 words a version in the mean */
		return at_least((uint64_t)settings->versions * 256, 65536);
	case MAP_ENDPOINTS:
		return settings->endpoints;
	case MAP_VIPS: /* of the hot revisions together */
		return at_most(at_least(settings->services * 2ull, 1024), SL_VIPS_MAX);
	case MAP_KNOWN: /* 4 bits for each that there may be, so that few others share one */
		return power_of_two((map_entries(settings, MAP_VIPS) + settings->endpoints) / 16);
	case MAP_FLOWS: /* two ways a connection, and half of the table stays free */
		return power_of_two(at_least(settings->flows / (SL_WAYS / 4), 64));
	case MAP_SPILLED:
		return map_entries(settings, MAP_FLOWS) / 64;
	default:
		return 0; /* as bpf/maps.h says */
	}
}

/* The other way round. */
const char *map_option(const struct kernel *kernel, enum map_id id, uint64_t entries,
		       uint64_t *ret_value)
{
	uint64_t groups = kernel_slots(kernel) / SL_SLOTS_PER_GROUP, least = entries;
	const char *option = "--services";

	switch (id) {
	case MAP_RULES:
		least = entries / 4 + 1;
		break;
	case MAP_SLOTS:
		least = entries * 32 / (groups ? groups : 1) + 1;
		break;
	case MAP_MEMBERS:
		least = entries / 16 + 1;
		break;
	case MAP_VIPS:
		least = entries / 2 + 1;
		break;
	case MAP_RINGS:
		least = entries / 256 + 1;
		option = "--versions";
		break;
	default:
		option = id == MAP_VERSIONS ? "--versions" : "--endpoints";
	}
	*ret_value = power_of_two(least < 1u << 31 ? least : 1u << 31);
	return option;
}

/* A map that is pinned already keeps its size: the flows in it are worth more than a larger table.
 */
uint32_t map_pinned_entries(const char *pin_dir, enum map_id id)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	char path[320];

	if (path_join(path, sizeof(path), pin_dir, map_names[id]))
		return 0;

	_cleanup_close_ int fd = bpf_obj_get(path);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) ? info.max_entries : 0;
}

static int map_prepare(const char *pin_dir, const struct kernel_settings *settings, enum map_id id,
		       struct bpf_map *map, struct diags *diags)
{
	uint32_t wanted = map_entries(settings, id), pinned;
	char path[320];
	int err = path_join(path, sizeof(path), pin_dir, map_names[id]);

	if (err)
		return err;
	pinned = map_pinned_entries(pin_dir, id);
	if (pinned && wanted && pinned != wanted && diags)
		diag_add(diags, DIAG_WARNING, path, 0, 0, NULL,
			 "stays at %u entries (%u were asked for): sluiced --detach first to "
			 "change it",
			 pinned, wanted);
	if (pinned || wanted)
		err = bpf_map__set_max_entries(map, pinned ? pinned : wanted);
	return err ? err : bpf_map__set_pin_path(map, path);
}

static int maps_prepare(struct bpf_object *object, const char *pin_dir,
			const struct kernel_settings *settings, struct diags *diags)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map;
		char name[32];
		int err;

		snprintf(name, sizeof(name), "sl_%s", map_names[i]);
		map = bpf_object__find_map_by_name(object, name);
		/* A door has the maps that it uses; the other brings the rest. */
		if (!map)
			continue;
		err = map_prepare(pin_dir, settings, i, map, diags);
		if (err)
			return err;
	}
	return 0;
}

/* --- doors --- */

/* Pinned aside and renamed, so that there is a whole program under the name at every moment. */
static int program_pin(const char *pin_dir, const char *name, const struct bpf_program *program)
{
	char path[320], aside[320];
	int err = path_join(path, sizeof(path), pin_dir, name);

	if (!err)
		err = path_join(aside, sizeof(aside), pin_dir, "prog_new");
	if (err)
		return err;
	if (unlink(aside) && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(bpf_program__fd(program), aside))
		return -errno;
	return rename(aside, path) ? -errno : 0;
}

/* Of maps that are there already, seed and clock stay: others would lose every flow. */
static void control_find(const char *pin_dir, const struct kernel_settings *settings,
			 struct sl_control *ret_control)
{
	uint32_t zero = 0;
	char path[320];

	control_fill(settings, ret_control);
	if (path_join(path, sizeof(path), pin_dir, map_names[MAP_CONTROL]))
		return;

	struct sl_control pinned;
	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &pinned) && pinned.abi)
		*ret_control = pinned;
}

static uint32_t object_entries(const struct bpf_object *object, const char *name)
{
	return bpf_map__max_entries(bpf_object__find_map_by_name(object, name));
}

static void settings_fill(const struct plane *plane, const struct bpf_object *object,
			  struct sl_settings *ret_settings)
{
	struct sl_layout layout;
	struct sl_control made;

	control_find(plane->pin_dir, plane->settings, &made);
	door_settings(plane->settings, &made, object_entries(object, "sl_flows"),
		      object_entries(object, "sl_known"), ret_settings);
	layout_find(plane, &made, &layout);
	layout_keys(&layout, &ret_settings->flow_keys);
}

static void cleanup_tc_p(struct sluice_tc **skeleton)
{
	if (*skeleton)
		sluice_tc__destroy(*skeleton);
}

static void cleanup_xdp_p(struct sluice_xdp **skeleton)
{
	if (*skeleton)
		sluice_xdp__destroy(*skeleton);
}

/*
 * The doors' clock against this process's: read by running a program once. A run takes less than a
 * tick.
 */
static int clock_read(int program, uint32_t *ret_offset)
{
	char frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);
	struct timespec now;

	if (bpf_prog_test_run_opts(program, &opts))
		return -errno;
	clock_gettime(CLOCK_MONOTONIC, &now);
	*ret_offset = opts.retval -
		      (uint32_t)((now.tv_sec * 1000000000ull + now.tv_nsec) / clock_tick_ns());
	return 0;
}

static int tc_load(const struct plane *plane, uint32_t *ret_clock)
{
	__attribute__((cleanup(cleanup_tc_p))) struct sluice_tc *skeleton = sluice_tc__open();
	const char *pin_dir = plane->pin_dir;
	int err;

	if (!skeleton)
		return -errno;
	err = maps_prepare(skeleton->obj, pin_dir, plane->settings, plane->diags);
	if (!err) {
		settings_fill(plane, skeleton->obj,
			      (struct sl_settings *)&skeleton->rodata->settings);
		err = sluice_tc__load(skeleton);
	}
	if (!err)
		err = clock_read(bpf_program__fd(skeleton->progs.sl_clock), ret_clock);
	if (!err)
		err = program_pin(pin_dir, "prog_tc_in", skeleton->progs.sl_tc_in);
	return err ? err : program_pin(pin_dir, "prog_tc_out", skeleton->progs.sl_tc_out);
}

static int xdp_load(const struct plane *plane)
{
	__attribute__((cleanup(cleanup_xdp_p))) struct sluice_xdp *skeleton = sluice_xdp__open();
	int err;

	if (!skeleton)
		return -errno;
	err = maps_prepare(skeleton->obj, plane->pin_dir, plane->settings, NULL);
	if (!err) {
		settings_fill(plane, skeleton->obj,
			      (struct sl_settings *)&skeleton->rodata->settings);
		err = sluice_xdp__load(skeleton);
	}
	return err ? err : program_pin(plane->pin_dir, "prog_xdp", skeleton->progs.sl_xdp);
}

static int doors_load(const struct plane *plane, uint32_t *ret_clock)
{
	libbpf_print_fn_t before = libbpf_set_print(refusal_keep);
	int err;

	refusal_forget();
	err = tc_load(plane, ret_clock);
	if (!err)
		err = xdp_load(plane);
	libbpf_set_print(before);
	if (err)
		refusal_say(plane->diags, err);
	return err;
}

/*
 * New maps have no ABI yet: this gives it, last of all, so that a start that never ended is taken
 * for none.
 */
static int control_make(const struct plane *plane, uint32_t clock)
{
	struct sl_control control;
	uint32_t zero = 0;
	char path[320];
	int err = path_join(path, sizeof(path), plane->pin_dir, map_names[MAP_CONTROL]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	control_fill(plane->settings, &control);
	control.tick_offset = clock;
	control.fallback = plane->active;
	err = layout_write(plane, &control);
	if (err)
		return err;
	return bpf_map_update_elem(fd, &zero, &control, BPF_ANY) ? -errno : 0;
}

/* Of maps that were made before there was such a record. */
static int layout_mend(const struct plane *plane)
{
	struct sl_control control;

	control_find(plane->pin_dir, plane->settings, &control);
	return layout_write(plane, &control);
}

int plane_load(const struct plane *plane, bool is_new, struct kernel **ret_kernel)
{
	uint32_t clock = 0;
	int err = doors_load(plane, &clock);

	if (err)
		return err;
	err = is_new ? control_make(plane, clock) : layout_mend(plane);
	if (!err)
		err = kernel_open(plane->pin_dir, ret_kernel);
	if (err)
		diag_add(plane->diags, DIAG_ERROR, plane->pin_dir, 0, 0, NULL,
			 "cannot open the maps just made: %s", strerror(-err));
	return err;
}

int doors_again(const struct kernel *kernel, int ret_programs[2])
{
	__attribute__((cleanup(cleanup_tc_p))) struct sluice_tc *skeleton = sluice_tc__open();
	_cleanup_close_ int loaded = program_get(kernel, "prog_tc_in");
	int err;

	if (!skeleton)
		return -errno;
	if (loaded < 0)
		return loaded;
	bpf_program__set_autoload(skeleton->progs.sl_clock, false);
	err = settings_copy(loaded, skeleton->maps.rodata);
	if (!err)
		err = maps_share(kernel, skeleton->obj);
	if (!err)
		err = sluice_tc__load(skeleton);
	if (err)
		return err;
	ret_programs[0] = fcntl(bpf_program__fd(skeleton->progs.sl_tc_in), F_DUPFD_CLOEXEC, 0);
	ret_programs[1] = fcntl(bpf_program__fd(skeleton->progs.sl_tc_out), F_DUPFD_CLOEXEC, 0);
	return ret_programs[0] < 0 || ret_programs[1] < 0 ? -errno : 0;
}
