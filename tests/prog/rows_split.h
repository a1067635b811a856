/* SPDX-License-Identifier: Apache-2.0 */
/* Splits, rules, revisions; refusals; tables that lie. */
#pragma once
#include "trial.h"

/* Clients' ports tried: a version with a slot in two is missed by chance once in 2^300. */
#define MANY 300

/* An answer leaves by the device that the question came in by: XDP needs leave for that. */
static void may_answer(struct trial *trial)
{
	world_device(trial->world, "cl0", SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET);
}

/* Versions 0, 1 .. with one endpoint each; EP_SILENT stands for a version without one. */
static struct sl_split split_of(struct trial *trial, const enum who *whos, const __u32 *counts,
				__u32 count, __u16 flags)
{
	struct world *world = trial->world;
	__u32 versions[8], endpoint;

	for (__u32 i = 0; i < count; i++) {
		endpoint = whos[i] == EP_SILENT
				   ? 0
				   : world_endpoint(world, trial->family, whos[i], EP_PORT);
		versions[i] = world_version(world, &endpoint, whos[i] != EP_SILENT);
	}
	return world_split(world, versions, counts, count, flags);
}

/* Which version a SYN from this port was given; -1: none. */
static int version_of(struct trial *trial, struct wire syn, __u16 sport)
{
	struct flow flow;

	syn.sport = sport;
	trial->run.in_len = wire_build(&syn, trial->run.in);
	run_bare(trial->world, trial->door, if_nametoindex("cl0"), 0, &trial->run);
	return flow_of(trial, syn, &flow) ? (int)flow.version : -1;
}

static void spread(struct trial *trial, __u32 *ret_counts)
{
	for (__u16 i = 0; i < MANY; i++) {
		int version = version_of(trial, tcp(trial, SYN), 20000 + i);

		step_wants(trial, version >= 0, "a flow");
		ret_counts[version]++;
	}
}

static void weights_share(struct trial *trial)
{
	__u32 counts[2] = {};

	world_serve(trial->world, trial->family,
		    split_of(trial, (enum who[]){ EP_A, EP_B }, (__u32[]){ 32, 32 }, 2, 0));
	spread(trial, counts);
	step_wants(trial, counts[0] > MANY / 3 && counts[1] > MANY / 3, "about a half each");
}

static void weight_zero(struct trial *trial)
{
	__u32 counts[3] = {};

	world_serve(
		trial->world, trial->family,
		split_of(trial, (enum who[]){ EP_A, EP_B, EP_C }, (__u32[]){ 32, 0, 32 }, 3, 0));
	spread(trial, counts);
	step_wants(trial, counts[0] && !counts[1] && counts[2], "none for weight 0");
}

static void endpoints_share(struct trial *trial)
{
	struct world *world = trial->world;
	struct wire syn = tcp(trial, SYN);
	__u32 words[3], counts[3] = {};
	struct flow flow = {};

	for (int i = 0; i < 3; i++)
		words[i] = world_endpoint(world, trial->family, EP_A + i, EP_PORT);
	world_serve(world, trial->family, world_split_one(world, world_version(world, words, 3)));
	for (__u16 i = 0; i < MANY; i++) {
		syn.sport = 20000 + i;
		client_sends(trial, syn, SL_open_stack,
			     (version_of(trial, syn, syn.sport), flow_of(trial, syn, &flow),
			      to_endpoint(syn, EP_A + flow.endpoint)));
		counts[flow.endpoint]++;
	}
	step_wants(trial, counts[0] > MANY / 5 && counts[1] > MANY / 5 && counts[2] > MANY / 5,
		   "about a third each");
}

static void client_affinity(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);
	int first;

	world_serve(trial->world, trial->family,
		    split_of(trial, (enum who[]){ EP_A, EP_B }, (__u32[]){ 32, 32 }, 2,
			     SL_SPLIT_BY_CLIENT));
	first = version_of(trial, syn, 20000);
	for (__u16 i = 0; i < MANY; i++)
		step_wants(trial, version_of(trial, syn, 20000 + i) == first,
			   "one version for one client");
}

static void empty_spills(struct trial *trial)
{
	__u32 counts[2] = {};
	struct wire syn = tcp(trial, SYN);

	world_serve(trial->world, trial->family,
		    split_of(trial, (enum who[]){ EP_A, EP_SILENT }, (__u32[]){ 32, 32 }, 2,
			     SL_SPLIT_SPILL));
	spread(trial, counts);
	step_wants(trial, counts[0] == MANY && !counts[1],
		   "all to the version that has an endpoint");
	world_reset(trial->world);
	world_serve(trial->world, trial->family,
		    split_of(trial, (enum who[]){ EP_SILENT, EP_A }, (__u32[]){ 63, 1 }, 2,
			     SL_SPLIT_SPILL));
	syn.sport = 20001; /* its slots are the empty version's, nine times: the last resort finds
			      the member */
	trial->note = SL_note_spilled;
	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, EP_A));
}

static void empty_share_refused(struct trial *trial)
{
	__u32 refused = 0;

	may_answer(trial);
	world_serve(trial->world, trial->family,
		    split_of(trial, (enum who[]){ EP_A, EP_SILENT }, (__u32[]){ 32, 32 }, 2, 0));
	for (__u16 i = 0; i < MANY; i++)
		refused += version_of(trial, tcp(trial, SYN), 20000 + i) < 0;
	step_wants(trial, refused > MANY / 3 && refused < MANY - MANY / 3, "about a half refused");
	step_wants(trial, stats_of(trial, 1).refused == refused, "counted for the empty version");
}

static void sources_choose(struct trial *trial)
{
	struct world *world = trial->world;
	struct wire friend = tcp(trial, SYN), stranger = tcp(trial, SYN);
	__u32 a = world_endpoint(world, trial->family, EP_A, EP_PORT),
	      b = world_endpoint(world, trial->family, EP_B, EP_PORT);
	struct sl_service service = { .otherwise =
					      world_split_one(world, world_version(world, &a, 1)),
				      .rule_count = 2 };
	struct sl_split to_b = world_split_one(world, world_version(world, &b, 1));

	service.rule_base = world_rule(world, trial->family, STRANGER,
				       trial->family == 4 ? 32 : 128, service.otherwise);
	world_rule(world, trial->family, FRIEND, trial->family == 4 ? 26 : 80, to_b);
	world_service(world, trial->family, IPPROTO_TCP, VIP_PORT, service);
	friend.src = FRIEND;
	client_sends(trial, friend, SL_open_stack, to_endpoint(friend, EP_B));
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	stranger.src = STRANGER;
	client_sends(trial, stranger, SL_open_stack, to_endpoint(stranger, EP_A));
}

static void first_rule_wins(struct trial *trial)
{
	struct world *world = trial->world;
	struct sl_split none = { .flags = SL_SPLIT_NONE }, to_a, to_b;
	int whole = trial->family == 4 ? 32 : 128;
	struct sl_service service = { .otherwise = none, .rule_count = SL_RULES_MAX };
	__u32 a = world_endpoint(world, trial->family, EP_A, EP_PORT),
	      b = world_endpoint(world, trial->family, EP_B, EP_PORT);

	to_a = world_split_one(world, world_version(world, &a, 1));
	to_b = world_split_one(world, world_version(world, &b, 1));
	service.rule_base = world_rule(world, trial->family, STRANGER, whole, to_b);
	for (__u32 i = 2; i < SL_RULES_MAX; i++)
		world_rule(world, trial->family, STRANGER, whole, to_b);
	world_rule(world, trial->family, CLIENT, 0,
		   to_a); /* the last rule that there may be matches everyone */
	world_service(world, trial->family, IPPROTO_TCP, VIP_PORT, service);
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
}

/* --- refusals --- */

static struct wire turned(struct wire wire)
{
	struct wire back = { .family = wire.family,
			     .tags = wire.tags,
			     .src = wire.dst,
			     .dst = wire.src,
			     .ttl = 64 };

	memcpy(back.to, wire.from, ETH_ALEN);
	memcpy(back.from, wire.to, ETH_ALEN);
	return back;
}

static struct wire reset_for(struct wire wire)
{
	struct wire back = turned(wire);

	back.protocol = IPPROTO_TCP;
	back.sport = wire.dport, back.dport = wire.sport;
	back.tcp_flags = wire.tcp_flags & ACK ? RST : RST | ACK;
	back.seq = wire.tcp_flags & ACK ? wire.ack : 0;
	if (!(wire.tcp_flags & ACK))
		back.ack =
			wire.seq + !!(wire.tcp_flags & SYN) + (wire.tcp_flags & FIN) + wire.payload;
	return back;
}

/* Quotes the IP header and eight bytes, without options; `quoted` must live as long as the answer.
 */
static struct wire unreachable_for(struct wire wire, struct wire *quoted)
{
	struct wire back = turned(wire);

	*quoted = wire;
	quoted->options = false;
	quoted->claimed = !wire.options ? 0 : wire.family == 4 ? 8 : 24;
	back.protocol = wire.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	back.type = wire.family == 4 ? 3 : 1, back.code = wire.family == 4 ? 3 : 4;
	back.quoted = quoted, back.quote = wire.family == 4 ? 28 : 48;
	return back;
}

static void refuses_tcp(struct trial *trial, struct wire in, __u32 verdict)
{
	client_sends(trial, in, verdict, reset_for(in));
}

static void refuses_udp(struct trial *trial, struct wire in, __u32 verdict)
{
	struct wire quoted, out = unreachable_for(in, &quoted);

	client_sends(trial, in, verdict, out);
}

static void empty_resets(struct trial *trial)
{
	struct wire odd = tcp(trial, SYN);

	may_answer(trial);
	world_none(trial);
	refuses_tcp(trial, tcp(trial, SYN), SL_refuse_empty);
	refuses_tcp(trial, tcp(trial, ACK), SL_refuse_empty);
	refuses_tcp(trial, tcp(trial, FIN | ACK), SL_refuse_empty);
	refuses_tcp(trial, tcp(trial, FIN), SL_refuse_empty);
	odd.payload = 99; /* SYN with data (TCP Fast Open): all of it is acknowledged */
	refuses_tcp(trial, odd, SL_refuse_empty);
	odd.tags = 2, odd.options = true;
	refuses_tcp(trial, odd, SL_refuse_empty);
	odd.payload = length_max(trial->world, trial->door) - 200;
	refuses_tcp(trial, odd, SL_refuse_empty);
	step_wants(trial, stats_of(trial, 0).refused == 7, "counted for the version");
}

static void empty_unreachable(struct trial *trial)
{
	struct wire odd = udp(trial);

	may_answer(trial);
	world_none(trial);
	refuses_udp(trial, odd, SL_refuse_empty);
	odd.payload = 0;
	refuses_udp(trial, odd, SL_refuse_empty);
	odd.payload = 1000, odd.tags = 1;
	refuses_udp(trial, odd, SL_refuse_empty);
	odd.payload = length_max(trial->world, trial->door) - 200;
	refuses_udp(trial, odd, SL_refuse_empty);
	odd.options = true;
	refuses_udp(trial, odd, SL_refuse_empty);
}

static void no_rule_refuses(struct trial *trial)
{
	may_answer(trial);
	world_serve(trial->world, trial->family, (struct sl_split){ .flags = SL_SPLIT_NONE });
	refuses_tcp(trial, tcp(trial, SYN), SL_refuse_no_rule);
	refuses_udp(trial, udp(trial), SL_refuse_no_rule);
}

/* A connection is open; the SYN from its port to another service, which has the same endpoint. */
static struct wire port_used(struct trial *trial)
{
	static const enum who one[] = { EP_A };
	struct wire syn = tcp(trial, SYN), other = syn;

	may_answer(trial);
	two_services(trial, one, 1);
	other.dport = VIP_PORT + 1;
	opens(trial, syn, EP_A);
	return other;
}

static void port_used_twice_refused(struct trial *trial)
{
	struct wire other = port_used(trial),
		    reply = answer_to(trial, tcp(trial, SYN), EP_A, SYN | ACK);

	client_sends(trial, other, SL_refuse_empty, reset_for(other));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	client_sends(trial, tcp(trial, RST), SL_forward_stack, to_endpoint(tcp(trial, RST), EP_A));
	opens(trial, other, EP_A);
}

/* Nor by one that nobody has answered for as long as clients try. */
static void port_unanswered(struct trial *trial)
{
	struct wire other = port_used(trial),
		    reply = answer_to(trial, tcp(trial, SYN), EP_A, SYN | ACK);

	flow_age(trial, reply, trial->world->settings.syn_idle_units);
	client_sends(trial, other, SL_refuse_empty, reset_for(other));
	flow_age(trial, reply, trial->world->settings.syn_idle_units + 1);
	opens(trial, other, EP_A);
}

static void nobody_answers(struct trial *trial)
{
	struct wire rst = tcp(trial, RST), group = udp(trial), broken = udp(trial);

	may_answer(trial);
	world_none(trial);
	client_drops(trial, rst, SL_drop_refused);
	rst.tcp_flags = RST | ACK;
	client_drops(trial, rst, SL_drop_refused);
	group.src = GROUP;
	client_drops(trial, group, SL_drop_refused);
	group.src = LOOPBACK;
	client_drops(trial, group, SL_drop_refused);
	group.src = RESERVED;
	client_drops(trial, group, SL_drop_refused);
	broken.src = STRANGER;
	refuses_udp(trial, broken, SL_refuse_empty);
}

static void refusal_is_left_to_tc(struct trial *trial)
{
	world_none(trial);
	client_passes(trial, tcp(trial, SYN), SL_pass_deferred);
	client_passes(trial, udp(trial), SL_pass_deferred);
	client_passes(trial, tcp(trial, RST), SL_pass_deferred);
}

static void live_flow_outlives_its_version(struct trial *trial)
{
	struct sl_version gone = { .used = 1 };
	struct wire ack = tcp(trial, ACK);

	may_answer(trial);
	world_one(trial, EP_A);
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	world_put(world_fd(trial->world, versions), &(__u32){ 0 }, &gone);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	refuses_tcp(trial, tcp(trial, SYN), SL_refuse_empty);
}

/* --- revisions, and tables that lie --- */

static void unknown_active(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK);

	world_one(trial, EP_A);
	world_active(trial->world, 1234567);
	trial->note = SL_note_active_unknown;
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	world_active(trial->world, 1 + SL_HOT_MAX); /* the same place in the directory */
	trial->note = SL_note_active_unknown;
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	world_active(trial->world, 0); /* what an empty place has */
	trial->note = SL_note_active_unknown;
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	world_active(trial->world, 1234567);
	trial->note = SL_note_active_unknown;
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	ack.dport = 81;
	client_passes(trial, ack, SL_pass_unmatched);
}

/* Somebody goes back by hand, and then mistypes: what he went away from stays away. */
static void unknown_after_hand_flip(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	world_revision(trial->world, 2);
	world_one(trial, EP_B);
	world_active(trial->world, 2);
	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, EP_B));
	world_active(trial->world, 1234567);
	trial->note = SL_note_active_unknown;
	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, EP_B));
}

static void inactive_is_invisible(struct trial *trial)
{
	world_revision(trial->world, 2);
	world_one(trial, EP_A);
	client_passes(trial, tcp(trial, SYN), SL_pass_unmatched);
	world_active(trial->world, 2);
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	world_active(trial->world, 1);
	client_passes(trial, udp(trial), SL_pass_unmatched);
}

static void broken_split(struct trial *trial, struct sl_split split)
{
	world_serve(trial->world, trial->family, split);
	client_drops(trial, tcp(trial, SYN), SL_drop_table);
	client_drops(trial, udp(trial), SL_drop_table);
}

static void tables_lie(struct trial *trial)
{
	struct world *world = trial->world;
	__u32 wild = 1 << 30, a = world_endpoint(world, trial->family, EP_A, EP_PORT);
	struct sl_split good = world_split_one(world, world_version(world, &a, 1)), bad = good;
	struct sl_version outside = { .ring = wild | 1ull << 32, .used = 1 };

	bad.slot_base = wild;
	broken_split(trial, bad);
	bad = good, bad.member_base = wild;
	broken_split(trial, bad);
	broken_split(trial, world_split_one(world, wild)); /* a member that is no version */
	broken_split(trial,
		     world_split_one(world, world_version(world, &wild,
							  1))); /* a ring's word no endpoint */
	world_put(world_fd(world, versions), &(__u32){ 0 }, &outside);
	broken_split(trial, good);
}

static const struct row rows_split[] = {
	{ "where there is no other endpoint the second connection is refused, until the first has "
	  "ended",
	  port_used_twice_refused, DOORS_IN, V46 },
	{ "or nobody has answered it for two minutes", port_unanswered, DOORS_IN, V46 },
	{ "two versions share by their slots", weights_share, DOORS_IN, V46 },
	{ "weight 0 gets nothing", weight_zero, DOORS_IN, V46 },
	{ "a version's endpoints share by its ring", endpoints_share, DOORS_IN, V46 },
	{ "with client affinity all of a client's ports go to one version", client_affinity,
	  DOORS_IN, V46 },
	{ "an empty version's share spills when its policy says so", empty_spills, DOORS_IN, V46 },
	{ "an empty version refuses its share and no other", empty_share_refused, DOORS_IN, V46 },
	{ "the client's prefix chooses the rule", sources_choose, DOORS_IN, V46 },
	{ "the last of as many rules as there may be is reached", first_rule_wins, DOORS_IN, V46 },
	{ "an empty version answers TCP with the RST that fits", empty_resets, DOORS_IN, V46 },
	{ "an empty version answers UDP with port unreachable", empty_unreachable, DOORS_IN, V46 },
	{ "no rule that matches is the same refusal with its own verdict", no_rule_refuses,
	  DOORS_IN, V46 },
	{ "an RST, and a source that is no host, are never answered", nobody_answers, DOORS_IN,
	  V46 },
	{ "XDP leaves a refusal to tc where it cannot send", refusal_is_left_to_tc,
	  1 << SL_DOOR_XDP, V46 },
	{ "a live flow outlives its version's last endpoint", live_flow_outlives_its_version,
	  DOORS_IN, V46 },
	{ "an active word that names no hot revision falls back to the last good one",
	  unknown_active, DOORS_IN, V46 },
	{ "also when that was made active by hand", unknown_after_hand_flip, DOORS_IN, V46 },
	{ "a revision that is not active is invisible", inactive_is_invisible, DOORS_IN, V46 },
	{ "a table that points outside itself drops, and says so", tables_lie, DOORS_IN, V46 },
};
