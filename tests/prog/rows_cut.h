/* SPDX-License-Identifier: Apache-2.0 */
/* Broken packets: every shape cut at every byte, and random damage. */
#pragma once
#include "rows_error.h"

static bool is_rewritten(__u32 verdict)
{
	return verdict >= SL_open_stack && verdict <= SL_fragment_redirect &&
	       verdict != SL_reply_up;
}

/*
 * Down to nothing, where a test run takes that; the kernel's wants an Ethernet header. What arrives
 * is the packet as sent as far as it goes; what leaves is the wanted packet as far as
 * it goes, or the very bytes that came. Nothing between is allowed.
 */
static void cut_everywhere(struct trial *trial, __u32 door, int link, struct wire in,
			   struct wire out)
{
	__u32 ifindex = if_nametoindex(node_links[link].name), verdict, wanted;
	__u32 least = length_min(trial->world, SL_DOOR_XDP);
	struct run *run = &trial->run;
	__u8 want[WIRE_MAX];

	wire_build(&out, want);
	for (__u32 size = wire_build(&in, run->in) + 1; size-- > least;) {
		run->in_len = size;
		run_door(trial->world, door, ifindex, 0, run);
		if (run->err == -EINVAL && size < ETH_HLEN + 40)
			continue; /* the test run itself wants an IP header in an skb */
		verdict = run_verdict(run);
		wanted = verdict_code(door, verdict < SL_VERDICT_COUNT ? verdict : 0);
		step_wants(trial, !run->err && verdict < SL_VERDICT_COUNT,
			   "one verdict for a cut packet");
		step_wants(trial, run->code == wanted, "its return code");
		step_wants(trial, run->out_len == size, "the same length");
		step_wants(trial, !memcmp(run->out, is_rewritten(verdict) ? want : run->in, size),
			   "all of it or none of it");
	}
}

static void cut_packets(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK), datagram = udp(trial), reply,
		    wire;

	world_one(trial, EP_A);
	for (int dress = 0; dress < 4; dress++) {
		syn.tags = ack.tags = datagram.tags = dress & 1 ? 2 : 0;
		syn.options = ack.options = datagram.options = dress & 2;
		cut_everywhere(trial, trial->door, LINK_CLIENT, syn, to_endpoint(syn, EP_A));
		cut_everywhere(trial, trial->door, LINK_CLIENT, ack, to_endpoint(ack, EP_A));
		cut_everywhere(trial, trial->door, LINK_CLIENT, datagram,
			       to_endpoint(datagram, EP_A));
		wire = cut(datagram, 1, 0xbeef);
		cut_everywhere(trial, trial->door, LINK_CLIENT, wire, to_endpoint(wire, EP_A));
		wire = cut(datagram, 2, 0xbeef);
		cut_everywhere(trial, trial->door, LINK_CLIENT, wire, to_endpoint(wire, EP_A));
		reply = answer_to(trial, ack, EP_A, ACK);
		cut_everywhere(trial, SL_DOOR_OUT, LINK_CLIENT, reply, to_client(reply));
	}
}

/* Of 8,000 bytes: several buffers at XDP. */
static __u32 long_payload(const struct trial *trial, __u32 door)
{
	__u32 most = length_max(trial->world, door) - 200;

	return most < 8000 ? most : 8000;
}

static void cut_long(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), reply = answer_to(trial, ack, EP_A, ACK);

	world_one(trial, EP_A);
	opened(trial, tcp(trial, SYN));
	ack.payload = long_payload(trial, trial->door);
	cut_everywhere(trial, trial->door, LINK_CLIENT, ack, to_endpoint(ack, EP_A));
	reply.payload = long_payload(trial, SL_DOOR_OUT);
	if (trial->door == SL_DOOR_TC)
		cut_everywhere(trial, SL_DOOR_OUT, LINK_CLIENT, reply, to_client(reply));
}

static void cut_errors(struct trial *trial)
{
	struct wire first = udp(trial), reply = answer_to(trial, first, EP_A, 0),
		    seen = to_client(reply), error, out;

	world_one(trial, EP_A);
	opened(trial, first);
	for (int dress = 0; dress < 4; dress++) {
		reply.options = seen.options = dress & 1;
		error = error_about(trial, LINK_CLIENT, ROUTER, VIP, &seen);
		error.options = dress & 2;
		out = error, out.dst = EP_A, out.quoted = &reply;
		cut_everywhere(trial, trial->door, LINK_CLIENT, error, out);
	}
}

/* --- damage: random bytes of good packets changed --- */

#define DAMAGED 1500

/* Whatever comes in: one verdict, its return code; what passes is untouched; no table or rewrite is
 * blamed. */
static void damage_once(struct trial *trial, __u32 door, const struct wire *wire)
{
	__u32 ifindex = if_nametoindex(node_links[LINK_CLIENT].name), verdict;
	struct run *run = &trial->run;

	run->in_len = wire_build(wire, run->in);
	for (int hits = 1 + random() % 4; hits; hits--)
		run->in[ETH_ALEN + random() % (run->in_len - ETH_ALEN)] = random();
	run_door(trial->world, door, ifindex, 0, run);
	verdict = run_verdict(run);
	step_wants(trial, !run->err && verdict < SL_VERDICT_COUNT,
		   "one verdict for a damaged packet");
	step_wants(trial, run->code == verdict_code(door, verdict), "its return code");
	step_wants(trial, verdict != SL_drop_table && verdict != SL_drop_rewrite,
		   "neither table nor rewrite to blame");
	if (!strncmp(counter_names[verdict], "pass", 4) || verdict == SL_reply_up)
		step_wants(trial,
			   run->out_len == run->in_len && !memcmp(run->in, run->out, run->in_len),
			   "untouched");
}

static void damaged(struct trial *trial)
{
	struct wire datagram = udp(trial), reply = answer_to(trial, datagram, EP_A, 0),
		    seen = to_client(reply), error;
	struct wire ack = tcp(trial, ACK), first = cut(datagram, 1, 7), later = cut(datagram, 2, 7);

	srandom(trial->family);
	world_one(trial, EP_A);
	opened(trial, datagram);
	reply.options = seen.options = ack.options = first.options = true, ack.tags = 2;
	error = error_about(trial, LINK_CLIENT, ROUTER, VIP, &seen);
	for (int i = 0; i < DAMAGED; i++) {
		damage_once(trial, trial->door, &datagram);
		damage_once(trial, trial->door, &ack);
		damage_once(trial, trial->door, &first);
		damage_once(trial, trial->door, &later);
		damage_once(trial, trial->door, &error);
		damage_once(trial, SL_DOOR_OUT, &reply);
	}
}

static const struct row rows_cut[] = {
	{ "packets cut at every byte", cut_packets, DOORS_IN, V46 },
	{ "frames of 8,000 bytes cut at every byte", cut_long, DOORS_IN, V46 },
	{ "ICMP errors cut at every byte", cut_errors, DOORS_IN, V46 },
	{ "packets with random bytes changed", damaged, DOORS_IN, V46 },
};
