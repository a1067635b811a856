/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generator and its master agree on. */
#pragma once
#include <linux/types.h>

#define PACKET_SIZE 128 /* bytes of every frame */
#define PACKET_HEADER_WORDS                                                                        \
	10 /* 64-bit words that are restored: Ethernet, IPv6 and TCP end before */
#define PACKET_PORT_BITS                                                                           \
	12 /* of a flow's number go into the client's port, the rest into its address */
#define PACKET_PORT_FIRST 1024

/* A stream of packets: the frame, and which of its fields follow the flow's number. */
struct packet_stream {
	__u64 frame[PACKET_SIZE / 8];
	__u32 mask;     /* flows - 1; all ones: every packet another flow */
	__u32 is_mixed; /* flows in a scattered order, else one after the other */
	__u32 client;   /* first client address, its last 32 bits; host byte order */
	__u32 vip;      /* the same of the first service */
	__u32 services; /* flows are spread over so many addresses from `vip` on */
	__u32 client_at, port_at, vip_at; /* offsets in the frame */
};
