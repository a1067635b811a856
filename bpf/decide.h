/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A decision, and the walk through the tables that makes one for a new connection: revision,
 * service, rule, split, slot, version, ring, endpoint.
 */
#pragma once
#include "flow.h"
#include "pick.h"
#include "settings.h"
#include "stats.h"

enum action {
	ACT_PASS,
	ACT_DISOWN,      /* pass, and forget the way that it took the packet for its own */
	ACT_TO_ENDPOINT, /* write the flow's peer over the destination */
	ACT_TO_CLIENT,   /* write the flow's peer over the source */
	ACT_REFUSE,
	ACT_DROP,
};

enum origin {
	ORIGIN_FLOW,    /* the flow is in the table */
	ORIGIN_ADOPT,   /* unknown, in its middle */
	ORIGIN_OPEN,    /* new: a SYN, or the first datagram */
	ORIGIN_ONE_WAY, /* the same of a datagram whose endpoint answers another's */
};

struct decision {
	__u64 word;    /* of the flow; of a new one, its endpoint and VIP */
	__u32 version; /* index; of a new flow, and when refused */
	__u8 action;
	__u8 origin;
	__u8 verdict; /* when the action leaves no choice of one */
	__u8 note;    /* 0, or a note to count */
};

static __always_inline int decide(struct decision *decision, __u8 action, __u8 verdict)
{
	decision->action = action;
	decision->verdict = verdict;
	return action;
}

/*
 * The active revision, read once. A word that names no hot revision must not turn services off: the
 * last good one holds, whoever made it active.
 */
static __always_inline __u32 revision_active(struct decision *decision)
{
	__u32 zero = 0, *active = bpf_map_lookup_elem(&sl_active, &zero);
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);
	struct sl_revision *entry;
	__u32 number, place;

	if (!active || !control)
		return 0;
	number = *(volatile __u32 *)active;
	place = number & (SL_PLACES - 1);
	entry = bpf_map_lookup_elem(&sl_revisions, &place);
	/* 0 is the number of an empty place. */
	if (!entry || !number || entry->number != number) {
		decision->note = SL_note_active_unknown;
		return *(volatile __u32 *)&control->fallback;
	}
	if (*(volatile __u32 *)&control->fallback != number)
		*(volatile __u32 *)&control->fallback = number;
	return number;
}

static __always_inline void mapped(__u32 to[4], const __u32 from[4], __u8 family)
{
	if (family == 6) {
		__builtin_memcpy(to, from, 16);
		return;
	}
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = from[0];
}

static __always_inline struct sl_service *service_find(const struct pkt *pkt, __u32 revision)
{
	struct sl_service_key key = {
		.revision = revision,
		.port = pkt->dport,
		.protocol = pkt->protocol,
	};

	/* What IPv4 is kept as, IPv6 must not name. */
	if (pkt->family == 6 && !(pkt->daddr[0] | pkt->daddr[1]) &&
	    pkt->daddr[2] == bpf_htonl(0xffff))
		return 0;
	mapped(key.vip, pkt->daddr, pkt->family);
	return bpf_map_lookup_elem(&sl_services, &key);
}

/* The split of the first rule whose source prefix holds the client, or the service's own. */
static __always_inline void split_find(const struct pkt *pkt, const struct sl_service *service,
				       struct sl_split *ret_split)
{
	__u32 source[4];

	mapped(source, pkt->saddr, pkt->family);
	for (__u32 i = 0; i < SL_RULES_MAX && i < service->rule_count; i++) {
		__u32 at = service->rule_base + i;
		struct sl_rule *rule = bpf_map_lookup_elem(&sl_rules, &at);

		if (!rule)
			break;
		if (!(((source[0] ^ rule->prefix[0]) & rule->mask[0]) |
		      ((source[1] ^ rule->prefix[1]) & rule->mask[1]) |
		      ((source[2] ^ rule->prefix[2]) & rule->mask[2]) |
		      ((source[3] ^ rule->prefix[3]) & rule->mask[3]))) {
			*ret_split = rule->split;
			return;
		}
	}
	*ret_split = service->otherwise;
}

static __always_inline __u64 pkt_hash(const struct pkt *pkt, const __u64 *seed, int by_client)
{
	struct pick_key key = {};

	if (pkt->family == 4) {
		pick_key4(&key, bpf_ntohl(pkt->saddr[0]), bpf_ntohl(pkt->daddr[0]),
			  bpf_ntohs(pkt->sport), bpf_ntohs(pkt->dport), pkt->protocol, by_client);
	} else {
		__u64 saddr[2], daddr[2];

		__builtin_memcpy(saddr, pkt->saddr, 16);
		__builtin_memcpy(daddr, pkt->daddr, 16);
		saddr[0] = bpf_be64_to_cpu(saddr[0]);
		saddr[1] = bpf_be64_to_cpu(saddr[1]);
		daddr[0] = bpf_be64_to_cpu(daddr[0]);
		daddr[1] = bpf_be64_to_cpu(daddr[1]);
		pick_key6(&key, saddr, daddr, bpf_ntohs(pkt->sport), bpf_ntohs(pkt->dport),
			  pkt->protocol, by_client);
	}
	return pick_hash(&key, seed);
}

/*
 * Member `ordinal` of a split: its version's index, and its ring in one read. -1 when the tables
 * disagree.
 */
static __always_inline int member_ring(const struct sl_split *split, __u32 ordinal,
				       __u32 *ret_version, __u64 *ret_ring)
{
	__u32 at = split->member_base + ordinal, pair = at >> 1;
	struct sl_pair *members = bpf_map_lookup_elem(&sl_members, &pair);
	struct sl_version *version;

	if (!members)
		return -1;
	*ret_version = members->at[at & 1];
	if (*ret_version & SL_MEMBER_NO_WEIGHT)
		return -1;
	version = bpf_map_lookup_elem(&sl_versions, ret_version);
	if (!version)
		return -1;
	*ret_ring = *(volatile __u64 *)&version->ring;
	return 0;
}

static __always_inline int slot_ring(const struct sl_split *split, __u32 slot, __u32 *ret_version,
				     __u64 *ret_ring)
{
	__u32 group = split->slot_base + slot / SL_SLOTS_PER_GROUP;
	struct sl_slots *slots = bpf_map_lookup_elem(&sl_slots, &group);

	if (!slots)
		return -1;
	return member_ring(split, slots->ordinal[slot % SL_SLOTS_PER_GROUP], ret_version, ret_ring);
}

/*
 * Another version for an empty one's key. Returns 0 with version and ring, or -1 when none has an
 * endpoint.
 */
static __noinline int spill(const struct sl_split *split, __u64 hash, __u32 *ret_version,
			    __u64 *ret_ring)
{
	for (__u32 i = 1; i <= SL_SPILL_TRIES; i++)
		if (!slot_ring(split, pick_slot(hash, split->slot_mask, i), ret_version,
			       ret_ring) &&
		    *ret_ring >> 32)
			return 0;
	for (__u32 i = 0; i < SL_MEMBERS_MAX && i < split->member_count; i++)
		if (!member_ring(split, i, ret_version, ret_ring) && *ret_ring >> 32)
			return 0;
	return -1;
}

/*
 * Whether the endpoint has a live connection of the same client's address and port, to another VIP.
 * Clients use a port again for another destination, and the endpoint could not tell the two apart:
 * the first would break, and it stays (promise 7).
 */
__noinline int endpoint_is_taken(const struct pkt *pkt, __u32 index, __u32 vip)
{
	struct hit hit = {};
	__u16 now;

	/* Not by flow_find_slow: a call less, for the stacks of all add up to what kernels allow.
	 */
	if (!pkt || !flow_hit(flow_tag_reply(pkt, index), flow_home(pkt, 0), &hit))
		return 0;
	now = flow_clock();
	/* A SYN that nobody answers any more is no connection. */
	if (!(hit.word & (SL_FLOW_ANSWERED | SL_FLOW_UDP)) &&
	    way_age(hit.word, now) > settings.syn_idle_units)
		return 0;
	return hit.word & SL_FLOW_REPLY && way_vip(hit.word) != vip && !flow_is_over(hit.word, now);
}

/*
 * A ring's endpoint for the connection. When all that are tried are taken, a connection is refused;
 * datagrams, which many send one way from one port, go to the first: see flow_write.
 */
static __always_inline int pick_endpoint(const struct pkt *pkt, __u64 ring, __u64 hash, __u32 vip,
					 struct decision *decision)
{
	__u32 index = 0, first = 0;

	for (__u32 attempt = 0; attempt < SL_PLACE_TRIES; attempt++) {
		__u32 place = (__u32)ring + pick_place(hash, ring >> 32, attempt),
		      pair = place >> 1;
		struct sl_pair *words = bpf_map_lookup_elem(&sl_rings, &pair);

		if (!words)
			return decide(decision, ACT_DROP, SL_drop_table);
		index = words->at[place & 1];
		if (index >= SL_ENDPOINTS_MAX)
			return decide(decision, ACT_DROP, SL_drop_table);
		first = attempt ? first : index;
		if (!endpoint_is_taken(pkt, index, vip))
			break;
		if (attempt < SL_PLACE_TRIES - 1)
			continue;
		if (pkt->protocol == IPPROTO_TCP)
			return decide(decision, ACT_REFUSE, SL_refuse_empty);
		index = first;
		decision->origin = ORIGIN_ONE_WAY;
	}
	decision->word = way_word(index, vip, 0, 0);
	return decide(decision, ACT_TO_ENDPOINT, 0);
}

/*
 * Two stages: slot to version, which belongs to the revision; ring to endpoint, which all revisions
 * share.
 */
static __always_inline int pick(const struct pkt *pkt, const struct sl_split *split, __u32 vip,
				struct decision *decision)
{
	__u32 zero = 0, version = 0;
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);
	__u64 hash, ring = 0;

	if (!control)
		return decide(decision, ACT_DROP, SL_drop_table);
	hash = pkt_hash(pkt, control->seed, split->flags & SL_SPLIT_BY_CLIENT);
	if (slot_ring(split, pick_slot(hash, split->slot_mask, 0), &version, &ring))
		return decide(decision, ACT_DROP, SL_drop_table);
	decision->version = version;
	if (!(ring >> 32)) {
		if (!(split->flags & SL_SPLIT_SPILL) || spill(split, hash, &version, &ring))
			return decide(decision, ACT_REFUSE, SL_refuse_empty);
		decision->version = version;
		decision->note = SL_note_spilled;
	}
	return pick_endpoint(pkt, ring, hash, vip, decision);
}
