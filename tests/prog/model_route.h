/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference's node: its links, what lies behind each, and whether a packet may go straight from
 * one to another. By the design and the README: a connection goes straight when both of its ways
 * do, and a way does when the packet has a hop left, is in no VLAN, and the kernel routes it out of
 * a device that has doors of ours and carries packets as long. Everything else is the stack's,
 * which always works. Where tc can send and XDP cannot, XDP leaves the packet to it.
 */
#pragma once
#include "model_bytes.h"

#define MODEL_LINKS 4
#define FIRST_BUFFER (4096 - 256 - 320) /* of a frame at XDP: a page less what the kernel wants */

struct model_link {
	__u8 mac[ETH_ALEN], peer[ETH_ALEN]; /* the node's end, and who is at the other */
	bool has_doors, takes_xdp, takes_pieces;
	unsigned mtu;
};

/* The node's own address in each network; a network has 24 bits, of IPv6 64. */
static const char *const model_networks[MODEL_LINKS][2] = {
	{ "192.0.2.1", "2001:db8:1::1" },
	{ "10.0.0.1", "fd00::1" },
	{ "10.0.1.1", "fd00:1::1" },
	{ "10.0.2.1", "fd00:2::1" },
};

/* Whose MAC address the node knows. */
static const enum who model_neighbours[] = { CLIENT, FRIEND, EP_A, EP_B, EP_C, EP_SLOW, EP_PLAIN };

/* The same as bytes, read once. */
struct model_places {
	bool is_read;
	__u8 nodes[MODEL_LINKS][2][16];
	__u8 neighbours[sizeof(model_neighbours) / sizeof(model_neighbours[0])][2][16];
};

enum model_way {
	BY_STACK,
	BY_DEVICE,
	BY_DEVICE_ASKING, /* which the kernel must first ask for the neighbour's MAC address */
	LEFT_TO_TC,
};

static inline const struct model_places *model_places(void)
{
	static struct model_places places;

	if (places.is_read)
		return &places;
	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		for (unsigned i = 0; i < MODEL_LINKS; i++)
			inet_pton(is_v6 ? AF_INET6 : AF_INET, model_networks[i][is_v6],
				  places.nodes[i][is_v6]);
		for (unsigned i = 0; i < sizeof(places.neighbours) / sizeof(places.neighbours[0]);
		     i++)
			wire_address(model_neighbours[i], is_v6 ? 6 : 4,
				     places.neighbours[i][is_v6]);
	}
	places.is_read = true;
	return &places;
}

/*
 * The link that a destination is on, or -1. The node's own address is no host of the link, nor is
 * IPv4's broadcast address, or IPv6's anycast address of all routers (RFC 4291, 2.6.1).
 */
static inline int model_link_of(int family, const __u8 *dst)
{
	const struct model_places *places = model_places();
	unsigned net = family == 4 ? 3 : 8, size = family == 4 ? 4 : 16;
	static const __u8 zeros[8];

	for (int i = 0; i < MODEL_LINKS; i++) {
		const __u8 *node = places->nodes[i][family == 6];

		if (memcmp(node, dst, net))
			continue;
		if (!memcmp(node, dst, size) || (family == 4 && dst[3] == 255) ||
		    (family == 6 && !memcmp(dst + 8, zeros, 8)))
			return -1;
		return i;
	}
	return -1;
}

static inline bool model_is_neighbour(int family, const __u8 *dst)
{
	const struct model_places *places = model_places();

	for (unsigned i = 0; i < sizeof(places->neighbours) / sizeof(places->neighbours[0]); i++)
		if (!memcmp(places->neighbours[i][family == 6], dst, family == 4 ? 4 : 16))
			return true;
	return false;
}

static inline unsigned ttl_at(const struct seen *seen)
{
	return seen->l3 + (seen->tuple.family == 4 ? 8 : 7);
}

/* Does the frame, or what its IP header says of it, reach beyond the first buffer? */
static inline bool is_in_buffers(const struct seen *seen, unsigned count)
{
	unsigned first = count < FIRST_BUFFER ? count : FIRST_BUFFER;

	return count > first || seen->end > first;
}

/* One way of a packet: to `dst`. */
static inline enum model_way model_way_to(const struct model_link *links, const struct seen *seen,
					  const __u8 *frame, unsigned count, bool is_xdp,
					  const __u8 *dst)
{
	int link = model_link_of(seen->tuple.family, dst);
	bool is_known = model_is_neighbour(seen->tuple.family, dst);

	if (frame[ttl_at(seen)] <= 1 || seen->l3 != ETH_HLEN || link < 0)
		return BY_STACK;
	if (!links[link].has_doors || seen->ip_len > links[link].mtu)
		return BY_STACK;
	if (!is_xdp)
		return is_known ? BY_DEVICE : BY_DEVICE_ASKING;
	if (!is_known || !links[link].takes_xdp)
		return LEFT_TO_TC;
	if (is_in_buffers(seen, count) && !links[link].takes_pieces)
		return LEFT_TO_TC;
	return BY_DEVICE;
}

/*
 * What a router does to a packet (RFC 1812, 5.3.1; RFC 8200, 3), and the Ethernet header of its
 * next link; the kernel writes that itself when it has asked for the neighbour.
 */
static inline void model_forward(const struct model_link *links, const struct seen *seen,
				 __u8 *frame, enum model_way way, const __u8 *dst)
{
	const struct model_link *link = &links[model_link_of(seen->tuple.family, dst)];
	__u8 *at = frame + ttl_at(seen);
	__u32 before = get16(at);

	at[0]--;
	if (seen->tuple.family == 4)
		field_follow(frame + seen->l3 + 10, before, get16(at), false);
	if (way != BY_DEVICE)
		return;
	memcpy(frame, link->peer, ETH_ALEN);
	memcpy(frame + ETH_ALEN, link->mac, ETH_ALEN);
}
