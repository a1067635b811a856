// SPDX-License-Identifier: Apache-2.0
/*
 * Taking the data plane off a node, whatever release made it: by its pins, and by what its programs
 * read.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) ? info.id : 0;
}

static bool is_our_name(const char *name)
{
	return !strcmp(name, "sl_tc_in") || !strcmp(name, "sl_tc_out") || !strcmp(name, "sl_xdp");
}

#define PROGRAM_MAPS 64

bool program_is_ours(uint32_t id, uint32_t owner)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	uint32_t maps[PROGRAM_MAPS];
	struct bpf_prog_info info = { .nr_map_ids = PROGRAM_MAPS, .map_ids = (uintptr_t)maps };
	uint32_t size = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) || !is_our_name(info.name))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		if (maps[i] == owner)
			return true;
	return !owner;
}

int pin_remove(const char *path)
{
	_cleanup_close_ int fd = bpf_obj_get(path);

	/*
	 * A link that only loses its pin is detached by and by, and holds the interface against the
	 * next until then.
	 */
	if (fd >= 0)
		bpf_link_detach(fd);
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

/* Every pin of a folder of ours goes; which they are does not matter, also those of another
 * version. */
int pins_remove(const char *dir)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	char path[600];
	int err = 0;

	if (!folder)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);

		int one = entry->d_type == DT_DIR ? pins_remove(path) : pin_remove(path);

		err = one ? one : err;
	}
	closedir(folder);
	if (rmdir(dir) && errno != ENOENT)
		err = -errno;
	return err;
}

static int pin_open(const char *pin_dir, enum map_id id)
{
	char path[320];

	return path_join(path, sizeof(path), pin_dir, map_names[id]) ? -1 : bpf_obj_get(path);
}

/*
 * What no pin holds. Another release's maps tell as much as these two: whose they are, and a word
 * for a device.
 */
static void interfaces_clear(const char *pin_dir)
{
	_cleanup_close_ int verdicts = pin_open(pin_dir, MAP_VERDICTS);
	_cleanup_close_ int devices = pin_open(pin_dir, MAP_DEVICES);
	struct if_nameindex *links = if_nameindex();
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	bool is_read = devices >= 0 && !bpf_obj_get_info_by_fd(devices, &info, &size) &&
		       info.key_size == 4 && info.value_size == 4;

	for (const struct if_nameindex *link = links; link && link->if_index; link++) {
		uint32_t flags = 0;

		if (is_read)
			bpf_map_lookup_elem(devices, &link->if_index, &flags);
		clsact_remove(link->if_index, map_id(verdicts), flags & SL_DEVICE_OUR_QDISC);
		xdp_unshare(link->if_index, map_id(verdicts), 0);
	}
	if (links)
		if_freenameindex(links);
}

/* Those of a takeover that has not ended may be on interfaces too. */
static void everywhere_clear(const char *pin_dir)
{
	static const char *const folders[] = { NEXT_DIR, COMMIT_DIR };
	char path[320];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (!path_join(path, sizeof(path), pin_dir, folders[i]) && !access(path, F_OK))
			interfaces_clear(path);
	if (!access(pin_dir, F_OK))
		interfaces_clear(pin_dir);
}

static int links_remove(const char *pin_dir)
{
	static const char *const folders[] = { NEXT_DIR "/links", COMMIT_DIR "/links", "links" };
	char path[320];
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		int one = path_join(path, sizeof(path), pin_dir, folders[i]);

		if (!one)
			one = pins_remove(path);
		err = one ? one : err;
	}
	return err;
}

/*
 * Half of the maps is worse than none: taken for whole, tables of one revision would meet another's
 * services. Without its ABI the rest is what a start that never ended leaves behind.
 */
void maps_disown(const char *pin_dir)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0;
	char path[320], value[256];
	/* Of maps that have been committed, those count. */
	_cleanup_close_ int control =
		map_pin_path(pin_dir, map_names[MAP_CONTROL], path) ? -1 : bpf_obj_get(path);

	if (control < 0 || bpf_obj_get_info_by_fd(control, &info, &size) ||
	    info.value_size > sizeof(value) || bpf_map_lookup_elem(control, &zero, value))
		return;
	memset(value, 0, sizeof(uint32_t));
	bpf_map_update_elem(control, &zero, value, BPF_ANY);
}

static const char *const programs[] = {
	"prog_tc_in",
	"prog_tc_out",
	"prog_xdp",
	"prog_new",
};

/* By name, because the folder may be others' too. */
int pins_clear(const char *pin_dir)
{
	char path[320];
	int err = links_remove(pin_dir);

	if (!err)
		err = next_clear(pin_dir);
	for (size_t i = 0; !err && i < ARRAY_SIZE(programs) + MAP_COUNT; i++) {
		const char *name = i < MAP_COUNT ? map_names[i] : programs[i - MAP_COUNT];

		err = path_join(path, sizeof(path), pin_dir, name);
		if (!err)
			err = pin_remove(path);
	}
	return err;
}

/* Of a release that names them otherwise. */
static bool is_releases_program(const char *pin_dir, const char *name)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);
	char path[600];

	if (strncmp(name, "prog_", 5))
		return false;
	snprintf(path, sizeof(path), "%s/%s", pin_dir, name);

	_cleanup_close_ int fd = bpf_obj_get(path);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
	       !strncmp(info.name, "sl_", 3);
}

static void programs_retire(const char *pin_dir)
{
	DIR *folder = opendir(pin_dir);
	struct dirent *entry;
	char path[600];

	while (folder && (entry = readdir(folder))) {
		if (!is_releases_program(pin_dir, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", pin_dir, entry->d_name);
		unlink(path);
	}
	if (folder)
		closedir(folder);
}

bool kernel_is_pin(const char *pin_dir, const char *name)
{
	static const char *const folders[] = { NEXT_DIR, COMMIT_DIR, "links" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (!strcmp(name, folders[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(name, programs[i]))
			return true;
	return pin_is_map(pin_dir, name) || is_releases_program(pin_dir, name);
}

/* The folder itself stays where somebody else has something in it. */
static int pin_dir_remove(const char *pin_dir)
{
	char path[320];
	int err = path_join(path, sizeof(path), pin_dir, COMMIT_DIR);

	if (!err)
		err = pins_remove(path);
	pins_retire(pin_dir);
	programs_retire(pin_dir);
	if (!err)
		err = pins_clear(pin_dir);
	if (!err && rmdir(pin_dir) && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
		err = -errno;
	return err;
}

int kernel_detach_all(const char *pin_dir, struct diags *diags)
{
	int err;

	pin_dir = pin_dir ? pin_dir : SL_PIN_DIR;
	everywhere_clear(pin_dir);
	/* The doors first: as long as one is there, so is all that it needs. */
	links_remove(pin_dir);
	maps_disown(pin_dir);
	err = pin_dir_remove(pin_dir);
	if (err)
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL, "cannot remove the pins: %s",
			 strerror(-err));
	return err;
}
