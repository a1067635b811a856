/* SPDX-License-Identifier: Apache-2.0 */
/* Flows that go straight from device to device: MAC addresses, TTL, and every reason to go up the
 * stack instead. */
#pragma once
#include "rows_cut.h"
#include "rows_split.h"

static struct wire over_to_endpoint(struct wire wire)
{
	return straight(to_endpoint(wire, EP_A), LINK_ENDPOINT);
}

static struct wire over_to_client(struct wire wire)
{
	return straight(to_client(wire), LINK_CLIENT);
}

static void linked(struct trial *trial, struct wire first)
{
	world_links(trial);
	world_one(trial, EP_A);
	client_sends(trial, first, SL_open_redirect, over_to_endpoint(first));
}

static void straight_both_ways(struct trial *trial, bool options)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK), datagram = udp(trial), reply;

	syn.options = ack.options = datagram.options = options;
	linked(trial, syn);
	client_sends(trial, ack, SL_forward_redirect, over_to_endpoint(ack));
	reply = answer_to(trial, syn, EP_A, SYN | ACK);
	endpoint_sends(trial, reply, SL_reply_redirect, over_to_client(reply));
	client_sends(trial, datagram, SL_open_redirect, over_to_endpoint(datagram));
	reply = answer_to(trial, datagram, EP_A, 0);
	endpoint_sends(trial, reply, SL_reply_redirect, over_to_client(reply));
}

static void straight_plain(struct trial *trial)
{
	straight_both_ways(trial, false);
}

static void straight_with_options(struct trial *trial)
{
	straight_both_ways(trial, true);
}

static void straight_adopted(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK);

	world_links(trial);
	world_one(trial, EP_A);
	client_sends(trial, ack, SL_adopt_redirect, over_to_endpoint(ack));
	client_sends(trial, ack, SL_forward_redirect, over_to_endpoint(ack));
}

static void straight_udp_sums(struct trial *trial)
{
	struct wire datagram = udp(trial);

	datagram.salt = salt_for_zero(to_endpoint(datagram, EP_A));
	linked(trial, datagram);
	datagram.no_checksum = true;
	client_sends(trial, datagram, SL_forward_redirect, over_to_endpoint(datagram));
}

static void straight_fragments(struct trial *trial)
{
	struct wire datagram = udp(trial), first = cut(datagram, 1, 7), later = cut(datagram, 2, 7),
		    reply;

	linked(trial, datagram);
	/* One may be larger than another: all go by the stack, which puts them together. */
	client_sends(trial, first, SL_forward_stack, to_endpoint(first, EP_A));
	client_sends(trial, later, SL_fragment_stack, to_endpoint(later, EP_A));
	reply = answer_to(trial, datagram, EP_A, 0);
	first = cut(reply, 1, 8), later = cut(reply, 2, 8);
	endpoint_sends(trial, first, SL_reply_redirect, over_to_client(first));
	endpoint_sends(trial, later, SL_fragment_redirect, over_to_client(later));
}

static void straight_errors(struct trial *trial)
{
	struct wire sent = udp(trial), got = to_endpoint(sent, EP_A), reply, seen, error, out;

	linked(trial, sent);
	error = too_big(error_about(trial, LINK_ENDPOINT, ROUTER, CLIENT, &got));
	out = straight(error, LINK_CLIENT), out.quoted = &sent;
	endpoint_sends(trial, error, SL_icmp_redirect, out);
	error.src = EP_A, out.src = VIP;
	endpoint_sends(trial, error, SL_icmp_redirect, out);
	reply = answer_to(trial, sent, EP_A, 0), seen = to_client(reply);
	error = exceeded(error_about(trial, LINK_CLIENT, ROUTER, VIP, &seen));
	out = straight(error, LINK_ENDPOINT), out.dst = EP_A, out.quoted = &reply;
	client_sends(trial, error, SL_icmp_redirect, out);
}

/* A flow that begins up the stack stays there; its reply waits for the way out. */
static void stays_up(struct trial *trial, struct wire syn, enum who endpoint)
{
	struct flow flow;

	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, endpoint));
	step_wants(trial, flow_of(trial, syn, &flow) && !(flow.flags & SL_FLOW_REDIRECT),
		   "a flow of the stack");
}

static void one_way_is_not_enough(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_links(trial);
	world_one(trial, EP_A);
	syn.src = STRANGER;
	stays_up(trial, syn, EP_A);
	syn = tcp(trial, SYN);
	world_device(trial->world, "cl0", 0);
	stays_up(trial, syn, EP_A);
}

static void doorless_link(struct trial *trial)
{
	world_links(trial);
	world_one(trial, EP_PLAIN);
	stays_up(trial, tcp(trial, SYN), EP_PLAIN);
}

static void no_route(struct trial *trial)
{
	world_links(trial);
	world_one(trial, EP_FAR);
	stays_up(trial, tcp(trial, SYN), EP_FAR);
}

/* XDP cannot send to the slow link, but need not: the way back decides that nobody does. */
static void slow_link_and_no_way_back(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_links(trial);
	world_one(trial, EP_SLOW);
	syn.src = STRANGER;
	stays_up(trial, syn, EP_SLOW);
}

/* An IPv6 header can say 65,575 bytes; in 16 bits that would be 39, which fit everywhere. */
static void longer_than_16_bits(struct trial *trial)
{
	struct wire datagram = udp(trial), want = to_endpoint(datagram, EP_A);
	struct run *run = &trial->run;
	__u8 bytes[WIRE_MAX];

	world_links(trial);
	world_one(trial, EP_A);
	run->in_len = wire_build(&datagram, run->in);
	wire_build(&want, bytes);
	put16(run->in + ETH_HLEN + 4, 0xffff);
	put16(bytes + ETH_HLEN + 4, 0xffff);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_open_stack, trial->door);
	step_wants(trial, run->out_len == run->in_len && !memcmp(run->out, bytes, run->in_len),
		   "rewritten, with its own MAC addresses and hop limit");
}

static void last_hop(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_links(trial);
	world_one(trial, EP_A);
	syn.ttl = 1;
	stays_up(trial, syn, EP_A);
}

static void tagged_stays_up(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_links(trial);
	world_one(trial, EP_A);
	syn.tags = 1;
	stays_up(trial, syn, EP_A);
}

static void live_flow_loses_its_way(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), reply = answer_to(trial, ack, EP_A, ACK);

	linked(trial, tcp(trial, SYN));
	ack.ttl = reply.ttl = 1;
	trial->note = SL_note_no_route;
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	trial->note = SL_note_no_route;
	endpoint_sends(trial, reply, SL_reply_up, reply);
	reply.ttl = 64, reply.payload = 1500; /* beyond the client's MTU */
	trial->note = SL_note_no_route;
	endpoint_sends(trial, reply, SL_reply_up, reply);
	reply.payload = 20;
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	endpoint_sends(trial, reply, SL_reply_redirect, over_to_client(reply));
}

static void stack_flow_stays_up(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), reply = answer_to(trial, ack, EP_A, ACK);

	world_one(trial, EP_A);
	client_sends(trial, tcp(trial, SYN), SL_open_stack, to_endpoint(tcp(trial, SYN), EP_A));
	world_links(trial); /* a way straight appears: connection tracking has half of the flow
			       already */
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	endpoint_sends(trial, reply, SL_reply_up, reply);
}

/* XDP leaves the packet as it is and remembers nothing; tc sends it. */
static void left_to_tc(struct trial *trial, enum who endpoint, struct wire want)
{
	struct wire syn = tcp(trial, SYN);
	struct flow flow;

	world_links(trial);
	world_one(trial, endpoint);
	if (trial->door == SL_DOOR_TC) {
		client_sends(trial, syn, SL_open_redirect, want);
		return;
	}
	client_passes(trial, syn, SL_pass_deferred);
	step_wants(trial, !flow_of(trial, syn, &flow), "no flow yet");
	sends_at(trial, SL_DOOR_TC, LINK_CLIENT, syn, SL_open_redirect, want);
	client_passes(trial, tcp(trial, ACK), SL_pass_deferred);
}

static void silent_neighbour(struct trial *trial)
{
	struct wire want = to_endpoint(tcp(trial, SYN), EP_SILENT);

	want.ttl--; /* the kernel writes the addresses once it knows them */
	left_to_tc(trial, EP_SILENT, want);
}

static void slow_link(struct trial *trial)
{
	left_to_tc(trial, EP_SLOW, straight(to_endpoint(tcp(trial, SYN), EP_SLOW), LINK_SLOW));
}

static void links_mtu(const char *command)
{
	if (system(command))
		world_die("set an MTU");
}

/* Both links take frames of several buffers from now on. */
static void links_take_pieces(struct trial *trial)
{
	const __u32 flags = SL_DEVICE_ATTACHED | SL_DEVICE_XDP_TARGET | SL_DEVICE_XDP_PIECES;

	world_device(trial->world, "cl0", flags);
	world_device(trial->world, "ep0", flags);
	trial->world->control.exits_epoch++;
	world_put(world_fd(trial->world, control), &(__u32){ 0 }, &trial->world->control);
}

/* Which the first buffer alone does not hold: not every driver sends the others. */
static void straight_in_pieces(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), data = tcp(trial, ACK),
		    reply = answer_to(trial, syn, EP_A, ACK);

	linked(trial, syn);
	links_mtu("ip link set cl0 mtu 9000 && ip link set ep0 mtu 9000");
	data.payload = reply.payload = 8000;
	client_sends(trial, data, SL_pass_deferred, data);
	endpoint_sends(trial, reply, SL_pass_deferred, reply);
	links_take_pieces(trial);
	client_sends(trial, data, SL_forward_redirect, over_to_endpoint(data));
	endpoint_sends(trial, reply, SL_reply_redirect, over_to_client(reply));
	links_mtu("ip link set cl0 mtu 1500 && ip link set ep0 mtu 1500");
}

/* The packet is in the first buffer; only what pads the frame is not. */
static void padding_in_pieces(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), want = over_to_endpoint(ack);
	struct run *run = &trial->run;
	__u8 bytes[WIRE_MAX] = {};

	linked(trial, tcp(trial, SYN));
	memset(run->in, 0, sizeof(run->in));
	wire_build(&ack, run->in);
	wire_build(&want, bytes);
	run->in_len = 4000;
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_pass_deferred, trial->door);
	step_wants(trial, run->out_len == 4000 && !memcmp(run->out, run->in, 4000), "untouched");
	links_take_pieces(trial);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	step_counted(trial, NULL, SL_forward_redirect, trial->door);
	step_wants(trial, run->out_len == 4000 && !memcmp(run->out, bytes, 4000), "sent");
}

static void cut_long_straight(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), reply = answer_to(trial, ack, EP_A, ACK);

	linked(trial, tcp(trial, SYN));
	links_take_pieces(trial);
	links_mtu("ip link set cl0 mtu 9000 && ip link set ep0 mtu 9000");
	ack.payload = reply.payload = long_payload(trial, trial->door);
	cut_everywhere(trial, trial->door, LINK_CLIENT, ack, over_to_endpoint(ack));
	cut_everywhere(trial, trial->door, LINK_ENDPOINT, reply, over_to_client(reply));
	links_mtu("ip link set cl0 mtu 1500 && ip link set ep0 mtu 1500");
}

static void refused_on_slow_link(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_device(trial->world, "cl0", SL_DEVICE_ATTACHED);
	world_none(trial);
	client_passes(trial, syn, SL_pass_deferred);
	sends_at(trial, SL_DOOR_TC, LINK_CLIENT, syn, SL_refuse_empty, reset_for(syn));
}

static void cut_straight(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK), datagram = udp(trial), reply;

	world_links(trial);
	world_one(trial, EP_A);
	for (int options = 0; options < 2; options++) {
		syn.options = ack.options = datagram.options = options;
		cut_everywhere(trial, trial->door, LINK_CLIENT, syn, over_to_endpoint(syn));
		cut_everywhere(trial, trial->door, LINK_CLIENT, ack, over_to_endpoint(ack));
		cut_everywhere(trial, trial->door, LINK_CLIENT, datagram,
			       over_to_endpoint(datagram));
		reply = answer_to(trial, datagram, EP_A, 0);
		cut_everywhere(trial, trial->door, LINK_ENDPOINT, reply, over_to_client(reply));
	}
}

static const struct row rows_redirect[] = {
	{ "both ways go straight where both routes are ours: MAC addresses and TTL", straight_plain,
	  DOORS_IN, V46 },
	{ "options and extension headers go straight too", straight_with_options, DOORS_IN, V46 },
	{ "an adopted connection goes straight too", straight_adopted, DOORS_IN, V46 },
	{ "UDP checksums of zero, straight", straight_udp_sums, DOORS_IN, V46 },
	{ "fragments of a straight flow go straight, both ways", straight_fragments, DOORS_IN,
	  V46 },
	{ "ICMP errors of a straight flow go straight, both ways", straight_errors, DOORS_IN, V46 },
	{ "a flow whose way back is not ours goes up the stack", one_way_is_not_enough, DOORS_IN,
	  V46 },
	{ "a link without doors is reached through the stack", doorless_link, DOORS_IN, V46 },
	{ "also where XDP could not send: it need not leave such to tc", slow_link_and_no_way_back,
	  DOORS_IN, V46 },
	{ "a header that says more than 16 bits hold fits no device", longer_than_16_bits, DOORS_IN,
	  V6 },
	{ "an endpoint without a route is the stack's to judge", no_route, DOORS_IN, V46 },
	{ "a packet on its last hop is the stack's to judge", last_hop, DOORS_IN, V46 },
	{ "a tagged frame goes up the stack", tagged_stays_up, DOORS_IN, V46 },
	{ "a straight flow that loses its way goes up, and comes back to it",
	  live_flow_loses_its_way, DOORS_IN, V46 },
	{ "a flow of the stack stays one", stack_flow_stays_up, DOORS_IN, V46 },
	{ "a neighbour still unknown: tc sends, XDP leaves it to tc", silent_neighbour, DOORS_IN,
	  V46 },
	{ "a device that takes no XDP frames: tc sends, XDP leaves it to tc", slow_link, DOORS_IN,
	  V46 },
	{ "frames of several buffers are tc's, unless the device sends such", straight_in_pieces,
	  1 << SL_DOOR_XDP, V46 },
	{ "so are frames whose padding alone takes several buffers", padding_in_pieces,
	  1 << SL_DOOR_XDP, V46 },
	{ "a refusal into a device that takes no XDP frames is tc's", refused_on_slow_link,
	  1 << SL_DOOR_XDP, V46 },
	{ "straight packets cut at every byte", cut_straight, DOORS_IN, V46 },
	{ "straight frames of 8,000 bytes cut at every byte", cut_long_straight, DOORS_IN, V46 },
};
