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

#define SL_ABI 2u
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
/* Places of a ring that are tried before a connection is refused: see endpoint_is_taken. */
#define SL_PLACE_TRIES 8u
#define SL_SLOTS_DEFAULT 16384u
#define SL_OPENS 1024u /* powers of two */
#define SL_EXITS 8192u
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
	X(refuse_empty) /* no endpoint ready, or able to take it: RST or port unreachable sent */ \
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
	X(note_flow_evicted) /* a live flow gave its place to a new one: the table is too small */ \
	X(note_flow_full) /* no place for a flow, all being written: the packet went on without */ \
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
	__u32 fallback;    /* the last revision that was obeyed, by doors, agent or CLI: used when
			      `active` names none */
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
	/*
	 * The doors' clock is the kernel's tick (`jiffies`): at `mono` ns it stands at
	 * mono / tick_ns + tick_offset, and a flow's `seen` is that shifted by seen_shift.
	 */
	__u32 tick_ns;
	__u32 tick_offset;
	__u32 seen_shift;
	__u32 exits_epoch; /* what is remembered of routes under another number is forgotten */
	__u32 exits_off;   /* enum sl_exits_off: why nothing of routes is remembered */
	__u32 room; /* what the agent and the CLI know to be free behind the cursors; 0: nothing */
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
	__u32 vip; /* index */
	__u32 pad;
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

/*
 * endpoints: array; shared by all revisions. An address that serves two versions is in it twice, so
 * that a flow that names an endpoint need not name the version.
 */
struct sl_endpoint {
	__u32 addr[4];
	__be16 port;
	__u16 pad;
	__u32 version; /* index */
	__u8 used;     /* 0: free */
	__u8 rest[7];
};

/* vips: array; shared by all revisions. What replies are given back as their source. */
struct sl_vip {
	__u32 addr[4];
	__be16 port;
	__u8 protocol;
	__u8 used; /* 0: free */
	__u32 pad;
};

/* devices: hash by interface index; what the doors may assume of an interface. */
#define SL_DEVICE_ATTACHED (1u << 0)   /* its packets pass a door of ours coming in */
#define SL_DEVICE_XDP_TARGET (1u << 1) /* XDP may send out of it */
#define SL_DEVICE_XDP_PIECES (1u << 9) /* also frames of several buffers */
#define SL_DEVICE_PEER (1u << 8)       /* tc may hand packets to its peer in another namespace */
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
 * Flows: behind bpf/way.h, bpf/flow.h and user/kernel/flows.c alone. An array of buckets, each two
 * cache lines of four ways; a connection has two ways, one under the 5-tuple that the client sends
 * and one under that which the endpoint answers with, so that one look-up of a packet's own tuple
 * finds either and tells which. The tuple itself is not kept, but a 64-bit keyed hash of it: the
 * tag. The bucket is the client's, by its address and port: both ways are in the same. When it
 * holds live connections alone, a way goes to a second bucket, by its tag, and a bit in `spilled`
 * says that the first has such.
 */
#define SL_WAYS 8u
#define SL_WAY_EMPTY 0u /* tags that no tuple has */
#define SL_WAY_TAKEN 1u /* being written */

struct sl_way {
	__u64 tag;
	__u64 word; /* endpoint, VIP, seen, flags: see way.h */
};

struct sl_bucket {
	struct sl_way way[SL_WAYS];
};

#define SL_ENDPOINTS_MAX ((1u << 22) - 2) /* so many bits has a way for an endpoint, */
#define SL_VIPS_MAX (1u << 18)            /* and for a VIP */

#define SL_FLOW_REPLY (1u << 0)    /* the endpoint-to-client way */
#define SL_FLOW_REDIRECT (1u << 1) /* both ways go straight to a device; else up the stack */
#define SL_FLOW_ANSWERED (1u << 2) /* SYN-ACK seen, or a UDP reply; on both ways */
#define SL_FLOW_FIN_IN (1u << 3)   /* client said FIN */
#define SL_FLOW_FIN_OUT (1u << 4)  /* endpoint said FIN */
#define SL_FLOW_CLOSED (1u << 5)   /* both FIN, or RST: counted as closed; on both ways */
#define SL_FLOW_ADOPTED (1u << 6)  /* began in the middle */
#define SL_FLOW_UDP (1u << 7)

/*
 * opens: array; when a connection's SYN came, until its SYN-ACK does. Direct-mapped by tag: under a
 * flood a sample of the handshakes.
 */
struct sl_open {
	__u64 tag;
	__u64 ns;
};

/*
 * exits: array; the kernel's own answer to where a packet goes, for a second at most. Direct-mapped
 * by destination and the device it came in by, so it is used only where nothing else decides: not
 * with rules of policy routing, nor with routes of several ways.
 */
struct sl_exit {
	__u32 addr[4]; /* IPv4 alone in [0] */
	__u32 from;    /* interface index */
	__u32 ifindex;
	__u8 mac[12]; /* destination and source, as they stand in a frame */
	__u16 mtu;    /* or the longest packet that was seen to fit */
	__u8 family;
	__u8 pad;
	__u32 device; /* SL_DEVICE_* of ifindex */
	__u32 until;  /* ticks */
	__u32 epoch;
	__u32 sequence; /* odd while it is written */
	__u32 rest[2];
};

/* Why they are not remembered: routing must look at destination and incoming device alone. */
enum sl_exits_off {
	SL_EXITS_KEPT,      /* remembered; anything else is not */
	SL_EXITS_UNKNOWN,   /* nobody has looked at the rules and routes, or the look failed */
	SL_EXITS_ASKED,     /* the agent was started so */
	SL_EXITS_POLICY,    /* a rule or a route looks at more than those two */
	SL_EXITS_MULTIPATH, /* a route has several next hops */
	SL_EXITS_OFF_COUNT
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

_Static_assert(sizeof(struct sl_control) == 80, "control");
_Static_assert(sizeof(struct sl_revision) == 48, "revision");
_Static_assert(sizeof(struct sl_service_key) == 24, "service key");
_Static_assert(sizeof(struct sl_split) == 16, "split");
_Static_assert(sizeof(struct sl_service) == 32, "service");
_Static_assert(sizeof(struct sl_rule) == 48, "rule");
_Static_assert(sizeof(struct sl_slots) == 8, "slots");
_Static_assert(sizeof(struct sl_pair) == 8, "pair");
_Static_assert(sizeof(struct sl_version) == 128, "version");
_Static_assert(sizeof(struct sl_endpoint) == 32, "endpoint");
_Static_assert(sizeof(struct sl_vip) == 24, "vip");
_Static_assert(sizeof(struct sl_stats) == 256, "stats");
_Static_assert(sizeof(struct sl_way) == 16, "way");
_Static_assert(sizeof(struct sl_bucket) == 128, "bucket: two cache lines");
_Static_assert(sizeof(struct sl_open) == 16, "open");
_Static_assert(sizeof(struct sl_exit) == 64, "exit: one cache line");
_Static_assert(sizeof(struct sl_fragment_key) == 40, "fragment key");
_Static_assert(sizeof(struct sl_counters) == 8 * SL_COUNTER_COUNT,
	       "one counter for each verdict and note");
