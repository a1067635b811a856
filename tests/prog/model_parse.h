/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference's parser: a frame as an array of bytes, read by the RFCs and by nothing of bpf/ but
 * the verdicts' names. A header counts only when it lies inside the frame AND inside the IP packet:
 * bytes behind the IP packet's end are padding, whatever they look like.
 */
#pragma once
#include "wire.h"

#include "bpf/abi.h"

struct tuple {
	__u8 src[16], dst[16]; /* IPv4 in the first four */
	__u16 sport, dport;
	__u8 protocol, family;
};

enum seen_kind {
	SEEN_WHOLE,
	SEEN_LATER,
	SEEN_ERROR
};

struct seen {
	int verdict; /* by which it passes; -1: it may be ours */
	enum seen_kind kind;
	struct tuple tuple;   /* of an ICMP error: the quoted packet's, turned round */
	unsigned l3, l4, end; /* `end`: behind the IP packet */
	unsigned q3, q4;      /* the quoted packet's headers */
	unsigned ip_len;
	__u8 l4_protocol; /* as the IP header says */
	__u8 tcp_flags;
	bool first; /* more fragments follow */
	__u32 id;
};

struct bytes {
	const __u8 *at;
	unsigned count;
};

#define SEEN_EXTENSIONS 6 /* of IPv6, that we look behind */
#define SEEN_DEEPEST 959  /* where the last header may begin */

/* Are there `size` bytes at `at`, in frame and packet? */
static inline bool seen_has(const struct seen *seen, struct bytes frame, unsigned at, unsigned size)
{
	return at + size <= frame.count && at + size <= seen->end;
}

/* What an extension header's walk found: the transport, or a reason to stop. */
struct chain {
	unsigned at, count;
	__u8 next;
	bool is_later, first;
	__u32 id;
	int verdict; /* -1: arrived */
};

static inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

static inline void chain_fragment(struct chain *chain, const __u8 *header)
{
	unsigned field = get16(header + 2);

	chain->id = (__u32)get16(header + 4) << 16 | get16(header + 6);
	if (field >> 3)
		chain->is_later = true;
	else if (field & 1)
		chain->first = true;
}

static inline int chain_step(struct chain *chain, const struct seen *seen, struct bytes frame)
{
	const __u8 *header = frame.at + chain->at;
	unsigned size = 8;

	if (chain->count++ == SEEN_EXTENSIONS)
		return SL_pass_protocol;
	if (!seen_has(seen, frame, chain->at, 8))
		return SL_pass_truncated;
	if (chain->next == IPPROTO_ROUTING && header[3])
		return SL_pass_protocol;
	if (chain->next == IPPROTO_FRAGMENT)
		chain_fragment(chain, header);
	else
		size = header[1] * 8 + 8;
	chain->at += size;
	chain->next = header[0];
	return chain->at > SEEN_DEEPEST ? SL_pass_protocol : -1;
}

static inline struct chain chain_walk(const struct seen *seen, struct bytes frame, unsigned at,
				      __u8 next)
{
	struct chain chain = { .at = at, .next = next, .verdict = -1 };

	while (chain.verdict < 0 && !chain.is_later && is_extension(chain.next))
		chain.verdict = chain_step(&chain, seen, frame);
	return chain;
}

static inline int seen_ports(struct seen *seen, struct bytes frame, unsigned at)
{
	if (!seen_has(seen, frame, at, 8))
		return SL_pass_truncated;
	seen->tuple.sport = get16(frame.at + at);
	seen->tuple.dport = get16(frame.at + at + 2);
	return -1;
}

static inline int seen_tcp(struct seen *seen, struct bytes frame)
{
	unsigned size;

	if (!seen_has(seen, frame, seen->l4, 20))
		return SL_pass_truncated;
	size = frame.at[seen->l4 + 12] / 16 * 4;
	if (size < 20 || seen->l4 + size > seen->end)
		return SL_pass_truncated;
	seen->tcp_flags = frame.at[seen->l4 + 13];
	return seen_ports(seen, frame, seen->l4);
}

/* RFC 792, RFC 4443: an error goes to the source of the packet that it quotes, and of TCP and UDP
 * quotes the ports. */
static inline int seen_quoted4(struct seen *seen, struct bytes frame)
{
	const __u8 *outer = frame.at + seen->l3, *ip = frame.at + seen->q3;

	if (!seen_has(seen, frame, seen->q3, 20))
		return SL_pass_truncated;
	if (ip[0] >> 4 != 4 || (ip[0] & 15) < 5 || get16(ip + 6) & 0x1fff)
		return SL_pass_icmp;
	if (memcmp(outer + 16, ip + 12, 4))
		return SL_pass_icmp;
	memcpy(seen->tuple.src, ip + 16, 4);
	memcpy(seen->tuple.dst, ip + 12, 4);
	seen->tuple.protocol = ip[9];
	seen->q4 = seen->q3 + (ip[0] & 15) * 4;
	return -1;
}

static inline int seen_quoted6(struct seen *seen, struct bytes frame)
{
	const __u8 *outer = frame.at + seen->l3, *ip = frame.at + seen->q3;
	struct chain chain;

	if (!seen_has(seen, frame, seen->q3, 40))
		return SL_pass_truncated;
	if (ip[0] >> 4 != 6 || memcmp(outer + 24, ip + 8, 16))
		return SL_pass_icmp;
	memcpy(seen->tuple.src, ip + 24, 16);
	memcpy(seen->tuple.dst, ip + 8, 16);
	chain = chain_walk(seen, frame, seen->q3 + 40, ip[6]);
	if (chain.verdict == SL_pass_truncated)
		return chain.verdict;
	if (chain.verdict >= 0 || chain.is_later)
		return SL_pass_icmp;
	seen->tuple.protocol = chain.next;
	seen->q4 = chain.at;
	return -1;
}

static inline int seen_icmp(struct seen *seen, struct bytes frame)
{
	bool is_v4 = seen->tuple.family == 4;
	__u8 type = frame.at[seen->l4];
	__u16 port;
	int verdict;

	if (!seen_has(seen, frame, seen->l4, 8))
		return SL_pass_truncated;
	if (is_v4 ? type != 3 && type != 4 && type != 11 && type != 12 : type < 1 || type > 4)
		return SL_pass_icmp;
	seen->kind = SEEN_ERROR;
	seen->q3 = seen->l4 + 8;
	verdict = is_v4 ? seen_quoted4(seen, frame) : seen_quoted6(seen, frame);
	if (verdict >= 0)
		return verdict;
	if (seen->tuple.protocol != IPPROTO_TCP && seen->tuple.protocol != IPPROTO_UDP)
		return SL_pass_icmp;
	verdict = seen_ports(seen, frame, seen->q4);
	port = seen->tuple.sport, seen->tuple.sport = seen->tuple.dport, seen->tuple.dport = port;
	return verdict;
}

static inline int seen_transport(struct seen *seen, struct bytes frame)
{
	__u8 protocol = seen->l4_protocol;

	seen->tuple.protocol = protocol;
	if (seen->kind == SEEN_LATER)
		return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ? -1 : SL_pass_protocol;
	if (protocol == (seen->tuple.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return seen_icmp(seen, frame);
	if (protocol == IPPROTO_TCP)
		return seen_tcp(seen, frame);
	return protocol == IPPROTO_UDP ? seen_ports(seen, frame, seen->l4) : SL_pass_protocol;
}

static inline int seen_ipv4(struct seen *seen, struct bytes frame)
{
	const __u8 *ip = frame.at + seen->l3;
	unsigned header = (ip[0] & 15) * 4;

	seen->end = ~0u;
	if (!seen_has(seen, frame, seen->l3, 20) || ip[0] >> 4 != 4 || header < 20)
		return SL_pass_truncated;
	seen->tuple.family = 4;
	seen->ip_len = get16(ip + 2);
	seen->end = seen->l3 + seen->ip_len;
	seen->l4 = seen->l3 + header;
	if (seen->l4 > seen->end)
		return SL_pass_truncated;
	seen->l4_protocol = ip[9];
	seen->id = get16(ip + 4);
	memcpy(seen->tuple.src, ip + 12, 4);
	memcpy(seen->tuple.dst, ip + 16, 4);
	if (get16(ip + 6) & 0x1fff)
		seen->kind = SEEN_LATER;
	else
		seen->first = get16(ip + 6) & 0x2000;
	return seen_transport(seen, frame);
}

static inline int seen_ipv6(struct seen *seen, struct bytes frame)
{
	const __u8 *ip = frame.at + seen->l3;
	struct chain chain;

	seen->end = ~0u;
	if (!seen_has(seen, frame, seen->l3, 40) || ip[0] >> 4 != 6)
		return SL_pass_truncated;
	seen->tuple.family = 6;
	seen->ip_len = 40 + get16(ip + 4);
	seen->end = seen->l3 + seen->ip_len;
	memcpy(seen->tuple.src, ip + 8, 16);
	memcpy(seen->tuple.dst, ip + 24, 16);
	chain = chain_walk(seen, frame, seen->l3 + 40, ip[6]);
	seen->l4 = chain.at;
	seen->l4_protocol = chain.next;
	seen->id = chain.id;
	seen->first = chain.first;
	if (chain.is_later)
		seen->kind = SEEN_LATER;
	return chain.verdict >= 0 ? chain.verdict : seen_transport(seen, frame);
}

static inline struct seen seen_parse(const __u8 *at, unsigned count)
{
	struct bytes frame = { at, count };
	struct seen seen = { .l3 = 14, .verdict = SL_pass_truncated };
	__u16 type;

	if (count < 14)
		return seen;
	type = get16(at + 12);
	for (int tags = 0; tags < 2 && (type == ETH_P_8021Q || type == ETH_P_8021AD); tags++) {
		if (seen.l3 + 4 > count)
			return seen;
		type = get16(at + seen.l3 + 2);
		seen.l3 += 4;
	}
	if (type == ETH_P_IP)
		seen.verdict = seen_ipv4(&seen, frame);
	else if (type == ETH_P_IPV6)
		seen.verdict = seen_ipv6(&seen, frame);
	else
		seen.verdict = SL_pass_not_ip;
	return seen;
}
