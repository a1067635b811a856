/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: begun, carried on, answered. */
#pragma once
#include "trial.h"

static void syn_opens(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN);

	world_one(trial, EP_A);
	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, EP_A));
}

static void ack_follows(struct trial *trial)
{
	struct wire syn = tcp(trial, SYN), ack = tcp(trial, ACK | PSH);

	world_one(trial, EP_A);
	client_sends(trial, syn, SL_open_stack, to_endpoint(syn, EP_A));
	client_sends(trial, ack, SL_forward_stack, to_endpoint(ack, EP_A));
}

static const struct row rows_flow[] = {
	{ "a SYN to a VIP goes to the only endpoint, up the stack", syn_opens, DOORS_IN, V46 },
	{ "what follows a SYN goes where it went", ack_follows, DOORS_IN, V46 },
};
