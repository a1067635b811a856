/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a door is told before it is loaded. Read-only data, so the verifier drops the branches that
 * cannot run.
 */
#pragma once
#include "abi.h"

struct sl_settings {
	__u64 udp_idle_ns; /* a UDP flow without a packet for so long has ended */
	__u8 redirect;     /* 0: every rewritten packet goes up the stack */
	__u8 pad[7];
};

#define SL_UDP_IDLE_NS_DEFAULT 30000000000ull
