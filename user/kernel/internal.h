/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share, and nobody else sees. */
#pragma once
#include "../../bpf/layout.h"
#include "kernel.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stddef.h>

/* In the order of bpf/maps.h. */
enum map_id {
	MAP_ACTIVE,
	MAP_CONTROL,
	MAP_REVISIONS,
	MAP_SERVICES,
	MAP_RULES,
	MAP_SLOTS,
	MAP_MEMBERS,
	MAP_VERSIONS,
	MAP_RINGS,
	MAP_ENDPOINTS,
	MAP_VIPS,
	MAP_KNOWN,
	MAP_FLOWS,
	MAP_SPILLED,
	MAP_OPENS,
	MAP_EXITS,
	MAP_FRAGMENTS,
	MAP_STATS,
	MAP_VERDICTS,
	MAP_DEVICES,
	MAP_LAYOUT,
	MAP_COUNT,
};

struct map {
	int fd; /* -1 when not open */
	uint32_t entries, key_size, value_size;
	void *data; /* mapped, when the map can be; NULL else */
	size_t size;
	bool is_reserved; /* `data` is room alone, but for what map_reach has mapped */
};

struct kernel {
	char pin_dir[256];  /* of maps and programs */
	char base_dir[256]; /* of links: the same, unless these maps are still beside others */
	struct map map[MAP_COUNT];
	struct version_index *version_index; /* filled by the first search */
};

extern const char
	*const map_names[MAP_COUNT]; /* "active": the pin, and the map's name without "sl_" */

#define MAPPED(kernel, id, type) ((type *)(kernel)->map[id].data)

static inline struct sl_control *control_of(const struct kernel *kernel)
{
	return MAPPED(kernel, MAP_CONTROL, struct sl_control);
}

static inline struct sl_revision *revision_place(const struct kernel *kernel, uint32_t number)
{
	return MAPPED(kernel, MAP_REVISIONS, struct sl_revision) + (number & (SL_PLACES - 1));
}

/*
 * Whether a door may look the revision up: what is not hot any more may still be what the words
 * name.
 */
bool revision_is_read(const struct kernel *kernel, uint32_t revision);

/* How many slots a table of this kernel's has: what the maps were made with. */
uint32_t kernel_slots(const struct kernel *kernel);

/* The option of sluiced, and its value, by which a map has room for so many entries. */
const char *map_option(const struct kernel *kernel, enum map_id id, uint64_t entries,
		       uint64_t *ret_value);

/* Waits until no packet that was under way at the call is any longer. 0 or -errno. */
int kernel_grace(void);

/* The IPv4-mapped form that the tables use. */
void addr_to_words(const struct addr *addr, uint32_t ret_words[4]);
void addr_from_words(const uint32_t words[4], struct addr *ret_addr);

/*
 * Calls `each` for every entry of a hash map, in batches; stops at the first non-zero return, which
 * it gives.
 */
int map_walk(const struct map *map, int (*each)(void *context, void *key, void *value),
	     void *context);

/* Bytes of a map that may be merely reserved. 0 or -errno. */
int map_reach(const struct kernel *kernel, enum map_id id, uint64_t at, uint64_t size);

int path_join(char *path, size_t size, const char *dir, const char *name);

/* --- load.c --- */

/* What a data plane is made of, or opened with. */
struct plane {
	const char *pin_dir;
	const struct kernel_settings *settings;
	const struct sl_layout *origin; /* of the maps whose flows it shall get; NULL: none */
	uint32_t active;                /* the revision that those obey */
	struct diags *diags;
};

/* Makes and pins maps, unless they are there, and pins programs over them. */
int plane_load(const struct plane *plane, bool is_new, struct kernel **ret_kernel);

/* How large a pinned map is; 0 when there is none. */
uint32_t map_pinned_entries(const char *pin_dir, enum map_id id);

/*
 * The tc doors once more, in the order of tc_hooks: a hook has no program twice. Descriptors, which
 * are the caller's.
 */
int doors_again(const struct kernel *kernel, int ret_programs[2]);

/* --- layout.c: the record by which releases read each other's flows --- */

/* What is pinned; where nothing is yet, what maps made with `made` get. */
void layout_find(const struct plane *plane, const struct sl_control *made,
		 struct sl_layout *ret_layout);
int layout_write(const struct plane *plane, const struct sl_control *made);
/* -ENOENT when there is none, or an empty one. */
int layout_read(const char *pin_dir, struct sl_layout *ret_layout);
/* Whether the same tuples and keys make the same tags, or the same buckets. */
bool layout_has_our_tags(const struct sl_layout *layout);
bool layout_has_our_homes(const struct sl_layout *layout);
/* By which the doors of this kernel find a flow. */
void kernel_keys(const struct kernel *kernel, struct way_keys *ret_keys);

/* --- next.c: maps beside those of another release, until these are not needed any more --- */

/* The folder inside of the pins' in which they are made, and its name from when they count. */
#define NEXT_DIR "next"
#define COMMIT_DIR "commit"
/* Where a map's pin is: while those of COMMIT_DIR move to their places, in either. */
int map_pin_path(const char *pin_dir, const char *name, char path[static 320]);
/* From here on the maps beside count, and the others are gone, whoever dies in between. */
int next_commit(const char *base_dir);
/* Ends what somebody began with next_commit. */
int next_finish(const char *base_dir);
/* Removes maps beside which no door uses. */
int next_clear(const char *base_dir);
/* Whether doors may run that use them: somebody's takeover has begun. */
bool next_is_live(const char *base_dir);
/* Whether the pin is a map of this release's, or of another's. */
bool pin_is_map(const char *base_dir, const char *name);
/* Pins of maps that this release does not have. */
void pins_retire(const char *base_dir);

/* --- other.c: the flows of another release's maps --- */

struct other;
/* The maps pinned in `dir`. */
int other_open(void *parent, struct kernel *kernel, const char *dir, struct diags *diags,
	       struct other **ret_other);
struct other_pass {
	bool ours_counts; /* our doors have begun flows: of two words the younger is right */
	bool is_last;     /* what has ended, too: before, its ports may begin anew any moment */
};
struct other_count {
	uint32_t moved;  /* connections that were not there, */
	uint32_t known;  /* that were, */
	uint32_t misfit; /* and whose endpoint or place cannot be had */
};
int other_copy(struct other *other, struct other_pass pass, struct other_count *ret_count);
/* Its devices, into this kernel's. */
int other_devices(struct other *other);

/*
 * Whether XDP frames can be sent out of the interface, and such of several buffers too (its
 * driver's own word); -ENOTSUP when the kernel cannot say.
 */
int netdev_xdp_target(uint32_t ifindex, bool *ret_is_target, bool *ret_in_pieces);
/* Whether drivers can be asked (6.3); tests say no. */
bool kernel_may_have_netdev(void);

/* --- doors.c --- */
uint32_t clock_tick_ns(void);
/* The keys of the tags, a function of the seed: an upgrade finds the flows again. */
void door_keys(const __u64 seed[2], struct way_keys *ret_keys);
/* --- flows.c --- */
/* The doors' clock, in ticks, and how long one is. */
uint32_t clock_ticks(const struct kernel *kernel, uint64_t *ret_tick_ns);
/* Whether `known` has the bit of an address and port; and setting it. */
bool known_has(const struct kernel *kernel, const struct addr *addr, uint16_t port);
void known_add(struct kernel *kernel, const struct addr *addr, uint16_t port);
/* The flow table, mapped for as long as it is read. 0 or -errno. */
struct ways {
	struct sl_way *at;
	size_t count, size;
};
int ways_map(const struct kernel *kernel, struct ways *ret_ways);
void ways_unmap(struct ways *ways);
/* Ways of the flow table that hold a flow. */
uint32_t ways_used(const struct kernel *kernel);
/* Routes that the doors remember are forgotten at once. */
void exits_forget(struct kernel *kernel);
/* --- dump.c --- */
struct mnl_socket;
struct nlmsghdr;
struct dump {
	uint16_t type;
	uint8_t family;
	uint8_t header; /* bytes: the family, and zeros */
};
/* A netlink socket for one dump after the other. 0 or -errno. */
int dump_open(struct mnl_socket **ret_socket);
void dump_close(struct mnl_socket **socket);
#define _cleanup_dump_ __attribute__((cleanup(dump_close)))
/*
 * Calls `each`, a libmnl callback, for every message until one says MNL_CB_STOP: the socket is then
 * of no more use. -EINTR when a change came in between, else 0 or -errno.
 */
int dump_ask(struct mnl_socket *socket, const struct dump *dump,
	     int (*each)(const struct nlmsghdr *message, void *data), void *data);
/* --- routes.c --- */
/* Of a start: whether they are remembered from here on. */
void exits_begin(struct kernel *kernel, bool is_wanted);

/* --- refusal.c: the end of what libbpf last said --- */

/* A libbpf_print_fn_t. */
int refusal_keep(enum libbpf_print_level level, const char *format, va_list args);
void refusal_forget(void);
const char *refusal_text(void);
/* Names the features that are needed and lacking; where none is, the last words and the kernel. */
void refusal_say(struct diags *diags, int err);

/* --- peer.c --- */
/* Whether a packet may go to the device's peer at once, because nothing stands on its way out. */
bool device_has_bare_peer(uint32_t ifindex);

/* --- clsact.c, detach.c: what is on interfaces and in no pin --- */

/* The kernel's id of an open map; 0 when it has none. */
uint32_t map_id(int fd);
/* Detaches when it is a link's. 0 or -errno. */
int pin_remove(const char *path);
/* Every pin of a folder, whoever's, and the folder. */
int pins_remove(const char *dir);
/* Takes the maps of a folder their ABI. */
void maps_disown(const char *pin_dir);
/* All that a start makes, and nothing else that may be in the folder. */
int pins_clear(const char *pin_dir);
/*
 * The first word of `control`, in the maps of any release. It is 0 while the maps are made and
 * while they are removed: what whoever was killed then has left is not whole, and nobody's. -ENOENT
 * where there are none.
 */
int abi_pinned(const char *pin_dir, uint32_t *ret_abi);
/* Is it one of our doors, and does it use the map `owner`? 0: the name is enough. */
bool program_is_ours(uint32_t id, uint32_t owner);
/* How many filters, whoever's, stand at one side; -errno when that cannot be told. */
int clsact_count(uint32_t ifindex, bool is_ingress);
int clsact_set(uint32_t ifindex, bool is_ingress, int program, bool *ret_is_new);
/* Once more, before (-1) or after (1) our filter; and off again, one or both. */
int clsact_place(uint32_t ifindex, bool is_ingress, int program, int place);
void clsact_unplace(uint32_t ifindex, uint32_t owner, int place);
void clsact_places_clear(uint32_t ifindex, uint32_t owner);
/* Our filters; and the qdisc, when we made it and nobody else has a filter there. */
void clsact_remove(uint32_t ifindex, uint32_t owner, bool is_our_qdisc);
/* Whether tc doors may be tcx links (6.6); tests say no. */
bool kernel_may_have_tcx(void);

/* --- attach.c --- */
#define TC_HOOKS 2
extern const struct tc_hook {
	const char *suffix, *program; /* of the link's pin; the pinned program */
	int tcx;
	bool is_ingress;
} tc_hooks[TC_HOOKS];
int link_path(const struct kernel *kernel, uint32_t ifindex, const char *suffix,
	      char path[static 320]);
/* A pinned program's descriptor, or -errno. */
int program_get(const struct kernel *kernel, const char *name);
/* `relative`: the link that flags set it before or after; 0: none. A descriptor, or -errno. */
int link_create(int program, uint32_t ifindex, int attach_type, uint32_t flags, int relative);
bool link_is_alive(int link, uint32_t ifindex);

/* --- share.c: XDP beside others', through libxdp's dispatcher --- */

/*
 * Puts the XDP door, of which `program` is the pinned one, beside what is there; what we had there
 * before goes. `ret_flags`: how it is attached. -EBUSY when what is there shares with nobody.
 */
int xdp_share(const struct kernel *kernel, uint32_t ifindex, int program, bool allow_generic,
	      uint32_t *ret_flags);
/* Our programs behind the dispatcher go, but for program `keep` (0: none). */
void xdp_unshare(uint32_t ifindex, uint32_t owner, uint32_t keep);
/* What a loaded program was told; and the maps that are there: for a program over the same. */
int settings_copy(int program, struct bpf_map *rodata);
int maps_share(const struct kernel *kernel, struct bpf_object *object);
/* libxdp speaks to stderr unless told not to. */
void libxdp_hush(void);

/*
 * --- versions.c ---
 * Notes how many connections each version has opened by now. One that cannot be counted keeps its
 * old mark: a measurement that is off is no reason to fail a flip.
 */
void versions_mark(struct kernel *kernel);
struct version_index *version_index_new(void);
void version_index_free(struct version_index *index);

/* --- index.c: bytes to number, open addressing --- */
struct index;
struct index *index_new(void *parent, size_t expected);
/* -ENOENT when there is none. The key's bytes must outlive the index. */
int index_find(const struct index *index, const void *key, size_t size, uint32_t *ret_value);
int index_put(struct index *index, const void *key, size_t size, uint32_t value);

/* --- arena.c: runs of free places in a table --- */
struct arena {
	uint8_t *used; /* one byte a place */
	uint32_t size;
	uint32_t cursor;
	uint32_t taken; /* by arena_take */
	bool wrapped; /* a place may be handed out that was free only since a moment ago: wait for a
			 grace period */
};
int arena_init(void *parent, struct arena *arena, uint32_t size, uint32_t cursor);
void arena_mark(struct arena *arena, uint32_t base, uint32_t count);
uint32_t arena_free(const struct arena *arena);
/* -ENOSPC when there is no such run. */
int arena_take(struct arena *arena, uint32_t count, uint32_t *ret_base);
