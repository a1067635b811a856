/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of every kind that the doors know, from the builder. */
#pragma once
#include "model_bytes.h"
#include "world.h"

struct random {
	__u64 state;
};

/* splitmix64 (Vigna). */
static inline __u64 random_next(struct random *random)
{
	__u64 z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline __u32 below(struct random *random, __u32 bound)
{
	return (random_next(random) >> 32) * bound >> 32;
}

static inline bool one_in(struct random *random, __u32 times)
{
	return !below(random, times);
}

#define ONE_OF(random, list) (list)[below(random, sizeof(list) / sizeof((list)[0]))]

/* Ports of the services, each with a split of its own. */
enum {
	PORT_RULED = 80, /* one client's prefix has a split of its own */
	PORT_EMPTY,      /* one version, no endpoint */
	PORT_SPILLS,     /* half of it empty, and it spills */
	PORT_NO_RULE,    /* refused, unless by the client with a rule */
	PORT_BY_CLIENT,
	PORT_HALF_EMPTY,
	PORT_BROKEN,    /* a table points outside itself */
	PORT_ALL_EMPTY, /* spills, to nobody */
	PORT_SAME,      /* the endpoint's port is the VIP's */
	PORT_COUNT
};

static const enum who fuzz_clients[] = { CLIENT, CLIENT, CLIENT, FRIEND, STRANGER, EP_A };
static enum who fuzz_endpoints[] = { EP_A, EP_B, EP_C }; /* the last one is a round's own */
static const __u16 fuzz_ports[] = {
	PORT_RULED,      PORT_RULED,  PORT_RULED,     PORT_BY_CLIENT, PORT_SPILLS,
	PORT_HALF_EMPTY, PORT_RULED,  PORT_SPILLS,    PORT_SAME,      PORT_EMPTY,
	PORT_NO_RULE,    PORT_BROKEN, PORT_ALL_EMPTY, PORT_COUNT,
};
static const __u8 fuzz_flags[] = { 2, 2, 2, 16, 16, 24, 17, 4, 20, 18, 1, 0, 6, 3, 0xc2, 43 };
static const __u8 fuzz_reply_flags[] = { 18, 18, 16, 16, 24, 17, 17, 4, 20, 2 };

/* A tuple that the doors remember, for packets that concern it. */
struct hint {
	bool is_reply;
	__u8 family, protocol;
	enum who src, dst;
	__u16 sport, dport;
};

static inline enum who who_is(int family, const __u8 *addr)
{
	__u8 known[16] = {};
	enum who who;

	for (who = 0; who < WHO_COUNT; who++) {
		wire_address(who, family, known);
		if (!memcmp(known, addr, family == 4 ? 4 : 16))
			break;
	}
	return who;
}

/* False when the tuple has addresses that the builder cannot make. */
static inline bool hint_from(const struct tuple *tuple, bool is_reply, struct hint *ret_hint)
{
	*ret_hint = (struct hint){ is_reply,
				   tuple->family,
				   tuple->protocol,
				   who_is(tuple->family, tuple->src),
				   who_is(tuple->family, tuple->dst),
				   tuple->sport,
				   tuple->dport };
	return ret_hint->src != WHO_COUNT && ret_hint->dst != WHO_COUNT;
}

/* With one alone, a client's connections fill its bucket. */
static unsigned client_ports = 6;

static inline __u16 client_port(struct random *random)
{
	return 40000 + below(random, client_ports);
}

/* About the lengths that links carry, or any that a frame of 9,000 bytes has room for. */
static inline __u16 fuzz_long_payload(struct random *random)
{
	if (one_in(random, 2))
		return 1400 + below(random, 120);
	return 100 + below(random, 8701);
}

static inline struct wire fuzz_transport(struct random *random, int family)
{
	struct wire wire = { .family = family, .ttl = 1 + below(random, 64) };

	memcpy(wire.to, node_links[LINK_CLIENT].mac, ETH_ALEN);
	memcpy(wire.from, node_links[LINK_CLIENT].peer, ETH_ALEN);
	wire.protocol = one_in(random, 2) ? IPPROTO_TCP : IPPROTO_UDP;
	wire.payload = below(random, 3) * below(random, 50);
	wire.salt = random_next(random);
	wire.seq = random_next(random), wire.ack = random_next(random);
	wire.no_checksum = one_in(random, 8);
	wire.options = one_in(random, 6);
	wire.tags = one_in(random, 5) ? below(random, 4) : 0;
	wire.id = below(random, 4);
	if (one_in(random, 6))
		wire.fragment = 1 + below(random, 2), wire.payload = 40 + below(random, 100);
	if (one_in(random, 30))
		wire.payload = fuzz_long_payload(random);
	return wire;
}

static inline struct wire fuzz_request(struct random *random, int family)
{
	struct wire wire = fuzz_transport(random, family);

	wire.src = one_in(random, 200) ? GROUP : ONE_OF(random, fuzz_clients);
	wire.dst = one_in(random, 40) ? VIP_OTHER : VIP;
	wire.sport = client_port(random), wire.dport = ONE_OF(random, fuzz_ports);
	wire.tcp_flags = ONE_OF(random, fuzz_flags);
	return wire;
}

static inline struct wire fuzz_reply(struct random *random, int family)
{
	struct wire wire = fuzz_transport(random, family);

	wire.src = ONE_OF(random, fuzz_endpoints);
	wire.dst = ONE_OF(random, fuzz_clients);
	wire.sport = one_in(random, 10) ? PORT_SAME : EP_PORT, wire.dport = client_port(random);
	wire.tcp_flags = ONE_OF(random, fuzz_reply_flags);
	return wire;
}

/* What the host that the error goes to had sent: a reply as the client saw it, or a request as the
 * endpoint did. */
static inline struct wire fuzz_quoted(struct random *random, int family)
{
	bool is_reply = one_in(random, 2);
	struct wire quoted = is_reply ? fuzz_reply(random, family) : fuzz_request(random, family);

	quoted.tags = 0;
	if (is_reply)
		quoted.src = VIP, quoted.sport = ONE_OF(random, fuzz_ports);
	else
		quoted.dst = ONE_OF(random, fuzz_endpoints), quoted.dport = EP_PORT;
	return quoted;
}

static inline void fuzz_follow(struct wire *wire, const struct hint *hint)
{
	wire->protocol = hint->protocol;
	wire->src = hint->src, wire->sport = hint->sport;
	wire->dst = hint->dst, wire->dport = hint->dport;
}

static inline struct wire fuzz_error(struct random *random, int family, const struct hint *hint,
				     struct wire *quoted)
{
	static const __u8 types[2][6] = { { 3, 3, 4, 11, 12, 5 }, { 1, 2, 3, 4, 1, 137 } };
	struct wire wire = fuzz_transport(random, family);

	*quoted = fuzz_quoted(random, family);
	if (hint) /* the error goes where the remembered packets go, and quotes what came from there
		   */
		fuzz_follow(quoted, &(struct hint){ .protocol = hint->protocol,
						    .src = hint->dst,
						    .sport = hint->dport,
						    .dst = hint->src,
						    .dport = hint->sport });
	wire.protocol = family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	wire.type = types[family == 6][below(random, 6)], wire.code = below(random, 5);
	wire.rest = 1280;
	wire.quoted = quoted;
	wire.src = one_in(random, 2) ? ROUTER : quoted->dst;
	wire.dst = one_in(random, 30) ? FRIEND : quoted->src;
	wire.fragment = 0;
	if (one_in(random, 3))
		wire.quote = (family == 4 ? 28 : 48) + below(random, 40);
	return wire;
}

/* A packet of a remembered tuple, or an error about one. */
static inline unsigned fuzz_known(struct random *random, const struct hint *hint, __u8 *out)
{
	int family = hint->family;
	struct wire wire, quoted;

	if (one_in(random, 4)) {
		wire = fuzz_error(random, family, hint, &quoted);
		return wire_build(&wire, out);
	}
	wire = hint->is_reply ? fuzz_reply(random, family) : fuzz_request(random, family);
	fuzz_follow(&wire, hint);
	return wire_build(&wire, out);
}

static inline struct wire fuzz_other(struct random *random, int family)
{
	static const __u8 protocols[] = { IPPROTO_SCTP, IPPROTO_GRE, IPPROTO_ICMP, IPPROTO_ICMPV6,
					  IPPROTO_ESP };
	struct wire wire = fuzz_request(random, family);

	wire.protocol = ONE_OF(random, protocols);
	wire.type = family == 4 ? 8 : 128;
	return wire;
}

/* A packet, whole and right. Returns its length. */
static inline unsigned fuzz_packet(struct random *random, __u8 *out)
{
	int family = one_in(random, 2) ? 4 : 6;
	struct wire wire, quoted;

	switch (below(random, 16)) {
	case 0:
		wire = fuzz_other(random, family);
		break;
	case 1 ... 3:
		wire = fuzz_error(random, family, NULL, &quoted);
		break;
	case 4 ... 7:
		wire = fuzz_reply(random, family);
		break;
	default:
		wire = fuzz_request(random, family);
	}
	return wire_build(&wire, out);
}
