/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: our own, in an array. A hit costs one cache line and no lock, a new flow two.
 *
 * A way is written by whoever turned its tag to SL_WAY_TAKEN, and read without a lock: tag, word,
 * and the tag once more, so that a way that is given to another flow meanwhile is not read as this
 * one's. Flags and `seen` of a live way change by atomic operations on its word.
 */
#pragma once
#include "maps.h"
#include "parse.h"
#include "settings.h"
#include "stats.h"

#define HALF (SL_WAYS / 2) /* ways in a cache line */

/* A way as it was found. */
struct hit {
	struct sl_way *way;
	__u64 word;
};

static __always_inline __u16 flow_clock(void)
{
	return bpf_jiffies64() >> settings.seen_shift;
}

static __always_inline __u64 flow_tag(__u8 family, const __u32 *saddr, const __u32 *daddr,
				      __be16 sport, __be16 dport, __u8 protocol)
{
	return way_tag(&settings.flow_keys, family, saddr, daddr, sport, dport, protocol);
}

static __always_inline __u64 flow_tag_of(const struct pkt *pkt)
{
	return flow_tag(pkt->family, pkt->saddr, pkt->daddr, pkt->sport, pkt->dport, pkt->protocol);
}

/* Without a bit, neither end of the packet is a VIP or endpoint that a revision or flow names. */
static __always_inline int known_has(const __u32 *addr, __be16 port, __u8 family)
{
	__u32 bit = way_known_bit(addr, port, family) & settings.known_mask, word = bit >> 6;
	__u64 *bits = bpf_map_lookup_elem(&sl_known, &word);

	return bits && *bits >> (bit & 63) & 1;
}

static __always_inline __u32 flow_home(const struct pkt *pkt, int is_reply)
{
	return way_home(&settings.flow_keys, pkt->family, is_reply ? pkt->daddr : pkt->saddr,
			is_reply ? pkt->dport : pkt->sport, pkt->protocol);
}

static __always_inline struct sl_bucket *flow_bucket(__u32 home)
{
	__u32 at = home & settings.flow_mask;

	return bpf_map_lookup_elem(&sl_flows, &at);
}

static __always_inline __u64 *spilled_word(__u32 home)
{
	__u32 at = (home & settings.flow_mask) >> 6;

	return bpf_map_lookup_elem(&sl_spilled, &at);
}

static __always_inline int flow_has_spilled(__u32 home)
{
	__u64 *word = spilled_word(home);

	return word && *word >> (home & settings.flow_mask & 63) & 1;
}

/* The word of a way that is the tag's, else 0. */
static __always_inline int way_read(struct sl_way *way, __u64 tag, __u64 *ret_word)
{
	if (*(volatile __u64 *)&way->tag != tag)
		return 0;
	*ret_word = *(volatile __u64 *)&way->word;
	return *(volatile __u64 *)&way->tag == tag;
}

static __always_inline int bucket_find(struct sl_bucket *bucket, __u32 home, __u64 tag,
				       __u64 *ret_word)
{
	struct sl_way *own, *other;

	if (!bucket)
		return 0;
	own = &bucket->way[home >> 31 ? HALF : 0];
	other = &bucket->way[home >> 31 ? 0 : HALF];
#pragma unroll
	for (__u32 i = 0; i < HALF; i++)
		if (way_read(own + i, tag, ret_word))
			return 1;
#pragma unroll
	for (__u32 i = 0; i < HALF; i++)
		if (way_read(other + i, tag, ret_word))
			return 1;
	return 0;
}

/* A bucket's place of a tag's way, or SL_WAYS. */
static __always_inline __u32 bucket_at(__u32 home, __u64 tag)
{
	struct sl_bucket *bucket = flow_bucket(home);

	if (!bucket)
		return SL_WAYS;
#pragma unroll
	for (__u32 i = 0; i < SL_WAYS; i++)
		if (*(volatile __u64 *)&bucket->way[i].tag == tag)
			return i;
	return SL_WAYS;
}

/*
 * Where a tag's way is: bucket << 8 | place, or FLOW_NOWHERE. Which it is stays in here: the
 * verifier would judge all that follows once for each.
 */
#define FLOW_NOWHERE (~0ull)
__noinline __u64 flow_at(__u64 tag, __u32 home)
{
	__u32 at = bucket_at(home, tag);

	if (at < SL_WAYS)
		return (__u64)home << 8 | at;
	if (!flow_has_spilled(home))
		return FLOW_NOWHERE;
	at = bucket_at(tag, tag);
	return at < SL_WAYS ? (tag & 0xffffffff) << 8 | at : FLOW_NOWHERE;
}

/* The way itself, for those who change it. */
static __always_inline int flow_hit(__u64 tag, __u32 home, struct hit *ret_hit)
{
	__u64 at = flow_at(tag, home);
	struct sl_bucket *bucket = flow_bucket(at >> 8);

	if (at == FLOW_NOWHERE || !bucket)
		return 0;
	ret_hit->way = &bucket->way[at & (SL_WAYS - 1)];
	return way_read(ret_hit->way, tag, &ret_hit->word);
}

__noinline __u64 flow_find_slow(__u64 tag, __u32 home)
{
	struct hit hit = {};

	return flow_hit(tag, home, &hit) ? hit.word : 0;
}

/* The word of a flow. Its client's own cache line first; most of all flows are there. */
static __always_inline int flow_find(__u64 tag, __u32 home, __u64 *ret_word)
{
	if (bucket_find(flow_bucket(home), home, tag, ret_word))
		return 1;
	if (!flow_has_spilled(home))
		return 0;
	*ret_word = flow_find_slow(tag, home);
	return *ret_word != 0;
}

static __always_inline int flow_is_over(__u64 word, __u16 now)
{
	return word & SL_FLOW_CLOSED ||
	       (word & SL_FLOW_UDP && way_age(word, now) > settings.udp_idle_units);
}

/* --- from one way of a connection to the other --- */

/* The tag of what the endpoint answers to the packet's sender. 0: no such endpoint. */
static __always_inline __u64 flow_tag_reply(const struct pkt *pkt, __u32 index)
{
	struct sl_endpoint *endpoint = bpf_map_lookup_elem(&sl_endpoints, &index);

	if (!endpoint)
		return 0;
	return flow_tag(pkt->family, pkt->family == 4 ? endpoint->addr + 3 : endpoint->addr,
			pkt->saddr, endpoint->port, pkt->sport, pkt->protocol);
}

/* The tag of what the receiver of a reply sends. 0: no such VIP. */
static __always_inline __u64 flow_tag_opener(const struct pkt *pkt, __u64 word)
{
	__u32 index = way_vip(word);
	struct sl_vip *vip = bpf_map_lookup_elem(&sl_vips, &index);

	if (!vip)
		return 0;
	return flow_tag(pkt->family, pkt->daddr, pkt->family == 4 ? vip->addr + 3 : vip->addr,
			pkt->dport, vip->port, pkt->protocol);
}

/*
 * A reset that the other end does not believe, because its sequence number is wrong, closes nothing
 * (RFC 5961): a connection that goes on a while later is alive, as one whose beginning was not
 * seen. One that both ends have closed is not: what comes then are repeated acknowledgements.
 */
static __always_inline int is_alive_again(const struct pkt *pkt, __u64 opener)
{
	const __u32 both = SL_FLOW_FIN_IN | SL_FLOW_FIN_OUT;

	return opener & SL_FLOW_CLOSED && (opener & both) != both &&
	       !(pkt->tcp_flags & (TCP_FIN | TCP_RST | TCP_SYN));
}

/* Of a flow that was taken for closed, and is not. */
static __always_inline __u64 word_revive(__u64 word, int is_alive)
{
	return is_alive ? (word & ~(__u64)SL_FLOW_CLOSED) | SL_FLOW_ADOPTED : word;
}

static __always_inline void way_mark(const struct hit *hit, __u16 now, int is_alive)
{
	__u64 word = way_seen_set(word_revive(hit->word, is_alive), now);

	/* Another CPU's change wins: the next packet marks it. */
	__sync_val_compare_and_swap(&hit->way->word, hit->word, word);
}
