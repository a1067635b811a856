/* SPDX-License-Identifier: Apache-2.0 */
/* A world with other settings: no redirect, room for one connection, a short UDP idle time. */
#pragma once
#include "rows_flow.h"

#define SMALL_IDLE_MS 400

/* A plain hash, because an LRU always makes room. */
static const struct world_options small_world_options = {
	.no_redirect = true,
	.flows = 2,
	.plain_flows = true,
	.udp_idle_ns = SMALL_IDLE_MS * 1000000ull,
};

static void redirect_off(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), reply = answer_to(trial, syn, EP_A, SYN | ACK);

	world_links(trial);
	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	endpoint_sends(trial, reply, SL_reply_up, reply);
	stack_sends(trial, reply, SL_reply_stack, to_client(reply));
}

static void no_room(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), second = syn, ack = tcp(trial, ACK);
	struct sl_flow flow;

	world_one(trial, EP_A);
	opens(trial, syn, EP_A);
	second.sport++, ack.sport++;
	trial->note = SL_note_flow_full;
	opens(trial, second, EP_A);
	step_wants(trial, !flow_of(trial, second, &flow), "no entry");
	trial->note = SL_note_flow_full;
	client_sends(trial, ack, SL_adopt_stack, to_endpoint(ack, EP_A));
}

static void short_idle(struct trial *trial)
{
	struct wire datagram = udp(trial);

	world_one(trial, EP_A);
	opens(trial, datagram, EP_A);
	moves_to_b(trial);
	for (int ms = 0; ms < SMALL_IDLE_MS * 3 / 2; ms += 20) {
		usleep(20000);
		client_sends(trial, datagram, SL_forward_stack, to_endpoint(datagram, EP_A));
	}
	usleep(SMALL_IDLE_MS * 1500);
	opens(trial, datagram, EP_B);
}

static const struct row rows_settings[] = {
	{ "with redirect off a flow whose both ways are ours goes up the stack", redirect_off,
	  DOORS_IN, V46 },
	{ "without room for a flow the packet goes on by the tables alone", no_room, DOORS_IN,
	  V46 },
	{ "a short UDP idle time ends an idle flow and no busy one", short_idle, DOORS_IN, V4 },
};
