/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parser makes of a frame, and its careful hands: bounds-checked bytes of a frame and of
 * an IP packet, and the walk over IPv6 extension headers.
 */
#pragma once
#include "abi.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VLAN_DEPTH 2 /* 802.1Q inside 802.1ad */
/* More in one packet is either an attack or a test suite: it passes untouched */
#define IPV6_EXTENSIONS 6
/* Keeps an offset bounded for the verifier; every real header starts below */
#define OFFSET_MASK 0x3ff

enum pkt_kind {
	PKT_WHOLE,    /* TCP or UDP with its ports */
	PKT_FRAGMENT, /* a later fragment: no ports */
	PKT_ICMP,     /* an ICMP error: the tuple is the quoted packet's, turned round */
};

/* ICMP and ICMPv6 begin alike. (The kernel's own headers for them draw in the C library's.) */
struct icmp_header {
	__u8 type, code;
	__be16 checksum;
	__be32 rest;
};

#define ICMP_UNREACHABLE 3 /* RFC 792 */
#define ICMP_QUENCH 4
#define ICMP_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMP_CODE_PORT 3
#define ICMP6_UNREACHABLE 1 /* RFC 4443: errors are 1 to 127, those in use 1 to 4 */
#define ICMP6_PARAMETER 4
#define ICMP6_CODE_PORT 4

#define PARSE_UNUSUAL (-2) /* see parse */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct pkt {
	__u32 saddr[4], daddr[4]; /* IPv4 alone in [0] */
	__be16 sport, dport;
	__u16 l3, l4;       /* offsets from the frame's start */
	__u16 in_l3, in_l4; /* of the packet that an ICMP error quotes */
	__u32 ip_len;       /* the IP packet's length in bytes */
	__u8 family;        /* 4 or 6 */
	__u8 protocol;      /* TCP or UDP; of an ICMP error that of the quoted packet */
	__u8 kind;
	__u8 tcp_flags;
	__u8 first_fragment; /* more follow: their ports must be remembered */
	__u8 vlan;           /* carried a tag */
	__u8 ttl;
	__u8 tos;
	__u8 l4_len; /* length of the TCP or UDP header */
	__u8 pad[3];
	__u32 fragment_id;
};

/* A frame as both doors see it. */
struct view {
	void *data, *data_end;
	__u32 length; /* of the whole frame, which may be more; 0 where it cannot be */
};

struct vlan_tag {
	__be16 tci, type;
};

/*
 * A pointer to `size` bytes at `offset`, or NULL when the frame does not hold them. The end is
 * computed first and the beginning from it: of a beginning whose low bits it knows, the verifier of
 * 7.x thinks that it may reach further than the end that was compared. The barriers keep the
 * compiler from the other order, and from leaving out a mask that it can prove and the verifier
 * not.
 */
static __always_inline void *view_at(const struct view *view, __u32 offset, __u32 size)
{
	void *end;

	if (__builtin_constant_p(offset)) {
		void *at = view->data + offset;

		return at + size > view->data_end ? 0 : at;
	}
	asm volatile("" : "+r"(offset));
	end = view->data + (offset & OFFSET_MASK) + size;
	asm volatile("" : "+r"(end));
	if (end > view->data_end)
		return 0;
	return end - size;
}

/*
 * The same, but inside the IP packet: what follows it in the frame is padding, whatever it looks
 * like.
 */
static __always_inline void *packet_at(const struct view *view, const struct pkt *pkt, __u32 offset,
				       __u32 size)
{
	return offset + size > pkt->l3 + pkt->ip_len ? 0 : view_at(view, offset, size);
}

/* A walk over IPv6 extension headers: where it stands and what comes next. */
struct walk {
	__u32 fragment_id;
	__u16 at;
	__u8 protocol;
	__u8 kind; /* PKT_FRAGMENT when it ended at a later fragment */
	__u8 first_fragment;
};

static __always_inline void walk_fragment(struct walk *walk, const __u8 *header)
{
	__builtin_memcpy(&walk->fragment_id, header + 4, 4);
	walk->at += 8;
	if (header[2] || header[3] & 0xf8)
		walk->kind = PKT_FRAGMENT;
	else if (header[3] & 1)
		walk->first_fragment = 1;
}

/* To the transport. Returns a verdict to pass by, or -1 with protocol and place set. */
static __always_inline int walk_extensions(const struct view *view, const struct pkt *pkt,
					   struct walk *walk)
{
#pragma unroll
	for (int i = 0; i <= IPV6_EXTENSIONS; i++) {
		__u8 *header;

		switch (walk->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return -1;
		}
		if (i == IPV6_EXTENSIONS)
			return SL_pass_protocol;
		header = packet_at(view, pkt, walk->at, 8);
		if (!header)
			return SL_pass_truncated;
		/* Segments left: the destination is not yet the final one. */
		if (walk->protocol == IPPROTO_ROUTING && header[3])
			return SL_pass_protocol;
		if (walk->protocol == IPPROTO_FRAGMENT)
			walk_fragment(walk, header);
		else
			walk->at += (header[1] + 1) * 8;
		walk->protocol = header[0];
		if (walk->at > OFFSET_MASK - 64)
			return SL_pass_protocol;
		if (walk->kind == PKT_FRAGMENT)
			return -1;
	}
	return SL_pass_protocol;
}
