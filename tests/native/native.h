/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors as plain C in this process: the source of bpf/ unchanged, over a model of the helpers
 * and maps that it uses, behind the same functions of libbpf that the tests of tests/prog call. So
 * the rows of tests/prog run without a kernel: with sanitizers, without root, and on machines of
 * the other byte order.
 *
 * What it is not: the verifier, several CPUs' maps, skbs in several pieces, or a node whose routes
 * change. Those are the same rows' business in the kernel.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "bpf/settings.h"

/* In the order of bpf/maps.h. A map that is not here is looked up once, and never again. */
#define NATIVE_MAPS(X)                                                                             \
	X(sl_active)                                                                               \
	X(sl_control)                                                                              \
	X(sl_revisions)                                                                            \
	X(sl_services)                                                                             \
	X(sl_rules)                                                                                \
	X(sl_slots)                                                                                \
	X(sl_members)                                                                              \
	X(sl_versions)                                                                             \
	X(sl_rings)                                                                                \
	X(sl_endpoints)                                                                            \
	X(sl_vips)                                                                                 \
	X(sl_known)                                                                                \
	X(sl_flows)                                                                                \
	X(sl_spilled)                                                                              \
	X(sl_opens)                                                                                \
	X(sl_exits)                                                                                \
	X(sl_fragments)                                                                            \
	X(sl_stats)                                                                                \
	X(sl_verdicts)                                                                             \
	X(sl_devices)

enum {
#define NATIVE_INDEX(map) NATIVE_##map,
	NATIVE_MAPS(NATIVE_INDEX)
#undef NATIVE_INDEX
	NATIVE_MAP_COUNT
};

#define NATIVE_PROGRAMS_MAX 3

/* A map as the source declares it. */
struct native_declared {
	const char *name;
	void *at; /* the declaration: its first word is pointed to the map in use */
	__u32 type, key_size, value_size, entries;
};

struct native_program {
	int (*skb)(struct __sk_buff *skb); /* one of the two */
	int (*xdp)(struct xdp_md *xdp);
};

/* One source file of bpf/, compiled. */
struct native_code {
	struct native_declared maps[NATIVE_MAP_COUNT];
	struct native_program programs[NATIVE_PROGRAMS_MAX];
	const volatile struct sl_settings *settings;
};

extern const struct native_code native_tc, native_xdp;

/* Behind the declarations that a source file includes. */
#define NATIVE_DECLARED(map)                                                                       \
	{ #map,                                                                                    \
	  &(map),                                                                                  \
	  sizeof(*(map).type) / sizeof(int),                                                       \
	  sizeof(*(map).key),                                                                      \
	  sizeof(*(map).value),                                                                    \
	  sizeof(*(map).max_entries) / sizeof(int) },

/* --- a loaded object, as the skeletons show it --- */

struct bpf_map;
struct bpf_object;
struct bpf_program;

struct native_maps {
#define NATIVE_POINTER(map) struct bpf_map *map;
	NATIVE_MAPS(NATIVE_POINTER)
#undef NATIVE_POINTER
};

struct native_rodata {
	struct sl_settings settings;
};

struct bpf_object *native_open(const struct native_code *code, struct native_maps *ret_maps,
			       struct native_rodata **ret_rodata);
struct bpf_program *native_program(struct bpf_object *object, unsigned index);
int native_load(struct bpf_object *object);
void native_close(struct bpf_object *object);

/* The programs' look-ups: `map` is a declaration. */
void *native_map_lookup(const void *map, const void *key);
long native_map_update(const void *map, const void *key, const void *value, __u64 flags);

/* --- the packet under a program --- */

/*
 * The frame ends where a page ends that nobody may touch the next of, and lies below 4 GiB: a
 * context's pointers have 32 bits.
 */
struct native_frame {
	union {
		struct __sk_buff skb;
		struct xdp_md xdp;
	} ctx; /* first: a program's context is its frame */
	bool is_xdp;
	bool has_sum; /* CHECKSUM_COMPLETE: `sum` is that of all behind the Ethernet header */
	__u32 sum;
	__u32 length; /* of the first buffer, which a program sees */
	__u8 *data;
	__u32 rest_length; /* of the other buffers */
	__u8 *rest;
	__u8 came_to[6]; /* the address that it came to */
};

/*
 * So long is a frame's first buffer at XDP: a page less head room and the kernel's own words behind
 * it. What is more is in other buffers. An skb is in one piece. Neither has a least length: what a
 * device without Ethernet hands up may be shorter than a header of it.
 */
#define NATIVE_XDP_FIRST (4096 - 256 - 320)
#define NATIVE_MAX 9216

int native_frame_make(struct native_frame *frame, const void *bytes, __u32 length);
/* Of the first buffer: what is cut off at the end is gone; what is added is zero. */
void native_frame_resize(struct native_frame *frame, __u32 length);
/* `length` bytes at `offset` of the first buffer, or NULL. */
__u8 *native_frame_at(const struct native_frame *frame, __u32 offset, __u32 length);
/* The frame whose program runs in this thread. */
struct native_frame *native_running(void);

/* The sum of bytes as 16-bit words in the machine's own byte order. */
__u32 native_sum(const __u8 *bytes, __u32 length);
/* What the device said the packet's sum is, still true? */
bool native_sum_holds(const struct native_frame *frame);
void native_sum_begin(struct native_frame *frame);
void native_sum_change(struct native_frame *frame, __u32 offset, const void *from, __u32 length,
		       bool is_new);

/* --- the node --- */

/* The MAC address of a device; NULL: there is none of that index. */
const __u8 *native_mac(__u32 ifindex);
__u32 native_mtu(__u32 ifindex);

_Noreturn void native_die(const char *what);
