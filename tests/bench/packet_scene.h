/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the packets meet: Sluice's doors over maps of the size that the agent makes, filled by hand,
 * and the floors over maps of the same size. Many scenes, because packets go up the stack by doors
 * that were loaded so, and because what else lies in a table lengthens its chains: few flows, very
 * many and flows that come without end never share one.
 */
#pragma once
#include "packet.h"
#include "tests/prog/harness.h"

#include "bench/packet_floor.skel.h"
#include "bench/packet_gen.skel.h"
#include "user/kernel/kernel.h"

#include <talloc.h>

#define SERVICES_MANY 10000u
#define VERSIONS_MANY 4000u /* the agent's default holds 4096 */
#define SERVICE_SLOTS SL_SLOTS_DEFAULT
#define CLIENTS                                                                                    \
	0xac100000u /* 172.16.0.0/12 and 2001:db8:172::ac10:0/108, behind a router on the client's \
		       link */
#define VIP_ONE 0x0a600001u   /* 10.96.0.1, wire.h's VIP */
#define VIP_NONE 0x0a600002u  /* and VIP_OTHER */
#define VIP_FIRST 0x0a610000u /* 10.97.0.0, the first of the many */
#define PORT_LONE 81 /* the service with one endpoint, whose replies are known beforehand */
#define ENDPOINT_LONE 8081

enum scene {
	SCENE_FLOOR,
	SCENE_FLOOR_MANY, /* for 512 Ki flows */
	SCENE_STACK,      /* doors that send everything up the stack */
	SCENE_STACK_MANY,
	SCENE_STACK_NEW, /* flow tables always full */
	SCENE_REDIRECT,
	SCENE_REDIRECT_MANY,
	SCENE_REDIRECT_NEW,
	SCENE_COUNT
};

enum direction {
	TO_ONE,    /* one service, split over two versions of three endpoints */
	TO_MANY,   /* 10,000 services */
	TO_LONE,   /* one service of one endpoint */
	FROM_LONE, /* its replies */
	TO_NONE,   /* no service of ours */
};

static struct world worlds[SCENE_COUNT];
static bool worlds_redirect[SCENE_COUNT];
static struct packet_gen *gen;
static struct packet_floor *floors[SCENE_STACK];

/* --- map sizes: asked of maps that the agent's own code makes --- */

static inline __u32 pinned_entries(const char *pins, const char *name)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		world_die("read a map's size");
	close(fd);
	return info.max_entries;
}

static inline void sizes_of_pins(const char *pins)
{
	struct kernel_settings settings = KERNEL_SETTINGS_DEFAULT;
	__u32 services = pinned_entries(pins, "services");
	struct bpf_map *map;

	for (int scene = SCENE_STACK; scene < SCENE_COUNT; scene++)
		bpf_object__for_each_map(
			map,
			worlds[scene].tc->obj) if (!strncmp(bpf_map__name(map), "sl_", 3) &&
						   bpf_map__set_max_entries(
							   map,
							   pinned_entries(pins,
									  bpf_map__name(map) + 3)))
			world_die("set a map's size");
	for (int scene = SCENE_FLOOR; scene < SCENE_STACK; scene++) {
		bpf_map__set_max_entries(floors[scene]->maps.flows, settings.flows);
		bpf_map__set_max_entries(floors[scene]->maps.services, services);
	}
	bpf_map__set_max_entries(floors[SCENE_FLOOR]->maps.fresh_flows, settings.flows);
	/* 300 MB each that no row uses. */
	bpf_map__set_max_entries(floors[SCENE_FLOOR_MANY]->maps.fresh_flows, 128);
}

static inline void sizes_set(void)
{
	struct kernel_settings settings = KERNEL_SETTINGS_DEFAULT;
	struct diags *diags = diags_new(NULL);
	struct kernel *kernel;
	char pins[64];

	snprintf(pins, sizeof(pins), SL_PIN_DIR "_bench_%d", getpid());
	if (kernel_create(pins, &settings, diags, &kernel)) {
		diags_print(diags, stderr, false);
		exit(1);
	}
	sizes_of_pins(pins);
	kernel_close(kernel);
	kernel_detach_all(pins, diags);
	talloc_free(diags);
}

/* --- tables --- */

static inline void service_put(struct world *world, int family, __u32 vip, __u8 protocol,
			       __u16 port, struct sl_split split)
{
	struct sl_service_key key = { .revision = world->revision,
				      .port = htons(port),
				      .protocol = protocol };
	struct sl_service service = { .otherwise = split };

	world_mapped(VIP, family, key.vip);
	if (family == 4)
		key.vip[3] = htonl(vip);
	/* The many are counted, not looked for. */
	service.vip = vip >= VIP_FIRST ? world_vip_new(world, key.vip, protocol, key.port, family)
				       : world_vip(world, key.vip, protocol, key.port, family);
	world_put(world_fd(world, services), &key, &service);
}

/* 90 to 10 between two versions with three endpoints each: a canary release. */
static inline struct sl_split split_canary(struct world *world, int family)
{
	const __u32 few = SERVICE_SLOTS / 10, counts[2] = { SERVICE_SLOTS - few, few };
	__u32 words[3], versions[2];

	for (int v = 0; v < 2; v++) {
		for (int i = 0; i < 3; i++)
			words[i] = world_endpoint(world, family, EP_A + i, EP_PORT + 2 * v);
		versions[v] = world_version(world, words, 3);
	}
	return world_split(world, versions, counts, 2, 0);
}

static inline struct sl_split split_lone(struct world *world, int family)
{
	__u32 word = world_endpoint(world, family, EP_A, ENDPOINT_LONE);

	return world_split_one(world, world_version(world, &word, 1));
}

/* The slot table of one version is the same for all, so they share it, as the agent's would;
 * members are their own. */
static inline void services_many(struct world *world)
{
	static __u32 versions[VERSIONS_MANY];
	struct sl_split split;

	for (__u32 i = 0; i < VERSIONS_MANY; i++) {
		__u32 word = world_endpoint(world, 4, EP_A + i % 3, 10000 + i);

		versions[i] = world_version(world, &word, 1);
	}
	split = world_split_one(world, versions[0]);
	for (__u32 i = 0; i < SERVICES_MANY; i++) {
		service_put(world, 4, VIP_FIRST + i, IPPROTO_TCP, VIP_PORT, split);
		split.member_base = world->members;
		world_members(world, &versions[i % VERSIONS_MANY], 1);
	}
}

static inline void tables_fill(struct world *world)
{
	world_reset(world);
	for (int family = 4; family <= 6; family += 2) {
		struct sl_split canary = split_canary(world, family);

		service_put(world, family, VIP_ONE, IPPROTO_TCP, VIP_PORT, canary);
		service_put(world, family, VIP_ONE, IPPROTO_UDP, VIP_PORT, canary);
		service_put(world, family, VIP_ONE, IPPROTO_TCP, PORT_LONE,
			    split_lone(world, family));
	}
	services_many(world);
	world_device(world, "cl0", SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET);
	world_device(world, "ep0", SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET);
}

static inline void floors_load(struct packet_floor *floor)
{
	struct sl_service_key key = {
		.revision = 1,
		.vip = { 0, 0, htonl(0xffff), htonl(VIP_ONE) },
		.port = htons(VIP_PORT),
		.protocol = IPPROTO_TCP,
	};
	struct sl_service service = {};

	if (packet_floor__load(floor))
		world_die("load the floors");
	world_put(bpf_map__fd(floor->maps.services), &key, &service);
}

/* --- opening --- */

static inline void doors_open(struct world *world, bool redirect)
{
	world->tc = sluice_tc__open();
	world->xdp = sluice_xdp__open();
	if (!world->tc || !world->xdp)
		world_die("open the doors");
	worlds_redirect[world - worlds] = redirect;
}

static inline void doors_load(struct world *world)
{
	struct world_options options = { .no_redirect = !worlds_redirect[world - worlds] };

	world_settings(world, &options);
	world_load(world);
	tables_fill(world);
}

static inline void scenes_open(void)
{
	node_open();
	if (system("ip route add 172.16.0.0/12 via 192.0.2.10 dev cl0;"
		   "ip -6 route add 2001:db8:172::/48 via 2001:db8:1::10 dev cl0"))
		world_die("set routes with ip(8)");
	gen = packet_gen__open_and_load();
	for (int scene = SCENE_FLOOR; scene < SCENE_STACK; scene++)
		floors[scene] = packet_floor__open();
	if (!gen || !floors[SCENE_FLOOR] || !floors[SCENE_FLOOR_MANY])
		world_die("open the generator and the floors (root?)");
	for (int scene = SCENE_STACK; scene < SCENE_COUNT; scene++)
		doors_open(&worlds[scene], scene >= SCENE_REDIRECT);
	sizes_set();
	for (int scene = SCENE_FLOOR; scene < SCENE_STACK; scene++)
		floors_load(floors[scene]);
	for (int scene = SCENE_STACK; scene < SCENE_COUNT; scene++)
		doors_load(&worlds[scene]);
}

/* --- streams --- */

static inline struct wire frame_of(int family, __u8 protocol, enum direction direction)
{
	bool is_reply = direction == FROM_LONE;
	const struct link *link = &node_links[is_reply ? LINK_ENDPOINT : LINK_CLIENT];
	struct wire wire = {
		.family = family,
		.protocol = protocol,
		.src = is_reply ? EP_A : CLIENT,
		.dst = is_reply               ? CLIENT
		       : direction == TO_NONE ? VIP_OTHER
					      : VIP,
		.sport = is_reply ? ENDPOINT_LONE : PACKET_PORT_FIRST,
		.dport = direction == TO_LONE ? PORT_LONE : VIP_PORT,
		.tcp_flags = 0x10,
		.ttl = 64,
	};

	memcpy(wire.to, link->mac, ETH_ALEN);
	memcpy(wire.from, link->peer, ETH_ALEN);
	wire.payload = PACKET_SIZE - ETH_HLEN - (family == 4 ? 20 : 40) -
		       (protocol == IPPROTO_TCP ? 20 : 8);
	return wire;
}

/* `flows` 0: every packet a new one. The frame's checksums are those of the first flow. */
static inline void stream_set(struct packet_stream *stream, int family, __u8 protocol,
			      enum direction direction, __u32 flows)
{
	static const __u8 prefix[12] = { 0x20, 0x01, 0x0d, 0xb8, 0x01, 0x72 };
	struct wire wire = frame_of(family, protocol, direction);
	__u32 src = ETH_HLEN + (family == 4 ? 12 : 8), dst = src + (family == 4 ? 4 : 16);
	__u32 client = direction == FROM_LONE ? dst : src, l4 = dst + (family == 4 ? 4 : 16);
	__u8 *frame = (__u8 *)stream->frame;

	if (!flows)
		wire.tcp_flags = 0x02; /* SYN */
	memset(stream, 0, sizeof(*stream));
	if (wire_build(&wire, frame) != PACKET_SIZE)
		world_die("build a frame");
	if (family == 6)
		memcpy(frame + client, prefix, sizeof(prefix));
	stream->mask = flows - 1;
	stream->client = CLIENTS;
	stream->client_at = client + (family == 4 ? 0 : 12);
	stream->port_at = l4 + (direction == FROM_LONE ? 2 : 0);
	stream->services = direction == TO_MANY ? SERVICES_MANY : 1;
	stream->vip_at = (direction == FROM_LONE ? src : dst) + (family == 4 ? 0 : 12);
	memcpy(&stream->vip, frame + stream->vip_at, 4);
	stream->vip = direction == TO_MANY ? VIP_FIRST : ntohl(stream->vip);
}
