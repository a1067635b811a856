/* SPDX-License-Identifier: Apache-2.0 */
/* The rows: one sentence each. A row that names another is compared with it, round by round. */
#pragma once
#include "packet_scene.h"

#define FLOWS_64K (1u << 16)
#define FLOWS_512K (1u << 19)
#define NEW 0u
#define RETURNS 0xffffffffu /* a floor: judged by what it returns, and by its misses */

enum target {
	T_EMPTY,
	T_SEND,
	T_SERVICE,
	T_FLOW,
	T_BOTH,
	T_INSERT,
	T_FILL, /* not measured: puts down what the floors find */
	T_SLUICE,
	T_SLUICE_OUT /* tc egress */
};

struct row {
	const char *id, *sentence;
	__u8 door; /* SL_DOOR_XDP or SL_DOOR_TC: the program type */
	__u8 target, scene, family, protocol, direction;
	__u32 flows;
	__u32 verdict;       /* which every packet must get */
	const char *against; /* another row's id */
	double wanted;       /* at most so many times that; 0: nothing is wanted */
};

#define XDP SL_DOOR_XDP
#define TC SL_DOOR_TC
#define V4_TCP 4, IPPROTO_TCP
#define V4_UDP 4, IPPROTO_UDP
#define V6_TCP 6, IPPROTO_TCP
#define FLOOR(id, sentence, door, target, flows)                                                   \
	{                                                                                          \
		id, sentence, door, target,                                                        \
			(flows) == FLOWS_512K ? SCENE_FLOOR_MANY : SCENE_FLOOR, V4_TCP, TO_ONE,    \
			flows, RETURNS, NULL, 0                                                    \
	}
#define SLUICE(id, sentence, door, scene, wire, direction, flows, verdict, ...)                    \
	{                                                                                          \
		id, sentence, door, T_SLUICE, SCENE_##scene, wire, direction, flows, SL_##verdict, \
			__VA_ARGS__                                                                \
	}
#define OUT(id, sentence, scene, wire, direction, flows, verdict, ...)                             \
	{                                                                                          \
		id, sentence, TC, T_SLUICE_OUT, SCENE_##scene, wire, direction, flows,             \
			SL_##verdict, __VA_ARGS__                                                  \
	}

static const struct row rows[] = {
	FLOOR("xdp/empty", "empty program", XDP, T_EMPTY, 1),
	FLOOR("xdp/send", "floor: parse and send back", XDP, T_SEND, 1),
	FLOOR("xdp/service", "floor: + one HASH look-up", XDP, T_SERVICE, 1),
	FLOOR("xdp/flow", "floor: + one LRU_HASH hit", XDP, T_FLOW, 1),
	FLOOR("xdp/flow-64k", "floor: + one LRU_HASH hit, 64 Ki flows", XDP, T_FLOW, FLOWS_64K),
	FLOOR("xdp/both", "stateful floor, one flow", XDP, T_BOTH, 1),
	FLOOR("xdp/both-64k", "stateful floor, 64 Ki flows", XDP, T_BOTH, FLOWS_64K),
	FLOOR("xdp/both-512k", "stateful floor, 512 Ki flows", XDP, T_BOTH, FLOWS_512K),
	FLOOR("xdp/insert", "new flow floor: LRU insertion", XDP, T_INSERT, NEW),

	SLUICE("xdp/up", "established TCP, one flow", XDP, STACK, V4_TCP, TO_ONE, 1, forward_stack,
	       "xdp/both", 0.40),
	SLUICE("xdp/up-64k", "established TCP, 64 Ki flows", XDP, STACK, V4_TCP, TO_ONE, FLOWS_64K,
	       forward_stack, "xdp/both-64k", 0.60),
	SLUICE("xdp/up-512k", "established TCP, 512 Ki flows", XDP, STACK_MANY, V4_TCP, TO_ONE,
	       FLOWS_512K, forward_stack, "xdp/both-512k", 0),
	SLUICE("xdp/up-64k-many", "established TCP, 64 Ki flows, 10,000 services", XDP, STACK,
	       V4_TCP, TO_MANY, FLOWS_64K, forward_stack, "xdp/up-64k", 1.3),
	SLUICE("xdp/up-udp", "established UDP, one flow", XDP, STACK, V4_UDP, TO_ONE, 1,
	       forward_stack, "xdp/up", 0),
	SLUICE("xdp/up-v6", "established TCP, IPv6, one flow", XDP, STACK, V6_TCP, TO_ONE, 1,
	       forward_stack, "xdp/up", 1.35),
	SLUICE("xdp/up-v6-64k", "established TCP, IPv6, 64 Ki flows", XDP, STACK, V6_TCP, TO_ONE,
	       FLOWS_64K, forward_stack, "xdp/up-64k", 1.35),
	SLUICE("xdp/up-reply", "reply, left to the egress door, one flow", XDP, STACK, V4_TCP,
	       FROM_LONE, 1, reply_up, "xdp/both", 0),
	SLUICE("xdp/up-new", "new flow", XDP, STACK_NEW, V4_TCP, TO_ONE, NEW, open_stack,
	       "xdp/insert", 0.40),
	SLUICE("xdp/up-new-udp", "new flow, UDP", XDP, STACK_NEW, V4_UDP, TO_ONE, NEW, open_stack,
	       "xdp/up-new", 0),
	SLUICE("xdp/up-new-many", "new flow, 10,000 services", XDP, STACK_NEW, V4_TCP, TO_MANY, NEW,
	       open_stack, "xdp/up-new", 1.3),
	SLUICE("xdp/pass", "not ours, one flow", XDP, STACK, V4_TCP, TO_NONE, 1, pass_unmatched,
	       "xdp/flow", 0.5),
	SLUICE("xdp/pass-64k", "not ours, 64 Ki flows", XDP, STACK, V4_TCP, TO_NONE, FLOWS_64K,
	       pass_unmatched, "xdp/flow-64k", 0.5),

	SLUICE("xdp/re", "established TCP, one flow", XDP, REDIRECT, V4_TCP, TO_ONE, 1,
	       forward_redirect, "xdp/both", 0.40),
	SLUICE("xdp/re-64k", "established TCP, 64 Ki flows", XDP, REDIRECT, V4_TCP, TO_ONE,
	       FLOWS_64K, forward_redirect, "xdp/both-64k", 0.60),
	SLUICE("xdp/re-512k", "established TCP, 512 Ki flows", XDP, REDIRECT_MANY, V4_TCP, TO_ONE,
	       FLOWS_512K, forward_redirect, "xdp/both-512k", 0),
	SLUICE("xdp/re-udp", "established UDP, one flow", XDP, REDIRECT, V4_UDP, TO_ONE, 1,
	       forward_redirect, "xdp/re", 0),
	SLUICE("xdp/re-v6", "established TCP, IPv6, one flow", XDP, REDIRECT, V6_TCP, TO_ONE, 1,
	       forward_redirect, "xdp/re", 1.35),
	SLUICE("xdp/re-reply", "reply, one flow", XDP, REDIRECT, V4_TCP, FROM_LONE, 1,
	       reply_redirect, "xdp/re", 0),
	SLUICE("xdp/re-reply-64k", "reply, 64 Ki flows", XDP, REDIRECT, V4_TCP, FROM_LONE,
	       FLOWS_64K, reply_redirect, "xdp/re-64k", 0),
	SLUICE("xdp/re-new", "new flow", XDP, REDIRECT_NEW, V4_TCP, TO_ONE, NEW, open_redirect,
	       "xdp/insert", 0.40),

	FLOOR("tc/empty", "empty program", TC, T_EMPTY, 1),
	FLOOR("tc/send", "floor: parse and send back", TC, T_SEND, 1),
	FLOOR("tc/both", "stateful floor, one flow", TC, T_BOTH, 1),
	FLOOR("tc/both-64k", "stateful floor, 64 Ki flows", TC, T_BOTH, FLOWS_64K),
	FLOOR("tc/insert", "new flow floor: LRU insertion", TC, T_INSERT, NEW),

	SLUICE("tc/up", "established TCP, one flow", TC, STACK, V4_TCP, TO_ONE, 1, forward_stack,
	       "tc/both", 0),
	SLUICE("tc/up-64k", "established TCP, 64 Ki flows", TC, STACK, V4_TCP, TO_ONE, FLOWS_64K,
	       forward_stack, "tc/both-64k", 0),
	SLUICE("tc/up-udp", "established UDP, one flow", TC, STACK, V4_UDP, TO_ONE, 1,
	       forward_stack, "tc/up", 0),
	SLUICE("tc/up-v6", "established TCP, IPv6, one flow", TC, STACK, V6_TCP, TO_ONE, 1,
	       forward_stack, "tc/up", 1.35),
	SLUICE("tc/up-new", "new flow", TC, STACK_NEW, V4_TCP, TO_ONE, NEW, open_stack, "tc/insert",
	       0),
	SLUICE("tc/pass", "not ours, one flow", TC, STACK, V4_TCP, TO_NONE, 1, pass_unmatched,
	       "tc/both", 0),
	OUT("out/reply", "reply leaving the stack, one flow", STACK, V4_TCP, FROM_LONE, 1,
	    reply_stack, "tc/both", 0),
	OUT("out/reply-64k", "reply leaving the stack, 64 Ki flows", STACK, V4_TCP, FROM_LONE,
	    FLOWS_64K, reply_stack, "tc/both-64k", 0),
	OUT("out/pass", "not ours, one flow", STACK, V4_TCP, TO_NONE, 1, pass_unmatched, "tc/both",
	    0),

	SLUICE("tc/re", "established TCP, one flow", TC, REDIRECT, V4_TCP, TO_ONE, 1,
	       forward_redirect, "tc/both", 0),
	SLUICE("tc/re-64k", "established TCP, 64 Ki flows", TC, REDIRECT, V4_TCP, TO_ONE, FLOWS_64K,
	       forward_redirect, "tc/both-64k", 0),
	SLUICE("tc/re-v6", "established TCP, IPv6, one flow", TC, REDIRECT, V6_TCP, TO_ONE, 1,
	       forward_redirect, "tc/re", 1.35),
	SLUICE("tc/re-reply", "reply, one flow", TC, REDIRECT, V4_TCP, FROM_LONE, 1, reply_redirect,
	       "tc/re", 0),
	SLUICE("tc/re-new", "new flow", TC, REDIRECT_NEW, V4_TCP, TO_ONE, NEW, open_redirect,
	       "tc/insert", 0),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
