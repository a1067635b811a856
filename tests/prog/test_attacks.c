// SPDX-License-Identifier: Apache-2.0
/*
 * Known attacks on what stands before every connection: floods, fragments, forged errors, forged
 * sources, resets, and tuples chosen to land somewhere. Each says what the attacker may reach, and
 * that nobody else's flow changes. All is drawn from fixed numbers: a row that fails fails always.
 */
#include "trial.h"

#include "user/kernel/internal.h"

#include "rows_attack.h"
#include "rows_choice.h"

#define BY_DOOR(function)                                                                          \
	{ #function " [xdp]", function, attack_setup, NULL, &doors[SL_DOOR_XDP] },                 \
	{                                                                                          \
#function " [tc]", function, attack_setup, NULL, &doors[SL_DOOR_TC]                \
	}

/* --- floods --- */

#define FLOOD 1000000u
#define LIVE 1000u

/* Live connection `i`, half of them IPv6: a client's SYN, or what else it sends. */
static struct raw live_packet(__u32 i, __u8 flags)
{
	struct raw raw = raw_tcp(i & 1 ? 6 : 4, flags);

	raw_client(&raw, 0x0a800000 + i, 20000 + i % 7);
	return raw;
}

static void live_open(const struct trial *trial, __u32 i, struct sl_way *ret_ways)
{
	struct raw syn = live_packet(i, SYN), answer = raw_answer(&syn, EP_A, SYN | ACK);

	wants_verdict(trial, &syn, trial->door, SL_open_stack);
	wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
	ret_ways[0] = way_of(trial->world, &syn);
	ret_ways[1] = way_of(trial->world, &answer);
	assert_true(ret_ways[0].word & SL_FLOW_ANSWERED && ret_ways[1].word & SL_FLOW_ANSWERED);
}

/* Both ways of it still lead where they led, though all that is new goes elsewhere. */
static void live_goes_on(const struct trial *trial, __u32 i, const struct sl_way *ways)
{
	struct raw ack = live_packet(i, ACK), answer = raw_answer(&ack, EP_A, ACK);
	struct sl_way there = way_of(trial->world, &ack), back = way_of(trial->world, &answer);

	assert_int_equal(way_endpoint(there.word), way_endpoint(ways[0].word));
	assert_int_equal(way_endpoint(back.word), way_endpoint(ways[1].word));
	wants_verdict(trial, &ack, trial->door, SL_forward_stack);
	wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
}

/* The table must have been full of the flood, or it has proved nothing. */
static void flood_filled(const struct trial *trial, __u64 evicted)
{
	__u64 used = table_used(trial->world), all = table_size(trial->world);

	if (used < all - all / 50)
		fail_msg("only %llu of %llu ways are in use", used, all);
	if (evicted < FLOOD / 2)
		fail_msg("only %llu flows were pushed out", evicted);
}

/* Datagram or SYN from anybody. */
static void flood_send(const struct trial *trial, __u32 i, bool is_udp, __u64 *draw)
{
	int family = i & 1 ? 6 : 4;
	struct raw raw = is_udp ? raw_udp_fragment(family, 0, 0) : raw_tcp(family, SYN);

	raw_client(&raw, random_next(draw), random_next(draw));
	raw_send(trial, &raw, trial->door);
}

static void flood(struct trial *trial, bool is_udp)
{
	static struct sl_way ways[LIVE][2];
	__u64 before[SL_COUNTER_COUNT], after[SL_COUNTER_COUNT];
	__u64 memory, draw = 1;

	attack_world(trial, EP_A);
	for (__u32 i = 0; i < LIVE; i++)
		live_open(trial, i, ways[i]);
	attack_moves(trial, EP_B);
	memory = maps_memory(trial->world);
	counters_read(trial->world, trial->door, before);
	for (__u32 i = 0; i < FLOOD; i++)
		flood_send(trial, i, is_udp, &draw);
	counters_read(trial->world, trial->door, after);
	assert_int_equal(after[SL_open_stack] - before[SL_open_stack], FLOOD);
	assert_int_equal(maps_memory(trial->world), memory);
	flood_filled(trial, after[SL_note_flow_evicted] - before[SL_note_flow_evicted]);
	for (__u32 i = 0; i < LIVE; i++)
		live_goes_on(trial, i, ways[i]);
}

static void syn_flood(void **state)
{
	flood(*state, false);
}

/* Nobody answers these either, and nobody has to: they stay longer. */
static void udp_flood(void **state)
{
	flood(*state, true);
}

/* --- as many connections as the table is for --- */

static struct raw random_packet(__u64 *draw, __u8 flags)
{
	struct raw raw = raw_tcp(4, flags);

	raw_client(&raw, random_next(draw), random_next(draw));
	return raw;
}

#define WAITING 64u /* connections are opened before a server has answered the first of them */

/*
 * Two ways each, in twice the room. Clients are random, so of the buckets one in eight is full, and
 * a full one's second buckets too: the ways in it make room for one another, and for those that
 * wait for their answers.
 */
static void a_full_load_keeps_its_places(void **state)
{
	struct trial *trial = *state;
	__u64 before[SL_COUNTER_COUNT], after[SL_COUNTER_COUNT], draw, answered;
	__u64 count = table_size(trial->world) / 4;

	attack_world(trial, EP_A);
	counters_read(trial->world, trial->door, before);
	draw = answered = 3;
	for (__u64 i = 0; i < count + WAITING; i++) {
		if (i < count) {
			struct raw syn = random_packet(&draw, SYN);

			wants_verdict(trial, &syn, trial->door, SL_open_stack);
		}
		if (i >= WAITING) {
			struct raw syn = random_packet(&answered, SYN);
			struct raw answer = raw_answer(&syn, EP_A, SYN | ACK);

			wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
		}
	}
	counters_read(trial->world, trial->door, after);
	assert_int_equal(after[SL_note_flow_evicted] - before[SL_note_flow_evicted], 0);
	assert_int_equal(after[SL_note_flow_full] - before[SL_note_flow_full], 0);
	assert_int_equal(table_used(trial->world), 2 * count);
	attack_moves(trial, EP_B);
	draw = 3;
	for (__u64 i = 0; i < count; i++) {
		struct raw ack = random_packet(&draw, ACK);

		wants_verdict(trial, &ack, trial->door, SL_forward_stack);
		wants_sent_to(&ack, EP_A);
	}
}

/* --- fragments --- */

#define NEVER_END 50000u

/* First fragments whose rest never comes, from random sources. */
static void fragments_flood(const struct trial *trial, __u32 count, __u64 *draw)
{
	for (__u32 i = 0; i < count; i++) {
		struct raw first = raw_udp_fragment(i & 1 ? 6 : 4, 1, random_next(draw));

		raw_client(&first, random_next(draw), random_next(draw));
		raw_send(trial, &first, trial->door);
	}
}

/* A datagram whose rest comes after `between` floods, of a flow that the endpoint has answered. */
static bool datagram_arrives(const struct trial *trial, __u32 i, __u32 between, __u64 *draw)
{
	struct raw first = raw_udp_fragment(4, 1, 0x10000 + i), answer;
	struct raw later = raw_udp_fragment(4, 2, 0x10000 + i);

	raw_client(&first, 0x0a900000 + i, 20000);
	raw_client(&later, 0x0a900000 + i, 0);
	wants_verdict(trial, &first, trial->door, SL_open_stack);
	answer = raw_answer(&first, EP_A, 0);
	wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
	fragments_flood(trial, between, draw);
	return verdict_of(trial, &later, trial->door) == SL_fragment_stack;
}

static void fragments_that_never_end(void **state)
{
	struct trial *trial = *state;
	__u32 most = bpf_map__max_entries(trial->world->tc->maps.sl_fragments), arrived = 0;
	__u64 memory, draw = 2;

	attack_world(trial, EP_A);
	memory = maps_memory(trial->world);
	fragments_flood(trial, NEVER_END, &draw);
	assert_in_range(map_count(world_fd(trial->world, fragments)), most / 2, most);
	assert_int_equal(maps_memory(trial->world), memory);
	/* Least recently used goes first: the rest that comes within a quarter of the table's size
	 * finds the way; the one that comes after four times its size does not. */
	for (__u32 i = 0; i < 64; i++)
		arrived += datagram_arrives(trial, i, i & 1 ? most / 4 : 0, &draw);
	assert_int_equal(arrived, 64);
	assert_false(datagram_arrives(trial, 64, 4 * most, &draw));
}

/*
 * A later fragment that lies over the first one's header, a second first fragment, one of eight
 * bytes: whatever they are, the flow table is as before but for the sender's own flow. Nothing is
 * put together here: an end that takes overlapping fragments apart does so as without us.
 */
static void fragments_that_overlap(void **state)
{
	struct trial *trial = *state;
	struct table table;

	attack_world(trial, EP_A);
	for (int family = 4; family <= 6; family += 2) {
		struct raw victim = raw_tcp(family, SYN), first = raw_udp_fragment(family, 1, 77);
		struct raw again = first;

		raw_client(&victim, 0x0aa00001, 30000);
		wants_verdict(trial, &victim, trial->door, SL_open_stack);
		wants_verdict(trial, &first, trial->door, SL_open_stack);
		table_keep(trial->world, &table);
		wants_verdict(trial, &first, trial->door, SL_forward_stack);
		for (__u32 at = 1; at < 8; at++) {
			struct raw over = raw_udp_fragment(family, 2, 77);

			raw_fragment_at(&over, at);
			wants_verdict(trial, &over, trial->door, SL_fragment_stack);
		}
		table_same_aged(trial->world, &table);
		/* Other ports, the same datagram: a flow of its own, and the victim's as it was. */
		raw_client_port(&again, 31234);
		wants_verdict(trial, &again, trial->door, SL_open_stack);
		table_same_but(trial->world, &table, &again, EP_A);
		/* Too short for ports is nobody's. */
		for (__u32 bytes = 0; bytes < 8; bytes++) {
			struct raw tiny = raw_udp_fragment(family, 1, 78);

			raw_cut_l4(&tiny, bytes);
			wants_verdict(trial, &tiny, trial->door, SL_pass_truncated);
		}
		table_same_but(trial->world, &table, &again, EP_A);
		table_free(&table);
	}
}

/* --- forged ICMP errors --- */

/* With one byte of the quoted addresses, protocol or ports changed it is about no flow. */
static void forged_quotes(const struct trial *trial, const struct raw *error, __u32 door)
{
	__u32 quote = ETH_HLEN + raw_ip_header(error->family) + 8;
	__u32 from = error->family == 4 ? 12 : 8, to = raw_ip_header(error->family) + 4;
	struct raw forged;

	for (__u32 at = from; at < to; at++)
		for (__u32 bit = 0; bit < 8; bit++) {
			forged = *error;
			forged.bytes[quote + at] ^= 1 << bit;
			wants_untouched(trial, &forged, door, SL_pass_icmp);
		}
	forged = *error;
	forged.bytes[quote + (error->family == 4 ? 9 : 6)] ^= IPPROTO_TCP ^ IPPROTO_UDP;
	wants_untouched(trial, &forged, door, SL_pass_icmp);
}

/* Before its quoted ports are there an error passes, as it came. */
static void cut_quote(const struct trial *trial, const struct raw *error, __u32 door)
{
	__u32 ports = ETH_HLEN + 2 * raw_ip_header(error->family) + 8 + 4;
	__u32 verdict = verdict_of(trial, error, door);

	if (error->size >= ports && verdict == SL_icmp_stack)
		return;
	assert_true(!strncmp(counter_names[verdict], "pass_", 5));
	assert_int_equal(last_run.out_len, error->size);
	assert_memory_equal(last_run.out, error->bytes, error->size);
}

/* At every byte; with the length that was, and with one that says so. A test run takes no skb
 * without an IP header. */
static void cut_quotes(const struct trial *trial, const struct raw *error, __u32 door)
{
	__u32 header = ETH_HLEN + raw_ip_header(error->family);

	for (__u32 size = door == SL_DOOR_XDP ? ETH_HLEN : header; size < error->size; size++) {
		struct raw cut = *error;

		cut.size = size;
		cut_quote(trial, &cut, door);
		if (size < header)
			continue;
		raw_length(&cut);
		cut_quote(trial, &cut, door);
	}
}

/*
 * The sequence check of RFC 5927 is not ours to make: no sequence numbers are kept. An error with
 * the right tuple goes to the host that sent the quoted segment, with its sequence number as it
 * came, and that host checks it. What we keep does not change, right or forged.
 */
static void errors_that_are_forged(void **state)
{
	struct trial *trial = *state;
	struct table table;

	attack_world(trial, EP_A);
	for (int family = 4; family <= 6; family += 2) {
		struct raw syn = raw_tcp(family, SYN);
		struct raw in = raw_error(family, CLIENT, VIP);
		struct raw out = raw_error(family, EP_A, CLIENT);
		__u32 sequence = ETH_HLEN + 2 * raw_ip_header(family) + 8 + 4;

		wants_verdict(trial, &syn, trial->door, SL_open_stack);
		table_keep(trial->world, &table);
		forged_quotes(trial, &in, trial->door);
		forged_quotes(trial, &out, SL_DOOR_OUT);
		cut_quotes(trial, &in, trial->door);
		cut_quotes(trial, &out, SL_DOOR_OUT);
		for (__u64 i = 0, draw = 3; i < 1000; i++) {
			put32(in.bytes + sequence, random_next(&draw));
			wants_verdict(trial, &in, trial->door, SL_icmp_stack);
			assert_memory_equal(last_run.out + sequence, in.bytes + sequence, 4);
		}
		table_same(trial->world, &table);
		table_free(&table);
	}
}

/* --- forged sources --- */

static const struct {
	enum who src, dst;
	__u16 sport, dport;
	__u32 verdict;
	bool is_new; /* a flow of the sender's own */
} forged_sources[] = {
	{ EP_A, CLIENT, EP_PORT, 40001, SL_pass_unmatched, false }, /* answers nobody */
	{ EP_A, FRIEND, EP_PORT, 40000, SL_pass_unmatched, false },
	{ EP_A, CLIENT, EP_PORT + 1, 40000, SL_pass_unmatched, false },
	{ EP_B, CLIENT, EP_PORT, 40000, SL_pass_unmatched, false }, /* another endpoint's */
	{ EP_A, CLIENT, EP_PORT, 40000, SL_reply_up, false }, /* the answer itself, word for word */
	{ EP_A, EP_A, EP_PORT, EP_PORT, SL_pass_unmatched, false },
	{ EP_A, VIP, 50000, VIP_PORT, SL_open_stack, true }, /* a client like any */
	{ EP_A, VIP, EP_PORT, VIP_PORT, SL_open_stack, true },
	{ VIP, VIP, VIP_PORT, VIP_PORT, SL_open_stack, true }, /* LAND */
	{ VIP, CLIENT, VIP_PORT, 40000, SL_pass_unmatched, false },
};

/*
 * From the outside, with an endpoint's address. Whether such a packet may come in there is the
 * stack's reverse path filter's to say: up the stack it passes as it came. A packet that is an
 * answer in every bit of its tuple cannot be told from one, and no flow changes by it here.
 */
static void sources_that_are_forged(void **state)
{
	struct trial *trial = *state;
	struct table table;

	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(forged_sources) / sizeof(forged_sources[0]); i++) {
			struct raw syn = raw_tcp(family, SYN), forged;

			attack_world(trial, EP_A);
			wants_verdict(trial, &syn, trial->door, SL_open_stack);
			table_keep(trial->world, &table);
			forged = raw_between(family, forged_sources[i].src, forged_sources[i].dst,
					     forged_sources[i].sport, forged_sources[i].dport,
					     forged_sources[i].is_new ? SYN : ACK);
			wants_verdict(trial, &forged, trial->door, forged_sources[i].verdict);
			if (forged_sources[i].is_new)
				table_same_but(trial->world, &table, &forged, EP_A);
			else
				table_same(trial->world, &table);
			table_free(&table);
		}
	}
}

/*
 * Where flows go straight to their devices, no stack stands between: an answer that is forged to
 * the bit of its tuple reaches the client, whichever device it came by. It counts as an answer,
 * which is all that changes; a device whose outside must not say so filters sources itself.
 */
static void answers_that_are_forged(void **state)
{
	struct trial *trial = *state;

	for (int family = 4; family <= 6; family += 2) {
		struct raw syn = raw_tcp(family, SYN), answer = raw_answer(&syn, EP_A, ACK);
		struct sl_way before, after;

		world_reset(trial->world);
		world_links(trial);
		attack_serve(trial, EP_A);
		wants_verdict(trial, &syn, trial->door, SL_open_redirect);
		before = way_of(trial->world, &syn);
		wants_verdict(trial, &answer, trial->door, SL_reply_redirect);
		after = way_of(trial->world, &syn);
		before.word |= SL_FLOW_ANSWERED;
		assert_true(is_same_way(&before, &after));
		wants_verdict(trial, &syn, trial->door, SL_open_redirect);
	}
}

/* --- resets --- */

static void resets_that_are_blind(void **state)
{
	struct trial *trial = *state;
	struct table table;

	attack_world(trial, EP_A);
	for (int family = 4; family <= 6; family += 2) {
		struct raw syn = raw_tcp(family, SYN), rst = raw_tcp(family, RST);
		__u64 draw = 4;

		wants_verdict(trial, &syn, trial->door, SL_open_stack);
		table_keep(trial->world, &table);
		for (__u32 i = 0; i < 10000; i++) {
			raw_client(&rst, 0x0ab00000 + (__u32)(random_next(&draw) & 0xffff),
				   i & 1 ? 40000 : random_next(&draw));
			wants_verdict(trial, &rst, trial->door, SL_adopt_stack);
		}
		table_same(trial->world, &table);
		table_free(&table);
	}
}

/* Books alone: whether the reset counts is the endpoint's to say, by its sequence number. */
static void resets_with_the_tuple(void **state)
{
	struct trial *trial = *state;

	for (int family = 4; family <= 6; family += 2) {
		struct raw syn = raw_tcp(family, SYN), ack = raw_tcp(family, ACK);
		struct raw rst = raw_tcp(family, RST), answer = raw_answer(&syn, EP_A, ACK);

		attack_world(trial, EP_A);
		wants_verdict(trial, &syn, trial->door, SL_open_stack);
		wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
		attack_moves(trial, EP_B);
		for (int i = 0; i < 3; i++)
			wants_verdict(trial, &rst, trial->door, SL_forward_stack);
		assert_int_equal(stats_of(trial, family == 6).closed, 1);
		assert_true(way_of(trial->world, &ack).word & SL_FLOW_CLOSED);
		wants_verdict(trial, &ack, trial->door, SL_forward_stack);
		wants_sent_to(&ack, EP_A);
		wants_verdict(trial, &answer, SL_DOOR_OUT, SL_reply_stack);
	}
}

static const struct CMUnitTest tests[] = {
	BY_DOOR(syn_flood),
	BY_DOOR(udp_flood),
	BY_DOOR(a_full_load_keeps_its_places),
	BY_DOOR(fragments_that_never_end),
	BY_DOOR(fragments_that_overlap),
	BY_DOOR(errors_that_are_forged),
	BY_DOOR(sources_that_are_forged),
	BY_DOOR(answers_that_are_forged),
	BY_DOOR(resets_that_are_blind),
	BY_DOOR(resets_with_the_tuple),
	BY_DOOR(ports_chosen_for_a_version),
	cmocka_unit_test(tuples_chosen_for_a_bucket),
};

int main(void)
{
	attack_open();
	return cmocka_run_group_tests_name("attacks", tests, NULL, NULL);
}
