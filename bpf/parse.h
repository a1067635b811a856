/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounds-checked parser: a frame to struct pkt. It reads and never writes. Whatever it cannot vouch
 * for it reports as a reason to let the packet pass: a parser that guesses would rewrite bytes that
 * are not what it thinks.
 */
#pragma once
#include "packet.h"

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

static __always_inline int parse_ipv4(const struct view *view, struct pkt *pkt, const int is_usual)
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

static __always_inline int parse_ipv6(const struct view *view, struct pkt *pkt, const int is_usual)
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
