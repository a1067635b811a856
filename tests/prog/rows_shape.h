/* SPDX-License-Identifier: Apache-2.0 */
/* Every shape a packet may have: tags, options, extension headers, special checksums, fragments, ICMP, cuts. */
#pragma once
#include "trial.h"

static void opened(struct trial *trial, struct wire first)
{
	client_sends(trial, first, SL_open_stack, to_endpoint(first, EP_A));
}

/* A whole connection in one dress. */
static void dressed(struct trial *trial, int tags, bool options)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK), datagram = udp(trial), reply;

	world_one(trial, EP_A);
	syn.tags = ack.tags = datagram.tags = tags;
	syn.options = ack.options = datagram.options = options;
	opened(trial, syn);
	opened(trial, datagram);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
	reply = answer_to(trial, syn, EP_A, SYN | ACK);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	reply = answer_to(trial, datagram, EP_A, 0);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void in_vlan(struct trial *trial)
{
	dressed(trial, 1, false);
}

static void in_qinq(struct trial *trial)
{
	dressed(trial, 2, false);
}

static void with_options(struct trial *trial)
{
	dressed(trial, 0, true);
}

static void with_all(struct trial *trial)
{
	dressed(trial, 2, true);
}

static void tagged_deeper(struct trial *trial)
{
	struct wire wire = tcp(trial, SYN);

	world_one(trial, EP_A);
	wire.tags = 3;
	client_passes(trial, wire, SL_pass_not_ip);
}

static void no_udp_sum(struct trial *trial)
{
	struct wire datagram = udp(trial), reply;

	world_one(trial, EP_A);
	datagram.no_checksum = true;
	reply = answer_to(trial, datagram, EP_A, 0);
	opened(trial, datagram);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

/* The first two bytes of payload for which a packet's checksum comes out as zero, which UDP writes as 0xffff. */
static __u16 salt_for_zero(struct wire wire)
{
	__u8 l4[WIRE_MAX];

	for (__u32 salt = 0; salt < 0x10000; salt++) {
		wire.salt = salt;
		wire_l4(&wire, l4);
		if (l4[6] == 0xff && l4[7] == 0xff)
			return salt;
	}
	fprintf(stderr, "no salt makes a checksum of zero\n");
	return 0;
}

static void udp_sum_of_zero(struct trial *trial)
{
	struct wire datagram = udp(trial), reply = answer_to(trial, datagram, EP_A, 0);

	world_one(trial, EP_A);
	datagram.salt = salt_for_zero(to_endpoint(datagram, EP_A));
	opened(trial, datagram);
	datagram.salt = salt_for_zero(datagram);
	client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
	reply.salt = salt_for_zero(to_client(reply));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	reply.salt = salt_for_zero(reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void same_port(struct trial *trial)
{
	struct world *world = trial->world;
	struct wire syn = tcp(trial, SYN), out = to_endpoint(syn, EP_A);
	__u32 endpoint = world_endpoint(world, trial->family, EP_A, VIP_PORT);

	world_serve(world, trial->family, world_split_one(world, world_version(world, &endpoint, 1)));
	out.dport = VIP_PORT;
	client_sends(trial, syn, SL_open_stack, out);
}

/* --- fragments --- */

static struct wire cut(struct wire wire, __u8 fragment, __u32 id)
{
	wire.fragment = fragment;
	wire.id = id;
	wire.payload = 400;
	return wire;
}

static void fragments_follow(struct trial *trial, struct wire wire)
{
	struct wire first = cut(wire, 1, 0xbeef), later = cut(wire, 2, 0xbeef), other = cut(wire, 2, 0xf00d);

	world_one(trial, EP_A);
	client_passes(trial, later, SL_pass_fragment);
	if (wire.protocol == IPPROTO_TCP)
		opened(trial, tcp(trial, SYN));
	client_sends(trial, first, wire.protocol == IPPROTO_TCP ? SL_forward_stack : SL_open_stack,
		     to_endpoint(first, EP_A));
	client_sends(trial, later, SL_fragment_stack, to_endpoint(later, EP_A));
	client_passes(trial, other, SL_pass_fragment);
	later = cut(wire, 2, 0xbeef), later.src = FRIEND;
	client_passes(trial, later, SL_pass_fragment);
}

static void udp_fragments(struct trial *trial)
{
	fragments_follow(trial, udp(trial));
}

static void tcp_fragments(struct trial *trial)
{
	fragments_follow(trial, tcp(trial, ACK));
}

static void tagged_fragments(struct trial *trial)
{
	struct wire wire = udp(trial);

	wire.tags = 2, wire.options = true;
	fragments_follow(trial, wire);
}

static void reply_fragments(struct trial *trial)
{
	struct wire datagram = udp(trial), reply = answer_to(trial, datagram, EP_A, 0);
	struct wire first = cut(reply, 1, 0xbeef), later = cut(reply, 2, 0xbeef);

	world_one(trial, EP_A);
	opened(trial, datagram);
	endpoint_sends(trial, first, SL_reply_up, first);
	endpoint_sends(trial, later, SL_pass_fragment, later);
	stack_sends(trial, first, SL_reply_stack, to_client(first));
	stack_sends(trial, later, SL_fragment_stack, to_client(later));
}

/* --- ICMP errors --- */

/* An error from `src` about a packet; `quoted` must outlive it. */
static struct wire error_about(const struct trial *trial, int link, enum who src, enum who dst,
			       const struct wire *quoted)
{
	struct wire wire = wire_from(trial, link, src, dst);

	wire.protocol = trial->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	wire.type = trial->family == 4 ? 3 : 1, wire.code = trial->family == 4 ? 3 : 4;
	wire.quoted = quoted;
	return wire;
}

/* An IP header and eight bytes, which is all that a router must quote. */
static __u16 quote_least(const struct wire *quoted)
{
	if (quoted->family == 4)
		return quoted->options ? 36 : 28;
	return quoted->options ? 72 : 48;
}

static struct wire too_big(struct wire error)
{
	error.type = error.family == 4 ? 3 : 2, error.code = error.family == 4 ? 4 : 0;
	error.rest = 1280;
	return error;
}

static struct wire exceeded(struct wire error)
{
	error.type = error.family == 4 ? 11 : 3, error.code = 0;
	return error;
}

/* The endpoint, or a router before it, complains of a client's packet. The client must see its own packet quoted. */
static void errors_to_client(struct trial *trial, struct wire sent)
{
	struct wire first = sent.protocol == IPPROTO_TCP ? tcp(trial, SYN) : sent;
	struct wire got = to_endpoint(sent, EP_A), want = sent, error, out;

	world_one(trial, EP_A);
	opened(trial, first);
	if (sent.protocol == IPPROTO_TCP)
		want.sum_as = &got;
	error = error_about(trial, LINK_ENDPOINT, EP_A, CLIENT, &got);
	out = error, out.src = VIP, out.quoted = &want;
	endpoint_sends(trial, error, SL_reply_up, error);
	stack_sends(trial, error, SL_icmp_stack, out);
	stack_sends(trial, too_big(error), SL_icmp_stack, too_big(out));
	error.src = out.src = ROUTER;
	stack_sends(trial, too_big(error), SL_icmp_stack, too_big(out));
	stack_sends(trial, exceeded(error), SL_icmp_stack, exceeded(out));
	error.quote = out.quote = quote_least(&got);
	stack_sends(trial, too_big(error), SL_icmp_stack, too_big(out));
}

/* The client, or a router before it, complains of an endpoint's packet, which it knows as the VIP's. */
static void errors_to_endpoint(struct trial *trial, struct wire first)
{
	struct wire reply = answer_to(trial, first, EP_A, ACK), seen = to_client(reply), error, out;

	world_one(trial, EP_A);
	opened(trial, first);
	if (first.protocol == IPPROTO_TCP)
		reply.sum_as = &seen;
	error = error_about(trial, LINK_CLIENT, CLIENT, VIP, &seen);
	out = error, out.dst = EP_A, out.quoted = &reply;
	client_sends(trial, error, SL_icmp_stack, out);
	client_sends(trial, too_big(error), SL_icmp_stack, too_big(out));
	error.src = out.src = ROUTER;
	error.quote = out.quote = quote_least(&seen);
	client_sends(trial, too_big(error), SL_icmp_stack, too_big(out));
	error.tags = out.tags = 2, error.options = out.options = true;
	client_sends(trial, exceeded(error), SL_icmp_stack, exceeded(out));
}

static void tcp_errors_to_client(struct trial *trial)
{
	errors_to_client(trial, tcp(trial, ACK));
}

static void udp_errors_to_client(struct trial *trial)
{
	errors_to_client(trial, udp(trial));
}

static void zero_sum_errors_to_client(struct trial *trial)
{
	struct wire sent = udp(trial);

	sent.salt = salt_for_zero(sent);
	errors_to_client(trial, sent);
}

static void errors_that_quote_options(struct trial *trial)
{
	struct wire sent = udp(trial);

	sent.options = true;
	errors_to_client(trial, sent);
}

static void errors_back_that_quote_options(struct trial *trial)
{
	struct wire first = udp(trial);

	first.options = true;
	errors_to_endpoint(trial, first);
}

static void tcp_errors_to_endpoint(struct trial *trial)
{
	errors_to_endpoint(trial, tcp(trial, SYN));
}

static void udp_errors_to_endpoint(struct trial *trial)
{
	errors_to_endpoint(trial, udp(trial));
}

static void errors_count_no_bytes(struct trial *trial)
{
	struct sl_stats stats;

	errors_to_endpoint(trial, udp(trial));
	stats = stats_of(trial, 0);
	step_wants(trial, stats.packets_in == 1 && stats.packets_out == 0, "only the datagram counted");
}

static void errors_about_fragments(struct trial *trial)
{
	struct wire sent = cut(udp(trial), 1, 0xbeef), got = to_endpoint(sent, EP_A), error, out;

	world_one(trial, EP_A);
	opened(trial, sent);
	error = error_about(trial, LINK_ENDPOINT, EP_A, CLIENT, &got);
	out = error, out.src = VIP, out.quoted = &sent;
	stack_sends(trial, exceeded(error), SL_icmp_stack, exceeded(out));
	sent.fragment = got.fragment = 2;
	stack_sends(trial, exceeded(error), SL_pass_icmp, exceeded(error));
}

static void errors_of_others(struct trial *trial)
{
	struct wire sent = udp(trial), inner, error;

	world_one(trial, EP_A);
	error = error_about(trial, LINK_CLIENT, CLIENT, VIP, &sent);
	client_passes(trial, error, SL_pass_icmp); /* no flow */
	inner = error, error.quoted = &inner;
	client_passes(trial, error, SL_pass_icmp); /* about an ICMP error */
	error.quoted = NULL, error.payload = 56, error.type = trial->family == 4 ? 8 : 128, error.code = 0;
	client_passes(trial, error, SL_pass_icmp); /* echo request */
	error.type = trial->family == 4 ? 5 : 137;
	client_passes(trial, error, SL_pass_icmp); /* redirect */
	error = error_about(trial, LINK_CLIENT, CLIENT, VIP, NULL);
	error.payload = 60;
	client_passes(trial, error, SL_pass_icmp); /* quotes no packet of its family */
}

/* --- not ours --- */

static void not_ip(struct trial *trial)
{
	struct run *run = &trial->run;

	world_one(trial, EP_A);
	run->in_len = 60;
	memset(run->in, 0, 60);
	memcpy(run->in, node_links[LINK_CLIENT].mac, ETH_ALEN);
	put16(run->in + 12, ETH_P_ARP);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_pass_not_ip, trial->door);
	step_wants(trial, run->out_len == 60 && !memcmp(run->in, run->out, 60), "the frame untouched");
}

static void another_host(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	if (trial->door == SL_DOOR_TC) { /* XDP does not know the device's own address */
		syn.to[5] ^= 0x80;
		client_passes(trial, syn, SL_pass_not_for_us);
	}
	memset(syn.to, 0xff, ETH_ALEN);
	client_passes(trial, syn, SL_pass_not_for_us);
}

static void other_protocol(struct trial *trial)
{
	struct wire wire = udp(trial);

	world_one(trial, EP_A);
	wire.protocol = IPPROTO_SCTP;
	client_passes(trial, wire, SL_pass_protocol);
	wire.fragment = 2, wire.payload = 100;
	client_passes(trial, wire, SL_pass_protocol);
}

static void other_service(struct trial *trial)
{
	struct wire wire = tcp(trial, SYN);

	world_one(trial, EP_A);
	wire.dport++;
	client_passes(trial, wire, SL_pass_unmatched);
	wire.dport--, wire.dst = VIP_OTHER;
	client_passes(trial, wire, SL_pass_unmatched);
	wire = tcp(trial, ACK), wire.dst = EP_A, wire.dport = EP_PORT;
	client_passes(trial, wire, SL_pass_unmatched);
}

static void lying_lengths(struct trial *trial)
{
	struct run *run = &trial->run;
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	for (__u8 ihl = 0; ihl < 5; ihl++) {
		run->in_len = wire_build(&syn, run->in);
		run->in[14] = (trial->family == 4 ? 4 : 5) << 4 | ihl;
		run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
		step_counted(trial, NULL, SL_pass_truncated, trial->door);
		step_wants(trial, !memcmp(run->in, run->out, run->in_len), "the frame untouched");
	}
}

/* --- cuts: every shape, cut at every byte --- */

static bool is_rewritten(__u32 verdict)
{
	return verdict >= SL_open_stack && verdict <= SL_fragment_redirect && verdict != SL_reply_up;
}

/*
 * What arrives is the packet as sent as far as it goes; what leaves is the wanted packet as far as it goes, or the very
 * bytes that came. Nothing between is allowed.
 */
static void cut_everywhere(struct trial *trial, __u32 door, int link, struct wire in, struct wire out)
{
	__u32 ifindex = if_nametoindex(node_links[link].name), verdict, wanted;
	struct run *run = &trial->run;
	__u8 want[WIRE_MAX];

	wire_build(&out, want);
	for (__u32 size = wire_build(&in, run->in); size >= ETH_HLEN; size--) {
		run->in_len = size;
		run_door(trial->world, door, ifindex, 0, run);
		if (run->err == -EINVAL && size < ETH_HLEN + 40)
			continue; /* the test run itself wants an IP header in an skb */
		verdict = run_verdict(run);
		wanted = verdict_code(door, verdict < SL_VERDICT_COUNT ? verdict : 0);
		step_wants(trial, !run->err && verdict < SL_VERDICT_COUNT, "one verdict for a cut packet");
		step_wants(trial, run->code == wanted, "its return code");
		step_wants(trial, run->out_len == size, "the same length");
		step_wants(trial, !memcmp(run->out, is_rewritten(verdict) ? want : run->in, size), "all of it or none of it");
	}
}

static void cut_packets(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK), datagram = udp(trial), reply, wire;

	world_one(trial, EP_A);
	for (int dress = 0; dress < 4; dress++) {
		syn.tags = ack.tags = datagram.tags = dress & 1 ? 2 : 0;
		syn.options = ack.options = datagram.options = dress & 2;
		cut_everywhere(trial, trial->door, LINK_CLIENT, syn, to_endpoint(syn, EP_A));
		cut_everywhere(trial, trial->door, LINK_CLIENT, ack, to_endpoint(ack, EP_A));
		cut_everywhere(trial, trial->door, LINK_CLIENT, datagram, to_endpoint(datagram, EP_A));
		wire = cut(datagram, 1, 0xbeef);
		cut_everywhere(trial, trial->door, LINK_CLIENT, wire, to_endpoint(wire, EP_A));
		wire = cut(datagram, 2, 0xbeef);
		cut_everywhere(trial, trial->door, LINK_CLIENT, wire, to_endpoint(wire, EP_A));
		reply = answer_to(trial, ack, EP_A, ACK);
		cut_everywhere(trial, SL_DOOR_OUT, LINK_CLIENT, reply, to_client(reply));
	}
}

static void cut_errors(struct trial *trial)
{
	struct wire first = udp(trial), reply = answer_to(trial, first, EP_A, 0), seen = to_client(reply), error, out;

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

/* Whatever comes in: one verdict, its return code; what passes is untouched; no table or rewrite is blamed. */
static void damage_once(struct trial *trial, __u32 door, const struct wire *wire)
{
	__u32 ifindex = if_nametoindex(node_links[LINK_CLIENT].name), verdict;
	struct run *run = &trial->run;

	run->in_len = wire_build(wire, run->in);
	for (int hits = 1 + rand() % 4; hits; hits--)
		run->in[ETH_ALEN + rand() % (run->in_len - ETH_ALEN)] = rand();
	run_door(trial->world, door, ifindex, 0, run);
	verdict = run_verdict(run);
	step_wants(trial, !run->err && verdict < SL_VERDICT_COUNT, "one verdict for a damaged packet");
	step_wants(trial, run->code == verdict_code(door, verdict), "its return code");
	step_wants(trial, verdict != SL_drop_table && verdict != SL_drop_rewrite, "neither table nor rewrite to blame");
	if (!strncmp(counter_names[verdict], "pass", 4) || verdict == SL_reply_up)
		step_wants(trial, run->out_len == run->in_len && !memcmp(run->in, run->out, run->in_len), "untouched");
}

static void damaged(struct trial *trial)
{
	struct wire datagram = udp(trial), reply = answer_to(trial, datagram, EP_A, 0), seen = to_client(reply), error;
	struct wire ack = tcp(trial, ACK), first = cut(datagram, 1, 7), later = cut(datagram, 2, 7);

	srand(trial->family);
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

static const struct row rows_shape[] = {
	{ "a connection in a VLAN keeps its tag", in_vlan, DOORS_IN, V46 },
	{ "a connection in QinQ keeps both tags", in_qinq, DOORS_IN, V46 },
	{ "IPv4 options, IPv6 hop-by-hop and destination options are stepped over", with_options, DOORS_IN, V46 },
	{ "two tags and options at once", with_all, DOORS_IN, V46 },
	{ "a third tag is not for us to look behind", tagged_deeper, DOORS_IN, V46 },
	{ "a UDP checksum of zero stays zero", no_udp_sum, DOORS_IN, V46 },
	{ "a UDP checksum that becomes zero is written as 0xffff", udp_sum_of_zero, DOORS_IN, V46 },
	{ "an endpoint with the VIP's port has its address written alone", same_port, DOORS_IN, V46 },
	{ "later fragments of a datagram go where the first went, unknown ones pass", udp_fragments, DOORS_IN, V46 },
	{ "later fragments of a TCP segment likewise", tcp_fragments, DOORS_IN, V46 },
	{ "fragments in QinQ with options likewise", tagged_fragments, DOORS_IN, V46 },
	{ "a reply's fragments get the VIP back", reply_fragments, DOORS_IN, V46 },
	{ "an ICMP error about a client's segment shows it as sent; a router keeps its address", tcp_errors_to_client,
	  DOORS_IN, V46 },
	{ "an ICMP error about a client's datagram, its checksum included", udp_errors_to_client, DOORS_IN, V46 },
	{ "a quoted UDP checksum that becomes zero is 0xffff", zero_sum_errors_to_client, DOORS_IN, V46 },
	{ "an ICMP error about a reply goes to the endpoint and shows it as sent", tcp_errors_to_endpoint, DOORS_IN, V46 },
	{ "an ICMP error about a reply datagram, its checksum included", udp_errors_to_endpoint, DOORS_IN, V46 },
	{ "an ICMP error that quotes options or extension headers, to the client", errors_that_quote_options, DOORS_IN,
	  V46 },
	{ "an ICMP error that quotes options or extension headers, to the endpoint", errors_back_that_quote_options,
	  DOORS_IN, V46 },
	{ "an ICMP error is not the connection's own traffic", errors_count_no_bytes, DOORS_IN, V46 },
	{ "an ICMP error about a first fragment finds its flow, about a later one passes", errors_about_fragments, DOORS_IN,
	  V46 },
	{ "ICMP about nothing of ours passes", errors_of_others, DOORS_IN, V46 },
	{ "ARP passes", not_ip, DOORS_IN, V4 },
	{ "a frame for another host, or for everyone, passes", another_host, DOORS_IN, V46 },
	{ "another transport passes", other_protocol, DOORS_IN, V46 },
	{ "another address, another port, or the endpoint's own passes", other_service, DOORS_IN, V46 },
	{ "a header that lies about its length passes", lying_lengths, DOORS_IN, V46 },
	{ "packets cut at every byte", cut_packets, DOORS_IN, V46 },
	{ "ICMP errors cut at every byte", cut_errors, DOORS_IN, V46 },
	{ "packets with random bytes changed", damaged, DOORS_IN, V46 },
};
