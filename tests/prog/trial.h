/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row of the doors' table is one sentence and the steps that prove it. It runs for every door and
 * family that it names; each step sends a packet, and wants one verdict, that verdict's return
 * code, these notes and exactly these bytes.
 */
#pragma once
#include "harness.h"

#define DOORS_IN (1 << SL_DOOR_XDP | 1 << SL_DOOR_TC)
#define V4 1
#define V6 2
#define V46 (V4 | V6)

struct trial;

struct row {
	const char *sentence;
	void (*steps)(struct trial *trial);
	int doors, families;
};

struct trial {
	const struct row *row;
	int family;
	__u32 door; /* of the packets that come in */
	__u32 note; /* that the next step shall count, or 0 */
	struct world *world;
	struct run run; /* of the last step */
};

static bool trial_reached[SL_VERDICT_COUNT];

/* --- descriptions of packets --- */

static inline struct wire wire_from(const struct trial *trial, int link, enum who src, enum who dst)
{
	struct wire wire = { .family = trial->family,
			     .src = src,
			     .dst = dst,
			     .ttl = 64,
			     .id = 0x1234,
			     .salt = 0xcafe };

	memcpy(wire.to, node_links[link].mac, ETH_ALEN);
	memcpy(wire.from, node_links[link].peer, ETH_ALEN);
	return wire;
}

static inline struct wire tcp(const struct trial *trial, __u8 flags)
{
	struct wire wire = wire_from(trial, LINK_CLIENT, CLIENT, VIP);

	wire.protocol = IPPROTO_TCP;
	wire.tcp_flags = flags;
	wire.sport = 40000, wire.dport = VIP_PORT;
	wire.seq = 0xfffffff0, wire.ack = flags & 0x10 ? 0x01020304 : 0;
	wire.payload = flags & 2 ? 0 : 31;
	return wire;
}

static inline struct wire udp(const struct trial *trial)
{
	struct wire wire = wire_from(trial, LINK_CLIENT, CLIENT, VIP);

	wire.protocol = IPPROTO_UDP;
	wire.sport = 40001, wire.dport = VIP_PORT;
	wire.payload = 40;
	return wire;
}

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	PSH = 8,
	ACK = 16
};

/* What the endpoint gets. */
static inline struct wire to_endpoint(struct wire wire, enum who endpoint)
{
	wire.dst = endpoint;
	wire.dport = EP_PORT;
	return wire;
}

/* What the endpoint answers to a client's packet, on the endpoints' link. */
static inline struct wire answer_to(const struct trial *trial, struct wire wire, enum who endpoint,
				    __u8 flags)
{
	struct wire answer = wire_from(trial, LINK_ENDPOINT, endpoint, wire.src);

	answer.protocol = wire.protocol;
	answer.sport = EP_PORT, answer.dport = wire.sport;
	answer.tcp_flags = flags, answer.seq = 77, answer.ack = 0xfffffff1;
	answer.payload = flags & SYN ? 0 : 53;
	answer.tags = wire.tags, answer.options = wire.options,
	answer.no_checksum = wire.no_checksum;
	return answer;
}

/* The same as the client gets it. */
static inline struct wire to_client(struct wire wire)
{
	wire.src = VIP;
	wire.sport = VIP_PORT;
	return wire;
}

/* Sent out of a link by the door itself. */
static inline struct wire straight(struct wire wire, int link)
{
	memcpy(wire.to, node_links[link].peer, ETH_ALEN);
	memcpy(wire.from, node_links[link].mac, ETH_ALEN);
	wire.ttl--;
	return wire;
}

/* --- steps --- */

static inline void step_fail(struct trial *trial, const struct wire *want, __u32 verdict,
			     const char *why)
{
	__u8 bytes[WIRE_MAX];
	__u32 size = want ? wire_build(want, bytes) : 0, at = 0;
	struct run *run = &trial->run;

	fprintf(stderr, "  %s [%s v%d]\n    %s; wanted %s, got %s (code %d, error %d)\n",
		trial->row->sentence, door_names[trial->door], trial->family, why,
		verdict < SL_COUNTER_COUNT ? counter_names[verdict] : "-",
		run_verdict(run) < SL_VERDICT_COUNT ? counter_names[run_verdict(run)]
						    : "no single verdict",
		run->code, run->err);
	print_counted(run);
	print_bytes("sent", run->in, run->in_len);
	if (want) {
		while (at < size && at < run->out_len && bytes[at] == run->out[at])
			at++;
		print_bytes("wanted", bytes, size);
		print_bytes("got", run->out, run->out_len);
		fprintf(stderr, "    first difference at byte %u\n", at);
	}
	fail();
}

static inline void step_counted(struct trial *trial, const struct wire *want, __u32 verdict,
				__u32 door)
{
	const struct run *run = &trial->run;

	if (run->err)
		step_fail(trial, want, verdict, "the test run failed");
	if (run_verdict(run) != verdict)
		step_fail(trial, want, verdict, "another verdict");
	for (__u32 i = SL_VERDICT_COUNT; i < SL_COUNTER_COUNT; i++)
		if (run->counted[i] != (i == trial->note))
			step_fail(trial, want, i, "another note");
	if (run->code != verdict_code(door, verdict))
		step_fail(trial, want, verdict, "another return code");
	trial_reached[verdict] = true;
	trial->note = 0;
}

static inline void step_bytes(struct trial *trial, const struct wire *want, __u32 verdict)
{
	const struct run *run = &trial->run;
	__u8 bytes[WIRE_MAX];
	__u32 size = wire_build(want, bytes);
	const char *sum;

	if (run->out_len != size || memcmp(run->out, bytes, size))
		step_fail(trial, want, verdict, "other bytes");
	sum = sums_of(run->out);
	if (sum) {
		fprintf(stderr, "    checksum of %s\n", sum);
		step_fail(trial, want, verdict, "a checksum does not hold");
	}
}

/*
 * At tc the kernel is also told that the device summed the packet (CHECKSUM_COMPLETE), and checks
 * that sum afterwards; but not for an answer, which is a packet of our own and leaves at once.
 */
static inline void sends_at(struct trial *trial, __u32 door, int link, struct wire in,
			    __u32 verdict, struct wire out)
{
	__u32 ifindex = if_nametoindex(node_links[link].name);
	bool is_answer = !strncmp(counter_names[verdict], "refuse", 6);
	__u32 flags = door == SL_DOOR_XDP || is_answer ? 0 : skb_sum_flag(trial->world);

	trial->run.in_len = wire_build(&in, trial->run.in);
	run_door(trial->world, door, ifindex, flags, &trial->run);
	step_counted(trial, &out, verdict, door);
	step_bytes(trial, &out, verdict);
}

static inline void client_sends(struct trial *trial, struct wire in, __u32 verdict, struct wire out)
{
	sends_at(trial, trial->door, LINK_CLIENT, in, verdict, out);
}

static inline void endpoint_sends(struct trial *trial, struct wire in, __u32 verdict,
				  struct wire out)
{
	sends_at(trial, trial->door, LINK_ENDPOINT, in, verdict, out);
}

/* The stack routes a packet out to the client, through the egress door. */
static inline void stack_sends(struct trial *trial, struct wire in, __u32 verdict, struct wire out)
{
	sends_at(trial, SL_DOOR_OUT, LINK_CLIENT, in, verdict, out);
}

static inline void client_passes(struct trial *trial, struct wire in, __u32 verdict)
{
	client_sends(trial, in, verdict, in);
}

/* A drop's bytes are nobody's concern. */
static inline void client_drops(struct trial *trial, struct wire in, __u32 verdict)
{
	__u32 ifindex = if_nametoindex(node_links[LINK_CLIENT].name);

	trial->run.in_len = wire_build(&in, trial->run.in);
	run_door(trial->world, trial->door, ifindex, 0, &trial->run);
	step_counted(trial, NULL, verdict, trial->door);
}

static inline void step_wants(struct trial *trial, bool holds, const char *what)
{
	if (!holds)
		step_fail(trial, NULL, SL_COUNTER_COUNT, what);
}

/* --- what stands in the tables afterwards --- */

static inline bool flow_of(const struct trial *trial, struct wire wire, struct flow *ret_flow)
{
	return world_flow(trial->world, world_tag(trial->world, &wire), ret_flow);
}

static inline void flow_age(const struct trial *trial, struct wire wire, __u16 age)
{
	world_flow_age(trial->world, world_tag(trial->world, &wire), age);
}

static inline void flow_drop(const struct trial *trial, struct wire wire)
{
	world_flow_drop(trial->world, world_tag(trial->world, &wire));
}

static inline struct sl_stats stats_of(const struct trial *trial, __u32 version)
{
	static struct sl_stats each[WORLD_CPUS];
	struct sl_stats sum = {};

	if (bpf_map_lookup_elem(world_fd(trial->world, stats), &version, each))
		world_die("read stats");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (size_t i = 0; i < sizeof(sum) / 8; i++)
			((__u64 *)&sum)[i] += ((__u64 *)&each[cpu])[i];
	return sum;
}

/* --- worlds --- */

/* Version 0 with one endpoint, the whole of the service. */
static inline void world_one(struct trial *trial, enum who who)
{
	struct world *world = trial->world;
	__u32 endpoint = world_endpoint(world, trial->family, who, EP_PORT);

	world_serve(world, trial->family,
		    world_split_one(world, world_version(world, &endpoint, 1)));
}

/* A service without a ready endpoint. */
static inline void world_none(struct trial *trial)
{
	struct world *world = trial->world;

	world_serve(world, trial->family, world_split_one(world, world_version(world, NULL, 0)));
}

/* Every link has both doors, apart from the slow one (no XDP frames) and the plain one (no doors).
 */
static inline void world_links(struct trial *trial)
{
	world_device(trial->world, "cl0", SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET);
	world_device(trial->world, "ep0", SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET);
	world_device(trial->world, "slow0", SL_DEVICE_ATTACHED);
}
