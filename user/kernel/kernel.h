/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only room that speaks to the kernel's BPF: load, pin, adopt, tables, attach. It keeps no
 * state of its own between calls: what is pinned is the state. Whoever changes anything holds the
 * state folder's lock; reading needs none.
 */
#pragma once
#include "../../bpf/abi.h"
#include "../../bpf/settings.h"
#include "../base/diag.h"
#include "../plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Sizes are entries. All are fixed when the maps are made; a later start with others keeps the old
 * and says so.
 */
struct kernel_settings {
	uint32_t flows;    /* connections; their table has room for twice as many */
	uint32_t services; /* VIP, port, protocol triples in one revision */
	uint32_t versions;
	uint32_t endpoints;
	uint32_t slots; /* of one split: a power of two, 8..65,536 */
	uint32_t udp_idle_ms;
	bool redirect;    /* false: every packet goes up the stack */
	bool route_cache; /* false: every packet that is redirected asks for its route */
	uint64_t seed[2];
};

#define KERNEL_SETTINGS_DEFAULT                                                                    \
	{                                                                                          \
		.flows = 1048576, .services = 16384, .versions = 4096, .endpoints = 65536,         \
		.slots = SL_SLOTS_DEFAULT, .udp_idle_ms = 30000, .redirect = true,                 \
		.route_cache = true                                                                \
	}

/* What `control` holds when the maps are made, but for the clock. */
void control_fill(const struct kernel_settings *settings, struct sl_control *ret_control);
/*
 * What a door is loaded with, over maps that were made with `made`: a flow table of so many buckets
 * and a `known` of so many 64-bit words (powers of two).
 */
void door_settings(const struct kernel_settings *settings, const struct sl_control *made,
		   uint32_t buckets, uint32_t known_words, struct sl_settings *ret_settings);

struct kernel;

/*
 * Opens the maps pinned below `pin_dir` (SL_PIN_DIR when NULL). 0; -ENOENT when there are none;
 * -EPROTO when they have another ABI; -EPERM without the privilege; else -errno.
 */
int kernel_open(const char *pin_dir, struct kernel **ret_kernel);
/*
 * The same for who is in a hurry: of the tables only what a flip needs is mapped. Before anything
 * else is asked of it, kernel_map has to map the rest. 0 or -errno.
 */
int kernel_open_to_flip(const char *pin_dir, struct kernel **ret_kernel);
int kernel_map(struct kernel *kernel);
/* Of those, what a split consists of. */
int kernel_map_splits(struct kernel *kernel);
/*
 * Opens them, or makes and pins them, mounting the BPF file system when it is not there. Loads and
 * pins the doors. Over maps of another ABI it makes new ones beside, which are to be filled with
 * the revisions of the state folder (kernel_pins names their folder) and then take over.
 */
int kernel_create(const char *pin_dir, const struct kernel_settings *settings, struct diags *diags,
		  struct kernel **ret_kernel);
/* Whether kernel_takeover is to come: another release's doors have flows of their own. */
bool kernel_has_other(const struct kernel *kernel);
/* The folder of its maps: that which it was made in, until it has taken over. */
const char *kernel_pins(const struct kernel *kernel);

struct kernel_takeover {
	uint32_t abi;           /* of the maps that were there */
	uint32_t moved, misfit; /* connections taken along; and those that could not be */
	uint32_t devices;
	uint64_t ms; /* that all of it took */
};
/*
 * Moves the other release's flows, puts these doors into every interface that has the other's,
 * takes along what began meanwhile, and removes the other's maps. At every moment each interface
 * looks into both tables, or needs one alone: no packet is lost. Whoever is killed in here leaves
 * doors that go on; the next start, of this release or of the other, ends it. 0, or -errno with the
 * reason in diags.
 */
int kernel_takeover(struct kernel *kernel, struct diags *diags,
		    struct kernel_takeover *ret_takeover);
void kernel_close(struct kernel *kernel);

/* What the kernel was asked for, and how it goes without. */
struct kernel_feature {
	const char *name, *since; /* the version that brought it, for people */
	const char *without;      /* what is done in its place; NULL when it is needed */
	bool is_needed, is_there;
};
#define KERNEL_FEATURES 6
/* Asks now, by trying; leaves nothing behind. Needs the privilege to load programs. */
size_t kernel_features(struct kernel_feature ret_list[KERNEL_FEATURES]);

/* --- revisions --- */

/*
 * The word in `active`, and the revision that the doors obey (they differ when the word names none
 * that is hot).
 */
uint32_t kernel_active(const struct kernel *kernel);
uint32_t kernel_obeyed(const struct kernel *kernel);
bool kernel_is_hot(const struct kernel *kernel, uint32_t revision);
/* Whether a revision of that number can be written: its place is not that of one that is obeyed. */
bool kernel_has_place(const struct kernel *kernel, uint32_t revision);
/* The directory of hot revisions: fills up to SL_HOT_MAX, ascending by number; returns how many. */
size_t kernel_revisions(const struct kernel *kernel, struct sl_revision *ret_list);

/*
 * Writes a revision's tables, beside those that are hot, without making it active. Endpoints and
 * rings of its versions are brought up to date as well. -ENOSPC names in `diags` the setting to
 * raise and the size it needs, before anything has changed.
 */
int kernel_write(struct kernel *kernel, const struct plan *plan, uint32_t revision,
		 const uint8_t digest[32], struct diags *diags);
/*
 * Whether it would have room for it. Changes nothing, so it has not the room that kernel_write can
 * make: where only that may be enough, it is 0 with a warning.
 */
int kernel_check(struct kernel *kernel, const struct plan *plan, struct diags *diags);
/*
 * kernel_write for a revision that is revision `base`, which is hot, but for the plan's services,
 * all of whose addresses, ports and versions the kernel has already. Endpoints and rings stay as
 * they are. The tables of a split that are mapped suffice (kernel_map_splits). -EAGAIN: nothing was
 * changed, it takes kernel_write.
 */
int kernel_write_beside(struct kernel *kernel, const struct plan *plan, uint32_t base,
			uint32_t revision, const uint8_t digest[32]);
/* Whether that has a chance: nobody has to leave for it, and free places are known. */
bool kernel_has_room_beside(const struct kernel *kernel, uint32_t base);
/* THE flip: one aligned store. -ENOENT when the revision is not hot. */
int kernel_switch(struct kernel *kernel, uint32_t revision);
/*
 * The same, and then notes how many connections each version had opened, so that shares can be
 * measured from here on.
 */
int kernel_flip(struct kernel *kernel, uint32_t revision);
/*
 * Endpoints and rings alone: what the plan says of the versions that the kernel knows. Never makes
 * a revision.
 */
int kernel_members(struct kernel *kernel, const struct plan *plan, struct diags *diags);

/*
 * Compares the tables of a hot revision with what the plan wants, and with `repair` puts right what
 * differs. Returns the number of differences (0: none) or -errno; each is a DIAG_WARNING that names
 * it.
 */
int kernel_audit(struct kernel *kernel, const struct plan *plan, uint32_t revision, bool repair,
		 struct diags *diags);

/* --- looking inside --- */

int kernel_counters(const struct kernel *kernel, struct sl_counters ret_doors[SL_DOOR_COUNT]);
/* Sums over CPUs of version index; the key is "" for a free place. */
int kernel_stats(const struct kernel *kernel, uint32_t version, struct sl_stats *ret_stats);
uint32_t kernel_version_limit(const struct kernel *kernel);
const struct sl_version *kernel_version(const struct kernel *kernel, uint32_t index);
/* By key; -ENOENT. */
int kernel_version_find(const struct kernel *kernel, const char *key, uint32_t *ret_index);
/* Whether any version, of whichever revision, has a ready endpoint. */
bool kernel_has_endpoints(const struct kernel *kernel);
uint32_t kernel_endpoint_limit(const struct kernel *kernel);
const struct sl_endpoint *kernel_endpoint(const struct kernel *kernel, uint32_t index);
/*
 * The words (endpoint indices) of a version's ring; returns how many, `ret_words` into the mapped
 * table (pairs).
 */
uint32_t kernel_ring_word(const struct kernel *kernel, uint32_t version, uint32_t place);

struct kernel_fill {
	const char *map;
	uint32_t used, size;
};
#define KERNEL_FILLS 9
/*
 * How full each map is. Counting flows walks them, so it is asked for apart. Returns how many
 * entries were filled.
 */
size_t kernel_fill(const struct kernel *kernel, bool with_flows, struct kernel_fill *ret_fill);

struct kernel_connection {
	struct addr source, destination;
	uint16_t source_port, destination_port;
	enum protocol protocol;
};

/* A connection's entry. */
struct kernel_flow {
	uint32_t endpoint, version; /* indices */
	uint8_t flags;              /* SL_FLOW_* */
	uint64_t silent_ms;         /* since its last packet, to about two seconds */
};
/* -ENOENT when there is none. */
int kernel_flow(const struct kernel *kernel, const struct kernel_connection *connection,
		struct kernel_flow *ret_flow);

/*
 * What the doors would do with a connection's first packet, by the same tables and the same pure
 * code.
 */
struct kernel_explain {
	uint32_t revision;
	bool is_ours;    /* a service of the active revision */
	bool is_refused; /* no rule, or an empty version */
	int rule;        /* index among the rules with a source; -1: the service's own split */
	uint64_t hash;
	uint32_t slot, slots;
	uint32_t version;
	bool spilled;
	uint32_t place, ring; /* place in a ring of so many */
	uint32_t endpoint;
	bool has_flow; /* a live flow exists */
	struct kernel_flow flow;
};
int kernel_explain(const struct kernel *kernel, const struct kernel_connection *connection,
		   struct kernel_explain *ret_explain);

/*
 * Live connections by version index (opened by the table's entries that are not closed or idle).
 * Walks the flows.
 */
int kernel_flows_by_version(const struct kernel *kernel, uint32_t *ret_counts, uint32_t limit);
/*
 * Removes entries of connections closed for a minute, UDP flows past their idle time, TCP flows
 * silent for `tcp_idle_s`, and those that were never answered for SL_SYN_IDLE_NS; then frees the
 * places of versions and endpoints that no hot revision, ring or flow names.
 */
#define KERNEL_TCP_IDLE_S (24 * 3600)
int kernel_flows_sweep(struct kernel *kernel, uint32_t tcp_idle_s);

/* --- routes --- */

/*
 * The doors remember the kernel's answer to where a packet goes (sl_exit): for a second, by
 * destination and incoming device, and only while routing looks at nothing else. kernel_create
 * looks whether that is so; a process that lives follows the kernel's news, looks again when they
 * ask for it, and makes the doors forget at once what may have changed. Only the agent does so:
 * these need no lock.
 *
 * While nobody follows, what the last look found stays in force. A neighbour, route, address or
 * interface that changes is then obeyed within a second, as an answer lives no longer and is never
 * prolonged. But when routing begins to look at more (a rule by source or mark, a route of several
 * next hops), each answer is right for the packet that asked for it, and for a second every other
 * packet to that destination by that device goes the same way: the rule may be broken, second after
 * second, until the next start looks. When routing looks at less again, the doors only stay slower.
 */

/*
 * Looks at rules, next hops and routes, tells the doors, and has them forget. A node whose start
 * asked for no memory is left so. False when it could not be found out, which stops the memory.
 */
bool kernel_routes_look(struct kernel *kernel);
/* Why the doors remember no routes, in words; NULL when they do. */
const char *kernel_routes_off(const struct kernel *kernel);

struct kernel_routes;
/* A socket that hears of everything that may change an answer; looking comes after. 0 or -errno. */
int kernel_routes_open(struct kernel_routes **ret_routes);
void kernel_routes_close(struct kernel_routes *routes);
/* Readable when there is news. */
int kernel_routes_fd(const struct kernel_routes *routes);
/*
 * Takes news off the socket and has the doors forget; what stops routing by destination alone stops
 * the memory at once. True when kernel_routes_look should be called: soon, but once for many news.
 */
bool kernel_routes_news(struct kernel *kernel, struct kernel_routes *routes);

/*
 * Has the kernel verify the stale neighbours that packets were redirected to since the last call,
 * of KERNEL_VERIFY_S seconds ago; where the doors remember no routes, those of attached devices, if
 * anything was redirected. A stale address that is wrong is then found as the stack finds it: with
 * its 5 seconds of patience and 3 of questions within 11, before the repetition that a TCP makes
 * after 13. `redirected` is the caller's to keep, at first 0. 0 or -errno.
 */
#define KERNEL_VERIFY_S 3
int kernel_neighbours_verify(struct kernel *kernel, uint64_t *redirected);

/* --- devices --- */

enum kernel_door {
	KERNEL_DOOR_AUTO, /* xdp where the driver has it natively, else tc */
	KERNEL_DOOR_XDP,
	KERNEL_DOOR_TC,
};

struct kernel_device {
	uint32_t ifindex;
	char name[16];
	char door[24];     /* "tc" or "xdp+tc" */
	char tc_hook[12];  /* "tcx" or "clsact" */
	char tc_by[12];    /* "link" or, of clsact's filters, "netlink" */
	char xdp_mode[12]; /* "native", "generic" or "" */
	/* "single"; behind libxdp's "dispatcher", beside others; or "" */
	char xdp_place[12];
	char xdp_by[12]; /* "link" or, of the dispatcher, "netlink"; or "" */
	bool xdp_target;
	bool to_peer; /* tc hands packets to the device's peer at once: nothing is on its way out */
};

/* Attaches (or, by link update, replaces) the doors of one interface. Idempotent. */
int kernel_attach(struct kernel *kernel, uint32_t ifindex, enum kernel_door door,
		  struct diags *diags, struct kernel_device *ret_device);
int kernel_detach(struct kernel *kernel, uint32_t ifindex);
/* What is attached now, by the pins. */
int kernel_devices(void *parent, const struct kernel *kernel, struct kernel_device **ret_list,
		   size_t *ret_count);
/*
 * Detaches everything and removes every pin: traffic goes on as if Sluice had never been. Works
 * without any map.
 */
int kernel_detach_all(const char *pin_dir, struct diags *diags);
/* Whether that removes this entry of the folder: somebody else's stay. */
bool kernel_is_pin(const char *pin_dir, const char *name);
