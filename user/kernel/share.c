// SPDX-License-Identifier: Apache-2.0
/*
 * XDP beside others', where their program came through libxdp: its dispatcher is one XDP program
 * that calls all of them. A program behind it is another kind of program to the kernel, a
 * replacement of one of the dispatcher's functions, so the pinned one cannot be put there: the door
 * is loaded once more, over the same maps and with the same settings.
 *
 * A replacement may do no more than what it replaces, and the dispatcher's functions do not change
 * a packet's length: later kernels (6.13, and what was carried back) refuse it whole for one call
 * that does, whether the call is ever reached or not. So that call is taken out, and what stands in
 * its place says that there is no room: the door then leaves the packet to the tc door, as it does
 * whenever a frame cannot grow.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"
#include "sluice_xdp.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <talloc.h>
#include <xdp/libxdp.h>

#define PROGRAM_MAPS 64

/* libbpf reads the ELF file until the object is loaded. */
struct door {
	struct bpf_object *object;
	void *elf;
};

static void cleanup_door_p(struct door *door)
{
	bpf_object__close(door->object);
	talloc_free(door->elf);
}
#define _cleanup_door_ __attribute__((cleanup(cleanup_door_p)))

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

int settings_copy(int program, struct bpf_map *rodata)
{
	_cleanup_talloc_ void *value = NULL;
	struct bpf_map_info info = { 0 };
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

int maps_share(const struct kernel *kernel, struct bpf_object *object)
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

/* --- the object, with its length-changing call taken out --- */

static void resize_refuse(struct bpf_insn *code, size_t count)
{
	const struct bpf_insn no_room = { .code = BPF_ALU64 | BPF_MOV | BPF_K,
					  .dst_reg = BPF_REG_0,
					  .imm = -ENOSPC };

	for (size_t i = 0; i < count; i++) {
		/* Two places long: the second holds a number, whatever it looks like. */
		if (code[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
		else if (code[i].code == (BPF_JMP | BPF_CALL) && !code[i].src_reg &&
			 code[i].imm == BPF_FUNC_xdp_adjust_tail)
			code[i] = no_room;
	}
}

static void elf_patch(void *elf)
{
	const Elf64_Ehdr *header = elf;
	const Elf64_Shdr *section = elf + header->e_shoff;

	for (int i = 0; i < header->e_shnum; i++, section++)
		if (section->sh_type == SHT_PROGBITS && section->sh_flags & SHF_EXECINSTR)
			resize_refuse(elf + section->sh_offset,
				      section->sh_size / sizeof(struct bpf_insn));
}

/* Not loaded yet: libxdp does that, for the place in its dispatcher. */
static int door_open(const struct kernel *kernel, int program, struct door *door)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "sluice_xdp");
	struct bpf_map *rodata;
	size_t size;
	const void *elf = sluice_xdp__elf_bytes(&size);
	int err;

	door->elf = talloc_memdup(NULL, elf, size);
	if (!door->elf)
		return -ENOMEM;
	elf_patch(door->elf);
	door->object = bpf_object__open_mem(door->elf, size, &opts);
	if (!door->object)
		return -errno;
	rodata = bpf_object__find_map_by_name(door->object, "sluice_x.rodata");
	err = rodata ? settings_copy(program, rodata) : -ENOENT;
	return err ? err : maps_share(kernel, door->object);
}

/* --- in and out --- */

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

	/* Who stands there is told to CAP_SYS_ADMIN alone. */
	if (libxdp_get_error(multi))
		return libxdp_get_error(multi) == -EPERM ? -EPERM : -EBUSY;
	is_legacy = xdp_multiprog__is_legacy(multi);
	*ret_mode = xdp_multiprog__attach_mode(multi);
	xdp_multiprog__close(multi);
	return is_legacy || (*ret_mode != XDP_MODE_NATIVE && !allow_generic) ? -EBUSY : 0;
}

int xdp_share(const struct kernel *kernel, uint32_t ifindex, int program, bool allow_generic,
	      uint32_t *ret_flags)
{
	_cleanup_door_ struct door door = {};
	__attribute__((cleanup(cleanup_xdp_program_p))) struct xdp_program *xdp = NULL;
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .prog_name = "sl_xdp");
	enum xdp_attach_mode mode;
	int err;

	libxdp_hush();
	err = dispatcher_mode(ifindex, allow_generic, &mode);
	if (!err)
		err = door_open(kernel, program, &door);
	if (err)
		return err;
	opts.obj = door.object;
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
