/* SPDX-License-Identifier: Apache-2.0 */
/* What may go wrong with a packet on its way, or be made wrong by somebody who means harm. */
#pragma once
#include "fuzz_frames.h"

/* --- mutations: each takes a packet and its length, and returns the new length --- */

struct packet {
	__u8 *at;
	unsigned count;
	struct seen seen; /* before the first mutation */
};

#define PACKET_MAX 9100 /* what the IP header may say beyond is a lie */

static inline void poke(struct packet *packet, unsigned at, __u8 value)
{
	if (at < packet->count)
		packet->at[at] = value;
}

static inline void poke16(struct packet *packet, unsigned at, __u16 value)
{
	poke(packet, at, value >> 8);
	poke(packet, at + 1, value & 0xff);
}

static inline bool is_ipv6(const struct packet *packet)
{
	return packet->seen.tuple.family == 6;
}

static void mutate_bit(struct random *random, struct packet *packet)
{
	packet->at[below(random, packet->count)] ^= 1 << below(random, 8);
}

static void mutate_header(struct random *random, struct packet *packet)
{
	static const __u8 values[] = { 0, 1, 4, 6, 17, 44, 58, 0x45, 0x60, 0x7f, 0x80, 0xff };
	__u8 value = one_in(random, 2) ? random_next(random) : ONE_OF(random, values);

	poke(packet, 12 + below(random, 90), value);
}

static void mutate_version(struct random *random, struct packet *packet)
{
	unsigned at = one_in(random, 3) && packet->seen.q3 ? packet->seen.q3 : packet->seen.l3;

	poke(packet, at, (is_ipv6(packet) ? 0x60 : 0x40) | below(random, 16));
}

static void mutate_offset(struct random *random, struct packet *packet)
{
	poke(packet, packet->seen.l4 + 12, random_next(random));
}

/* The IP packet's length, about every length that means something. */
static void mutate_length(struct random *random, struct packet *packet)
{
	static const __u16 lengths[] = { 0, 7, 8, 19, 20, 27, 28, 39, 40, 48, 60, 0xffff };
	unsigned at = packet->seen.l3 + (is_ipv6(packet) ? 4 : 2);

	if (at + 2 > packet->count)
		return;
	poke16(packet, at,
	       one_in(random, 2) ? ONE_OF(random, lengths)
				 : get16(packet->at + at) + below(random, 65) - 32);
}

static void mutate_udp_length(struct random *random, struct packet *packet)
{
	poke16(packet, packet->seen.l4 + 4, below(random, 64));
}

static void mutate_fragment(struct random *random, struct packet *packet)
{
	static const __u16 fields[] = { 0, 0x2000, 0x2000, 0x4000, 1, 3, 0x2003, 0x1fff, 0x8000 };
	unsigned at = one_in(random, 4) && packet->seen.q3 ? packet->seen.q3 : packet->seen.l3;
	__u16 field = ONE_OF(random, fields);

	if (is_ipv6(packet))
		poke16(packet, at + 42, field << 3 | field >> 13);
	else
		poke16(packet, at + 6, field);
}

static void mutate_protocol(struct random *random, struct packet *packet)
{
	static const __u8 protocols[] = { 0, 1, 4, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132 };
	unsigned at = one_in(random, 3) && packet->seen.q3 ? packet->seen.q3 : packet->seen.l3;

	at += is_ipv6(packet) ? one_in(random, 3) ? 40 : 6 : 9;
	poke(packet, at, ONE_OF(random, protocols));
}

static void mutate_ports(struct random *random, struct packet *packet)
{
	unsigned at = one_in(random, 3) && packet->seen.q4 ? packet->seen.q4 : packet->seen.l4;
	__u16 ports[] = { ONE_OF(random, fuzz_ports), client_port(random), EP_PORT, 0, 0xffff };

	poke16(packet, at + 2 * below(random, 2), ONE_OF(random, ports));
}

static void mutate_address(struct random *random, struct packet *packet)
{
	static const char *const odd[2][6] = {
		{ "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", "240.0.0.1", "0.0.0.1" },
		{ "::", "::1", "ff02::1", "fe80::1", "::ffff:10.0.0.1", "ff00::" },
	};
	unsigned ip = one_in(random, 3) && packet->seen.q3 ? packet->seen.q3 : packet->seen.l3;
	bool is_v6 = is_ipv6(packet);
	unsigned at = address_at(&packet->seen, ip, one_in(random, 2));
	__u8 addr[16];

	if (!packet->seen.tuple.family || at + 16 > packet->count)
		return;
	if (one_in(random, 3))
		inet_pton(is_v6 ? AF_INET6 : AF_INET, odd[is_v6][below(random, 6)], addr);
	else
		wire_address(below(random, WHO_COUNT), is_v6 ? 6 : 4, addr);
	memcpy(packet->at + at, addr, is_v6 ? 16 : 4);
}

/* Source and destination change places, addresses and ports. */
static void mutate_turn(struct random *random, struct packet *packet)
{
	unsigned size = is_ipv6(packet) ? 16 : 4, l4 = packet->seen.l4;
	unsigned at = address_at(&packet->seen, packet->seen.l3, false);
	__u8 old[16];

	if (!packet->seen.tuple.family || at + 2 * size > packet->count || l4 + 4 > packet->count)
		return;
	memcpy(old, packet->at + at, size);
	memmove(packet->at + at, packet->at + at + size, size);
	memcpy(packet->at + at + size, old, size);
	memcpy(old, packet->at + l4, 2);
	memmove(packet->at + l4, packet->at + l4 + 2, 2);
	memcpy(packet->at + l4 + 2, old, 2);
}

static void mutate_flags(struct random *random, struct packet *packet)
{
	poke(packet, packet->seen.l4 + 13, random_next(random));
}

static void mutate_icmp(struct random *random, struct packet *packet)
{
	poke(packet, packet->seen.l4, below(random, 16));
}

static void mutate_udp_sum(struct random *random, struct packet *packet)
{
	unsigned at = one_in(random, 2) && packet->seen.q4 ? packet->seen.q4 : packet->seen.l4;

	poke16(packet, at + 6, one_in(random, 2) ? 0 : 0xffff);
}

static void mutate_cut(struct random *random, struct packet *packet)
{
	packet->count = ETH_HLEN + below(random, packet->count - ETH_HLEN + 1);
}

/* Seldom so much that the padding alone takes several buffers. */
static void mutate_pad(struct random *random, struct packet *packet)
{
	for (unsigned i = below(random, one_in(random, 20) ? 5000 : 100);
	     i && packet->count < PACKET_MAX; i--)
		packet->at[packet->count++] = random_next(random);
}

/* This packet's beginning, another's end. */
static void mutate_splice(struct random *random, struct packet *packet)
{
	__u8 other[WIRE_MAX];
	unsigned count = fuzz_packet(random, other), at;

	at = ETH_HLEN +
	     below(random, (count < packet->count ? count : packet->count) - ETH_HLEN + 1);
	memcpy(packet->at + at, other + at, count - at);
	packet->count = count;
}

static bool packet_insert(struct packet *packet, unsigned at, unsigned size)
{
	if (at > packet->count || packet->count + size > PACKET_MAX)
		return false;
	memmove(packet->at + at + size, packet->at + at, packet->count - at);
	memset(packet->at + at, 0, size);
	packet->count += size;
	return true;
}

/* IPv4 options (no-operations), or an IPv6 extension header behind the first: the packet stays
 * right. */
static void insert_header(struct random *random, struct packet *packet)
{
	static const __u8 types[] = { 0, 43, 60, 60, 44 };
	unsigned ip = packet->seen.l3, size = is_ipv6(packet) ? 8 : 4;
	__u8 *at = packet->at + ip;

	if (!packet->seen.tuple.family || packet->count < ip + 40 ||
	    (!is_ipv6(packet) && (at[0] & 15) > 14))
		return;
	if (is_ipv6(packet) && one_in(random, 4))
		size = one_in(random, 6) ? 8 + 8 * below(random, 120) : 16;
	if (!packet_insert(packet, ip + (is_ipv6(packet) ? 40 : 20), size))
		return;
	if (!is_ipv6(packet)) {
		memset(at + 20, 1, 4);
		at[0]++, put16(at + 2, get16(at + 2) + 4);
		return;
	}
	at[40] = at[6], at[6] = ONE_OF(random, types);
	if (at[6] == 44)
		put32(at + 44, below(random, 4)), at[43] = one_in(random, 3);
	else
		at[41] = size / 8 - 1, at[43] = at[6] == 43 ? one_in(random, 4) : 0;
	put16(at + 4, get16(at + 4) + size);
}

static void mutate_headers(struct random *random, struct packet *packet)
{
	for (unsigned i = 1 + below(random, one_in(random, 2) ? 2 : 9); i; i--)
		insert_header(random, packet);
}

static void mutate_tag(struct random *random, struct packet *packet)
{
	if (packet_insert(packet, 12, 4))
		put16(packet->at + 12, one_in(random, 2) ? ETH_P_8021Q : ETH_P_8021AD);
}

static void mutate_mac(struct random *random, struct packet *packet)
{
	packet->at[below(random, ETH_ALEN)] ^= 1 << below(random, 8);
}

static void (*const mutations[])(struct random *random, struct packet *packet) = {
	mutate_bit,        mutate_header,   mutate_version,  mutate_offset,  mutate_length,
	mutate_udp_length, mutate_fragment, mutate_protocol, mutate_ports,   mutate_address,
	mutate_turn,       mutate_flags,    mutate_icmp,     mutate_udp_sum, mutate_cut,
	mutate_pad,        mutate_splice,   mutate_headers,  mutate_tag,     mutate_mac,
	mutate_fragment,   mutate_length,   mutate_address,  mutate_ports,   mutate_headers,
};

/* Right checksums again, so that the lie lies in another field alone. */
static inline void packet_mend(struct packet *packet)
{
	struct seen seen = seen_parse(packet->at, packet->count);
	__u8 *ip = packet->at + seen.l3, *l4 = packet->at + seen.l4;
	unsigned field, length = seen.end - seen.l4;
	__u32 sum = 0;

	if (!seen.tuple.family || seen.l4 > packet->count)
		return;
	if (seen.tuple.family == 4) {
		put16(ip + 10, 0);
		put16(ip + 10, sum_fold(sum_bytes(0, ip, seen.l4 - seen.l3)));
	}
	if (seen.verdict >= 0 || seen.kind == SEEN_LATER || seen.end > packet->count)
		return;
	field = seen.l4_protocol == IPPROTO_TCP ? 16 : seen.l4_protocol == IPPROTO_UDP ? 6 : 2;
	if (seen.l4_protocol != IPPROTO_ICMP)
		sum = sum_of_addresses(&seen, packet->at, seen.l3) + seen.l4_protocol + length;
	if (field == 6 && !get16(l4 + 6))
		return;
	put16(l4 + field, 0);
	sum = sum_fold(sum + sum_bytes(0, l4, length));
	put16(l4 + field, field == 6 && !sum ? 0xffff : sum);
}

/* The shortest frame that the doors take; BPF_PROG_RUN wants an Ethernet header. */
static unsigned fuzz_shortest = ETH_HLEN;

static inline void packet_damage(struct random *random, struct packet *packet)
{
	packet->seen = seen_parse(packet->at, packet->count);
	for (unsigned i = one_in(random, 2) ? 1 : 1 + below(random, 4); i; i--)
		ONE_OF(random, mutations)(random, packet);
	if (one_in(random, 2))
		packet_mend(packet);
	if (one_in(random, 100)) /* last, because the others count on an Ethernet header */
		packet->count = fuzz_shortest + below(random, ETH_HLEN + 1 - fuzz_shortest);
}

/* One packet of the fuzzer, whole or damaged; of a remembered tuple when there is a hint. Returns
 * its length, and whether it is a frame that must pass. */
static inline unsigned fuzz_damaged(struct random *random, const struct hint *hint, __u8 *out,
				    bool *ret_passes)
{
	struct packet packet = { .at = out };
	bool is_frame = !hint && one_in(random, 30);

	if (is_frame)
		packet.count = fuzz_frame(random, out);
	else
		packet.count = hint ? fuzz_known(random, hint, out) : fuzz_packet(random, out);
	*ret_passes = is_frame && one_in(random, 2);
	if (!*ret_passes && one_in(random, 2))
		packet_damage(random, &packet);
	return packet.count;
}
