/* SPDX-License-Identifier: Apache-2.0 */
/* Every shape a packet may have: tags, options, extension headers, special checksums, fragments,
 * ICMP, cuts. */
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

/* The first two bytes of payload for which a packet's checksum comes out as zero, which UDP writes
 * as 0xffff. */
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

static void every_length(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), data = tcp(trial, ACK), reply;
	__u32 headers = ETH_HLEN + (trial->family == 4 ? 20 : 40) + 20;

	world_one(trial, EP_A);
	opened(trial, syn);
	for (__u32 size = headers; size <= length_max(trial->world, trial->door); size++) {
		data.payload = size - headers;
		client_sends(trial, data, SL_forward_stack, to_endpoint(data, EP_A));
		reply = answer_to(trial, data, EP_A, ACK);
		reply.payload = data.payload;
		if (size <= length_max(trial->world, SL_DOOR_OUT))
			stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	}
}

static void same_port(struct trial *trial)
{
	struct world *world = trial->world;
	struct wire syn = tcp(trial, SYN), out = to_endpoint(syn, EP_A);
	__u32 endpoint = world_endpoint(world, trial->family, EP_A, VIP_PORT);

	world_serve(world, trial->family,
		    world_split_one(world, world_version(world, &endpoint, 1)));
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
	struct wire first = cut(wire, 1, 0xbeef), later = cut(wire, 2, 0xbeef),
		    other = cut(wire, 2, 0xf00d);

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
	step_wants(trial, run->out_len == 60 && !memcmp(run->in, run->out, 60),
		   "the frame untouched");
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

/* From nothing on, over the doors as plain C; the kernel's test run wants headers. */
static void short_frames(struct trial *trial)
{
	struct run *run = &trial->run;
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	wire_build(&syn, run->in);
	for (__u32 size = length_min(trial->world, trial->door); size < ETH_HLEN + 20; size++) {
		run->in_len = size;
		run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
		step_counted(trial, NULL, SL_pass_truncated, trial->door);
		step_wants(trial, run->out_len == size && !memcmp(run->in, run->out, size),
			   "the frame untouched");
	}
}

/* A byte or two of a packet changed: it passes, untouched, by one verdict. */
static void lies(struct trial *trial, struct wire wire, __u32 at, __u16 value, bool is_word)
{
	struct run *run = &trial->run;

	run->in_len = wire_build(&wire, run->in);
	if (is_word)
		put16(run->in + at, value);
	else
		run->in[at] = value;
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_pass_truncated, trial->door);
	step_wants(trial, run->out_len == run->in_len && !memcmp(run->in, run->out, run->in_len),
		   "the frame untouched");
}

static void headers_in_padding(struct trial *trial)
{
	struct wire segment = tcp(trial, ACK), datagram = udp(trial);
	__u32 at = ETH_HLEN + (trial->family == 4 ? 2 : 4), header = trial->family == 4 ? 20 : 0;

	world_one(trial, EP_A);
	lies(trial, datagram, at, header, true);
	lies(trial, datagram, at, header + 7, true);
	lies(trial, segment, at, header + 8, true);
	lies(trial, segment, at, header + 19, true);
}

static void lying_tcp(struct trial *trial)
{
	struct wire segment = tcp(trial, ACK);
	__u32 at = ETH_HLEN + (trial->family == 4 ? 20 : 40) + 12;

	world_one(trial, EP_A);
	for (__u16 words = 0; words < 5; words++)
		lies(trial, segment, at, words << 4, false);
	segment.payload = 39;
	lies(trial, segment, at, 15 << 4, false);
}

/* Six destination options of eight bytes, and then what would be a later fragment of a flow. */
static void many_extensions(struct trial *trial)
{
	struct run *run = &trial->run;
	struct wire wire = cut(udp(trial), 2, 0xbeef);
	__u8 *ip = run->in + ETH_HLEN, *options = ip + 40;

	world_one(trial, EP_A);
	opened(trial, cut(udp(trial), 1, 0xbeef));
	run->in_len = wire_build(&wire, run->in) + 48;
	memmove(options + 48, options, run->in_len - ETH_HLEN - 40 - 48);
	memset(options, 0, 48);
	for (size_t at = 0; at < 48; at += 8)
		options[at] = at < 40 ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
	ip[6] = IPPROTO_DSTOPTS;
	put16(ip + 4, get16(ip + 4) + 48);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_pass_protocol, trial->door);
	step_wants(trial, !memcmp(run->in, run->out, run->in_len), "the frame untouched");
}

static const struct row rows_shape[] = {
	{ "a header behind the IP packet's end is padding", headers_in_padding, DOORS_IN, V46 },
	{ "a TCP header that lies about its length passes", lying_tcp, DOORS_IN, V46 },
	{ "more than six extension headers pass, whatever the next", many_extensions, DOORS_IN,
	  V6 },
	{ "a connection in a VLAN keeps its tag", in_vlan, DOORS_IN, V46 },
	{ "a connection in QinQ keeps both tags", in_qinq, DOORS_IN, V46 },
	{ "IPv4 options, IPv6 hop-by-hop and destination options are stepped over", with_options,
	  DOORS_IN, V46 },
	{ "two tags and options at once", with_all, DOORS_IN, V46 },
	{ "a third tag is not for us to look behind", tagged_deeper, DOORS_IN, V46 },
	{ "a UDP checksum of zero stays zero", no_udp_sum, DOORS_IN, V46 },
	{ "a UDP checksum that becomes zero is written as 0xffff", udp_sum_of_zero, DOORS_IN, V46 },
	{ "an endpoint with the VIP's port has its address written alone", same_port, DOORS_IN,
	  V46 },
	{ "later fragments of a datagram go where the first went, unknown ones pass", udp_fragments,
	  DOORS_IN, V46 },
	{ "later fragments of a TCP segment likewise", tcp_fragments, DOORS_IN, V46 },
	{ "fragments in QinQ with options likewise", tagged_fragments, DOORS_IN, V46 },
	{ "a reply's fragments get the VIP back", reply_fragments, DOORS_IN, V46 },
	{ "packets of every length, those of several buffers too", every_length, DOORS_IN, V46 },
	{ "a frame that ends before its headers do passes, be it empty", short_frames, DOORS_IN,
	  V46 },
	{ "ARP passes", not_ip, DOORS_IN, V4 },
	{ "a frame for another host, or for everyone, passes", another_host, DOORS_IN, V46 },
	{ "another transport passes", other_protocol, DOORS_IN, V46 },
	{ "another address, another port, or the endpoint's own passes", other_service, DOORS_IN,
	  V46 },
	{ "a header that lies about its length passes", lying_lengths, DOORS_IN, V46 },
};
