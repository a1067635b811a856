// SPDX-License-Identifier: Apache-2.0
/*
 * Objects, their maps and programs behind libbpf's functions, and BPF_PROG_RUN as a call. What a
 * program finds in its maps and settings is its object's: the source has one place for each, which
 * is turned to the object whose program runs next.
 */
#include "include/sluice_tc.skel.h"
#include "include/sluice_xdp.skel.h"
#include "maps.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1U << 2)
#endif
#define OBJECTS_MAX 16
#define PROGRAM_FD 0x10000000 /* no file's descriptor is as large */
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3

struct bpf_map {
	const struct native_declared *declared;
	struct store *store; /* NULL before it is loaded, or takes over another's */
	__u32 entries;
};

struct bpf_program {
	struct bpf_object *object;
	const struct native_program *code;
	int fd;
};

struct bpf_object {
	const struct native_code *code;
	struct bpf_map maps[NATIVE_MAP_COUNT];
	struct bpf_program programs[NATIVE_PROGRAMS_MAX];
	struct native_rodata rodata;
};

static struct bpf_object *objects[OBJECTS_MAX];
static const struct bpf_object *bound[2]; /* whose maps and settings the tc and XDP source has */

struct bpf_object *native_open(const struct native_code *code, struct native_maps *ret_maps,
			       struct native_rodata **ret_rodata)
{
	struct bpf_map **list = (struct bpf_map **)ret_maps;
	struct bpf_object *object;
	unsigned place = 0;

	while (place < OBJECTS_MAX && objects[place])
		place++;
	object = place < OBJECTS_MAX ? calloc(1, sizeof(*object)) : NULL;
	if (!object)
		return NULL;
	object->code = code;
	for (unsigned i = 0; i < NATIVE_MAP_COUNT; i++) {
		object->maps[i].declared = &code->maps[i];
		object->maps[i].entries = code->maps[i].entries;
		list[i] = &object->maps[i];
	}
	for (unsigned i = 0; i < NATIVE_PROGRAMS_MAX; i++)
		object->programs[i] =
			(struct bpf_program){ object, &code->programs[i],
					      PROGRAM_FD + (int)(place * NATIVE_PROGRAMS_MAX + i) };
	*ret_rodata = &object->rodata;
	return objects[place] = object;
}

struct bpf_program *native_program(struct bpf_object *object, unsigned index)
{
	return &object->programs[index];
}

/* The settings are constants to the program, in pages that are not to be written. */
static void settings_open(const volatile struct sl_settings *settings)
{
	uintptr_t from = (uintptr_t)settings & ~4095ul;
	uintptr_t to = ((uintptr_t)(settings + 1) + 4095) & ~4095ul;

	if (mprotect((void *)from, to - from, PROT_READ | PROT_WRITE))
		native_die("set a door's settings");
}

static void object_bind(const struct bpf_object *object)
{
	const struct bpf_object **here = &bound[object->code == &native_xdp];

	if (*here == object)
		return;
	settings_open(object->code->settings);
	memcpy((void *)object->code->settings, &object->rodata.settings,
	       sizeof(object->rodata.settings));
	for (unsigned i = 0; i < NATIVE_MAP_COUNT; i++)
		*(struct store **)object->code->maps[i].at = object->maps[i].store;
	*here = object;
}

int native_load(struct bpf_object *object)
{
	for (unsigned i = 0; i < NATIVE_MAP_COUNT; i++) {
		struct bpf_map *map = &object->maps[i];

		if (!map->store)
			map->store = store_new(map->declared, map->entries);
		if (!map->store)
			return -errno;
	}
	object_bind(object);
	return 0;
}

void native_close(struct bpf_object *object)
{
	for (unsigned i = 0; i < NATIVE_MAP_COUNT; i++)
		if (object->maps[i].store)
			store_drop(object->maps[i].store);
	for (unsigned i = 0; i < OBJECTS_MAX; i++)
		if (objects[i] == object)
			objects[i] = NULL;
	for (unsigned i = 0; i < 2; i++)
		if (bound[i] == object)
			bound[i] = NULL;
	free(object);
}

/* --- skeletons --- */

struct sluice_tc *sluice_tc__open(void)
{
	struct sluice_tc *tc = calloc(1, sizeof(*tc));

	if (!tc)
		return NULL;
	tc->obj = native_open(&native_tc, &tc->maps, &tc->rodata);
	if (!tc->obj) {
		free(tc);
		return NULL;
	}
	tc->progs.sl_tc_in = native_program(tc->obj, 0);
	tc->progs.sl_tc_out = native_program(tc->obj, 1);
	tc->progs.sl_clock = native_program(tc->obj, 2);
	return tc;
}

int sluice_tc__load(struct sluice_tc *tc)
{
	return native_load(tc->obj);
}

void sluice_tc__destroy(struct sluice_tc *tc)
{
	native_close(tc->obj);
	free(tc);
}

struct sluice_xdp *sluice_xdp__open(void)
{
	struct sluice_xdp *xdp = calloc(1, sizeof(*xdp));

	if (!xdp)
		return NULL;
	xdp->obj = native_open(&native_xdp, &xdp->maps, &xdp->rodata);
	if (!xdp->obj) {
		free(xdp);
		return NULL;
	}
	xdp->progs.sl_xdp = native_program(xdp->obj, 0);
	return xdp;
}

int sluice_xdp__load(struct sluice_xdp *xdp)
{
	return native_load(xdp->obj);
}

void sluice_xdp__destroy(struct sluice_xdp *xdp)
{
	native_close(xdp->obj);
	free(xdp);
}

/* --- libbpf: maps --- */

const char *bpf_map__name(const struct bpf_map *map)
{
	return map->declared->name;
}

int bpf_map__fd(const struct bpf_map *map)
{
	return map->store ? store_fd(map->store) : -EINVAL;
}

bool bpf_map__is_internal(const struct bpf_map *map)
{
	return false;
}

__u32 bpf_map__max_entries(const struct bpf_map *map)
{
	return map->entries;
}

int bpf_map__set_max_entries(struct bpf_map *map, __u32 entries)
{
	if (map->store)
		return -EBUSY;
	map->entries = entries;
	return 0;
}

__u32 bpf_map__value_size(const struct bpf_map *map)
{
	return map->declared->value_size;
}

int bpf_map__reuse_fd(struct bpf_map *map, int fd)
{
	struct store *store = store_of(fd);

	if (!store || map->store)
		return store ? -EBUSY : -errno;
	map->store = store_hold(store);
	return 0;
}

struct bpf_map *bpf_object__next_map(const struct bpf_object *object, const struct bpf_map *map)
{
	const struct bpf_map *next = map ? map + 1 : object->maps;

	return next < object->maps + NATIVE_MAP_COUNT ? (struct bpf_map *)next : NULL;
}

struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *object, const char *name)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (!strcmp(bpf_map__name(map), name))
			return map;
	}
	return NULL;
}

int libbpf_num_possible_cpus(void)
{
	return 1;
}

/* There is no kernel that would know a map's types. */
int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *info_len)
{
	errno = EOPNOTSUPP;
	return -EOPNOTSUPP;
}

struct btf *btf__load_from_kernel_by_id(__u32 id)
{
	return NULL;
}

const struct btf_type *btf__type_by_id(const struct btf *btf, __u32 id)
{
	return NULL;
}

const char *btf__name_by_offset(const struct btf *btf, __u32 offset)
{
	return NULL;
}

void btf__free(struct btf *btf)
{
}

/* --- libbpf: a program's run --- */

static __thread struct native_frame frame;

struct native_frame *native_running(void)
{
	return &frame;
}

int bpf_program__fd(const struct bpf_program *program)
{
	return program->fd;
}

static const struct bpf_program *program_of(int fd)
{
	unsigned index = fd - PROGRAM_FD, place = index / NATIVE_PROGRAMS_MAX;

	if (fd < PROGRAM_FD || place >= OBJECTS_MAX || !objects[place])
		return NULL;
	return &objects[place]->programs[index % NATIVE_PROGRAMS_MAX];
}

/* Whom the frame is for, as the kernel sees it when it comes in by a device. */
static __u32 packet_type(const __u8 *to, const __u8 *own)
{
	static const __u8 all[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!memcmp(to, own, sizeof(all)))
		return 0;
	if (!memcmp(to, all, sizeof(all)))
		return PACKET_BROADCAST;
	return to[0] & 1 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

static int frame_begin(const struct bpf_test_run_opts *opts, bool is_xdp)
{
	const struct __sk_buff *skb = opts->ctx_in;
	const struct xdp_md *xdp = opts->ctx_in;
	__u32 ifindex = !opts->ctx_in ? 1 : is_xdp ? xdp->ingress_ifindex : skb->ifindex;
	const __u8 *own = native_mac(ifindex);
	int err;

	if (!own)
		return -ENODEV;
	if (opts->flags & ~BPF_F_TEST_SKB_CHECKSUM_COMPLETE || (is_xdp && opts->flags))
		return -EINVAL;
	frame = (struct native_frame){ .is_xdp = is_xdp };
	err = native_frame_make(&frame, opts->data_in, opts->data_size_in);
	if (err)
		return err;
	if (frame.length >= ETH_ALEN)
		memcpy(frame.came_to, frame.data, ETH_ALEN);
	if (is_xdp) {
		frame.ctx.xdp.ingress_ifindex = ifindex;
		return 0;
	}
	frame.ctx.skb.ifindex = ifindex;
	if (frame.length >= ETH_HLEN) {
		frame.ctx.skb.pkt_type = packet_type(frame.data, own);
		memcpy(&frame.ctx.skb.protocol, frame.data + 12, 2);
	}
	if (opts->flags)
		native_sum_begin(&frame);
	return 0;
}

static int frame_end(struct bpf_test_run_opts *opts)
{
	__u32 room = opts->data_size_out;

	if (frame.has_sum && !native_sum_holds(&frame))
		return -EBADMSG;
	opts->data_size_out = frame.length + frame.rest_length;
	if (!opts->data_out)
		return 0;
	if (opts->data_size_out > room)
		return -ENOSPC;
	memcpy(opts->data_out, frame.data, frame.length);
	memcpy((__u8 *)opts->data_out + frame.length, frame.rest, frame.rest_length);
	return 0;
}

int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts)
{
	const struct bpf_program *program = program_of(fd);
	int err;

	if (!program || (!program->code->skb && !program->code->xdp)) {
		errno = EBADF;
		return -EBADF;
	}
	object_bind(program->object);
	err = frame_begin(opts, program->code->xdp != NULL);
	if (!err) {
		opts->retval = frame.is_xdp ? program->code->xdp(&frame.ctx.xdp)
					    : program->code->skb(&frame.ctx.skb);
		err = frame_end(opts);
	}
	errno = -err;
	return err;
}
