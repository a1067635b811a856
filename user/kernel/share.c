// SPDX-License-Identifier: Apache-2.0
/*
 * XDP beside others', where their program came through libxdp: its dispatcher is one XDP program
 * that calls all of them. A program behind it is another kind of program to the kernel, a
 * replacement of one of the dispatcher's functions, so the pinned one cannot be put there: the door
 * is loaded once more, over the same maps and with the same settings.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"
#include "sluice_xdp.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>
#include <xdp/libxdp.h>

#define PROGRAM_MAPS 64

static void cleanup_xdp_p(struct sluice_xdp **skeleton)
{
	if (*skeleton)
		sluice_xdp__destroy(*skeleton);
}

static void cleanup_xdp_program_p(struct xdp_program **program)
{
	if (!libxdp_get_error(*program))
		xdp_program__close(*program);
}

static int libxdp_quiet(enum libxdp_print_level level, const char *format, va_list args)
{
	return 0;
}

void libxdp_hush(void)
{
	libxdp_set_print(libxdp_quiet);
}

static bool has_suffix(const char *text, const char *suffix)
{
	size_t length = strlen(text), size = strlen(suffix);

	return length >= size && !strcmp(text + length - size, suffix);
}

/* The map of a loaded program that holds its settings. A file descriptor or -errno. */
static int rodata_of(int program, struct bpf_map_info *ret_info)
{
	uint32_t ids[PROGRAM_MAPS], size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = PROGRAM_MAPS, .map_ids = (uintptr_t)ids };

	if (bpf_obj_get_info_by_fd(program, &info, &size))
		return -errno;
	for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++) {
		uint32_t map_size = sizeof(*ret_info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		memset(ret_info, 0, sizeof(*ret_info));
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, ret_info, &map_size) &&
		    has_suffix(ret_info->name, ".rodata"))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

static int settings_copy(int program, struct bpf_map *rodata)
{
	_cleanup_talloc_ void *value = NULL;
	struct bpf_map_info info;
	_cleanup_close_ int fd = rodata_of(program, &info);
	uint32_t zero = 0;
	size_t size;

	if (fd < 0)
		return fd;
	bpf_map__initial_value(rodata, &size);
	if (info.value_size != size)
		return -EPROTO;
	value = talloc_size(NULL, size);
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	return bpf_map__set_initial_value(rodata, value, size);
}

static int maps_share(const struct kernel *kernel, struct bpf_object *object)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map;
		char name[32];
		int err;

		snprintf(name, sizeof(name), "sl_%s", map_names[i]);
		map = bpf_object__find_map_by_name(object, name);
		if (!map)
			continue;
		err = bpf_map__reuse_fd(map, kernel->map[i].fd);
		if (err)
			return err;
	}
	return 0;
}

/* Not loaded yet: libxdp does that, for the place in its dispatcher. */
static int door_open(const struct kernel *kernel, int program, struct sluice_xdp **ret_skeleton)
{
	__attribute__((cleanup(cleanup_xdp_p))) struct sluice_xdp *skeleton = sluice_xdp__open();
	int err;

	if (!skeleton)
		return -errno;
	err = settings_copy(program, skeleton->maps.rodata);
	if (!err)
		err = maps_share(kernel, skeleton->obj);
	if (err)
		return err;
	*ret_skeleton = skeleton;
	skeleton = NULL;
	return 0;
}

static bool unshare_one(uint32_t ifindex, uint32_t owner, uint32_t keep)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *at = NULL;
	bool is_gone = false;

	if (libxdp_get_error(multi))
		return false;
	while (!is_gone && (at = xdp_multiprog__next_prog(at, multi)))
		if (xdp_program__id(at) != keep && program_is_ours(xdp_program__id(at), owner))
			is_gone = !xdp_program__detach(at, ifindex,
						       xdp_multiprog__attach_mode(multi), 0);
	xdp_multiprog__close(multi);
	return is_gone;
}

void xdp_unshare(uint32_t ifindex, uint32_t owner, uint32_t keep)
{
	libxdp_hush();
	while (unshare_one(ifindex, owner, keep))
		;
}

/* Whoever is there decides how: all behind one dispatcher run in its mode. */
static int dispatcher_mode(uint32_t ifindex, bool allow_generic, enum xdp_attach_mode *ret_mode)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex);
	bool is_legacy;

	if (libxdp_get_error(multi))
		return -EBUSY;
	is_legacy = xdp_multiprog__is_legacy(multi);
	*ret_mode = xdp_multiprog__attach_mode(multi);
	xdp_multiprog__close(multi);
	return is_legacy || (*ret_mode != XDP_MODE_NATIVE && !allow_generic) ? -EBUSY : 0;
}

int xdp_share(const struct kernel *kernel, uint32_t ifindex, int program, bool allow_generic,
	      uint32_t *ret_flags)
{
	__attribute__((cleanup(cleanup_xdp_p))) struct sluice_xdp *skeleton = NULL;
	__attribute__((cleanup(cleanup_xdp_program_p))) struct xdp_program *xdp = NULL;
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .prog_name = "sl_xdp");
	enum xdp_attach_mode mode;
	int err;

	libxdp_hush();
	err = dispatcher_mode(ifindex, allow_generic, &mode);
	if (!err)
		err = door_open(kernel, program, &skeleton);
	if (err)
		return err;
	opts.obj = skeleton->obj;
	xdp = xdp_program__create(&opts);
	err = libxdp_get_error(xdp);
	if (!err)
		err = xdp_program__attach(xdp, ifindex, mode, 0);
	if (err)
		return err;
	xdp_unshare(ifindex, map_id(kernel->map[MAP_VERDICTS].fd), xdp_program__id(xdp));
	*ret_flags = SL_DEVICE_XDP_SHARED |
		     (mode == XDP_MODE_NATIVE ? SL_DEVICE_XDP_NATIVE : SL_DEVICE_XDP_GENERIC);
	return 0;
}
