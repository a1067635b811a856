/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames by which a link and its hosts live: ARP (RFC 826), neighbour discovery (RFC 4861), DHCP
 * (RFC 2131, RFC 8415). No rule of ours is about them: whatever the tables say they pass,
 * untouched.
 */
#pragma once
#include "fuzz_packets.h"

static const __u8 mac_of_all[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* To everybody, or to the node alone; from the client. */
static inline void frame_addresses(struct random *random, const __u8 *all, __u8 *ret_to,
				   __u8 *ret_from)
{
	memcpy(ret_to, one_in(random, 3) ? node_links[LINK_CLIENT].mac : all, ETH_ALEN);
	memcpy(ret_from, node_links[LINK_CLIENT].peer, ETH_ALEN);
}

/* A question or an answer about an address, padded to Ethernet's least or not. */
static inline unsigned frame_arp(struct random *random, __u8 *out)
{
	static const __u8 begin[] = { 0, 1, 8, 0, 6, 4, 0 };
	static const enum who about[] = { VIP, CLIENT, EP_A, ROUTER };
	bool is_answer = one_in(random, 2);
	__u8 *arp = out + ETH_HLEN;

	memset(out, 0, ETH_ZLEN);
	frame_addresses(random, mac_of_all, out, out + ETH_ALEN);
	put16(out + 12, ETH_P_ARP);
	memcpy(arp, begin, sizeof(begin));
	arp[7] = is_answer ? 2 : 1;
	memcpy(arp + 8, node_links[LINK_CLIENT].peer, ETH_ALEN);
	wire_address(CLIENT, 4, arp + 14);
	if (is_answer)
		memcpy(arp + 18, node_links[LINK_CLIENT].mac, ETH_ALEN);
	wire_address(ONE_OF(random, about), 4, arp + 24);
	return one_in(random, 2) ? ETH_ZLEN : ETH_HLEN + 28;
}

/* Solicitations and advertisements of routers and neighbours, about the VIP too; a redirect. */
static inline unsigned frame_neighbour(struct random *random, __u8 *out)
{
	static const __u8 group[ETH_ALEN] = { 0x33, 0x33, 0xff, 0, 0, 1 };
	static const enum who about[] = { VIP, CLIENT, EP_A, ROUTER };
	struct wire wire = { .family = 6,
			     .protocol = IPPROTO_ICMPV6,
			     .src = one_in(random, 4) ? NOBODY : CLIENT,
			     .dst = one_in(random, 2) ? VIP : GROUP,
			     .ttl = 255,
			     .type = 133 + below(random, 5) };
	__u8 tail[24] = { [16] = 1, [17] = 1 };

	frame_addresses(random, group, wire.to, wire.from);
	wire_address(ONE_OF(random, about), 6, tail);
	memcpy(tail + 18, wire.from, ETH_ALEN);
	wire.payload = sizeof(tail), wire.tail = tail;
	return wire_build(&wire, out);
}

/* A host without an address asks; or one with an address asks for more time. */
static inline unsigned frame_dhcp(struct random *random, __u8 *out)
{
	static const __u8 groups[2][ETH_ALEN] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
						  { 0x33, 0x33, 0, 1, 0, 2 } };
	bool is_v6 = one_in(random, 2), is_server = one_in(random, 4), has_address;
	struct wire wire = { .family = is_v6 ? 6 : 4,
			     .protocol = IPPROTO_UDP,
			     .ttl = 64,
			     .payload = is_v6 ? 60 : 300 };
	__u16 server = is_v6 ? 547 : 67, client = is_v6 ? 546 : 68;

	has_address = is_v6 || one_in(random, 3);
	frame_addresses(random, groups[is_v6], wire.to, wire.from);
	wire.src = is_server ? ROUTER : has_address ? CLIENT : NOBODY;
	wire.dst = is_server ? CLIENT : one_in(random, 3) ? ROUTER : EVERYONE;
	wire.sport = is_server ? server : client;
	wire.dport = is_server ? client : server;
	return wire_build(&wire, out);
}

static inline unsigned fuzz_frame(struct random *random, __u8 *out)
{
	static unsigned (*const frames[])(struct random * random,
					  __u8 * out) = { frame_arp, frame_neighbour, frame_dhcp };

	return ONE_OF(random, frames)(random, out);
}
