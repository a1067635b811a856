// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"
#include "sluice_tc.skel.h"
#include "sluice_xdp.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#define BPF_ROOT "/sys/fs/bpf"

static int bpffs_mount(const char *pin_dir, struct diags *diags)
{
	struct statfs fs;

	if (strncmp(pin_dir, BPF_ROOT, strlen(BPF_ROOT)) ||
	    (!statfs(BPF_ROOT, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC))
		return 0;
	if (mount("bpf", BPF_ROOT, "bpf", 0, NULL)) {
		int err = -errno;

		diag_add(diags, DIAG_ERROR, BPF_ROOT, 0, 0, NULL,
			 "no BPF file system, and it cannot be mounted: %s", strerror(-err));
		return err;
	}
	return 0;
}

static int pin_dir_make(const char *pin_dir, struct diags *diags)
{
	char path[320];
	int err = bpffs_mount(pin_dir, diags);

	if (err)
		return err;
	if ((mkdir(pin_dir, 0700) && errno != EEXIST) ||
	    path_join(path, sizeof(path), pin_dir, "links") ||
	    (mkdir(path, 0700) && errno != EEXIST)) {
		err = -errno;
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot make the folder of pins: %s", strerror(-err));
		return err;
	}
	return 0;
}

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

/* The other way round: the option, and its value, that makes a map twice as large. */
const char *map_option(const struct kernel *kernel, enum map_id id, uint64_t *ret_value)
{
	uint64_t wanted = 2ull * kernel->map[id].entries;

	switch (id) {
	case MAP_RULES:
		*ret_value = wanted / 4;
		return "--services";
	case MAP_SLOTS:
		*ret_value = wanted / (kernel_slots(kernel) / SL_SLOTS_PER_GROUP) * 32;
		return "--services";
	case MAP_MEMBERS:
		*ret_value = wanted / 16;
		return "--services";
	case MAP_VIPS:
		*ret_value = wanted / 2;
		return "--services";
	case MAP_RINGS:
		*ret_value = wanted / 256;
		return "--versions";
	default:
		*ret_value = wanted;
		return id == MAP_VERSIONS ? "--versions" : "--endpoints";
	}
}

/* A map that is pinned already keeps its size: the flows in it are worth more than a larger table.
 */
static uint32_t map_pinned_entries(const char *path)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

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
	pinned = map_pinned_entries(path);
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

static void settings_fill(const char *pin_dir, const struct bpf_object *object,
			  const struct kernel_settings *settings, struct sl_settings *ret_settings)
{
	struct sl_control made;

	control_find(pin_dir, settings, &made);
	door_settings(settings, &made, object_entries(object, "sl_flows"),
		      object_entries(object, "sl_known"), ret_settings);
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

static int tc_load(const char *pin_dir, const struct kernel_settings *settings, struct diags *diags,
		   uint32_t *ret_clock)
{
	__attribute__((cleanup(cleanup_tc_p))) struct sluice_tc *skeleton = sluice_tc__open();
	int err;

	if (!skeleton)
		return -errno;
	err = maps_prepare(skeleton->obj, pin_dir, settings, diags);
	if (!err) {
		settings_fill(pin_dir, skeleton->obj, settings,
			      (struct sl_settings *)&skeleton->rodata->settings);
		err = sluice_tc__load(skeleton);
	}
	if (!err)
		err = clock_read(bpf_program__fd(skeleton->progs.sl_clock), ret_clock);
	if (!err)
		err = program_pin(pin_dir, "prog_tc_in", skeleton->progs.sl_tc_in);
	return err ? err : program_pin(pin_dir, "prog_tc_out", skeleton->progs.sl_tc_out);
}

static int xdp_load(const char *pin_dir, const struct kernel_settings *settings)
{
	__attribute__((cleanup(cleanup_xdp_p))) struct sluice_xdp *skeleton = sluice_xdp__open();
	int err;

	if (!skeleton)
		return -errno;
	err = maps_prepare(skeleton->obj, pin_dir, settings, NULL);
	if (!err) {
		settings_fill(pin_dir, skeleton->obj, settings,
			      (struct sl_settings *)&skeleton->rodata->settings);
		err = sluice_xdp__load(skeleton);
	}
	return err ? err : program_pin(pin_dir, "prog_xdp", skeleton->progs.sl_xdp);
}

static int doors_load(const char *pin_dir, const struct kernel_settings *settings,
		      struct diags *diags, uint32_t *ret_clock)
{
	libbpf_print_fn_t before = libbpf_set_print(refusal_keep);
	int err;

	refusal_forget();
	err = tc_load(pin_dir, settings, diags, ret_clock);
	if (!err)
		err = xdp_load(pin_dir, settings);
	libbpf_set_print(before);
	if (err)
		refusal_say(diags, err);
	return err;
}

/*
 * New maps have no ABI yet: this gives it, last of all, so that a start that never ended is taken
 * for none.
 */
static int control_make(const char *pin_dir, const struct kernel_settings *settings, uint32_t clock)
{
	struct sl_control control;
	uint32_t zero = 0;
	char path[320];
	int err = path_join(path, sizeof(path), pin_dir, map_names[MAP_CONTROL]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	control_fill(settings, &control);
	control.tick_offset = clock;
	return fd < 0 || bpf_map_update_elem(fd, &zero, &control, BPF_ANY) ? -errno : 0;
}

/* What may change while the maps stay. The seed may not: another would move every client. */
static void control_update(struct kernel *kernel, const struct kernel_settings *settings,
			   struct diags *diags)
{
	struct sl_control *control = control_of(kernel);

	control->redirect = settings->redirect;
	control->udp_idle_ns = settings->udp_idle_ms * 1000000ull;
	if (memcmp(control->seed, settings->seed, sizeof(control->seed)))
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the seed in the kernel is another than the state folder's: it stays, or "
			 "every client would move");
	if (control->slots != settings->slots)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "slot tables stay at %u slots (%u were asked for): sluiced --detach first "
			 "to change it",
			 control->slots, settings->slots);
}

static int settings_check(const struct kernel_settings *settings, struct diags *diags)
{
	uint32_t slots = settings->slots;

	if (slots >= SL_SLOTS_PER_GROUP && slots <= 65536 && !(slots & (slots - 1)) &&
	    settings->flows && settings->services && settings->versions && settings->endpoints &&
	    settings->endpoints <= SL_ENDPOINTS_MAX && settings->flows <= 1u << 28 &&
	    settings->versions <= 1u << 20)
		return 0;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "sizes must be at least 1 (flows at most 268435456, endpoints 4194302, versions "
		 "1048576), and slots a power of two from 8 to 65536; found %u",
		 slots);
	return -EINVAL;
}

/*
 * `abi` is the first word of `control`. It is 0 while the maps are made and while they are removed:
 * what whoever was killed then has left is not whole, and nobody's.
 */
static int abi_pinned(const char *pin_dir, uint32_t *ret_abi)
{
	char path[320], value[256];
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0;
	int err = path_join(path, sizeof(path), pin_dir, map_names[MAP_CONTROL]);

	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.value_size > sizeof(value))
		return -EPROTO;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	memcpy(ret_abi, value, 4);
	return 0;
}

/* The links' folder goes with what is in it. */
static int leftovers_clear(const char *pin_dir, struct diags *diags)
{
	int err = pins_clear(pin_dir);

	if (err)
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot remove what a start or a detach that never ended has left: %s",
			 strerror(-err));
	return err ? err : pin_dir_make(pin_dir, diags);
}

int kernel_create(const char *pin_dir, const struct kernel_settings *settings, struct diags *diags,
		  struct kernel **ret_kernel)
{
	struct kernel *kernel;
	uint32_t abi = 0, clock = 0;
	bool is_new;
	int err = settings_check(settings, diags);

	pin_dir = pin_dir ? pin_dir : SL_PIN_DIR;
	if (!err)
		err = pin_dir_make(pin_dir, diags);
	if (err)
		return err;
	err = abi_pinned(pin_dir, &abi);
	is_new = err == -ENOENT || (!err && !abi);
	if (err && !is_new && err != -EPROTO) {
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot read the maps pinned there: %s", strerror(-err));
		return err;
	}
	if (!is_new && abi != SL_ABI) {
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "holds maps of ABI %u, this program speaks %u: use the sluiced that made "
			 "them, or sluiced --detach first",
			 abi, SL_ABI);
		return -EPROTO;
	}
	err = is_new ? leftovers_clear(pin_dir, diags) : 0;
	if (!err)
		err = doors_load(pin_dir, settings, diags, &clock);
	if (err)
		return err;
	if (is_new)
		err = control_make(pin_dir, settings, clock);
	if (!err)
		err = kernel_open(pin_dir, &kernel);
	if (err) {
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot open the maps just made: %s", strerror(-err));
		return err;
	}
	control_update(kernel, settings, diags);
	exits_begin(kernel, settings->route_cache);
	*ret_kernel = kernel;
	return 0;
}
