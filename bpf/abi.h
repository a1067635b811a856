/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * THE contract between the kernel half and the user half: keys and values of every map, verdicts,
 * limits, pin names. Sizes are asserted below, so a change that moves a byte does not compile
 * unnoticed; a change of any layout is a new SL_ABI. Addresses and ports are in network byte order;
 * an IPv4 address in a 16-byte field is IPv4-mapped (::ffff:a.b.c.d) unless a comment says
 * otherwise. Times are nanoseconds of CLOCK_MONOTONIC.
 */
#pragma once
#include <linux/types.h>

#define SL_ABI 1u
#define SL_PIN_DIR "/sys/fs/bpf/sluice"

/*
 * Revisions that stay in the kernel: never fewer than HOT_MIN once there were as many, never more
 * than HOT_MAX.
 */
#define SL_HOT_MIN 16u
#define SL_HOT_MAX 64u
/*
 * Places of the directory of hot revisions, a power of two: a place is the number's low bits. More
 * than the disk keeps.
 */
#define SL_PLACES 1024u
#define SL_RULES_MAX 64u /* rules of one VIP and port */
#define SL_MEMBERS_MAX 255u
/*
 * Slots that an empty version's key tries, so that its share is spread by weight, before any member
 * that has an endpoint.
 */
#define SL_SPILL_TRIES 8u
#define SL_SLOTS_DEFAULT 16384u
#define SL_VERSION_KEY_MAX 104

/* clang-format off */
/*
 * Every exit of a packet, once. The value of the verdicts map has one 64-bit field for each, in
 * this order.
 */
#define SL_VERDICTS(X) \
	X(pass_not_ip) /* neither IPv4 nor IPv6 */ \
	X(pass_not_for_us) /* the frame's address is another host's */ \
	X(pass_truncated) /* a header does not fit, or lies about its length */ \
	X(pass_protocol) /* IP, but neither TCP, UDP nor an ICMP error */ \
	X(pass_icmp) /* an ICMP error about a packet of no flow */ \
	X(pass_fragment) /* a later fragment of a datagram that is not ours or unknown */ \
	X(pass_unmatched) /* TCP or UDP for no service and of no flow */ \
	X(pass_deferred) /* XDP leaves it, untouched, to the tc door of the same device */ \
	X(open_stack) /* new connection, rewritten, up the stack */ \
	X(open_redirect) /* new connection, rewritten, straight to its device */ \
	X(adopt_stack) /* unknown connection, sent where the active tables say */ \
	X(adopt_redirect) /* the same, straight to its device */ \
	X(forward_stack) /* client to endpoint, rewritten, up the stack */ \
	X(forward_redirect) /* client to endpoint, rewritten, straight to its device */ \
	X(reply_up) /* endpoint to client, untouched: rewritten on its way out */ \
	X(reply_stack) /* endpoint to client, rewritten on its way out of the stack */ \
	X(reply_redirect) /* endpoint to client, rewritten, straight to its device */ \
	X(icmp_stack) /* ICMP error of a flow, rewritten, up or out of the stack */ \
	X(icmp_redirect) /* ICMP error of a flow, rewritten, straight to its device */ \
	X(fragment_stack) /* later fragment of a flow, rewritten, up or out of the stack */ \
	X(fragment_redirect) /* later fragment of a flow, rewritten, straight to its device */ \
	X(refuse_empty) /* version without a ready endpoint: RST or port unreachable sent */ \
	X(refuse_no_rule) /* the service has rules and none matches: the same answer */ \
	X(drop_refused) /* refused, but such a packet must not be answered */ \
	X(drop_table) /* a table points outside itself */ \
	X(drop_rewrite) /* the kernel refused to change or resize the packet */

/* clang-format on */
enum sl_verdict {
#define SL_X(name) SL_##name,
	SL_VERDICTS(SL_X)
#undef SL_X
	SL_VERDICT_COUNT
};

/* clang-format off */
/* Things that happen beside a verdict. */
#define SL_NOTES(X) \
	X(note_active_unknown) /* the active word names no hot revision: the last good holds */ \
	X(note_flow_full) /* no room for a flow: the packet went on without */ \
	X(note_reply_restored) /* the reply half of a live flow was evicted and put back */ \
	X(note_no_route) /* a flow that redirects found no way and went up the stack */ \
	X(note_spilled) /* an empty version's share went to another */

/* clang-format on */
enum sl_note {
	SL_NOTE_FIRST = SL_VERDICT_COUNT - 1,
#define SL_X(name) SL_##name,
	SL_NOTES(SL_X)
#undef SL_X
	SL_COUNTER_COUNT
};

/* verdicts: per-CPU array, one element a door. */
enum sl_door {
	SL_DOOR_XDP,
	SL_DOOR_TC,  /* tc ingress */
	SL_DOOR_OUT, /* tc egress */
	SL_DOOR_COUNT
};

struct sl_counters {
#define SL_X(name) __u64 name;
	SL_VERDICTS(SL_X)
	SL_NOTES(SL_X)
#undef SL_X
};

/* control: array of one. */
struct sl_control {
	__u32 abi;
	__u32 fallback;    /* the last revision that an agent or CLI made active: used when `active`
			      names none */
	__u64 seed[2];     /* key of the connection hash */
	__u32 slot_cursor; /* where the next search for free slot groups, members, rules, ring words
			      begins; */
	__u32 member_cursor; /* an area just freed is thereby the last to be used again */
	__u32 rule_cursor;
	__u32 ring_cursor;
	__u32 slots; /* of a split's table, when more than one version has a weight: a power of two
		      */
	__u32 redirect; /* what the doors were last loaded with, for those who look */
	__u64 udp_idle_ns;
};

/* revisions: array of SL_PLACES, the directory of what is hot; number 0 is an empty place. */
struct sl_revision {
	__u32 number;
	__u32 services; /* how many entries of `services` are its */
	__u64 built_ns; /* CLOCK_REALTIME */
	__u8 digest[32];
};

/* services: hash. */
struct sl_service_key {
	__u32 revision;
	__u32 vip[4];
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

#define SL_SPLIT_BY_CLIENT (1u << 0) /* the key is the client's address, not the 5-tuple */
#define SL_SPLIT_SPILL (1u << 1)     /* an empty version's share goes to the others */
#define SL_SPLIT_NONE (1u << 2)      /* no split: refuse */

/* A split as the data plane walks it: slot -> ordinal -> member -> version. */
struct sl_split {
	__u32 slot_base;   /* first group of the slot table in `slots` */
	__u32 slot_mask;   /* slots - 1 */
	__u32 member_base; /* its versions in `members` */
	__u16 member_count;
	__u16 flags;
};

struct sl_service {
	struct sl_split otherwise; /* when no rule matches */
	__u32 rule_base;           /* rules with a source, in order; the first that matches wins */
	__u32 rule_count;
};

/* rules: array. */
struct sl_rule {
	__u32 prefix[4];
	__u32 mask[4];
	struct sl_split split;
};

/* slots: array of groups, because an array's element takes 8 bytes at least. */
#define SL_SLOTS_PER_GROUP 8u
struct sl_slots {
	__u8 ordinal[SL_SLOTS_PER_GROUP];
};

/*
 * members, rings: arrays of pairs, for the same reason. A member is a version's index; one with
 * weight 0 keeps its ordinal, because the slot table is laid out by the order of all, but no slot
 * names it and nothing spills to it.
 */
#define SL_MEMBER_NO_WEIGHT (1u << 31)
struct sl_pair {
	__u32 at[2];
};

/* versions: array; shared by all revisions. The ring is replaced by ONE aligned 64-bit store. */
struct sl_version {
	__u64 ring;          /* first word in `rings` | words << 32; 0 words: no ready endpoint */
	__u64 opened_before; /* stats.opened when the active revision last changed: what came since
				is its own share */
	__u32 used;          /* 0: free */
	__u32 pad;
	char key[SL_VERSION_KEY_MAX]; /* "reviews.default.svc.cluster.local|v1|9080/tcp" */
};

/* endpoints: array; shared by all revisions. */
struct sl_endpoint {
	__u32 addr[4];
	__be16 port;
	__u8 used; /* 0: free */
	__u8 pad[5];
};

/* devices: hash by interface index; what the doors may assume of an interface. */
#define SL_DEVICE_ATTACHED (1u << 0)   /* its packets pass a door of ours coming in */
#define SL_DEVICE_XDP_TARGET (1u << 1) /* XDP may send out of it, through `txdevs` */
#define SL_DEVICE_TCX (1u << 2)        /* how it is attached: for the user half alone */
#define SL_DEVICE_CLSACT (1u << 3)
#define SL_DEVICE_XDP_NATIVE (1u << 4)
#define SL_DEVICE_XDP_GENERIC (1u << 5)
#define SL_DEVICE_XDP_SHARED (1u << 6) /* behind libxdp's dispatcher, beside others */
#define SL_DEVICE_OUR_QDISC (1u << 7)  /* the clsact qdisc is our own making */

/*
 * stats: per-CPU array by version. Bytes are those of the IP packet. Buckets: [i] counts 2^i <= us
 * < 2^(i+1); [0] has 0 and 1.
 */
#define SL_HANDSHAKE_BUCKETS 24u
struct sl_stats {
	__u64 opened;
	__u64 closed;
	__u64 refused;
	__u64 reset;                  /* by the endpoint */
	__u64 packets_in, bytes_in;   /* client to endpoint */
	__u64 packets_out, bytes_out; /* endpoint to client */
	__u64 handshake_us[SL_HANDSHAKE_BUCKETS];
};

/*
 * Flows: behind bpf/flow.h and user/kernel/flows.c alone. Two entries a connection, one for each
 * way, in one LRU hash a family: a single look-up of a packet's own 5-tuple finds either, and tells
 * which.
 */
struct sl_tuple4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 protocol;
	__u8 pad[3];
};

struct sl_tuple6 {
	__u32 saddr[4], daddr[4];
	__be16 sport, dport;
	__u8 protocol;
	__u8 pad[3];
};

#define SL_FLOW_REPLY (1u << 0) /* this entry is the endpoint-to-client way */
#define SL_FLOW_REDIRECT (1u << 1) /* both ways go straight to a device; else up the stack */
#define SL_FLOW_ANSWERED (1u << 2) /* SYN-ACK seen, or a UDP reply */
#define SL_FLOW_FIN_IN (1u << 3)   /* client said FIN */
#define SL_FLOW_FIN_OUT (1u << 4)  /* endpoint said FIN */
#define SL_FLOW_CLOSED (1u << 5)   /* both FIN, or RST: counted as closed */
#define SL_FLOW_ADOPTED (1u << 6)  /* began in the middle */

struct sl_flow {
	__u64 opened_ns;
	__u64 seen_ns; /* to about a second */
	__u32 peer[4]; /* what to write: the endpoint's address, or on the reply way the VIP; IPv4
			  alone in [0] */
	__u32 flags;
	__u32 endpoint; /* index */
	__u32 version;  /* index */
	__u32 revision; /* that chose it */
	__be16 port;    /* to write with `peer` */
	__u8 pad[6];
};

/* fragments: LRU hash; the ports that the first fragment of a datagram had. IPv4 alone in [0]. */
struct sl_fragment_key {
	__u32 saddr[4], daddr[4];
	__u32 id;
	__u8 protocol;
	__u8 family;
	__u8 pad[2];
};

struct sl_fragment {
	__be16 sport, dport;
};

_Static_assert(sizeof(struct sl_control) == 56, "control");
_Static_assert(sizeof(struct sl_revision) == 48, "revision");
_Static_assert(sizeof(struct sl_service_key) == 24, "service key");
_Static_assert(sizeof(struct sl_split) == 16, "split");
_Static_assert(sizeof(struct sl_service) == 24, "service");
_Static_assert(sizeof(struct sl_rule) == 48, "rule");
_Static_assert(sizeof(struct sl_slots) == 8, "slots");
_Static_assert(sizeof(struct sl_pair) == 8, "pair");
_Static_assert(sizeof(struct sl_version) == 128, "version");
_Static_assert(sizeof(struct sl_endpoint) == 24, "endpoint");
_Static_assert(sizeof(struct sl_stats) == 256, "stats");
_Static_assert(sizeof(struct sl_tuple4) == 16, "tuple4");
_Static_assert(sizeof(struct sl_tuple6) == 40, "tuple6");
_Static_assert(sizeof(struct sl_flow) == 56, "flow");
_Static_assert(sizeof(struct sl_fragment_key) == 40, "fragment key");
_Static_assert(sizeof(struct sl_counters) == 8 * SL_COUNTER_COUNT,
	       "one counter for each verdict and note");
