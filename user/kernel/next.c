// SPDX-License-Identifier: Apache-2.0
/*
 * Maps beside those of another release. They are made and filled in a folder of their own inside
 * the pins'; once the doors are this release's, the folder gets another name, by one rename: from
 * that moment its pins are those that count, and whoever comes next moves them to their places.
 *
 * While a takeover is under way, its folder has a folder of links: doors that run before and after
 * those that are there. They go, last of all, when the maps have been committed.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

int map_pin_path(const char *pin_dir, const char *name, char path[static 320])
{
	int length = snprintf(path, 320, "%s/%s/%s", pin_dir, COMMIT_DIR, name);

	if (length >= 320)
		return -ENAMETOOLONG;
	return access(path, F_OK) ? path_join(path, 320, pin_dir, name) : 0;
}

int abi_pinned(const char *pin_dir, uint32_t *ret_abi)
{
	char path[320], value[256];
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0;
	int err = map_pin_path(pin_dir, map_names[MAP_CONTROL], path);

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

bool next_is_live(const char *base_dir)
{
	char path[320];

	return snprintf(path, sizeof(path), "%s/%s/links", base_dir, NEXT_DIR) <
		       (int)sizeof(path) &&
	       !access(path, F_OK);
}

int next_clear(const char *base_dir)
{
	char path[320], links[336];
	int err = path_join(path, sizeof(path), base_dir, NEXT_DIR);

	if (err)
		return err;
	snprintf(links, sizeof(links), "%s/links", path);
	err = pins_remove(links);
	/* Half of it is nobody's. */
	maps_disown(path);
	return err ? err : pins_remove(path);
}

/* Each pin takes the place of the one of its name. */
static int pins_move(const char *from, const char *to)
{
	DIR *folder = opendir(from);
	char source[600], target[600];
	struct dirent *entry;
	int err = 0;

	if (!folder)
		return -errno;
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || entry->d_type == DT_DIR)
			continue;
		snprintf(source, sizeof(source), "%s/%s", from, entry->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
		if (rename(source, target))
			err = -errno;
	}
	closedir(folder);
	return err;
}

/* Filters before and after others are in no pin. */
static void filters_clear(const char *base_dir)
{
	struct if_nameindex *links = if_nameindex();
	char path[320];

	if (!map_pin_path(base_dir, map_names[MAP_VERDICTS], path)) {
		_cleanup_close_ int verdicts = bpf_obj_get(path);

		for (const struct if_nameindex *link = links; link && link->if_index; link++)
			clsact_places_clear(link->if_index, map_id(verdicts));
	}
	if (links)
		if_freenameindex(links);
}

int next_finish(const char *base_dir)
{
	char from[320], links[336];
	int err = path_join(from, sizeof(from), base_dir, COMMIT_DIR);

	if (err)
		return err;
	if (access(from, F_OK))
		return errno == ENOENT ? 0 : -errno;
	filters_clear(base_dir);
	snprintf(links, sizeof(links), "%s/links", from);
	err = pins_remove(links);
	if (!err)
		err = pins_move(from, base_dir);
	return err ? err : rmdir(from) ? -errno : 0;
}

int next_commit(const char *base_dir)
{
	char from[320], to[320];
	int err = path_join(from, sizeof(from), base_dir, NEXT_DIR);

	if (!err)
		err = path_join(to, sizeof(to), base_dir, COMMIT_DIR);
	if (!err && rename(from, to))
		err = -errno;
	return err ? err : next_finish(base_dir);
}

static bool is_ours(const char *name)
{
	for (int i = 0; i < MAP_COUNT; i++)
		if (!strcmp(name, map_names[i]))
			return true;
	return false;
}

/* A map that is pinned under its own name, less the "sl_" that all of ours have. */
static bool is_releases_map(const char *path, const char *name)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
	       !strncmp(info.name, "sl_", 3) && !strncmp(info.name + 3, name, BPF_OBJ_NAME_LEN - 4);
}

bool pin_is_map(const char *base_dir, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", base_dir, name);
	return is_ours(name) || is_releases_map(path, name);
}

void pins_retire(const char *base_dir)
{
	DIR *folder = opendir(base_dir);
	struct dirent *entry;
	char path[600];

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || entry->d_type == DT_DIR || is_ours(entry->d_name))
			continue;
		if (!pin_is_map(base_dir, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", base_dir, entry->d_name);
		unlink(path);
	}
	closedir(folder);
}
