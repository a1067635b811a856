/* SPDX-License-Identifier: Apache-2.0 */
/* A world with other settings: no redirect, one bucket for flows, a short UDP idle time. */
#pragma once
#include "rows_flow.h"

#include <time.h>

#define SMALL_IDLE_MS 400

static const struct world_options small_world_options = {
	.no_redirect = true,
	.buckets = 1,
	.udp_idle_ns = SMALL_IDLE_MS * 1000000ull,
};

static void redirect_off(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), reply = answer_to(trial, syn, EP_A, SYN | ACK);

	world_links(trial);
	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

/* Every way is being written by other CPUs. */
static void no_room(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK);
	struct flow flow;

	world_one(trial, EP_A);
	for (__u32 i = 0; i < SL_WAYS; i++)
		trial->world->ways[i].tag = SL_WAY_TAKEN;
	trial->note = SL_note_flow_full;
	opens(trial, syn, EP_A);
	step_wants(trial, !flow_of(trial, syn, &flow), "no entry");
	trial->note = SL_note_flow_full;
	client_sends(trial, ack, SL_adopt_stack, to_endpoint(ack, EP_A));
}

/* The connections of one bucket: four; the i-th from port 20000 + i. */
#define BUCKET_FLOWS (SL_WAYS / 2)

static struct wire nth(const struct trial *trial, __u32 i, __u8 tcp_flags)
{
	struct wire wire = tcp(trial, tcp_flags);

	wire.sport = 20000 + i;
	return wire;
}

static bool is_there(const struct trial *trial, __u32 i)
{
	struct wire syn = nth(trial, i, SYN);
	struct flow flow;

	return flow_of(trial, syn, &flow) && flow_of(trial, answer_to(trial, syn, EP_A, 0), &flow);
}

static void bucket_fill(struct trial *trial)
{
	world_one(trial, EP_A);
	for (__u32 i = 0; i < BUCKET_FLOWS; i++)
		opens(trial, nth(trial, i, SYN), EP_A);
	for (__u32 i = 0; i < BUCKET_FLOWS; i++)
		step_wants(trial, is_there(trial, i), "all of a bucket's connections");
}

static void answers(struct trial *trial, __u32 i)
{
	struct wire reply = answer_to(trial, nth(trial, i, SYN), EP_A, SYN | ACK);

	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void ages(struct trial *trial, __u32 i, __u16 age)
{
	flow_age(trial, nth(trial, i, SYN), age);
	flow_age(trial, answer_to(trial, nth(trial, i, SYN), EP_A, 0), age);
}

static void closed_goes_first(struct trial *trial)
{
	struct wire rst = nth(trial, 2, RST);

	bucket_fill(trial);
	for (__u32 i = 0; i < BUCKET_FLOWS; i++)
		answers(trial, i);
	ages(trial, 1, 100);
	client_sends(trial, rst, SL_forward_stack, to_endpoint(rst, EP_A));
	opens(trial, nth(trial, 9, SYN), EP_A);
	step_wants(trial,
		   is_there(trial, 0) && is_there(trial, 1) && is_there(trial, 3) &&
			   is_there(trial, 9),
		   "the live ones, and the new one");
	step_wants(trial, !is_there(trial, 2), "not the closed one");
}

static void unanswered_goes_before_silent(struct trial *trial)
{
	bucket_fill(trial);
	answers(trial, 0), answers(trial, 2), answers(trial, 3);
	ages(trial, 0, 1000);
	trial->note = SL_note_flow_evicted;
	opens(trial, nth(trial, 9, SYN), EP_A);
	step_wants(trial,
		   is_there(trial, 0) && is_there(trial, 2) && is_there(trial, 3) &&
			   is_there(trial, 9),
		   "the answered ones, and the new one");
	step_wants(trial, !is_there(trial, 1), "not the one that nobody answered");
}

static void silent_goes_last(struct trial *trial)
{
	bucket_fill(trial);
	for (__u32 i = 0; i < BUCKET_FLOWS; i++)
		answers(trial, i);
	ages(trial, 3, 7), ages(trial, 0, 3);
	trial->note = SL_note_flow_evicted;
	opens(trial, nth(trial, 9, SYN), EP_A);
	step_wants(trial,
		   is_there(trial, 0) && is_there(trial, 1) && is_there(trial, 2) &&
			   is_there(trial, 9),
		   "the younger ones, and the new one");
}

/* A flood of SYNs that nobody answers pushes out itself, and no connection that lives. */
static void flood_leaves_the_living(struct trial *trial)
{
	world_one(trial, EP_A);
	for (__u32 i = 0; i < 3; i++) {
		opens(trial, nth(trial, i, SYN), EP_A);
		answers(trial, i);
		ages(trial, i, 1000);
	}
	for (__u32 i = 100; i < 1100; i++) {
		struct wire syn = nth(trial, i, SYN);

		trial->run.in_len = wire_build(&syn, trial->run.in);
		run_bare(trial->world, trial->door, if_nametoindex("cl0"), 0, &trial->run);
	}
	for (__u32 i = 0; i < 3; i++)
		step_wants(trial, is_there(trial, i), "a connection that lives");
	step_wants(trial, is_there(trial, 1099), "the last of the flood");
}

/* A way is the tag's alone: one that is being written is nobody's, and a SYN finds its own again.
 */
static void same_tuple_same_way(struct trial *trial)
{
	struct wire syn = nth(trial, 0, SYN);
	__u32 used = 0;

	world_one(trial, EP_A);
	for (int i = 0; i < 20; i++)
		opens(trial, syn, EP_A);
	for (__u32 i = 0; i < SL_WAYS; i++)
		used += trial->world->ways[i].tag != SL_WAY_EMPTY;
	step_wants(trial, used == 2, "two ways for one connection");
}

/* Datagrams every 20 ms for longer than the idle time; false when we were late with one. */
static bool stays_busy(struct trial *trial, struct wire datagram)
{
	struct timespec sent, now;

	clock_gettime(CLOCK_MONOTONIC, &sent);
	for (int ms = 0; ms < SMALL_IDLE_MS * 3 / 2; ms += 20) {
		usleep(20000);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - sent.tv_sec) * 1000 + (now.tv_nsec - sent.tv_nsec) / 1000000 >
		    SMALL_IDLE_MS / 2)
			return false;
		client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
		sent = now;
	}
	return true;
}

static void short_idle(struct trial *trial)
{
	struct wire datagram = udp(trial);
	bool was_busy = false;

	for (int try = 0; try < 20 && !was_busy; try++, datagram.sport += !was_busy) {
		world_one(trial, EP_A);
		opens(trial, datagram, EP_A);
		moves_to_b(trial);
		was_busy = stays_busy(trial, datagram);
	}
	step_wants(trial, was_busy, "a machine that lets us send in time");
	usleep(SMALL_IDLE_MS * 1500);
	opens(trial, datagram, EP_B);
}

static const struct row rows_settings[] = {
	{ "with redirect off a flow whose both ways are ours goes up the stack", redirect_off,
	  DOORS_IN, V46 },
	{ "without a place for a flow the packet goes on by the tables alone", no_room, DOORS_IN,
	  V46 },
	{ "a repeated SYN keeps its ways", same_tuple_same_way, DOORS_IN, V46 },
	{ "a full bucket gives the place of a closed flow first", closed_goes_first, DOORS_IN,
	  V46 },
	{ "then that of one that nobody answered, however young", unanswered_goes_before_silent,
	  DOORS_IN, V46 },
	{ "then that of the one silent longest", silent_goes_last, DOORS_IN, V46 },
	{ "a flood of SYNs pushes out no answered connection", flood_leaves_the_living, DOORS_IN,
	  V46 },
	{ "a short UDP idle time ends an idle flow and no busy one", short_idle, DOORS_IN, V4 },
};
