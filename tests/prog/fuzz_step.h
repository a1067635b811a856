/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of a fuzzer's round, each taken by the doors and by the reference: a packet, and what may
 * happen to the tables between two packets.
 */
#pragma once
#include "harness.h"

#include "fuzz_services.h"
#include "fuzz_table.h"

#define ROUND 1000

enum step_kind {
	STEP_PACKET,
	STEP_FLIP,
	STEP_AGE,
	STEP_LOSE,
	STEP_FILL,
	STEP_CLEAR
};

static const char *const step_names[] = {
	[STEP_FLIP] = "flip",
	[STEP_AGE] = "a flow grows old",
	[STEP_LOSE] = "a flow is lost",
	[STEP_FILL] = "a client's bucket fills up",
	[STEP_CLEAR] = "a client's bucket is cleared of those that filled it",
};

struct step {
	enum step_kind kind;
	bool is_left_out;
	__u32 door, count;
	unsigned link;     /* that it comes in by */
	bool passes;       /* whatever the tables say */
	struct tuple flow; /* to grow old, or be lost; or whose source is the client */
	unsigned age;
	__u8 bytes[WIRE_MAX]; /* last: the only part that is not zeroed before */
};

struct round {
	__u64 number;
	struct random random; /* of its tables */
	struct step steps[ROUND];
	unsigned count;
};

struct fuzz {
	struct world *world, worlds[2]; /* this round's; all go by the stack, or straight */
	struct reference model;
	struct round round;
	struct run run;
	struct wanted wanted;
	__u64 seed, counters[SL_DOOR_COUNT][SL_COUNTER_COUNT],
		reached[SL_DOOR_COUNT][SL_COUNTER_COUNT];
	__u64 packets, in_round; /* compared: in all rounds that agreed, in this one so far */
	__u64 crowded, spilled;
	__u32 ifindexes[LINK_COUNT];
	const char *why; /* the round's last step failed */
	char stats[256];
};

static struct fuzz fuzz;

/* --- steps --- */

/* One half of a flow as if its last packet had come some units of the clock earlier. */
static void step_age(const struct step *step)
{
	struct model_flow *flow = model_find(&fuzz.model, &step->flow);
	struct sl_way *way = flow ? table_way(fuzz.world, &step->flow, flow->is_reply) : NULL;

	if (!flow)
		return;
	if (!way) {
		fuzz.why = "a flow that should be there is not";
		return;
	}
	flow->age = step->age;
	way->word = way_seen_set(way->word, world_clock(fuzz.world) - step->age);
}

/* One half of a flow is gone. */
static void step_lose(const struct step *step)
{
	struct model_flow *flow = model_find(&fuzz.model, &step->flow);
	struct sl_way *way = flow ? table_way(fuzz.world, &step->flow, flow->is_reply) : NULL;

	if (!flow)
		return;
	if (!way) {
		fuzz.why = "a flow that should be there is not";
		return;
	}
	flow->is_gone = true;
	way->tag = SL_WAY_EMPTY;
}

static void step_flip(void)
{
	fuzz.model.active = !fuzz.model.active;
	if (!fuzz.model.active_unknown)
		world_active(fuzz.world, 1 + fuzz.model.active);
}

static void count_step(__u32 door)
{
	__u64 after[SL_COUNTER_COUNT];

	counters_read(fuzz.world, door, after);
	for (int i = 0; i < SL_COUNTER_COUNT; i++) {
		fuzz.run.counted[i] = after[i] - fuzz.counters[door][i];
		fuzz.reached[door][i] += fuzz.run.counted[i];
	}
	memcpy(fuzz.counters[door], after, sizeof(after));
}

static const char *checksums_differ(const struct step *step)
{
	struct seen in = seen_parse(step->bytes, step->count);
	struct seen out = seen_parse(fuzz.run.out, fuzz.run.out_len);
	__u32 held = sums_holding(&in, step->bytes, step->count);
	__u32 hold = sums_holding(&out, fuzz.run.out, fuzz.run.out_len);

	if (!strncmp(counter_names[fuzz.wanted.verdict], "refuse", 6))
		held = HOLDS_L4 | (out.tuple.family == 4 ? HOLDS_IPV4 : 0);
	return held & ~hold ? "a checksum held before and does not now" : NULL;
}

static const char *step_judged(const struct step *step)
{
	const struct wanted *wanted = &fuzz.wanted;
	const struct run *run = &fuzz.run;

	if (run->err)
		return run->err == -EBADMSG ? "the skb's own sum is wrong" : "the test run failed";
	if (run_verdict(run) != wanted->verdict)
		return "another verdict";
	for (__u32 i = SL_VERDICT_COUNT; i < SL_COUNTER_COUNT; i++)
		if (run->counted[i] != (wanted->notes >> (i - SL_VERDICT_COUNT) & 1))
			return "another note";
	if (run->code != verdict_code(step->door, wanted->verdict))
		return "another return code";
	if (!strncmp(counter_names[wanted->verdict], "drop", 4))
		return NULL;
	if (run->out_len != wanted->count || memcmp(run->out, wanted->bytes, wanted->count))
		return "other bytes";
	if (step->passes && strncmp(counter_names[run_verdict(run)], "pass", 4))
		return "a frame of ARP, neighbour discovery or DHCP does not pass";
	return checksums_differ(step);
}

static bool is_untaken(const struct step *step)
{
	return step->count < length_min(fuzz.world, step->door) ||
	       step->count > length_max(fuzz.world, step->door);
}

/*
 * May it need a place in the table, by a connection that begins or a reply half that is put back,
 * and is there none but another flow's?
 */
static bool is_crowded(const struct step *step)
{
	struct seen seen = seen_parse(step->bytes, step->count);
	const struct model_fragment *fragment = model_fragment(&fuzz.model, &seen);
	const struct model_flow *flow;

	if (seen.verdict >= 0 || seen.kind == SEEN_ERROR || step->door == SL_DOOR_OUT)
		return false;
	if (seen.kind == SEEN_LATER && !fragment)
		return false;
	if (seen.kind == SEEN_LATER)
		seen.tuple.sport = fragment->sport, seen.tuple.dport = fragment->dport;
	flow = model_find(&fuzz.model, &seen.tuple);
	if (flow && !flow->age && (flow->is_reply || (seen.tcp_flags & 22) != 2))
		return false;
	return table_is_crowded(fuzz.world, &fuzz.model, &seen.tuple);
}

static void step_packet(const struct step *step)
{
	struct run *run = &fuzz.run;
	__u32 flags;

	if (is_untaken(step))
		return;
	if (is_crowded(step)) {
		fuzz.crowded++;
		return;
	}
	model_packet(&fuzz.model, step->door, step->link, step->bytes, step->count, &fuzz.wanted);
	flags = strncmp(counter_names[fuzz.wanted.verdict], "refuse", 6) ? skb_sum_flag(fuzz.world)
									 : 0;
	memcpy(run->in, step->bytes, step->count);
	run->in_len = step->count;
	run_bare(fuzz.world, step->door, fuzz.ifindexes[step->link], flags, run);
	count_step(step->door);
	fuzz.in_round++;
	fuzz.why = step_judged(step);
}

static inline void step_run(const struct step *step)
{
	if (step->kind == STEP_PACKET)
		step_packet(step);
	else if (step->kind == STEP_AGE)
		step_age(step);
	else if (step->kind == STEP_LOSE)
		step_lose(step);
	else if (step->kind == STEP_FILL)
		table_fill(fuzz.world, &step->flow);
	else if (step->kind == STEP_CLEAR)
		table_clear(fuzz.world, &step->flow);
	else
		step_flip();
}
