/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about a flow's packets, both ways. */
#pragma once
#include "rows_shape.h"

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

/* The endpoint, or a router before it, complains of a client's packet. The client must see its own
 * packet quoted. */
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

/* The client, or a router before it, complains of an endpoint's packet, which it knows as the
 * VIP's. */
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
	step_wants(trial, stats.packets_in == 1 && stats.packets_out == 0,
		   "only the datagram counted");
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

static void errors_gone_astray(struct trial *trial)
{
	struct wire first = udp(trial), got = to_endpoint(first, EP_A);
	struct wire reply = answer_to(trial, first, EP_A, 0), seen = to_client(reply), error;

	world_one(trial, EP_A);
	opened(trial, first);
	error = error_about(trial, LINK_CLIENT, ROUTER, VIP_OTHER, &seen);
	client_passes(trial, error, SL_pass_icmp);
	error = error_about(trial, LINK_ENDPOINT, ROUTER, FRIEND, &got);
	stack_sends(trial, error, SL_pass_icmp, error);
}

static void unknown_on_the_way_out(struct trial *trial)
{
	struct wire first = udp(trial), got = to_endpoint(first, EP_A), later = cut(first, 2, 9);
	struct wire error = error_about(trial, LINK_ENDPOINT, ROUTER, CLIENT, &got);

	world_one(trial, EP_A);
	stack_sends(trial, error, SL_pass_icmp, error);
	stack_sends(trial, later, SL_pass_fragment, later);
}

/* The ports in an ICMP error are those of another packet, which has no such fragments. */
static void first_fragment_of_error(struct trial *trial)
{
	struct wire first = udp(trial), reply = answer_to(trial, first, EP_A, 0),
		    seen = to_client(reply), later = cut(first, 2, 0xbeef), error;
	struct run *run = &trial->run;

	world_one(trial, EP_A);
	opened(trial, first);
	error = error_about(trial, LINK_CLIENT, ROUTER, VIP, &seen);
	error.id = 0xbeef;
	run->in_len = wire_build(&error, run->in);
	put16(run->in + ETH_HLEN + 6, 0x2000);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_icmp_stack, trial->door);
	client_passes(trial, later, SL_pass_fragment);
}

static void errors_of_others(struct trial *trial)
{
	struct wire sent = udp(trial), inner, error;

	world_one(trial, EP_A);
	error = error_about(trial, LINK_CLIENT, CLIENT, VIP, &sent);
	client_passes(trial, error, SL_pass_icmp); /* no flow */
	inner = error, error.quoted = &inner;
	client_passes(trial, error, SL_pass_icmp); /* about an ICMP error */
	error.quoted = NULL, error.payload = 56, error.type = trial->family == 4 ? 8 : 128,
	error.code = 0;
	client_passes(trial, error, SL_pass_icmp); /* echo request */
	error.type = trial->family == 4 ? 5 : 137;
	client_passes(trial, error, SL_pass_icmp); /* redirect */
	error = error_about(trial, LINK_CLIENT, CLIENT, VIP, NULL);
	error.payload = 60;
	client_passes(trial, error, SL_pass_icmp); /* quotes no packet of its family */
}

static const struct row rows_error[] = {
	{ "an ICMP error about a client's segment shows it as sent; a router keeps its address",
	  tcp_errors_to_client, DOORS_IN, V46 },
	{ "an ICMP error about a client's datagram, its checksum included", udp_errors_to_client,
	  DOORS_IN, V46 },
	{ "a quoted UDP checksum that becomes zero is 0xffff", zero_sum_errors_to_client, DOORS_IN,
	  V46 },
	{ "an ICMP error about a reply goes to the endpoint and shows it as sent",
	  tcp_errors_to_endpoint, DOORS_IN, V46 },
	{ "an ICMP error about a reply datagram, its checksum included", udp_errors_to_endpoint,
	  DOORS_IN, V46 },
	{ "an ICMP error that quotes options or extension headers, to the client",
	  errors_that_quote_options, DOORS_IN, V46 },
	{ "an ICMP error that quotes options or extension headers, to the endpoint",
	  errors_back_that_quote_options, DOORS_IN, V46 },
	{ "an ICMP error is not the connection's own traffic", errors_count_no_bytes, DOORS_IN,
	  V46 },
	{ "an ICMP error about a first fragment finds its flow, about a later one passes",
	  errors_about_fragments, DOORS_IN, V46 },
	{ "ICMP about nothing of ours passes", errors_of_others, DOORS_IN, V46 },
	{ "an ICMP error to anybody but the quoted packet's sender passes", errors_gone_astray,
	  DOORS_IN, V46 },
	{ "the way out passes unknown ICMP errors and fragments by their own names",
	  unknown_on_the_way_out, DOORS_IN, V46 },
	{ "an ICMP error's first fragment leaves no ports behind", first_fragment_of_error,
	  DOORS_IN, V4 },
};
