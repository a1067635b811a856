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
 * clock moved on meanwhile, it proves nothing and is run again. There are as many as it takes until
 * the wanted number of packets has been compared, however long that is. FUZZ_SEED and FUZZ_PACKETS
 * set the seed and how many; FUZZ_ROUND repeats one round. A round that fails is made as short as
 * possible, and then printed.
 */
#include "fuzz_step.h"

#include <time.h>

#ifndef FUZZ_PACKETS_USUAL /* the Makefile has another number for the doors as plain C */
#define FUZZ_PACKETS_USUAL 1000000
#endif
#define FUZZ_PACKETS_SLOW 100000 /* where SLUICE_TIMES says that the machine is slow */
#define SEED 1
#define ROUND_TRIES 5
#define IDLE_NS 40000000000ull /* of UDP; so long that the doors' clock counts whole seconds */

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

	fuzz.in_round = 0;
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
	if (!fuzz.why) {
		fuzz.packets += fuzz.in_round;
		return;
	}
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

/* How many packets must have gone through a door and been compared. */
static __u64 packets_wanted(void)
{
	bool is_slow = setting("SLUICE_TIMES", 1) > 1;

	return setting("FUZZ_PACKETS", is_slow ? FUZZ_PACKETS_SLOW : FUZZ_PACKETS_USUAL);
}

static void print_packets(__u64 wanted, __u64 took_ns)
{
	fprintf(stderr,
		"  %llu packets compared of %llu wanted, %llu a second; %llu more not sent, for "
		"want "
		"of room; %llu ways in a second bucket\n",
		(unsigned long long)fuzz.packets, (unsigned long long)wanted,
		(unsigned long long)(fuzz.packets * 1000000000 / took_ns),
		(unsigned long long)fuzz.crowded, (unsigned long long)fuzz.spilled);
	print_reached();
}

static void doors_agree_with_the_reference(void **state)
{
	__u64 began = now_ns(), wanted = packets_wanted();

	fuzz.seed = setting("FUZZ_SEED", SEED);
	fprintf(stderr, "  FUZZ_SEED=%llu\n", (unsigned long long)fuzz.seed);
	if (getenv("FUZZ_ROUND")) {
		round_prove(setting("FUZZ_ROUND", 0));
		return;
	}
	/* A round of fewer than one packet in ten steps would be no round: so many never run out.
	 */
	for (__u64 number = 0; fuzz.packets < wanted && number < wanted / (ROUND / 10) + 1;
	     number++)
		round_prove(number);
	print_packets(wanted, now_ns() - began);
	assert_true(fuzz.packets >= wanted);
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
