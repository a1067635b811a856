/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from a description, and their checksums from nothing. A wanted packet is described and
 * built anew, never made from the sent one by the code under test: the two ways to the same bytes
 * must not share a mistake.
 */
#pragma once
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WIRE_MAX 9216
#define WIRE_CUT                                                                                   \
	24 /* where a datagram's first fragment ends: behind the longest header here, divisible by \
	      eight */

enum who {
	CLIENT,   /* on the client's link */
	FRIEND,   /* the same link, another prefix of the rules */
	STRANGER, /* beyond every route */
	GROUP,    /* multicast: never answered */
	VIP,
	VIP_OTHER,  /* no service */
	VIP_MAPPED, /* the IPv4 one, as IPv6 writes it */
	EP_A,       /* on the endpoints' link, neighbours known */
	EP_B,
	EP_C,
	EP_SILENT, /* on the endpoints' link, neighbour unknown */
	EP_FAR,    /* no route */
	EP_SLOW,   /* on a link that takes no XDP frames */
	EP_PLAIN,  /* on a link without doors */
	ROUTER,    /* between the node and an endpoint, or the client */
	LOOPBACK,  /* these two are nobody's on a wire */
	RESERVED,
	NOBODY,   /* a host that has no address yet, */
	EVERYONE, /* and whom it asks: all, or all DHCPv6 servers */
	WHO_COUNT
};

static const char *const wire_addresses[WHO_COUNT][2] = {
	[CLIENT] = { "192.0.2.10", "2001:db8:1::10" },
	[FRIEND] = { "192.0.2.77", "2001:db8:1:0:77::10" },
	[STRANGER] = { "203.0.113.5", "2001:db8:ffff::5" },
	[GROUP] = { "224.0.0.9", "ff02::9" },
	[VIP] = { "10.96.0.1", "fd00:96::1" },
	[VIP_OTHER] = { "10.96.0.2", "fd00:96::2" },
	[VIP_MAPPED] = { "10.96.0.1", "::ffff:10.96.0.1" },
	[EP_A] = { "10.0.0.11", "fd00::11" },
	[EP_B] = { "10.0.0.12", "fd00::12:0:0:1" },
	[EP_C] = { "10.0.0.13", "fd00::13" },
	[EP_SILENT] = { "10.0.0.99", "fd00::99" },
	[EP_FAR] = { "203.0.113.99", "2001:db8:ffff::99" },
	[EP_SLOW] = { "10.0.1.11", "fd00:1::11" },
	[EP_PLAIN] = { "10.0.2.11", "fd00:2::11" },
	[ROUTER] = { "198.51.100.1", "2001:db8:7::1" },
	[LOOPBACK] = { "127.0.0.1", "::1" },
	[RESERVED] = { "240.0.0.1", "::" },
	[NOBODY] = { "0.0.0.0", "::" },
	[EVERYONE] = { "255.255.255.255", "ff02::1:2" },
};

struct wire {
	int family; /* 4 or 6 */
	__u8 to[ETH_ALEN], from[ETH_ALEN];
	int tags; /* 1: 802.1Q; 2: 802.1Q inside 802.1ad */
	enum who src, dst;
	__u16 sport, dport;
	__u8 protocol; /* TCP, UDP, ICMP, ICMPv6 or anything else, which then has a payload alone */
	__u8 tcp_flags;
	__u32 seq, ack;
	__u8 ttl;
	bool options;     /* IPv4 options; IPv6 hop-by-hop and destination options */
	bool no_checksum; /* UDP */
	__u8 fragment;    /* 1: the first; 2: a later one */
	__u32 id;
	__u16 payload, salt; /* bytes, and their first two */

	/* Of ICMP: */
	__u8 type, code;
	__u32 rest;
	const struct wire *quoted;
	__u16 quote;   /* bytes of the quoted IP packet; 0: all */
	__u16 claimed; /* bytes that the IP length counts and the packet has not: a quote without
			  its options */

	const struct wire *sum_as; /* the L4 checksum is that of this packet: quoted TCP's is
				      nobody's to check */
	const __u8 *tail;          /* payload instead of the pattern */
};

static inline void wire_address(enum who who, int family, void *ret_addr)
{
	if (inet_pton(family == 4 ? AF_INET : AF_INET6, wire_addresses[who][family == 6],
		      ret_addr) != 1)
		fprintf(stderr, "bad address %s\n", wire_addresses[who][family == 6]);
}

static inline __u32 sum_bytes(__u32 sum, const __u8 *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum += i & 1 ? bytes[i] : bytes[i] << 8;
	return sum;
}

static inline __u16 sum_fold(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static inline void put16(__u8 *at, __u16 value)
{
	at[0] = value >> 8;
	at[1] = value & 0xff;
}

static inline void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static inline __u32 sum_addresses(const struct wire *wire)
{
	size_t size = wire->family == 4 ? 4 : 16;
	__u8 addr[16];
	__u32 sum;

	wire_address(wire->src, wire->family, addr);
	sum = sum_bytes(0, addr, size);
	wire_address(wire->dst, wire->family, addr);
	return sum_bytes(sum, addr, size);
}

static size_t wire_build_ip(const struct wire *wire, __u8 *out);

static inline size_t wire_payload(const struct wire *wire, __u8 *out)
{
	for (size_t i = 0; i < wire->payload; i++)
		out[i] = wire->tail ? wire->tail[i] : (__u8)(i * 7 + 1);
	if (wire->payload >= 2 && !wire->tail)
		put16(out, wire->salt);
	return wire->payload;
}

static inline size_t wire_icmp(const struct wire *wire, __u8 *out)
{
	size_t length;

	out[0] = wire->type;
	out[1] = wire->code;
	put32(out + 4, wire->rest);
	if (!wire->quoted)
		return 8 + wire_payload(wire, out + 8);
	length = wire_build_ip(wire->quoted, out + 8);
	return 8 + (wire->quote && wire->quote < length ? wire->quote : length);
}

static inline bool is_icmp(const struct wire *wire)
{
	return wire->protocol == (wire->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Header and payload of the transport with its checksum. Returns the length. */
static inline size_t wire_l4(const struct wire *wire, __u8 *out)
{
	size_t length, check;
	__u32 sum;

	memset(out, 0, 64);
	if (wire->protocol == IPPROTO_TCP) {
		put16(out, wire->sport), put16(out + 2, wire->dport);
		put32(out + 4, wire->seq), put32(out + 8, wire->ack);
		out[12] = 5 << 4, out[13] = wire->tcp_flags;
		put16(out + 14,
		      0xfaf0 & (wire->tcp_flags & 4 ? 0 : 0xffff)); /* an RST offers no window */
		length = 20 + wire_payload(wire, out + 20), check = 16;
	} else if (wire->protocol == IPPROTO_UDP) {
		put16(out, wire->sport), put16(out + 2, wire->dport);
		length = 8 + wire_payload(wire, out + 8), check = 6;
		put16(out + 4, length);
	} else if (is_icmp(wire)) {
		length = wire_icmp(wire, out), check = 2;
	} else {
		return wire_payload(wire, out);
	}
	sum = sum_bytes(0, out, length);
	if (wire->protocol != IPPROTO_ICMP)
		sum += sum_addresses(wire->sum_as ?: wire) + wire->protocol + length;
	if (wire->sum_as)
		sum += wire->sum_as->sport + wire->sum_as->dport - wire->sport - wire->dport;
	sum = sum_fold(sum);
	if (wire->protocol == IPPROTO_UDP)
		sum = wire->no_checksum ? 0 : sum ?: 0xffff;
	put16(out + check, sum);
	return length;
}

static inline size_t wire_ipv4(const struct wire *wire, __u8 *out, size_t length)
{
	static const __u8 options[8] = { 148, 4, 0, 0, 1, 1, 1, 0 }; /* router alert, padding */
	size_t header = wire->options ? 28 : 20;

	memset(out, 0, header);
	out[0] = 4 << 4 | header / 4;
	put16(out + 2, header + length + wire->claimed);
	put16(out + 4, wire->id);
	put16(out + 6, wire->fragment == 2 ? WIRE_CUT / 8 : wire->fragment ? 0x2000 : 0x4000);
	out[8] = wire->ttl;
	out[9] = wire->protocol;
	wire_address(wire->src, 4, out + 12);
	wire_address(wire->dst, 4, out + 16);
	if (wire->options)
		memcpy(out + 20, options, sizeof(options));
	put16(out + 10, sum_fold(sum_bytes(0, out, header)));
	return header;
}

static inline size_t wire_ipv6(const struct wire *wire, __u8 *out, size_t length)
{
	size_t header = 40 + (wire->options ? 8 + 16 : 0) + (wire->fragment ? 8 : 0);
	__u8 *next = out + 6, *at = out + 40;

	memset(out, 0, header);
	out[0] = 6 << 4;
	put16(out + 4, header - 40 + length + wire->claimed);
	out[7] = wire->ttl;
	wire_address(wire->src, 6, out + 8);
	wire_address(wire->dst, 6, out + 24);
	if (wire->options) {
		*next = IPPROTO_HOPOPTS, next = at;
		at[2] = 1, at[3] = 4; /* PadN */
		at += 8;
		*next = IPPROTO_DSTOPTS, next = at;
		at[1] = 1, at[2] = 1, at[3] = 12;
		at += 16;
	}
	if (wire->fragment) {
		*next = IPPROTO_FRAGMENT, next = at;
		put16(at + 2, wire->fragment == 2 ? WIRE_CUT : 1);
		put32(at + 4, wire->id);
	}
	*next = wire->protocol;
	return header;
}

static size_t wire_build_ip(const struct wire *wire, __u8 *out)
{
	__u8 l4[WIRE_MAX];
	size_t length = wire_l4(wire, l4), skip = 0, header;

	if (wire->fragment == 1)
		length = WIRE_CUT;
	else if (wire->fragment == 2)
		skip = WIRE_CUT, length -= skip;
	header = wire->family == 4 ? wire_ipv4(wire, out, length) : wire_ipv6(wire, out, length);
	memcpy(out + header, l4 + skip, length);
	return header + length;
}

/* The frame's bytes. Returns how many. */
static inline size_t wire_build(const struct wire *wire, __u8 *out)
{
	size_t at = 12;

	memcpy(out, wire->to, ETH_ALEN);
	memcpy(out + ETH_ALEN, wire->from, ETH_ALEN);
	for (int i = wire->tags; i > 0; i--, at += 4) {
		put16(out + at, i == 2 ? ETH_P_8021AD : ETH_P_8021Q);
		put16(out + at + 2, 100 + i);
	}
	put16(out + at, wire->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	return at + 2 + wire_build_ip(wire, out + at + 2);
}

/* --- and the other way: does every checksum of a frame hold? --- */

static inline __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static const char *sums_of_ip(const __u8 *ip, size_t length, bool is_quoted);

static inline const char *sums_of_icmp(const __u8 *l4, size_t length, bool is_error)
{
	return is_error ? sums_of_ip(l4 + 8, length - 8, true) : NULL;
}

static inline const char *sums_of_l4(__u8 protocol, __u32 pseudo, const __u8 *l4, size_t length)
{
	__u32 sum =
		sum_bytes(protocol == IPPROTO_ICMP ? 0 : pseudo + protocol + length, l4, length);

	switch (protocol) {
	case IPPROTO_TCP:
		return length < 20 || sum_fold(sum) ? "TCP" : NULL;
	case IPPROTO_UDP:
		return length < 8 || (get16(l4 + 6) && sum_fold(sum)) ? "UDP" : NULL;
	case IPPROTO_ICMP:
		return sum_fold(sum)
			       ? "ICMP"
			       : sums_of_icmp(l4, length, l4[0] == 3 || l4[0] == 4 || l4[0] > 10);
	case IPPROTO_ICMPV6:
		return sum_fold(sum) ? "ICMPv6" : sums_of_icmp(l4, length, l4[0] < 128);
	}
	return NULL;
}

/* A quoted packet is cut, and a quoted TCP checksum is nobody's to check; a whole quoted UDP
 * datagram's must hold. */
static inline const char *sums_of_ip(const __u8 *ip, size_t length, bool is_quoted)
{
	bool is_v4 = ip[0] >> 4 == 4, is_fragment = false;
	size_t at = is_v4 ? (ip[0] & 15) * 4 : 40, end = is_v4 ? get16(ip + 2) : 40 + get16(ip + 4);
	__u8 protocol = is_v4 ? ip[9] : ip[6];

	if (is_v4 && sum_fold(sum_bytes(0, ip, at)))
		return is_quoted ? "quoted IPv4" : "IPv4";
	if (is_v4)
		is_fragment = get16(ip + 6) & 0x3fff;
	while (!is_v4 && (protocol == 0 || protocol == 44 || protocol == 60)) {
		is_fragment |= protocol == 44;
		protocol = ip[at];
		at += (ip[at + 1] + 1u) * sizeof(__u64);
	}
	if (is_fragment || (is_quoted && (end > length || protocol != IPPROTO_UDP)))
		return NULL;
	return sums_of_l4(protocol, sum_bytes(0, ip + (is_v4 ? 12 : 8), is_v4 ? 8 : 32), ip + at,
			  end - at);
}

/* NULL when all hold, else the name of one that does not. */
static inline const char *sums_of(const __u8 *frame)
{
	size_t at = 12;

	while (get16(frame + at) == ETH_P_8021Q || get16(frame + at) == ETH_P_8021AD)
		at += 4;
	return sums_of_ip(frame + at + 2, WIRE_MAX, false);
}
