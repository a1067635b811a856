/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounds-checked parser: a frame to struct pkt. It reads and never writes. Whatever it cannot vouch
 * for it reports as a reason to let the packet pass: a parser that guesses would rewrite bytes that
 * are not what it thinks.
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
 * compiler from the other order, and from leaving out a mask that it can prove and the verifier not.
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

static __always_inline int parse_ports(const struct view *view, struct pkt *pkt, __u32 offset)
{
	__be16 *ports = packet_at(view, pkt, offset, 8);

	if (!ports)
		return SL_pass_truncated;
	pkt->sport = ports[0];
	pkt->dport = ports[1];
	return -1;
}

static __always_inline int parse_l4(const struct view *view, struct pkt *pkt)
{
	if (pkt->protocol == IPPROTO_TCP) {
		/* All twenty bytes: flags and checksum must be in reach before anything is decided.
		 */
		struct tcphdr *tcp = packet_at(view, pkt, pkt->l4, sizeof(*tcp));

		if (!tcp)
			return SL_pass_truncated;
		pkt->tcp_flags = ((__u8 *)tcp)[13];
		pkt->l4_len = (((__u8 *)tcp)[12] & 0xf0) >> 2;
		if (pkt->l4_len < sizeof(*tcp) || pkt->l4 + pkt->l4_len > pkt->l3 + pkt->ip_len)
			return SL_pass_truncated;
	} else if (pkt->protocol == IPPROTO_UDP) {
		pkt->l4_len = 8;
	} else {
		return SL_pass_protocol;
	}
	return parse_ports(view, pkt, pkt->l4);
}

/*
 * The quoted packet of an ICMP error was sent by the one whom the error goes to, so its tuple
 * turned round is the tuple of what that host receives: the key under which a flow is found. An
 * error to anybody else is not one of ours.
 */
static __always_inline int parse_quoted4(const struct view *view, struct pkt *pkt)
{
	struct iphdr *ip = packet_at(view, pkt, pkt->in_l3, sizeof(*ip));

	if (!ip)
		return SL_pass_truncated;
	if (ip->version != 4 || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x1fff)))
		return SL_pass_icmp;
	if (ip->saddr != pkt->daddr[0])
		return SL_pass_icmp;
	pkt->saddr[0] = ip->daddr;
	pkt->daddr[0] = ip->saddr;
	pkt->protocol = ip->protocol;
	pkt->in_l4 = pkt->in_l3 + ip->ihl * 4;
	return -1;
}

static __always_inline int parse_quoted6(const struct view *view, struct pkt *pkt)
{
	struct ipv6hdr *ip = packet_at(view, pkt, pkt->in_l3, sizeof(*ip));
	struct walk walk = {};
	int verdict;

	if (!ip)
		return SL_pass_truncated;
	if (ip->version != 6)
		return SL_pass_icmp;
	__builtin_memcpy(pkt->saddr, &ip->saddr, 16);
	if ((pkt->saddr[0] ^ pkt->daddr[0]) | (pkt->saddr[1] ^ pkt->daddr[1]) |
	    (pkt->saddr[2] ^ pkt->daddr[2]) | (pkt->saddr[3] ^ pkt->daddr[3]))
		return SL_pass_icmp;
	__builtin_memcpy(pkt->saddr, &ip->daddr, 16);
	__builtin_memcpy(pkt->daddr, &ip->saddr, 16);
	walk.protocol = ip->nexthdr;
	walk.at = pkt->in_l3 + sizeof(*ip);
	verdict = walk_extensions(view, pkt, &walk);
	if (verdict >= 0 || walk.kind == PKT_FRAGMENT)
		return verdict == SL_pass_truncated ? verdict : SL_pass_icmp;
	pkt->protocol = walk.protocol;
	pkt->in_l4 = walk.at;
	return -1;
}

static __always_inline int parse_icmp(const struct view *view, struct pkt *pkt)
{
	struct icmp_header *icmp = packet_at(view, pkt, pkt->l4, sizeof(*icmp));
	int verdict;

	if (!icmp)
		return SL_pass_truncated;
	pkt->kind = PKT_ICMP;
	pkt->in_l3 = pkt->l4 + sizeof(*icmp);
	if (pkt->family == 4) {
		if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_EXCEEDED &&
		    icmp->type != ICMP_PARAMETER && icmp->type != ICMP_QUENCH)
			return SL_pass_icmp;
		verdict = parse_quoted4(view, pkt);
	} else {
		if (icmp->type < ICMP6_UNREACHABLE || icmp->type > ICMP6_PARAMETER)
			return SL_pass_icmp;
		verdict = parse_quoted6(view, pkt);
	}
	if (verdict >= 0)
		return verdict;
	if (pkt->protocol != IPPROTO_TCP && pkt->protocol != IPPROTO_UDP)
		return SL_pass_icmp;
	verdict = parse_ports(view, pkt, pkt->in_l4);
	if (verdict >= 0)
		return verdict;

	/* Quoted as sent; the flow is keyed as received. */
	__be16 port = pkt->sport;

	pkt->sport = pkt->dport;
	pkt->dport = port;
	return -1;
}

static __always_inline int parse_transport(const struct view *view, struct pkt *pkt,
					   const int is_usual)
{
	if (is_usual)
		return pkt->protocol == IPPROTO_TCP || pkt->protocol == IPPROTO_UDP
			       ? parse_l4(view, pkt)
			       : PARSE_UNUSUAL;
	if (pkt->kind == PKT_FRAGMENT)
		return pkt->protocol == IPPROTO_TCP || pkt->protocol == IPPROTO_UDP
			       ? -1
			       : SL_pass_protocol;
	if (pkt->protocol == (pkt->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(view, pkt);
	return parse_l4(view, pkt);
}

static __always_inline int parse_ipv4(const struct view *view, struct pkt *pkt,
				      const int is_usual)
{
	struct iphdr *ip = view_at(view, pkt->l3, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return SL_pass_truncated;
	if (is_usual && (ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff)))
		return PARSE_UNUSUAL;
	pkt->family = 4;
	pkt->saddr[0] = ip->saddr;
	pkt->daddr[0] = ip->daddr;
	pkt->protocol = ip->protocol;
	pkt->ttl = ip->ttl;
	pkt->tos = ip->tos;
	pkt->ip_len = bpf_ntohs(ip->tot_len);
	/* Merged beyond 64 KiB (BIG TCP): the header cannot say how long it is, and says 0. */
	if (!pkt->ip_len && view->length > 0xffff)
		pkt->ip_len = view->length - pkt->l3;
	pkt->l4 = pkt->l3 + ip->ihl * 4;
	pkt->fragment_id = ip->id;
	if (pkt->ip_len < ip->ihl * 4)
		return SL_pass_truncated;
	if (ip->frag_off & bpf_htons(0x1fff))
		pkt->kind = PKT_FRAGMENT;
	else if (ip->frag_off & bpf_htons(0x2000))
		pkt->first_fragment = 1;
	return parse_transport(view, pkt, is_usual);
}

static __always_inline int parse_ipv6(const struct view *view, struct pkt *pkt,
				      const int is_usual)
{
	struct ipv6hdr *ip = view_at(view, pkt->l3, sizeof(*ip));
	struct walk walk = {};
	int verdict;

	if (!ip || ip->version != 6)
		return SL_pass_truncated;
	pkt->family = 6;
	__builtin_memcpy(pkt->saddr, &ip->saddr, 16);
	__builtin_memcpy(pkt->daddr, &ip->daddr, 16);
	pkt->ttl = ip->hop_limit;
	pkt->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	pkt->ip_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (!ip->payload_len && view->length > 0xffff) /* BIG TCP, as above */
		pkt->ip_len = view->length - pkt->l3;
	walk.protocol = ip->nexthdr;
	walk.at = pkt->l3 + sizeof(*ip);
	verdict = is_usual ? -1 : walk_extensions(view, pkt, &walk);
	pkt->protocol = walk.protocol;
	pkt->l4 = walk.at;
	pkt->kind = walk.kind;
	pkt->first_fragment = walk.first_fragment;
	pkt->fragment_id = walk.fragment_id;
	return verdict >= 0 ? verdict : parse_transport(view, pkt, is_usual);
}

/*
 * A frame to `pkt`, which the caller has zeroed. Returns -1 when the packet may be ours, else the
 * verdict by which it passes. Most packets are TCP or UDP straight after the shortest IP header:
 * `is_usual` (a constant) leaves out the code for all others, and returns PARSE_UNUSUAL for them.
 */
static __always_inline int parse(const struct view *view, struct pkt *pkt, const int is_usual)
{
	struct ethhdr *eth = view_at(view, 0, sizeof(*eth));
	__be16 type;

	if (!eth)
		return SL_pass_truncated;
	type = eth->h_proto;
	pkt->l3 = sizeof(*eth);
#pragma unroll
	for (int i = 0; i < VLAN_DEPTH; i++) {
		struct vlan_tag *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (is_usual)
			return PARSE_UNUSUAL;
		tag = view_at(view, pkt->l3, sizeof(*tag));
		if (!tag)
			return SL_pass_truncated;
		type = tag->type;
		pkt->l3 += sizeof(*tag);
		pkt->vlan = 1;
	}
	if (type == bpf_htons(ETH_P_IP))
		return parse_ipv4(view, pkt, is_usual);
	if (type == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(view, pkt, is_usual);
	return SL_pass_not_ip;
}
