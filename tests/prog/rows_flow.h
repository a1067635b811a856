/* SPDX-License-Identifier: Apache-2.0 */
/* Connections up the stack: begun, adopted, carried on, answered, forgotten; and their books. */
#pragma once
#include "trial.h"

static void opens(struct trial *trial, struct wire first, enum who endpoint)
{
	client_sends(trial, first, SL_open_stack, to_endpoint(first, endpoint));
}

static void syn_opens(struct trial *trial)
{
	world_one(trial, EP_A);
	opens(trial, tcp(trial, SYN), EP_A);
}

static void datagram_opens(struct trial *trial)
{
	world_one(trial, EP_A);
	opens(trial, udp(trial), EP_A);
}

static void ack_follows(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK | PSH);

	world_one(trial, EP_A);
	opens(trial, tcp(trial, SYN), EP_A);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
}

static void datagram_follows(struct trial *trial)
{
	struct wire next = udp(trial);

	world_one(trial, EP_A);
	opens(trial, next, EP_A);
	next.payload = 1;
	client_sends(trial, next, SL_forward_stack, to_endpoint(next, EP_A));
}

static void reply_waits(struct trial *trial)
{
	struct wire reply = answer_to(trial, tcp(trial, SYN), EP_A, SYN | ACK);

	world_one(trial, EP_A);
	opens(trial, tcp(trial, SYN), EP_A);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	reply = answer_to(trial, tcp(trial, SYN), EP_A, ACK | PSH);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void datagram_reply(struct trial *trial)
{
	struct wire reply = answer_to(trial, udp(trial), EP_A, 0);

	world_one(trial, EP_A);
	opens(trial, udp(trial), EP_A);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void egress_opens_nothing(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK);

	world_one(trial, EP_A);
	stack_sends(trial, syn, SL_pass_unmatched, syn);
	opens(trial, syn, EP_A);
	stack_sends(trial, ack, SL_pass_unmatched, ack);
}

static void middle_is_adopted(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), reply = answer_to(trial, ack, EP_A, ACK);
	struct flow flow;

	world_one(trial, EP_A);
	client_sends(trial, ack, SL_adopt_stack, to_endpoint(ack, EP_A));
	step_wants(trial, flow_of(trial, ack, &flow) && flow.flags & SL_FLOW_ADOPTED,
		   "a flow marked adopted");
	step_wants(trial, stats_of(trial, 0).opened == 0, "not counted as opened");
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void stray_reset(struct trial *trial)
{
	struct wire rst = tcp(trial, RST);
	struct flow flow;

	world_one(trial, EP_A);
	client_sends(trial, rst, SL_adopt_stack, to_endpoint(rst, EP_A));
	step_wants(trial, !flow_of(trial, rst, &flow), "no flow");
}

static void flow_is_written(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), reply = answer_to(trial, syn, EP_A, 0);
	struct flow flow, back;
	struct sl_endpoint endpoint;
	struct sl_vip vip;
	__u32 addr[4];

	world_revision(trial->world, 7);
	world_active(trial->world, 7);
	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	step_wants(trial, flow_of(trial, syn, &flow), "an entry for the client's way");
	step_wants(trial, flow_of(trial, reply, &back), "an entry for the endpoint's way");
	step_wants(trial, flow.flags == 0 && back.flags == SL_FLOW_REPLY, "the flags");
	step_wants(trial, flow.endpoint == back.endpoint && flow.vip == back.vip,
		   "the same endpoint and VIP in both");
	bpf_map_lookup_elem(world_fd(trial->world, endpoints), &flow.endpoint, &endpoint);
	world_mapped(EP_A, trial->family, addr);
	step_wants(trial, !memcmp(endpoint.addr, addr, 16) && endpoint.port == htons(EP_PORT),
		   "the endpoint");
	bpf_map_lookup_elem(world_fd(trial->world, vips), &flow.vip, &vip);
	world_mapped(VIP, trial->family, addr);
	step_wants(trial, !memcmp(vip.addr, addr, 16) && vip.port == htons(VIP_PORT), "the VIP");
}

/* A second revision gives everything to EP_B. */
static void moves_to_b(struct trial *trial)
{
	world_revision(trial->world, 2);
	world_one(trial, EP_B);
	world_active(trial->world, 2);
}

static void reset_opens_nothing(struct trial *trial)
{
	struct wire odd = tcp(trial, SYN | RST), other = odd;

	world_one(trial, EP_A);
	other.sport++;
	client_sends(trial, other, SL_adopt_stack, to_endpoint(other, EP_A));
	opens(trial, tcp(trial, SYN), EP_A);
	moves_to_b(trial);
	client_sends(trial, odd, SL_forward_stack, to_endpoint(odd, EP_A));
	step_wants(trial,
		   stats_of(trial, 0).opened == 1 && stats_of(trial, 0).closed == 1 &&
			   stats_of(trial, 1).opened == 0,
		   "one connection opened and closed");
}

static void syn_over_adopted(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK), rst = tcp(trial, RST);

	world_one(trial, EP_A);
	client_sends(trial, ack, SL_adopt_stack, to_endpoint(ack, EP_A));
	opens(trial, tcp(trial, SYN), EP_A);
	step_wants(trial, stats_of(trial, 0).opened == 1 && stats_of(trial, 0).closed == 0,
		   "opened");
	client_sends(trial, rst, SL_forward_stack, to_endpoint(rst, EP_A));
	step_wants(trial, stats_of(trial, 0).opened == 1 && stats_of(trial, 0).closed == 1,
		   "and closed");
}

/* A second service on port VIP_PORT + 1; both have these endpoints. */
static void two_services(struct trial *trial, const enum who *endpoints, __u32 count)
{
	struct sl_service service = {};
	__u32 indices[2];

	for (__u32 i = 0; i < count; i++)
		indices[i] = world_endpoint(trial->world, trial->family, endpoints[i], EP_PORT);
	service.otherwise = world_split_one(trial->world, world_version(trial->world, indices, 1));
	world_service(trial->world, trial->family, IPPROTO_TCP, VIP_PORT, service);
	service.otherwise =
		world_split_one(trial->world, world_version(trial->world, indices, count));
	world_service(trial->world, trial->family, IPPROTO_TCP, VIP_PORT + 1, service);
}

/* Whichever place of the ring is its own: of many ports half have the endpoint that is taken. */
static void port_used_twice(struct trial *trial)
{
	static const enum who both[] = { EP_A, EP_B };

	two_services(trial, both, 2);
	for (__u16 i = 0; i < 16; i++) {
		struct wire syn = tcp(trial, SYN), other, reply;

		syn.sport += i;
		other = syn;
		other.dport = VIP_PORT + 1;
		reply = answer_to(trial, syn, EP_A, SYN | ACK);
		opens(trial, syn, EP_A);
		opens(trial, other, EP_B);
		stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	}
}

/* From one whose own address is known: else nobody looks for a service. */
static void mapped_is_not_ours(struct trial *trial)
{
	__u32 index = world_endpoint(trial->world, 4, EP_A, EP_PORT);
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	world_serve(trial->world, 4,
		    world_split_one(trial->world, world_version(trial->world, &index, 1)));
	syn.src = EP_A, syn.sport = EP_PORT;
	opens(trial, syn, EP_A);
	syn.dst = VIP_MAPPED;
	client_passes(trial, syn, SL_pass_unmatched);
}

/*
 * Of datagrams from one port to two services that have one endpoint the first keep their answers,
 * until they have ended; then the second's get theirs.
 */
static void answers_stay(struct trial *trial)
{
	struct wire first = udp(trial), second = first, answer, out;
	struct sl_service service = {};
	__u32 index = world_endpoint(trial->world, trial->family, EP_A, EP_PORT);

	world_one(trial, EP_A);
	service.otherwise = world_split_one(trial->world, world_version(trial->world, &index, 1));
	world_service(trial->world, trial->family, IPPROTO_UDP, VIP_PORT + 1, service);
	second.dport = VIP_PORT + 1;
	answer = answer_to(trial, first, EP_A, 0);
	opens(trial, first, EP_A);
	stack_sends(trial, answer, SL_reply_stack, to_client(answer));
	opens(trial, second, EP_A);
	stack_sends(trial, answer, SL_reply_stack, to_client(answer));
	flow_age(trial, second, 2);
	client_sends(trial, second, SL_forward_stack, to_endpoint(second, EP_A));
	stack_sends(trial, answer, SL_reply_stack, to_client(answer));
	flow_age(trial, answer, trial->world->settings.udp_idle_units + 1);
	flow_age(trial, second, 2);
	trial->note = SL_note_reply_restored;
	client_sends(trial, second, SL_forward_stack, to_endpoint(second, EP_A));
	out = to_client(answer), out.sport = VIP_PORT + 1;
	stack_sends(trial, answer, SL_reply_stack, out);
}

/* What follows the reset a while later: is the connection closed, and one that was adopted? */
static void after_reset(struct trial *trial, __u8 first, __u8 second, bool is_closed)
{
	struct wire ack = tcp(trial, ACK), forth = tcp(trial, first),
		    back = answer_to(trial, ack, EP_A, second);
	struct flow flow;

	world_one(trial, EP_A);
	opens(trial, tcp(trial, SYN), EP_A);
	client_sends(trial, forth, SL_forward_stack, to_endpoint(forth, EP_A));
	stack_sends(trial, back, SL_reply_stack, to_client(back));
	step_wants(trial, flow_of(trial, ack, &flow) && flow.flags & SL_FLOW_CLOSED, "closed");
	flow_age(trial, ack, 2);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	step_wants(trial,
		   flow_of(trial, ack, &flow) && !(flow.flags & SL_FLOW_CLOSED) == !is_closed,
		   "the client's way");
	step_wants(trial,
		   flow_of(trial, back, &flow) && !(flow.flags & SL_FLOW_CLOSED) == !is_closed,
		   "the endpoint's way");
	step_wants(trial, stats_of(trial, 0).closed == 1, "counted as closed once");
	client_sends(trial, tcp(trial, RST), SL_forward_stack, to_endpoint(tcp(trial, RST), EP_A));
	step_wants(trial, stats_of(trial, 0).closed == 1, "and not again");
}

static void forged_reset_is_taken_back(struct trial *trial)
{
	after_reset(trial, RST, ACK, false);
}

static void fins_are_not_taken_back(struct trial *trial)
{
	after_reset(trial, FIN | ACK, FIN | ACK, true);
}

static void syn_decides_anew(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK),
		    stale = answer_to(trial, syn, EP_A, ACK);
	struct flow flow;

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	moves_to_b(trial);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	opens(trial, syn, EP_B);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_B));
	step_wants(trial, !flow_of(trial, stale, &flow), "the old endpoint's way is forgotten");
	stack_sends(trial, stale, SL_pass_unmatched, stale);
	step_wants(trial, stats_of(trial, 0).opened == 1 && stats_of(trial, 0).closed == 1,
		   "the old one closed");
	step_wants(trial, stats_of(trial, 1).opened == 1 && stats_of(trial, 1).closed == 0,
		   "the new one open");
}

static void datagrams_stay(struct trial *trial)
{
	struct wire datagram = udp(trial);

	world_one(trial, EP_A);
	opens(trial, datagram, EP_A);
	moves_to_b(trial);
	client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
}

static void idle_datagrams_end(struct trial *trial)
{
	struct wire datagram = udp(trial), reply = answer_to(trial, datagram, EP_A, 0);
	struct flow flow;

	world_one(trial, EP_A);
	opens(trial, datagram, EP_A);
	moves_to_b(trial);
	step_wants(trial, flow_of(trial, datagram, &flow), "a flow");
	flow_age(trial, datagram, trial->world->settings.udp_idle_units);
	client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
	flow_age(trial, datagram, trial->world->settings.udp_idle_units + 1);
	opens(trial, datagram, EP_B);
	step_wants(trial, stats_of(trial, 0).closed == 1 && stats_of(trial, 1).opened == 1,
		   "closed and opened");
	stack_sends(trial, reply, SL_pass_unmatched, reply);
}

static void old_tcp_stays(struct trial *trial)
{
	struct wire ack = tcp(trial, ACK);
	struct flow flow;

	world_one(trial, EP_A);
	opens(trial, tcp(trial, SYN), EP_A);
	moves_to_b(trial);
	step_wants(trial, flow_of(trial, ack, &flow), "a flow");
	flow_age(trial, ack, WAY_AGE_MAX);
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
}

static void reply_is_restored(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK),
		    reply = answer_to(trial, syn, EP_A, ACK);
	struct flow flow;

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	flow_drop(trial, reply);
	step_wants(trial, flow_of(trial, syn, &flow), "a flow");
	flow_age(trial, syn, 1);
	trial->note = SL_note_reply_restored;
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void both_ways_stay_young(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), reply = answer_to(trial, syn, EP_A, ACK);
	struct flow flow, back;

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	step_wants(trial, flow_of(trial, syn, &flow) && flow_of(trial, reply, &back),
		   "both entries");
	flow_age(trial, syn, 5);
	flow_age(trial, reply, 5);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	step_wants(trial, flow_of(trial, syn, &flow) && flow.age < 5,
		   "the client's way touched by a reply");
	step_wants(trial, flow_of(trial, reply, &back) && back.age < 5,
		   "the endpoint's way touched");
}

static void foreign_syn_ack(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), rst = tcp(trial, RST),
		    reply = answer_to(trial, syn, EP_A, SYN | ACK),
		    data = answer_to(trial, syn, EP_A, ACK);

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	client_sends(trial, rst, SL_forward_stack, to_endpoint(rst, EP_A));
	endpoint_sends(trial, reply, SL_pass_unmatched, reply);
	stack_sends(trial, reply, SL_pass_unmatched, reply);
	/* Also what follows goes as it is: the direct connection lives. */
	endpoint_sends(trial, data, SL_pass_unmatched, data);
	stack_sends(trial, data, SL_pass_unmatched, data);
	opens(trial, syn, EP_A);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void fins_close_once(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), fin = tcp(trial, FIN | ACK),
		    back = answer_to(trial, syn, EP_A, FIN | ACK);

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	client_sends(trial, fin, SL_forward_stack, to_endpoint(fin, EP_A));
	step_wants(trial, stats_of(trial, 0).closed == 0, "half closed is not closed");
	endpoint_sends(trial, back, SL_reply_up, back);
	step_wants(trial, stats_of(trial, 0).closed == 0,
		   "ingress books nothing of a reply that it leaves alone");
	stack_sends(trial, back, SL_reply_stack, to_client(back));
	client_sends(trial, fin, SL_forward_stack, to_endpoint(fin, EP_A));
	stack_sends(trial, back, SL_reply_stack, to_client(back));
	step_wants(trial, stats_of(trial, 0).closed == 1 && stats_of(trial, 0).reset == 0,
		   "closed once");
}

static void endpoint_resets(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), rst = answer_to(trial, syn, EP_A, RST | ACK);

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	stack_sends(trial, rst, SL_reply_stack, to_client(rst));
	step_wants(trial, stats_of(trial, 0).closed == 1 && stats_of(trial, 0).reset == 1,
		   "closed and reset");
}

static void handshake_is_measured(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), reply = answer_to(trial, syn, EP_A, SYN | ACK);
	struct sl_stats stats;
	__u64 handshakes = 0;

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	opens(trial, syn, EP_A); /* once more: the first was lost */
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	stats = stats_of(trial, 0);
	for (__u32 i = 0; i < SL_HANDSHAKE_BUCKETS; i++)
		handshakes += stats.handshake_us[i];
	step_wants(trial, stats.opened == 1 && stats.closed == 0,
		   "a repeated SYN is one connection");
	step_wants(trial, handshakes == 1, "one handshake");
}

static void bytes_are_counted(struct trial *trial)
{
	struct wire first = udp(trial), reply = answer_to(trial, first, EP_A, 0);
	__u64 header = trial->family == 4 ? 28 : 48;
	struct sl_stats stats;

	world_one(trial, EP_A);
	opens(trial, first, EP_A);
	client_sends(trial, first, SL_forward_stack, to_endpoint(first, EP_A));
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
	stats = stats_of(trial, 0);
	step_wants(trial, stats.packets_in == 2 && stats.packets_out == 1, "packets");
	step_wants(trial, stats.bytes_in == 2 * (header + 40) && stats.bytes_out == header + 53,
		   "bytes");
}

static const struct row rows_flow[] = {
	{ "a SYN to a VIP goes to the only endpoint, up the stack", syn_opens, DOORS_IN, V46 },
	{ "a datagram to a VIP goes to the only endpoint, up the stack", datagram_opens, DOORS_IN,
	  V46 },
	{ "what follows a SYN goes where it went", ack_follows, DOORS_IN, V46 },
	{ "what follows a datagram goes where it went", datagram_follows, DOORS_IN, V46 },
	{ "a reply passes in untouched and gets the VIP back on its way out", reply_waits, DOORS_IN,
	  V46 },
	{ "a datagram's reply gets the VIP back on its way out", datagram_reply, DOORS_IN, V46 },
	{ "the way out opens nothing and rewrites no client's packet", egress_opens_nothing,
	  DOORS_IN, V46 },
	{ "a connection found in its middle is adopted", middle_is_adopted, DOORS_IN, V46 },
	{ "a stray RST is delivered and not remembered", stray_reset, DOORS_IN, V46 },
	{ "a SYN with RST is an RST", reset_opens_nothing, DOORS_IN, V46 },
	{ "a SYN over an adopted flow is a new connection", syn_over_adopted, DOORS_IN, V46 },
	{ "a port that is used for a second service gets another endpoint, and the first "
	  "connection its replies",
	  port_used_twice, DOORS_IN, V46 },
	{ "IPv6 to the IPv4 service's address is not ours", mapped_is_not_ours, DOORS_IN, V6 },
	{ "datagrams from one port to a second service leave the first its answers", answers_stay,
	  DOORS_IN, V46 },
	{ "a connection that goes on after a reset is not closed", forged_reset_is_taken_back,
	  DOORS_IN, V46 },
	{ "one that both ends have closed stays so", fins_are_not_taken_back, DOORS_IN, V46 },
	{ "a new flow has two entries of one endpoint and VIP", flow_is_written, DOORS_IN, V46 },
	{ "a SYN decides anew over a flow, other packets do not", syn_decides_anew, DOORS_IN, V46 },
	{ "datagrams of a live flow stay when the split moves", datagrams_stay, DOORS_IN, V46 },
	{ "a UDP flow idle for too long ends, and the next datagram decides anew",
	  idle_datagrams_end, DOORS_IN, V46 },
	{ "a TCP flow never ends by being idle", old_tcp_stays, DOORS_IN, V46 },
	{ "an evicted reply entry is put back by the client's packets", reply_is_restored, DOORS_IN,
	  V46 },
	{ "a reply keeps both entries young", both_ways_stay_young, DOORS_IN, V46 },
	{ "a SYN-ACK for a closed flow is a direct connection's", foreign_syn_ack, DOORS_IN, V46 },
	{ "FIN from both closes, once", fins_close_once, DOORS_IN, V46 },
	{ "an endpoint's RST closes and counts as reset", endpoint_resets, DOORS_IN, V46 },
	{ "a repeated SYN is one connection with one handshake", handshake_is_measured, DOORS_IN,
	  V46 },
	{ "packets and bytes are counted by version", bytes_are_counted, DOORS_IN, V46 },
};
