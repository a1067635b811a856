// SPDX-License-Identifier: Apache-2.0
/*
 * The doors against the reference (model.h): the same packets, right and damaged, in the same
 * order; after each the verdict, the notes, the return code, every byte and every checksum must
 * agree, and in the end the statistics and the flow table. Between packets weights move, flows
 * grow old, a way is lost as if another flow had taken its place, and a client's bucket fills up
 * with the ways of others, so that its own go to a second one.
 *
 * Packets come in rounds. A round has tables of its own and begins without flows; it follows from
 * the seed and its number alone, and is short, so that no flow grows old by itself: when the doors'
 * clock moved on meanwhile, it proves nothing and is run again. FUZZ_SEED and
 * FUZZ_PACKETS set the seed and how many; FUZZ_ROUND repeats one round. A round that fails is made
 * as short as possible, and then printed.
 */
#include "harness.h"

#include <time.h>

#include "fuzz_services.h"
#include "fuzz_table.h"

#define PACKETS 1200000
#define SEED 1
#define SECONDS 60 /* a slow machine does fewer packets, unless FUZZ_PACKETS says how many */
#define ROUND 1000
#define ROUND_TRIES 5
#define IDLE_NS 40000000000ull /* of UDP; so long that the doors' clock counts whole seconds */

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
	struct tuple flow; /* to grow old, or be lost; or whose source is the client */
	unsigned age;
	__u8 bytes[WIRE_MAX];
};

struct round {
	struct random random; /* of its tables */
	struct step steps[ROUND];
	unsigned count;
};

struct fuzz {
	struct world world;
	struct reference model;
	struct round round;
	struct run run;
	struct wanted wanted;
	__u64 seed, counters[SL_DOOR_COUNT][SL_COUNTER_COUNT],
		reached[SL_DOOR_COUNT][SL_COUNTER_COUNT];
	__u64 packets, crowded, spilled;
	__u32 ifindex, revisions[2];
	const char *why; /* the round's last step failed */
	char stats[256];
};

static struct fuzz fuzz;

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static __u64 setting(const char *name, __u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* --- a round's beginning --- */

static void round_begin(struct random random)
{
	struct reference *model = &fuzz.model;
	__u32 flags = SL_DEVICE_ATTACHED;

	world_reset(&fuzz.world);
	table_unspill(&fuzz.world);
	memset(model, 0, sizeof(*model));
	model->idle = fuzz.world.settings.udp_idle_units;
	memcpy(model->seed, fuzz.world.control.seed, sizeof(model->seed));
	memcpy(model->mac, node_links[LINK_CLIENT].mac, ETH_ALEN);
	make_tables(&random, &fuzz.world, model, 4);
	make_tables(&random, &fuzz.world, model, 6);
	model->answers_at_xdp = !one_in(&random, 4);
	model->active_unknown = one_in(&random, 10);
	client_ports = one_in(&random, 4) ? 1 : 6;
	if (model->answers_at_xdp)
		flags |= SL_DEVICE_XDP_TARGET;
	world_device(&fuzz.world, node_links[LINK_CLIENT].name, flags);
	if (model->active_unknown)
		world_active(&fuzz.world, 77);
	for (__u32 door = 0; door < SL_DOOR_COUNT; door++)
		counters_read(&fuzz.world, door, fuzz.counters[door]);
}

/* --- steps --- */

/* One half of a flow as if its last packet had come some units of the clock earlier. */
static void step_age(const struct step *step)
{
	struct model_flow *flow = model_find(&fuzz.model, &step->flow);
	struct sl_way *way = flow ? table_way(&fuzz.world, &step->flow, flow->is_reply) : NULL;

	if (!flow)
		return;
	if (!way) {
		fuzz.why = "a flow that should be there is not";
		return;
	}
	flow->age = step->age;
	way->word = way_seen_set(way->word, world_clock(&fuzz.world) - step->age);
}

/* One half of a flow is gone. */
static void step_lose(const struct step *step)
{
	struct model_flow *flow = model_find(&fuzz.model, &step->flow);
	struct sl_way *way = flow ? table_way(&fuzz.world, &step->flow, flow->is_reply) : NULL;

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
		world_active(&fuzz.world, 1 + fuzz.model.active);
}

static void count_step(__u32 door)
{
	__u64 after[SL_COUNTER_COUNT];

	counters_read(&fuzz.world, door, after);
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
	return checksums_differ(step);
}

/* The kernel's own test run wants an IP header in what it takes for an IP packet. */
static bool is_too_short(const struct step *step)
{
	return step->door != SL_DOOR_XDP && step->count < ETH_HLEN + 40;
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
	return table_is_crowded(&fuzz.world, &fuzz.model, &seen.tuple);
}

static void step_packet(const struct step *step)
{
	struct run *run = &fuzz.run;
	__u32 flags;

	if (is_too_short(step))
		return;
	if (is_crowded(step)) {
		fuzz.crowded++;
		return;
	}
	model_packet(&fuzz.model, step->door, step->bytes, step->count, &fuzz.wanted);
	flags = strncmp(counter_names[fuzz.wanted.verdict], "refuse", 6) ? skb_sum_flag(&fuzz.world)
									 : 0;
	memcpy(run->in, step->bytes, step->count);
	run->in_len = step->count;
	run_bare(&fuzz.world, step->door, fuzz.ifindex, flags, run);
	count_step(step->door);
	fuzz.packets++;
	fuzz.why = step_judged(step);
}

static void step_run(const struct step *step)
{
	if (step->kind == STEP_PACKET)
		step_packet(step);
	else if (step->kind == STEP_AGE)
		step_age(step);
	else if (step->kind == STEP_LOSE)
		step_lose(step);
	else if (step->kind == STEP_FILL)
		table_fill(&fuzz.world, &step->flow);
	else if (step->kind == STEP_CLEAR)
		table_clear(&fuzz.world, &step->flow);
	else
		step_flip();
}

/* --- statistics of a round --- */

static struct sl_stats stats_read(__u32 version)
{
	static struct sl_stats each[WORLD_CPUS];
	struct sl_stats sum = {};

	if (bpf_map_lookup_elem(world_fd(&fuzz.world, stats), &version, each))
		world_die("read stats");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (size_t i = 0; i < sizeof(sum) / 8; i++)
			((__u64 *)&sum)[i] += ((__u64 *)&each[cpu])[i];
	return sum;
}

static void stats_judge(void)
{
#define SAME(field)                                                                                \
	if (!fuzz.why && got.field != want->field) {                                               \
		snprintf(fuzz.stats, sizeof(fuzz.stats),                                           \
			 "version %u: wanted " #field " %llu, got %llu", i,                        \
			 (unsigned long long)want->field, (unsigned long long)got.field);          \
		fuzz.why = fuzz.stats;                                                             \
	}
	for (__u32 i = 0; i < fuzz.model.version_count; i++) {
		const struct model_stats *want = &fuzz.model.stats[i];
		struct sl_stats got = stats_read(i);

		SAME(opened)
		SAME(closed)
		SAME(refused)
		SAME(reset)
		SAME(packets_in)
		SAME(bytes_in)
		SAME(packets_out)
		SAME(bytes_out)
	}
#undef SAME
}

/* --- rounds --- */

/* What a whole round must have left behind. */
static void round_judge(void)
{
	if (!fuzz.why)
		stats_judge();
	if (!fuzz.why)
		fuzz.why = table_differs(&fuzz.world, &fuzz.model, &fuzz.spilled);
}

static __u32 door_of(struct random *random, const __u8 *bytes, unsigned count)
{
	struct seen seen = seen_parse(bytes, count);
	bool is_reply = seen.tuple.family && seen.tuple.sport == EP_PORT;

	if (one_in(random, is_reply ? 2 : 10))
		return SL_DOOR_OUT;
	return one_in(random, 2) ? SL_DOOR_XDP : SL_DOOR_TC;
}

static struct tuple client_make(struct random *random)
{
	struct tuple client = { .family = one_in(random, 2) ? 4 : 6,
				.protocol = one_in(random, 2) ? IPPROTO_TCP : IPPROTO_UDP,
				.sport = client_port(random) };

	wire_address(ONE_OF(random, fuzz_clients), client.family, client.src);
	return client;
}

static unsigned age_make(struct random *random)
{
	const unsigned ages[] = { 1, 1, fuzz.model.idle, fuzz.model.idle + 1,
				  fuzz.model.idle + 500 };

	return ONE_OF(random, ages);
}

/* The next step; a flow to grow old or be lost is one of those that the model has by now. */
static void step_make(struct random *random, struct step *step)
{
	const struct model_flow *flow = &fuzz.model.flows[below(random, fuzz.model.flow_count + 1)];
	bool is_flow = flow->key.family && !flow->is_gone;
	struct hint hint;

	*step = (struct step){ .kind = STEP_PACKET };
	if (is_flow && one_in(random, 30)) {
		step->kind = STEP_AGE;
		step->flow = flow->key;
		step->age = age_make(random);
		return;
	}
	if (is_flow && one_in(random, 60)) {
		step->kind = STEP_LOSE;
		step->flow = flow->key;
		return;
	}
	if (one_in(random, 100)) {
		step->kind = STEP_FLIP;
		return;
	}
	if (one_in(random, 40)) {
		step->kind = one_in(random, 3) ? STEP_CLEAR : STEP_FILL;
		step->flow = client_make(random);
		return;
	}
	is_flow = is_flow && one_in(random, 2) && hint_from(&flow->key, flow->is_reply, &hint);
	step->count = fuzz_damaged(random, is_flow ? &hint : NULL, step->bytes);
	step->door = is_flow && flow->is_reply && one_in(random, 2)
			     ? SL_DOOR_OUT
			     : door_of(random, step->bytes, step->count);
}

/* Makes a round's steps and takes them, until one fails. */
static void round_run(__u64 number)
{
	struct random random = { fuzz.seed * 0x2545f4914f6cdd1dull + number };
	struct round *round = &fuzz.round;

	round->random.state = random_next(&random);
	round_begin(round->random);
	fuzz.why = NULL;
	for (round->count = 0; round->count < ROUND && !fuzz.why; round->count++) {
		step_make(&random, &round->steps[round->count]);
		step_run(&round->steps[round->count]);
	}
	round_judge();
}

/* The same steps again without those that are left out: does it still fail, and in the last one? */
static bool round_fails_again(void)
{
	struct round *round = &fuzz.round;

	round_begin(round->random);
	fuzz.why = NULL;
	for (unsigned i = 0; i < round->count; i++) {
		if (round->steps[i].is_left_out)
			continue;
		step_run(&round->steps[i]);
		if (fuzz.why)
			return i == round->count - 1;
	}
	round_judge();
	return fuzz.why && round->count == ROUND;
}

/* Leaves out all steps that the failure does not need: halves, quarters, ... */
static void round_shorten(void)
{
	struct round *round = &fuzz.round;

	for (unsigned size = ROUND / 2; size; size /= 2)
		for (unsigned from = 0; from < round->count; from += size) {
			bool was[ROUND] = {};

			for (unsigned i = from; i < from + size && i < round->count; i++) {
				was[i] = round->steps[i].is_left_out;
				round->steps[i].is_left_out = true;
			}
			if (round_fails_again())
				continue;
			for (unsigned i = from; i < from + size && i < round->count; i++)
				round->steps[i].is_left_out = was[i];
		}
	round_fails_again();
}

static void print_tuple(const struct tuple *tuple, unsigned age)
{
	int family = tuple->family == 4 ? AF_INET : AF_INET6; /* 0: a step without a flow */
	char src[INET6_ADDRSTRLEN] = "", dst[INET6_ADDRSTRLEN] = "";

	inet_ntop(family, tuple->src, src, sizeof(src));
	inet_ntop(family, tuple->dst, dst, sizeof(dst));
	fprintf(stderr, ": %s port %u to %s port %u, protocol %u, by %u\n", src, tuple->sport, dst,
		tuple->dport, tuple->protocol, age);
}

static void round_report(__u64 number)
{
	const struct wanted *wanted = &fuzz.wanted;
	struct round *round = &fuzz.round;

	fprintf(stderr, "  FUZZ_SEED=%llu FUZZ_ROUND=%llu, step %u: %s\n",
		(unsigned long long)fuzz.seed, (unsigned long long)number, round->count - 1,
		fuzz.why ?: "only once, so a flow grew old meanwhile");
	for (unsigned i = 0; i < round->count; i++) {
		const struct step *step = &round->steps[i];

		if (step->is_left_out)
			continue;
		fprintf(stderr, "  step %u: %s", i,
			step->kind == STEP_PACKET ? door_names[step->door]
						  : step_names[step->kind]);
		if (step->kind == STEP_PACKET)
			print_bytes("", step->bytes, step->count);
		else
			print_tuple(&step->flow, step->age);
	}
	fprintf(stderr, "  wanted %s, notes %x, got code %d, error %d,",
		counter_names[wanted->verdict], wanted->notes, fuzz.run.code, fuzz.run.err);
	print_counted(&fuzz.run);
	print_bytes("wanted", wanted->bytes, wanted->count);
	print_bytes("got", fuzz.run.out, fuzz.run.out_len);
}

static void round_prove(__u64 number)
{
	__u16 began;

	for (int tries = 0; tries < ROUND_TRIES; tries++) {
		began = world_clock(&fuzz.world);
		round_run(number);
		if (!fuzz.why || world_clock(&fuzz.world) == began)
			break;
	}
	if (!fuzz.why)
		return;
	round_shorten();
	round_report(number);
	fail();
}

static void print_reached(void)
{
	for (__u32 door = 0; door < SL_DOOR_COUNT; door++) {
		fprintf(stderr, "  %s:", door_names[door]);
		for (int i = 0; i < SL_COUNTER_COUNT; i++)
			if (fuzz.reached[door][i])
				fprintf(stderr, " %s=%llu", counter_names[i],
					(unsigned long long)fuzz.reached[door][i]);
		fprintf(stderr, "\n");
	}
}

static void doors_agree_with_the_reference(void **state)
{
	__u64 rounds = (setting("FUZZ_PACKETS", PACKETS) + ROUND - 1) / ROUND, began = now_ns();

	fuzz.seed = setting("FUZZ_SEED", SEED);
	fprintf(stderr, "  FUZZ_SEED=%llu\n", (unsigned long long)fuzz.seed);
	if (getenv("FUZZ_ROUND")) {
		round_prove(setting("FUZZ_ROUND", 0));
		return;
	}
	for (__u64 number = 0; number < rounds; number++) {
		if (!getenv("FUZZ_PACKETS") && now_ns() - began > SECONDS * 1000000000ull)
			break;
		round_prove(number);
	}
	fprintf(stderr,
		"  %llu packets, %llu a second; %llu more not sent, for want of room; %llu ways "
		"in a second bucket\n",
		(unsigned long long)fuzz.packets,
		(unsigned long long)(fuzz.packets * 1000000000 / (now_ns() - began)),
		(unsigned long long)fuzz.crowded, (unsigned long long)fuzz.spilled);
	print_reached();
	for (__u32 door = 0; door < SL_DOOR_COUNT; door++) {
		assert_int_equal(fuzz.reached[door][SL_note_flow_evicted], 0);
		assert_int_equal(fuzz.reached[door][SL_note_flow_full], 0);
	}
}

/* --- cuts: a packet of every kind, at every length, through all three programs --- */

#define CUT_PACKETS 120

static bool is_pass(__u32 verdict)
{
	return !strncmp(counter_names[verdict], "pass", 4) || verdict == SL_reply_up;
}

static void cut_once(struct step *step)
{
	struct run *run = &fuzz.run;
	__u32 verdict;

	if (is_too_short(step))
		return;
	memcpy(run->in, step->bytes, step->count);
	run->in_len = step->count;
	run_bare(&fuzz.world, step->door, fuzz.ifindex, 0, run);
	count_step(step->door);
	verdict = run_verdict(run);
	assert_int_equal(run->err, 0);
	assert_true(verdict < SL_VERDICT_COUNT);
	assert_int_equal(run->code, verdict_code(step->door, verdict));
	if (is_pass(verdict) &&
	    (run->out_len != step->count || memcmp(run->out, run->in, step->count))) {
		print_bytes("changed, and passed", step->bytes, step->count);
		fail();
	}
}

static void cut_packets_that_pass_are_untouched(void **state)
{
	struct random random = { 1 };
	struct step step = { .kind = STEP_PACKET };
	unsigned count;

	round_begin((struct random){ 1 });
	for (int i = 0; i < CUT_PACKETS; i++) {
		count = fuzz_packet(&random, step.bytes);
		for (step.door = 0; step.door < SL_DOOR_COUNT; step.door++)
			for (step.count = count; step.count >= ETH_HLEN; step.count--)
				cut_once(&step);
	}
}

static void the_references_hash_is_the_papers(void **state)
{
	assert_true(sip_is_the_papers());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_references_hash_is_the_papers),
		cmocka_unit_test(doors_agree_with_the_reference),
		cmocka_unit_test(cut_packets_that_pass_are_untouched),
	};
	const struct world_options options = { .no_redirect = true, .udp_idle_ns = IDLE_NS };

	node_open();
	world_open(&fuzz.world, &options);
	fuzz.ifindex = if_nametoindex(node_links[LINK_CLIENT].name);
	skb_sum_flag(&fuzz.world); /* asks by a packet, which would be counted in between */
	return _cmocka_run_group_tests("fuzz", tests, 3, NULL, NULL);
}
