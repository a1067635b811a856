/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is remembered of a connection: its two ways in the flow table, its state, and the statistics
 * of its version.
 */
#pragma once
#include "classify.h"
#include "place.h"

/*
 * Adds flags to the tag's way, if it is of the same connection as `word`: the other half of one may
 * be lost, and its tuple another's by now. Returns the flags before and, above them, 1; 0 when it
 * has none.
 */
#define WAS_THERE (1u << 8)
__noinline int way_flag(__u64 tag, __u32 home, __u64 word, __u8 add)
{
	struct hit hit = {};

	for (int try = 0; try < FLOW_PUT_TRIES; try++) {
		if (!flow_hit(tag, home, &hit) || !way_is_same(hit.word, word))
			return 0;
		if (__sync_val_compare_and_swap(&hit.way->word, hit.word, hit.word | add) ==
		    hit.word)
			return WAS_THERE | (__u8)hit.word;
	}
	return 0;
}

static __always_inline struct sl_stats *flow_stats(__u64 word)
{
	__u32 index = way_endpoint(word);
	struct sl_endpoint *endpoint = bpf_map_lookup_elem(&sl_endpoints, &index);

	return endpoint ? stats_of(endpoint->version) : 0;
}

static __always_inline struct sl_open *open_place(__u64 tag)
{
	__u32 at = tag & (SL_OPENS - 1);

	return bpf_map_lookup_elem(&sl_opens, &at);
}

static __always_inline void open_end(__u64 tag, struct sl_stats *stats)
{
	struct sl_open *open = open_place(tag);

	if (open && open->tag == tag)
		stats_handshake(stats, bpf_ktime_get_ns() - open->ns);
}

/*
 * The first answer, FIN and RST of a flow: FIN of both or RST of one closes, once; the SYN-ACK
 * gives the handshake's time. The state is in the opener's way, whichever way the packet goes; that
 * it is answered or closed is in both, for whoever looks for a place.
 */
__noinline int flow_note(const struct pkt *pkt, __u64 word)
{
	const __u32 both = SL_FLOW_FIN_IN | SL_FLOW_FIN_OUT;
	__u64 tag, other, opener;
	__u32 old, add = 0;
	struct sl_stats *stats;
	int from_client;
	__u32 home;

	if (!pkt)
		return 0;
	from_client = !(word & SL_FLOW_REPLY);
	home = flow_home(pkt, !from_client);
	tag = flow_tag_of(pkt);
	other = from_client ? flow_tag_reply(pkt, way_endpoint(word)) : flow_tag_opener(pkt, word);
	opener = from_client ? tag : other;
	if (pkt->tcp_flags & TCP_FIN)
		add |= from_client ? SL_FLOW_FIN_IN : SL_FLOW_FIN_OUT;
	if (!from_client)
		add |= SL_FLOW_ANSWERED;
	stats = flow_stats(word);
	if (!stats)
		return 0;

	old = way_flag(opener, home, word, add);
	if (!old)
		return 0;
	if (!from_client && !(old & SL_FLOW_ANSWERED)) {
		way_flag(tag, home, word, SL_FLOW_ANSWERED);
		if (!(old & SL_FLOW_ADOPTED) &&
		    (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
			open_end(opener, stats);
	}
	if (!(pkt->tcp_flags & TCP_RST) && ((old | add) & both) != both)
		return 0;
	if (way_flag(opener, home, word, SL_FLOW_CLOSED) & SL_FLOW_CLOSED)
		return 0;
	way_flag(from_client ? other : tag, home, word, SL_FLOW_CLOSED);
	if (!(old & SL_FLOW_ADOPTED))
		stats->closed++;
	if (!from_client && pkt->tcp_flags & TCP_RST)
		stats->reset++;
	return 0;
}

/*
 * Keeps both ways of a live flow young: a one-sided stream would lose the other half. Returns 1
 * when the reply half had been evicted and was put back.
 */
__noinline int flow_touch(const struct pkt *pkt, __u64 word)
{
	int is_reply = (word & SL_FLOW_REPLY) != 0, is_alive, has_other, is_pair;
	struct hit hit = {}, other = {};
	__u16 now = flow_clock();
	__u64 tag;
	__u32 home;

	if (!pkt)
		return 0;
	home = flow_home(pkt, is_reply);
	if (!flow_hit(flow_tag_of(pkt), home, &hit))
		return 0;
	tag = is_reply ? flow_tag_opener(pkt, word) : flow_tag_reply(pkt, way_endpoint(word));
	has_other = flow_hit(tag, home, &other);
	is_pair = has_other && way_is_same(other.word, word);
	is_alive = is_alive_again(pkt, !is_reply ? hit.word : is_pair ? other.word : 0);
	way_mark(&hit, now, is_alive);
	if (is_pair)
		way_mark(&other, now, is_alive);
	/* Of another connection that lives, the endpoint's answers are its own. */
	if (is_pair || is_reply || (has_other && !flow_is_over(other.word, now)))
		return 0;
	/* The packet that puts it back may be the one that closed the flow. */
	word = word_revive(word | (hit.word & SL_FLOW_CLOSED), is_alive);
	word = way_seen_set(word, now) | SL_FLOW_REPLY;
	return flow_put(tag, home, word, flow_tag_of(pkt), 1) != PUT_FULL;
}

/*
 * Books a packet of a known flow: bytes, state, age. ICMP errors are not the connection's own
 * bytes.
 */
static __always_inline void flow_book(const struct pkt *pkt, __u64 word, __u32 version, __u32 door)
{
	struct sl_stats *stats = stats_of(version);

	if (pkt->kind == PKT_ICMP || !stats)
		return;
	if (word & SL_FLOW_REPLY) {
		stats->packets_out++;
		stats->bytes_out += pkt->ip_len;
	} else {
		stats->packets_in++;
		stats->bytes_in += pkt->ip_len;
	}
	if (pkt->tcp_flags & (TCP_FIN | TCP_RST) ||
	    (word & (SL_FLOW_REPLY | SL_FLOW_ANSWERED)) == SL_FLOW_REPLY)
		flow_note(pkt, word);
	if (way_seen(word) != flow_clock() && flow_touch(pkt, word))
		count(door, SL_note_reply_restored);
}

/*
 * The reply way of a connection that a SYN has given to another endpoint; unless it is another
 * connection's by now: the same client port talks to a second service, which has the same endpoint.
 */
static __always_inline void flow_forget_reply(const struct pkt *pkt, __u64 word)
{
	__u64 tag = flow_tag_reply(pkt, way_endpoint(word));
	struct hit hit = {};

	if (flow_hit(tag, flow_home(pkt, 0), &hit) && hit.word & SL_FLOW_REPLY &&
	    way_vip(hit.word) == way_vip(word))
		flow_drop(hit.way, tag);
}

/* The packet's own way was of a connection that is over: what follows is not ours. */
__noinline int flow_disown(const struct pkt *pkt)
{
	struct hit hit = {};
	__u64 tag;

	if (!pkt)
		return 0;
	tag = flow_tag_of(pkt);
	if (flow_hit(tag, flow_home(pkt, 1), &hit))
		flow_drop(hit.way, tag);
	return 0;
}

/*
 * What stands under the tuple of a new flow ends: closed, if it was not. Returns 1 when it is the
 * same SYN once more, one connection.
 */
__noinline int flow_end(const struct pkt *pkt, __u64 word, __u64 next)
{
	struct sl_stats *before = flow_stats(word);
	int is_same = way_endpoint(word) == way_endpoint(next);

	if (!pkt)
		return 0;
	if (!is_same)
		flow_forget_reply(pkt, word);
	if (word & (SL_FLOW_CLOSED | SL_FLOW_ADOPTED))
		return 0;
	if (is_same && !(word & SL_FLOW_ANSWERED) && pkt->protocol == IPPROTO_TCP)
		return 1;
	if (before)
		before->closed++;
	return 0;
}

/* Counts a new flow, after what stood under its tuple has been closed. */
__noinline int flow_begin(const struct pkt *pkt, const struct decision *decision)
{
	struct sl_stats *stats;
	struct sl_open *open;
	int is_again = 0;
	__u64 tag, before;

	if (!pkt || !decision)
		return 0;
	tag = flow_tag_of(pkt);
	before = flow_find_slow(tag, flow_home(pkt, 0));
	if (before)
		is_again = flow_end(pkt, before, decision->word);
	stats = stats_of(decision->version);
	if (stats) {
		stats->opened += decision->origin >= ORIGIN_OPEN && !is_again;
		stats->packets_in++;
		stats->bytes_in += pkt->ip_len;
	}
	/* A handshake is measured from the first SYN. */
	open = open_place(tag);
	if (open && pkt->protocol == IPPROTO_TCP && !(is_again && open->tag == tag)) {
		open->tag = tag;
		open->ns = bpf_ktime_get_ns();
	}
	return 0;
}

/*
 * Writes a new flow down, both ways. The reply's goes first: an answer must never find the other
 * alone. Returns the worse enum put.
 */
__noinline int flow_write(const struct pkt *pkt, const struct decision *decision, int may_evict)
{
	__u64 word, tag, back;
	int reply, opener;
	__u32 home;

	if (!pkt || !decision)
		return PUT_DONE;
	home = flow_home(pkt, 0);
	tag = flow_tag_of(pkt);
	back = flow_tag_reply(pkt, way_endpoint(decision->word));
	word = way_seen_set(decision->word, flow_clock()) |
	       (decision->origin == ORIGIN_ADOPT ? SL_FLOW_ADOPTED : 0) |
	       (pkt->protocol == IPPROTO_UDP ? SL_FLOW_UDP : 0);
	if (decision->origin == ORIGIN_ONE_WAY)
		back = SL_WAY_TAKEN;
	reply = flow_put(back, home, word | SL_FLOW_REPLY, tag, may_evict);
	if (reply == PUT_FULL || reply == PUT_CROWDED)
		return reply;
	opener = flow_put(tag, home, word, back, may_evict);
	return opener > reply ? opener : reply;
}

/* The same; before an answered flow loses its way, others make room. */
static __always_inline int flow_remember(const struct pkt *pkt, const struct decision *decision)
{
	int put = flow_write(pkt, decision, 0), room;

	if (put != PUT_CROWDED)
		return put;
	room = flow_make_room(flow_home(pkt, 0), flow_clock());
	put = flow_write(pkt, decision, 1);
	return put > room ? put : room;
}

__noinline int fragment_remember(const struct pkt *pkt)
{
	struct sl_fragment_key key = {};
	struct sl_fragment fragment = {};

	if (!pkt)
		return 0;
	key.id = pkt->fragment_id;
	key.protocol = pkt->protocol;
	key.family = pkt->family;
	__builtin_memcpy(key.saddr, pkt->saddr, 16);
	__builtin_memcpy(key.daddr, pkt->daddr, 16);
	fragment.sport = pkt->sport;
	fragment.dport = pkt->dport;
	return bpf_map_update_elem(&sl_fragments, &key, &fragment, BPF_ANY);
}
