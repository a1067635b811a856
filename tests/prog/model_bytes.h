/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference's hands: a packet rewritten or answered, and which of a packet's checksums hold. A
 * checksum that was wrong must stay exactly as wrong as it was, so the wanted field follows from
 * all the bytes that it covers, before and after.
 */
#pragma once
#include "model_parse.h"

/* Which checksums are there to be checked, and hold. */
#define HOLDS_IPV4 1u
#define HOLDS_L4 2u
#define HOLDS_QUOTED_IPV4 4u
#define HOLDS_QUOTED_UDP 8u

/* The field that covers bytes whose sum went from `before` to `after`. */
static inline void field_follow(__u8 *field, __u32 before, __u32 after, bool is_udp)
{
	__u16 was = (__u16)~sum_fold(before), is = (__u16)~sum_fold(after), sum;
	__u32 total = (__u16)~get16(field) + (__u32)(__u16)~was + is;

	if (is_udp && !get16(field))
		return;
	sum = sum_fold(total);
	put16(field, is_udp && !sum ? 0xffff : sum);
}

static inline unsigned address_size(const struct seen *seen)
{
	return seen->tuple.family == 4 ? 4 : 16;
}

static inline unsigned address_at(const struct seen *seen, unsigned ip, bool is_dst)
{
	if (seen->tuple.family == 4)
		return ip + (is_dst ? 16 : 12);
	return ip + (is_dst ? 24 : 8);
}

static inline __u32 sum_of_addresses(const struct seen *seen, const __u8 *frame, unsigned ip)
{
	return sum_bytes(0, frame + address_at(seen, ip, false), (size_t)2 * address_size(seen));
}

static inline void put_address(const struct seen *seen, __u8 *frame, unsigned ip, bool is_dst,
			       const __u8 *addr)
{
	__u32 before = sum_of_addresses(seen, frame, ip);

	memcpy(frame + address_at(seen, ip, is_dst), addr, address_size(seen));
	if (seen->tuple.family == 4)
		field_follow(frame + ip + 10, before, sum_of_addresses(seen, frame, ip), false);
}

/* Addresses at `ip` and ports at `l4`: what a TCP or UDP checksum covers of that which changes. */
static inline __u32 sum_of_tuple(const struct seen *seen, const __u8 *frame, unsigned ip,
				 unsigned l4)
{
	return sum_of_addresses(seen, frame, ip) + sum_bytes(0, frame + l4, 4);
}

/* A TCP or UDP packet. */
static inline void rewrite_whole(const struct seen *seen, __u8 *frame, bool is_dst,
				 const __u8 *addr, __u16 port)
{
	bool is_udp = seen->tuple.protocol == IPPROTO_UDP;
	__u32 before = sum_of_tuple(seen, frame, seen->l3, seen->l4);

	put_address(seen, frame, seen->l3, is_dst, addr);
	put16(frame + seen->l4 + (is_dst ? 2 : 0), port);
	field_follow(frame + seen->l4 + (is_udp ? 6 : 16), before,
		     sum_of_tuple(seen, frame, seen->l3, seen->l4), is_udp);
}

/* All that an ICMP checksum covers, without the field itself. */
static inline __u32 sum_of_icmp(const struct seen *seen, const __u8 *frame, unsigned count)
{
	unsigned end = seen->end < count ? seen->end : count;
	__u32 sum = sum_bytes(0, frame + seen->l4 + 4, end - seen->l4 - 4);

	if (seen->tuple.family == 6)
		sum += sum_of_addresses(seen, frame, seen->l3);
	return sum;
}

/*
 * An ICMP error: the quoted packet becomes what its sender sent, and the outer address what the
 * receiver knows, when it is the flow's own and not a router's. A quoted TCP checksum may lie
 * outside the quote, so it is left alone always.
 */
static inline void rewrite_error(const struct seen *seen, __u8 *frame, unsigned count, bool is_dst,
				 const __u8 *addr, __u16 port)
{
	const __u8 *old = is_dst ? seen->tuple.dst : seen->tuple.src;
	__u32 before = sum_of_icmp(seen, frame, count);
	__u32 tuple = sum_of_tuple(seen, frame, seen->q3, seen->q4);
	unsigned outer = address_at(seen, seen->l3, is_dst);

	put_address(seen, frame, seen->q3, !is_dst, addr);
	put16(frame + seen->q4 + (is_dst ? 0 : 2), port);
	if (seen->tuple.protocol == IPPROTO_UDP)
		field_follow(frame + seen->q4 + 6, tuple,
			     sum_of_tuple(seen, frame, seen->q3, seen->q4), true);
	if (!memcmp(frame + outer, old, address_size(seen)))
		put_address(seen, frame, seen->l3, is_dst, addr);
	field_follow(frame + seen->l4 + 2, before, sum_of_icmp(seen, frame, count), false);
}

static inline void model_rewrite(const struct seen *seen, __u8 *frame, unsigned count, bool is_dst,
				 const __u8 *addr, __u16 port)
{
	if (seen->kind == SEEN_ERROR)
		rewrite_error(seen, frame, count, is_dst, addr, port);
	else if (seen->kind == SEEN_WHOLE)
		rewrite_whole(seen, frame, is_dst, addr, port);
	else
		put_address(seen, frame, seen->l3, is_dst, addr);
}

/* --- answers --- */

static inline unsigned ip_size(const struct seen *seen)
{
	return seen->tuple.family == 4 ? 20 : 40;
}

/* Ethernet and IP header of an answer. Returns where its payload begins. */
static inline unsigned answer_head(const struct seen *seen, const __u8 *in, __u8 *out,
				   __u8 protocol, unsigned payload)
{
	__u8 *ip = out + seen->l3;

	memcpy(out, in, seen->l3);
	memcpy(out, in + ETH_ALEN, ETH_ALEN);
	memcpy(out + ETH_ALEN, in, ETH_ALEN);
	memset(ip, 0, ip_size(seen));
	memcpy(out + address_at(seen, seen->l3, false), seen->tuple.dst, address_size(seen));
	memcpy(out + address_at(seen, seen->l3, true), seen->tuple.src, address_size(seen));
	if (seen->tuple.family == 4) {
		ip[0] = 0x45, ip[8] = 64, ip[9] = protocol;
		put16(ip + 2, 20 + payload), put16(ip + 6, 0x4000);
		put16(ip + 10, sum_fold(sum_bytes(0, ip, 20)));
	} else {
		ip[0] = 0x60, ip[6] = protocol, ip[7] = 64;
		put16(ip + 4, payload);
	}
	return seen->l3 + ip_size(seen);
}

/* RFC 9293, 3.5.2: an RST takes its number from the segment's ACK, or acknowledges all of a segment
 * without one. */
static inline unsigned answer_rst(const struct seen *seen, const __u8 *in, __u8 *out)
{
	unsigned at = answer_head(seen, in, out, IPPROTO_TCP, 20);
	const __u8 *tcp = in + seen->l4;
	__u32 length = seen->end - seen->l4 - tcp[12] / 16 * 4;
	__u32 seq = (__u32)get16(tcp + 4) << 16 | get16(tcp + 6);
	__u8 *rst = out + at;

	memset(rst, 0, 20);
	put16(rst, seen->tuple.dport), put16(rst + 2, seen->tuple.sport);
	rst[12] = 0x50, rst[13] = 4;
	if (seen->tcp_flags & 16) {
		memcpy(rst + 4, tcp + 8, 4);
	} else {
		rst[13] |= 16;
		put32(rst + 8, seq + length + (seen->tcp_flags & 1) + (seen->tcp_flags >> 1 & 1));
	}
	put16(rst + 16, sum_fold(sum_of_addresses(seen, out, seen->l3) + IPPROTO_TCP + 20 +
				 sum_bytes(0, rst, 20)));
	return at + 20;
}

/* Port unreachable: it quotes the IP header, without what stands between it and the ports, and
 * eight bytes more. */
static inline unsigned answer_unreachable(const struct seen *seen, const __u8 *in, __u8 *out)
{
	bool is_v4 = seen->tuple.family == 4;
	unsigned size = 8 + ip_size(seen) + 8;
	unsigned at = answer_head(seen, in, out, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, size);
	__u8 *icmp = out + at, *ip = icmp + 8;
	__u32 sum;

	memset(icmp, 0, 8);
	icmp[0] = is_v4 ? 3 : 1, icmp[1] = is_v4 ? 3 : 4;
	memcpy(ip, in + seen->l3, ip_size(seen));
	memcpy(ip + ip_size(seen), in + seen->l4, 8);
	if (is_v4 && ip[0] != 0x45) {
		ip[0] = 0x45;
		put16(ip + 10, 0);
		put16(ip + 10, sum_fold(sum_bytes(0, ip, 20)));
	}
	if (!is_v4)
		ip[6] = IPPROTO_UDP;
	sum = is_v4 ? 0 : sum_of_addresses(seen, out, seen->l3) + IPPROTO_ICMPV6 + size;
	put16(icmp + 2, sum_fold(sum + sum_bytes(0, icmp, size)));
	return at + size;
}

/* RFC 1122, 3.2.2; RFC 4443, 2.4: a source that is not one host that could be reached. */
static inline bool is_answerable(const struct seen *seen)
{
	static const __u8 none[16], self[16] = { [15] = 1 };
	const __u8 *src = seen->tuple.src;

	if (seen->tuple.family == 6)
		return src[0] != 0xff && memcmp(src, none, 16) && memcmp(src, self, 16);
	return src[0] < 224 && src[0] != 127 && memcmp(src, none, 4);
}

/* The refusal's bytes, or 0 when such a packet must not be answered. */
static inline unsigned model_answer(const struct seen *seen, const __u8 *in, __u8 *out)
{
	if (!is_answerable(seen))
		return 0;
	if (seen->tuple.protocol == IPPROTO_UDP)
		return answer_unreachable(seen, in, out);
	return seen->tcp_flags & 4 ? 0 : answer_rst(seen, in, out);
}

/* --- which checksums hold --- */

static inline bool holds_l4(const struct seen *seen, const __u8 *frame)
{
	unsigned length = seen->end - seen->l4;
	__u32 sum = sum_bytes(0, frame + seen->l4, length);

	if (seen->l4_protocol == IPPROTO_UDP && !get16(frame + seen->l4 + 6))
		return true;
	if (seen->l4_protocol != IPPROTO_ICMP)
		sum += sum_of_addresses(seen, frame, seen->l3) + seen->l4_protocol + length;
	return !sum_fold(sum);
}

static inline bool holds_quoted_udp(const struct seen *seen, const __u8 *frame)
{
	const __u8 *ip = frame + seen->q3;
	unsigned end = seen->q3 + (seen->tuple.family == 4 ? get16(ip + 2) : 40 + get16(ip + 4));
	__u32 sum;

	if (seen->tuple.protocol != IPPROTO_UDP || end > seen->end || end < seen->q4 + 8 ||
	    !get16(frame + seen->q4 + 6))
		return false;
	sum = sum_bytes(0, frame + seen->q4, end - seen->q4);
	return !sum_fold(sum + sum_of_addresses(seen, frame, seen->q3) + IPPROTO_UDP + end -
			 seen->q4);
}

static inline __u32 sums_holding(const struct seen *seen, const __u8 *frame, unsigned count)
{
	__u32 holds = 0;

	if (seen->verdict >= 0)
		return 0;
	if (seen->tuple.family == 4 && seen->l4 <= count &&
	    !sum_fold(sum_bytes(0, frame + seen->l3, seen->l4 - seen->l3)))
		holds |= HOLDS_IPV4;
	if (seen->kind != SEEN_LATER && !seen->first && seen->end <= count && holds_l4(seen, frame))
		holds |= HOLDS_L4;
	if (seen->kind != SEEN_ERROR || seen->end > count)
		return holds;
	if (seen->tuple.family == 4 &&
	    !sum_fold(sum_bytes(0, frame + seen->q3, seen->q4 - seen->q3)))
		holds |= HOLDS_QUOTED_IPV4;
	return holds | (holds_quoted_udp(seen, frame) ? HOLDS_QUOTED_UDP : 0);
}
