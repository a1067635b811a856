/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two objects over one set of maps, and tables written into them by hand: what the agent would
 * write, without the agent's code. A world is emptied between rows; the arrays' old contents stay,
 * as they would in a real node.
 */
#pragma once
#include "wire.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "bpf/settings.h"
#include "user/kernel/kernel.h"
#include "sluice_tc.skel.h"
#include "sluice_xdp.skel.h"

#define WORLD_SLOTS 64u /* of a small split */
#define WORLD_CPUS 256
#define VIP_PORT 80
#define EP_PORT 8080

struct world {
	struct sluice_tc *tc;
	struct sluice_xdp *xdp;
	struct sl_control control;
	struct sl_settings settings; /* as both doors were loaded with */
	struct sl_way *ways;         /* the flow table, mapped */
	__u64 *known;                /* mapped */
	__u64 *spilled;              /* mapped */
	__u32 slots, members, rings, versions, endpoints, vips, rules; /* next free */
	__u32 revision; /* that services are written into */
};

/* Settings of a world that is not the usual one. */
struct world_options {
	bool no_redirect;
	__u64 udp_idle_ns;
	__u32 buckets; /* of the flow table */
};

#define WORLD_BUCKETS 4096u
#define WORLD_KNOWN_WORDS 1024u
#define NO_VERSION 0xffffffffu /* of an endpoint that is in no ring yet */

static inline void world_die(const char *what)
{
	fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline void world_sizes(struct sluice_tc *tc, const struct world_options *options)
{
	bpf_map__set_max_entries(tc->maps.sl_services, 1 << 14);
	bpf_map__set_max_entries(tc->maps.sl_slots, 1 << 14);
	bpf_map__set_max_entries(tc->maps.sl_members, 1 << 10);
	bpf_map__set_max_entries(tc->maps.sl_versions, 1 << 10);
	bpf_map__set_max_entries(tc->maps.sl_stats, 1 << 10);
	bpf_map__set_max_entries(tc->maps.sl_rings, 1 << 14);
	bpf_map__set_max_entries(tc->maps.sl_endpoints, 1 << 10);
	bpf_map__set_max_entries(tc->maps.sl_vips, 1 << 10);
	bpf_map__set_max_entries(tc->maps.sl_known, WORLD_KNOWN_WORDS);
	bpf_map__set_max_entries(tc->maps.sl_flows, options->buckets ?: WORLD_BUCKETS);
	bpf_map__set_max_entries(tc->maps.sl_spilled, (options->buckets ?: WORLD_BUCKETS) / 64 + 1);
	bpf_map__set_max_entries(tc->maps.sl_fragments, 1 << 10);
}

static inline void world_share(const struct world *world)
{
	struct bpf_map *map, *shared;

	bpf_object__for_each_map(map, world->xdp->obj)
	{
		shared = bpf_object__find_map_by_name(world->tc->obj, bpf_map__name(map));
		if (shared && !bpf_map__is_internal(map) &&
		    bpf_map__reuse_fd(map, bpf_map__fd(shared)))
			world_die("share a map");
	}
}

static inline void *world_map(struct bpf_map *map)
{
	size_t size = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *data = mmap(NULL, (size + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(map), 0);

	if (data == MAP_FAILED)
		world_die("map a table");
	return data;
}

/* What the loader tells the doors: by the agent's code, over the sizes that the maps have. */
static inline void world_settings(struct world *world, const struct world_options *options)
{
	struct kernel_settings settings = KERNEL_SETTINGS_DEFAULT;

	settings.redirect = !options->no_redirect;
	if (options->udp_idle_ns)
		settings.udp_idle_ms = options->udp_idle_ns / 1000000;
	settings.seed[0] = 0x5107ce, settings.seed[1] = 42;
	control_fill(&settings, &world->control);
	world->control.fallback = 1;
	world->control.exits_off = SL_EXITS_KEPT; /* the node below has no policy rules */
	door_settings(&settings, &world->control, bpf_map__max_entries(world->tc->maps.sl_flows),
		      bpf_map__max_entries(world->tc->maps.sl_known), &world->settings);
	memcpy((void *)&world->tc->rodata->settings, &world->settings, sizeof(world->settings));
	memcpy((void *)&world->xdp->rodata->settings, &world->settings, sizeof(world->settings));
}

static inline void world_load(struct world *world)
{
	if (sluice_tc__load(world->tc))
		world_die("load the tc doors (root?)");
	world_share(world);
	if (sluice_xdp__load(world->xdp))
		world_die("load the XDP door");
	world->ways = world_map(world->tc->maps.sl_flows);
	world->known = world_map(world->tc->maps.sl_known);
	world->spilled = world_map(world->tc->maps.sl_spilled);
}

static inline void world_open(struct world *world, const struct world_options *options)
{
	memset(world, 0, sizeof(*world));
	world->tc = sluice_tc__open();
	world->xdp = sluice_xdp__open();
	if (!world->tc || !world->xdp)
		world_die("open the objects");
	world_sizes(world->tc, options);
	world_settings(world, options);
	world_load(world);
}

static inline void world_close(struct world *world)
{
	sluice_tc__destroy(world->tc);
	sluice_xdp__destroy(world->xdp);
}

#define world_fd(world, map) bpf_map__fd((world)->tc->maps.sl_##map)

static inline void world_put(int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY))
		world_die("write a table");
}

/* The next key is asked for before its predecessor goes: from a key that is gone the kernel begins
 * all over. */
static inline void world_empty(int fd)
{
	__u8 keys[2][64];
	int at = 0, err = bpf_map_get_next_key(fd, NULL, keys[0]);

	while (!err) {
		err = bpf_map_get_next_key(fd, keys[at], keys[!at]);
		bpf_map_delete_elem(fd, keys[at]);
		at = !at;
	}
}

static inline void world_active(const struct world *world, __u32 revision)
{
	world_put(world_fd(world, active), &(__u32){ 0 }, &revision);
}

/* A revision in the directory; services written from here on are its. */
static inline void world_revision(struct world *world, __u32 number)
{
	struct sl_revision entry = { .number = number };
	__u32 place = number & (SL_HOT_MAX - 1);

	world_put(world_fd(world, revisions), &place, &entry);
	world->revision = number;
}

static inline void world_flows_clear(const struct world *world)
{
	memset(world->ways, 0, (world->settings.flow_mask + 1ull) * sizeof(struct sl_bucket));
	memset(world->spilled, 0, (world->settings.flow_mask + 64ull) / 64 * 8);
}

/* Nothing is known: no service, no flow, no device. Revision 1 is active and empty. */
static inline void world_reset(struct world *world)
{
	static const struct sl_stats none[WORLD_CPUS];

	for (__u32 i = 0; i < world->versions; i++)
		world_put(world_fd(world, stats), &i, none);
	world->slots = world->members = world->rings = world->versions = world->endpoints =
		world->vips = world->rules = 0;
	world_empty(world_fd(world, services));
	world_flows_clear(world);
	memset(world->known, 0, (world->settings.known_mask + 1ull) / 8);
	world->control.exits_epoch++;
	world_empty(world_fd(world, fragments));
	world_empty(world_fd(world, devices));
	world_put(world_fd(world, control), &(__u32){ 0 }, &world->control);
	world_revision(world, 1);
	world_active(world, 1);
}

static inline void world_mapped(enum who who, int family, __u32 *ret_addr)
{
	memset(ret_addr, 0, 16);
	if (family == 4)
		ret_addr[2] = htonl(0xffff);
	wire_address(who, family, family == 4 ? &ret_addr[3] : ret_addr);
}

static inline void world_know(const struct world *world, const __u32 *addr, __be16 port, int family)
{
	__u32 bit = way_known_bit(family == 4 ? addr + 3 : addr, port, family) &
		    world->settings.known_mask;

	world->known[bit / 64] |= 1ull << bit % 64;
}

static inline __u32 world_endpoint(struct world *world, int family, enum who who, __u16 port)
{
	struct sl_endpoint endpoint = { .port = htons(port), .version = NO_VERSION, .used = 1 };
	__u32 index = world->endpoints++;

	world_mapped(who, family, endpoint.addr);
	world_put(world_fd(world, endpoints), &index, &endpoint);
	world_know(world, endpoint.addr, endpoint.port, family);
	return index;
}

/*
 * An endpoint is in one version; for a second one it is put down once more. Returns its index. One
 * that points outside stays as it is.
 */
static inline __u32 world_endpoint_of(struct world *world, __u32 index, __u32 version)
{
	struct sl_endpoint endpoint;

	if (bpf_map_lookup_elem(world_fd(world, endpoints), &index, &endpoint))
		return index;
	if (endpoint.version != NO_VERSION && endpoint.version != version)
		index = world->endpoints++;
	endpoint.version = version;
	world_put(world_fd(world, endpoints), &index, &endpoint);
	return index;
}

/* A version whose ring is `count` words, given as endpoint indexes; 0 words: no ready endpoint. */
static inline __u32 world_version(struct world *world, const __u32 *words, __u32 count)
{
	struct sl_version version = { .ring = world->rings | (__u64)count << 32, .used = 1 };
	__u32 index = world->versions++;

	for (__u32 i = 0; i < count; i += 2) {
		struct sl_pair pair = {};
		__u32 at = (world->rings + i) / 2;

		for (__u32 k = 0; k < 2 && i + k < count; k++)
			pair.at[k] = world_endpoint_of(world, words[i + k], index);
		world_put(world_fd(world, rings), &at, &pair);
	}
	world->rings += (count + 1) & ~1u;
	snprintf(version.key, sizeof(version.key), "reviews.default|v%u|80/tcp", index + 1);
	world_put(world_fd(world, versions), &index, &version);
	return index;
}

static inline void world_members(struct world *world, const __u32 *versions, __u32 count)
{
	for (__u32 i = 0; i < count; i += 2) {
		struct sl_pair pair = { { versions[i], i + 1 < count ? versions[i + 1] : 0 } };
		__u32 at = (world->members + i) / 2;

		world_put(world_fd(world, members), &at, &pair);
	}
	world->members += (count + 1) & ~1u;
}

/*
 * `counts[i]` slots for the i-th version, one after the other; their sum is a power of two. A
 * version that has no slot is no member, so its ordinal is skipped.
 */
static inline struct sl_split world_split(struct world *world, const __u32 *versions,
					  const __u32 *counts, __u32 count, __u16 flags)
{
	struct sl_split split = { .slot_base = world->slots,
				  .member_base = world->members,
				  .flags = flags };
	struct sl_slots group = {};
	__u32 kept[SL_MEMBERS_MAX], slot = 0;

	for (__u32 i = 0; i < count; i++) {
		for (__u32 k = 0; k < counts[i]; k++, slot++) {
			__u32 at = world->slots + slot / SL_SLOTS_PER_GROUP;

			group.ordinal[slot % SL_SLOTS_PER_GROUP] = split.member_count;
			if (slot % SL_SLOTS_PER_GROUP == SL_SLOTS_PER_GROUP - 1)
				world_put(world_fd(world, slots), &at, &group);
		}
		if (counts[i])
			kept[split.member_count++] = versions[i];
	}
	world_members(world, kept, split.member_count);
	split.slot_mask = slot - 1;
	world->slots += slot / SL_SLOTS_PER_GROUP;
	return split;
}

static inline struct sl_split world_split_one(struct world *world, __u32 version)
{
	return world_split(world, &version, &(__u32){ WORLD_SLOTS }, 1, 0);
}

static inline __u32 world_rule(struct world *world, int family, enum who prefix, int bits,
			       struct sl_split split)
{
	struct sl_rule rule = { .split = split };
	__u32 index = world->rules++;
	__u8 mask[16] = {};

	for (int i = 0; i < bits + (family == 4 ? 96 : 0); i++)
		mask[i / 8] |= 0x80 >> i % 8;
	memcpy(rule.mask, mask, 16);
	world_mapped(prefix, family, rule.prefix);
	for (int i = 0; i < 4; i++)
		rule.prefix[i] &= rule.mask[i];
	world_put(world_fd(world, rules), &index, &rule);
	return index;
}

static inline __u32 world_vip_new(struct world *world, const __u32 *addr, __u8 protocol,
				  __be16 port, int family)
{
	struct sl_vip vip = { .port = port, .protocol = protocol, .used = 1 };

	memcpy(vip.addr, addr, sizeof(vip.addr));
	world_know(world, addr, port, family);
	world_put(world_fd(world, vips), &world->vips, &vip);
	return world->vips++;
}

/* The index of a VIP, put down if it is not there yet. */
static inline __u32 world_vip(struct world *world, const __u32 *addr, __u8 protocol, __be16 port,
			      int family)
{
	struct sl_vip vip = { .port = port, .protocol = protocol, .used = 1 }, there;

	memcpy(vip.addr, addr, sizeof(vip.addr));
	for (__u32 i = 0; i < world->vips; i++)
		if (!bpf_map_lookup_elem(world_fd(world, vips), &i, &there) &&
		    !memcmp(&vip, &there, sizeof(vip)))
			return i;
	return world_vip_new(world, addr, protocol, port, family);
}

static inline void world_service(struct world *world, int family, __u8 protocol, __u16 port,
				 struct sl_service service)
{
	struct sl_service_key key = { .revision = world->revision,
				      .port = htons(port),
				      .protocol = protocol };

	world_mapped(VIP, family, key.vip);
	service.vip = world_vip(world, key.vip, protocol, key.port, family);
	world_put(world_fd(world, services), &key, &service);
}

/* The service for TCP and UDP, with no rule. */
static inline void world_serve(struct world *world, int family, struct sl_split split)
{
	struct sl_service service = { .otherwise = split };

	world_service(world, family, IPPROTO_TCP, VIP_PORT, service);
	world_service(world, family, IPPROTO_UDP, VIP_PORT, service);
}

static inline void world_device(const struct world *world, const char *name, __u32 flags)
{
	__u32 ifindex = if_nametoindex(name);

	world_put(world_fd(world, devices), &ifindex, &flags);
}

/* --- flows, as the doors have written them --- */

struct flow {
	__u32 endpoint, version, vip;
	__u16 age; /* units of `seen` */
	__u8 flags;
};

static inline __u64 world_tag(const struct world *world, const struct wire *wire)
{
	__u32 src[4] = {}, dst[4] = {};

	wire_address(wire->src, wire->family, src);
	wire_address(wire->dst, wire->family, dst);
	return way_tag(&world->settings.flow_keys, wire->family, src, dst, htons(wire->sport),
		       htons(wire->dport), wire->protocol);
}

/* The way that holds the tag, wherever it is; NULL: none. */
static inline struct sl_way *world_way(const struct world *world, __u64 tag)
{
	for (__u64 i = 0; i < (world->settings.flow_mask + 1ull) * SL_WAYS; i++)
		if (world->ways[i].tag == tag)
			return &world->ways[i];
	return NULL;
}

/* The doors' clock, in units of `seen`. */
static inline __u16 world_clock(const struct world *world)
{
	char frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	if (bpf_prog_test_run_opts(bpf_program__fd(world->tc->progs.sl_clock), &opts))
		world_die("read the doors' clock");
	return opts.retval >> world->settings.seen_shift;
}

static inline bool world_flow(const struct world *world, __u64 tag, struct flow *ret_flow)
{
	const struct sl_way *way = world_way(world, tag);
	struct sl_endpoint endpoint = {};
	__u32 index;

	if (!way)
		return false;
	index = way_endpoint(way->word);
	if (bpf_map_lookup_elem(world_fd(world, endpoints), &index, &endpoint))
		world_die("read an endpoint");
	*ret_flow = (struct flow){ index, endpoint.version, way_vip(way->word),
				   way_age(way->word, world_clock(world)), way->word };
	return true;
}

/* As if its last packet had come so many units ago. */
static inline void world_flow_age(const struct world *world, __u64 tag, __u16 age)
{
	struct sl_way *way = world_way(world, tag);

	if (!way)
		world_die("find a flow that should be there");
	way->word = way_seen_set(way->word, world_clock(world) - age);
}

static inline void world_flow_drop(const struct world *world, __u64 tag)
{
	struct sl_way *way = world_way(world, tag);

	if (way)
		way->tag = SL_WAY_EMPTY;
}

/* --- the node: a network namespace with a client's link and endpoints' links --- */

struct link {
	const char *name;
	__u8 mac[ETH_ALEN], peer[ETH_ALEN]; /* the node's end; whoever is on the other */
};

enum {
	LINK_CLIENT,
	LINK_ENDPOINT,
	LINK_SLOW,
	LINK_PLAIN,
	LINK_COUNT
};

static const struct link node_links[LINK_COUNT] = {
	[LINK_CLIENT] = { "cl0", { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 1, 1 } },
	[LINK_ENDPOINT] = { "ep0", { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 1, 2 } },
	[LINK_SLOW] = { "slow0", { 2, 0, 0, 0, 0, 3 }, { 2, 0, 0, 0, 1, 3 } },
	[LINK_PLAIN] = { "plain0", { 2, 0, 0, 0, 0, 4 }, { 2, 0, 0, 0, 1, 4 } },
};

static const char node_commands[] =
	"set -e; exec >/dev/null\n"
	"ip link set lo up\n"
	"echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding\n"
	"i=0; for d in cl0 ep0 slow0 plain0; do i=$((i+1))\n"
	"  ip link add $d address 02:00:00:00:00:0$i type veth peer name ${d}p address "
	"02:00:00:00:01:0$i\n"
	"  ip link set ${d}p up; ip link set $d up; done\n"
	"ip addr add 192.0.2.1/24 dev cl0; ip -6 addr add 2001:db8:1::1/64 dev cl0 nodad\n"
	"ip addr add 10.0.0.1/24 dev ep0; ip -6 addr add fd00::1/64 dev ep0 nodad\n"
	"ip addr add 10.0.1.1/24 dev slow0; ip -6 addr add fd00:1::1/64 dev slow0 nodad\n"
	"ip addr add 10.0.2.1/24 dev plain0; ip -6 addr add fd00:2::1/64 dev plain0 nodad\n"
	"n() { d=$1; m=$2; shift 2; for a; do ip neigh replace $a lladdr $m dev $d nud permanent; "
	"done; }\n"
	"n cl0 02:00:00:00:01:01 192.0.2.10 192.0.2.77 2001:db8:1::10 2001:db8:1:0:77::10\n"
	"n ep0 02:00:00:00:01:02 10.0.0.11 10.0.0.12 10.0.0.13 fd00::11 fd00::12:0:0:1 fd00::13\n"
	"n slow0 02:00:00:00:01:03 10.0.1.11 fd00:1::11\n"
	"n plain0 02:00:00:00:01:04 10.0.2.11 fd00:2::11\n";

static inline void node_open(void)
{
	if (unshare(CLONE_NEWNET))
		world_die("leave the network namespace (root?)");
	if (system(node_commands))
		world_die("set up links with ip(8)");
}
