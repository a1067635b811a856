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

/* What the links carry; asked of ip(8), so the same for some rounds. */
static void links_carry(__u64 number)
{
	static const unsigned mtus[4][LINK_COUNT] = {
		{ 1500, 1500, 1500, 1500 },
		{ 9000, 9000, 1500, 9000 },
		{ 1500, 9000, 1500, 1500 },
		{ 9000, 1400, 1280, 1500 },
	};
	static const unsigned *now = mtus[0];
	const unsigned *then = mtus[number / 32 % 4];
	char command[64];

	for (unsigned i = 0; i < LINK_COUNT; i++) {
		snprintf(command, sizeof(command), "ip link set %s mtu %u", node_links[i].name,
			 then[i]);
		if (now[i] != then[i] && system(command))
			world_die("set a link's MTU");
		fuzz.model.links[i].mtu = then[i];
	}
	now = then;
}

/* What the doors may assume of the links; the plain one has no doors. */
static void links_begin(struct random *random)
{
	for (unsigned i = 0; i < LINK_COUNT; i++) {
		struct model_link *link = &fuzz.model.links[i];
		__u32 flags = one_in(random, 4) ? SL_DEVICE_PEER : 0;

		memcpy(link->mac, node_links[i].mac, ETH_ALEN);
		memcpy(link->peer, node_links[i].peer, ETH_ALEN);
		link->has_doors = i != LINK_PLAIN && !one_in(random, 12);
		link->takes_xdp = i == LINK_SLOW ? one_in(random, 4) : !one_in(random, 4);
		link->takes_pieces = one_in(random, 2);
		flags |= link->has_doors ? SL_DEVICE_ATTACHED : 0;
		flags |= link->takes_xdp ? SL_DEVICE_XDP_TARGET : 0;
		flags |= link->takes_pieces ? SL_DEVICE_XDP_PIECES : 0;
		world_device(fuzz.world, node_links[i].name, flags);
	}
}

/* A version's only endpoint, and another's third: not every one can be reached straight. */
static enum who last_endpoint(struct random *random, bool is_straight)
{
	static const enum who others[] = { EP_C,    EP_C,    EP_C,   EP_C,    EP_SILENT,
					   EP_SLOW, EP_SLOW, EP_FAR, EP_PLAIN };

	return is_straight ? ONE_OF(random, others) : EP_C;
}

/* In every other round no packet goes straight. */
static void round_begin(void)
{
	struct reference *model = &fuzz.model;
	struct random random = fuzz.round.random;

	fuzz.in_round = 0;
	fuzz.world = &fuzz.worlds[fuzz.round.number & 1];
	world_reset(fuzz.world);
	table_unspill(fuzz.world);
	memset(model, 0, sizeof(*model));
	model->redirects = fuzz.round.number & 1;
	model->idle = fuzz.world->settings.udp_idle_units;
	model->syn_idle = fuzz.world->settings.syn_idle_units;
	memcpy(model->seed, fuzz.world->control.seed, sizeof(model->seed));
	links_carry(fuzz.round.number);
	links_begin(&random);
	fuzz_endpoints[2] = last_endpoint(&random, model->redirects);
	make_tables(&random, fuzz.world, model, 4);
	make_tables(&random, fuzz.world, model, 6);
	model->active_unknown = one_in(&random, 10);
	client_ports = one_in(&random, 4) ? 1 : 6;
	if (model->active_unknown)
		world_active(fuzz.world, 77);
	for (__u32 door = 0; door < SL_DOOR_COUNT; door++)
		counters_read(fuzz.world, door, fuzz.counters[door]);
}

/* --- statistics of a round --- */

static struct sl_stats stats_read(__u32 version)
{
	static struct sl_stats each[WORLD_CPUS];
	struct sl_stats sum = {};

	if (bpf_map_lookup_elem(world_fd(fuzz.world, stats), &version, each))
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
		fuzz.why = table_differs(fuzz.world, &fuzz.model, &fuzz.spilled);
}

/* Most packets come to the door and by the link that they belong to. */
static void step_place(struct random *random, struct step *step, bool is_known_reply)
{
	static const int ins[] = { LINK_CLIENT, LINK_ENDPOINT, LINK_SLOW };
	struct seen seen = seen_parse(step->bytes, step->count);
	bool is_reply = seen.tuple.family && seen.tuple.sport == EP_PORT;
	int link = is_reply ? model_link_of(seen.tuple.family, seen.tuple.src) : LINK_CLIENT;

	if ((is_known_reply && one_in(random, 2)) || one_in(random, is_reply ? 2 : 10))
		step->door = SL_DOOR_OUT;
	else
		step->door = one_in(random, 2) ? SL_DOOR_XDP : SL_DOOR_TC;
	if (step->count > length_max(fuzz.world, step->door))
		step->door = SL_DOOR_XDP;
	step->link = link < 0 || one_in(random, 10) ? ONE_OF(random, ins) : link;
	if (step->door == SL_DOOR_OUT)
		step->link = LINK_CLIENT;
}

/* The builder's packets are all of the client's link; the difference stays what it is, if a bit of
 * an address is wrong. */
static void step_address(struct step *step)
{
	const struct link *from = &node_links[LINK_CLIENT], *to = &node_links[step->link];

	if (step->count < ETH_HLEN || step->bytes[0] & 1)
		return;
	for (unsigned i = 0; i < ETH_ALEN; i++) {
		step->bytes[i] ^= from->mac[i] ^ to->mac[i];
		step->bytes[ETH_ALEN + i] ^= from->peer[i] ^ to->peer[i];
	}
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
	const unsigned ages[] = { 1,
				  1,
				  fuzz.model.idle,
				  fuzz.model.idle + 1,
				  fuzz.model.idle + 500,
				  fuzz.model.syn_idle,
				  fuzz.model.syn_idle + 1 };

	return ONE_OF(random, ages);
}

/* The next step; a flow to grow old or be lost is one of those that the model has by now. */
static void step_make(struct random *random, struct step *step)
{
	const struct model_flow *flow = &fuzz.model.flows[below(random, fuzz.model.flow_count + 1)];
	bool is_flow = flow->key.family && !flow->is_gone;
	struct hint hint;

	memset(step, 0, offsetof(struct step, bytes)); /* that is, a packet */
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
	step->count = fuzz_damaged(random, is_flow ? &hint : NULL, step->bytes, &step->passes);
	step_place(random, step, is_flow && flow->is_reply);
	step_address(step);
}

/* Makes a round's steps and takes them, until one fails. */
static void round_run(__u64 number)
{
	struct random random = { fuzz.seed * 0x2545f4914f6cdd1dull + number };
	struct round *round = &fuzz.round;

	round->number = number;
	round->random.state = random_next(&random);
	round_begin();
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

	round_begin();
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
		began = world_clock(fuzz.world);
		round_run(number);
		if (!fuzz.why || world_clock(fuzz.world) == began)
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

/* Comparing proves nothing of what never came: every verdict, and at both doors every way straight;
 * not drop_rewrite, for which the kernel must be out of memory. */
static bool is_reached(__u32 verdict)
{
	__u64 *doors[SL_DOOR_COUNT] = { fuzz.reached[0], fuzz.reached[1], fuzz.reached[2] };

	if (strstr(counter_names[verdict], "_redirect"))
		return doors[SL_DOOR_XDP][verdict] && doors[SL_DOOR_TC][verdict];
	return verdict == SL_drop_rewrite || doors[SL_DOOR_XDP][verdict] ||
	       doors[SL_DOOR_TC][verdict] || doors[SL_DOOR_OUT][verdict];
}

static void all_was_reached(void)
{
	for (__u32 verdict = 0; verdict < SL_VERDICT_COUNT; verdict++) {
		if (is_reached(verdict))
			continue;
		fprintf(stderr, "  no packet reached %s\n", counter_names[verdict]);
		fail();
	}
	for (__u32 door = 0; door < SL_DOOR_COUNT; door++) {
		assert_int_equal(fuzz.reached[door][SL_note_flow_evicted], 0);
		assert_int_equal(fuzz.reached[door][SL_note_flow_full], 0);
	}
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
	if (wanted >= FUZZ_PACKETS_SLOW)
		all_was_reached();
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

	if (is_untaken(step))
		return;
	memcpy(run->in, step->bytes, step->count);
	run->in_len = step->count;
	run_bare(fuzz.world, step->door, fuzz.ifindexes[LINK_CLIENT], 0, run);
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

/* In a round of its own, by the stack or straight. */
static void cut_all(__u64 number)
{
	struct random random = { 1 };
	static struct step step;
	unsigned count;

	fuzz.round.number = number;
	fuzz.round.random = random;
	round_begin();
	for (int i = 0; i < CUT_PACKETS; i++) {
		count = i % 8 ? fuzz_packet(&random, step.bytes) : fuzz_frame(&random, step.bytes);
		for (step.door = 0; step.door < SL_DOOR_COUNT; step.door++)
			for (step.count = count + 1; step.count-- > fuzz_shortest;)
				cut_once(&step);
	}
}

static void cut_packets_that_pass_are_untouched(void **state)
{
	cut_all(0);
	cut_all(1);
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
	const struct world_options by_stack = { .no_redirect = true, .udp_idle_ns = IDLE_NS };
	const struct world_options straight = { .udp_idle_ns = IDLE_NS };

	node_open();
	world_open(&fuzz.worlds[0], &by_stack);
	world_open(&fuzz.worlds[1], &straight);
	fuzz.world = &fuzz.worlds[0];
	for (unsigned i = 0; i < LINK_COUNT; i++)
		fuzz.ifindexes[i] = if_nametoindex(node_links[i].name);
	/* These ask by a packet, which would be counted in between. */
	skb_sum_flag(&fuzz.worlds[0]);
	fuzz_shortest = length_min(&fuzz.worlds[0], SL_DOOR_XDP);
	return _cmocka_run_group_tests("fuzz", tests, 3, NULL, NULL);
}
