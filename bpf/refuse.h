/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Active refusal: a TCP RST (RFC 9293, 3.5.2) or an ICMP port unreachable (RFC 792, RFC 4443), made
 * in place from the packet that it answers. Rare, so it goes through a small buffer and full
 * checksums, not through clever deltas.
 */
#pragma once
#include "csum.h"
#include "parse.h"

#define REFUSE_NO_ROOM (-2) /* XDP alone: the frame cannot grow, and is as it came */
/* Bytes of the transport header that an ICMPv4 error must quote: enough to find the socket. */
#define QUOTE_L4 8

struct answer {
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	};
};

static __always_inline __u32 sum_words(__u32 sum, const void *from, __u32 bytes)
{
	const __u32 *words = from;

#pragma unroll
	for (__u32 i = 0; i < bytes / 4; i++)
		sum = csum_add(sum, words[i]);
	return sum;
}

/* Pseudo header of the answer: the same addresses either way round, so the packet's own serve. */
static __always_inline __u32 sum_pseudo(const struct pkt *pkt, __u32 protocol, __u32 length)
{
	__u32 sum = csum_add(bpf_htonl(protocol), bpf_htonl(length));

	if (pkt->family == 4)
		return csum_add(csum_add(sum, pkt->saddr[0]), pkt->daddr[0]);
	return sum_words(sum_words(sum, pkt->saddr, 16), pkt->daddr, 16);
}

/* IP header of `payload` bytes back to the client, from the VIP. */
static __always_inline void answer_ip(struct answer *answer, const struct pkt *pkt, __u8 protocol,
				      __u16 payload)
{
	__builtin_memset(answer, 0, sizeof(*answer));
	if (pkt->family == 4) {
		answer->v4.version = 4;
		answer->v4.ihl = 5;
		answer->v4.tot_len = bpf_htons(sizeof(struct iphdr) + payload);
		answer->v4.frag_off = bpf_htons(0x4000);
		answer->v4.ttl = 64;
		answer->v4.protocol = protocol;
		answer->v4.saddr = pkt->daddr[0];
		answer->v4.daddr = pkt->saddr[0];
		answer->v4.check = csum_fold(sum_words(0, &answer->v4, sizeof(struct iphdr)));
		return;
	}
	answer->v6.version = 6;
	answer->v6.payload_len = bpf_htons(payload);
	answer->v6.nexthdr = protocol;
	answer->v6.hop_limit = 64;
	__builtin_memcpy(&answer->v6.saddr, pkt->daddr, 16);
	__builtin_memcpy(&answer->v6.daddr, pkt->saddr, 16);
}

static __always_inline __u32 answer_ip_len(const struct pkt *pkt)
{
	return pkt->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/*
 * Cuts or grows the frame to its L2 header plus `length`, turns its MAC addresses round and writes
 * the IP header.
 */
static __always_inline long answer_begin(door_ctx *ctx, const struct pkt *pkt, __u8 protocol,
					 __u16 payload)
{
	struct ethhdr eth;
	__u8 mac[ETH_ALEN];
	struct answer answer;

	if (door_load(ctx, 0, &eth, sizeof(eth)))
		return -1;
	if (door_resize(ctx, pkt->l3 + answer_ip_len(pkt) + payload))
		return REFUSE_NO_ROOM;
	__builtin_memcpy(mac, eth.h_dest, ETH_ALEN);
	__builtin_memcpy(eth.h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(eth.h_source, mac, ETH_ALEN);
	answer_ip(&answer, pkt, protocol, payload);
	if (door_store_slow(ctx, 0, &eth, sizeof(eth)))
		return -1;
	return pkt->family == 4 ? door_store_slow(ctx, pkt->l3, &answer, sizeof(struct iphdr))
				: door_store_slow(ctx, pkt->l3, &answer, sizeof(struct ipv6hdr));
}

static __always_inline long refuse_tcp(door_ctx *ctx, const struct pkt *pkt)
{
	struct tcphdr in, out = {};
	__u32 length;
	long err;

	if (door_load(ctx, pkt->l4, &in, sizeof(in)) || in.rst)
		return -1;
	length = pkt->ip_len - (pkt->l4 - pkt->l3) - in.doff * 4;
	out.source = in.dest;
	out.dest = in.source;
	out.doff = sizeof(out) / 4;
	out.rst = 1;
	if (in.ack) {
		out.seq = in.ack_seq;
	} else {
		out.ack = 1;
		out.ack_seq = bpf_htonl(bpf_ntohl(in.seq) + in.syn + in.fin + length);
	}
	out.check =
		csum_fold(sum_words(sum_pseudo(pkt, IPPROTO_TCP, sizeof(out)), &out, sizeof(out)));
	err = answer_begin(ctx, pkt, IPPROTO_TCP, sizeof(out));
	if (err)
		return err;
	return door_store_slow(ctx, pkt->l3 + answer_ip_len(pkt), &out, sizeof(out));
}

struct unreachable4 {
	struct icmp_header icmp;
	__u8 quote[sizeof(struct iphdr) + QUOTE_L4];
};

struct unreachable6 {
	struct icmp_header icmp;
	__u8 quote[sizeof(struct ipv6hdr) + QUOTE_L4];
};

/*
 * Options between the IP header and the ports are left out of the quote: its header length then
 * says 20 bytes.
 */
static __always_inline long refuse_udp4(door_ctx *ctx, const struct pkt *pkt)
{
	struct unreachable4 out = { .icmp = { .type = ICMP_UNREACHABLE, .code = ICMP_CODE_PORT } };
	struct iphdr *quoted = (void *)out.quote;
	long err;

	if (door_load(ctx, pkt->l3, out.quote, sizeof(struct iphdr)) ||
	    door_load(ctx, pkt->l4, out.quote + sizeof(struct iphdr), QUOTE_L4))
		return -1;
	if (quoted->ihl != 5) {
		quoted->ihl = 5;
		quoted->check = 0;
		quoted->check = csum_fold(sum_words(0, quoted, sizeof(*quoted)));
	}
	out.icmp.checksum = csum_fold(sum_words(0, &out, sizeof(out)));
	err = answer_begin(ctx, pkt, IPPROTO_ICMP, sizeof(out));
	if (err)
		return err;
	return door_store_slow(ctx, pkt->l3 + sizeof(struct iphdr), &out, sizeof(out));
}

static __always_inline long refuse_udp6(door_ctx *ctx, const struct pkt *pkt)
{
	struct unreachable6 out = { .icmp = { .type = ICMP6_UNREACHABLE,
					      .code = ICMP6_CODE_PORT } };
	struct ipv6hdr *quoted = (void *)out.quote;
	long err;

	if (door_load(ctx, pkt->l3, out.quote, sizeof(struct ipv6hdr)) ||
	    door_load(ctx, pkt->l4, out.quote + sizeof(struct ipv6hdr), QUOTE_L4))
		return -1;
	quoted->nexthdr = IPPROTO_UDP; /* extension headers are left out likewise */
	out.icmp.checksum = csum_fold(
		sum_words(sum_pseudo(pkt, IPPROTO_ICMPV6, sizeof(out)), &out, sizeof(out)));
	err = answer_begin(ctx, pkt, IPPROTO_ICMPV6, sizeof(out));
	if (err)
		return err;
	return door_store_slow(ctx, pkt->l3 + sizeof(struct ipv6hdr), &out, sizeof(out));
}

/*
 * Is this an address that nobody may be answered at? Multicast, reserved and broadcast, loopback,
 * none. (RFC 1122, 3.2.2; RFC 4443, 2.4)
 */
static __always_inline int is_unanswerable(const struct pkt *pkt)
{
	__u8 first = bpf_ntohl(pkt->saddr[0]) >> 24;

	if (pkt->family == 6)
		return first == 0xff || !(pkt->saddr[0] | pkt->saddr[1] | pkt->saddr[2] |
					  (pkt->saddr[3] & ~bpf_htonl(1)));
	return first >= 224 || first == 127 || !pkt->saddr[0];
}

/* Turns the packet into its refusal. Non-zero: nothing may be sent, or REFUSE_NO_ROOM. */
static __always_inline long refuse(door_ctx *ctx, const struct pkt *pkt)
{
	if (is_unanswerable(pkt))
		return -1;
	if (pkt->protocol == IPPROTO_TCP)
		return refuse_tcp(ctx, pkt);
	return pkt->family == 4 ? refuse_udp4(ctx, pkt) : refuse_udp6(ctx, pkt);
}
