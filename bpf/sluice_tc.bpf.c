// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tc doors: ingress decides and sends, egress gives replies that came through the stack their
 * VIP back. Bytes are changed through helpers, because an skb may carry offloaded checksums, be
 * cloned, or lie in fragments.
 */
#include "maps.h"

#include "settings.h"
#include "target.h"

#include <linux/pkt_cls.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";
const volatile struct sl_settings settings = {
	.redirect = 1,
};

#define PULL_BYTES 192 /* every header that parse reads, in one linear piece */
#define PACKET_TO_US 0 /* PACKET_HOST of linux/if_packet.h */

typedef struct __sk_buff door_ctx;

#define door_store(ctx, offset, from, size) bpf_skb_store_bytes(ctx, offset, from, size, 0)
#define door_store_slow door_store
#define door_load(ctx, offset, to, size) bpf_skb_load_bytes(ctx, offset, to, size)
#define door_l3_csum(ctx, offset, delta) bpf_l3_csum_replace(ctx, offset, 0, delta, 0)

/*
 * A change that no checksum in the packet evens out: the device's own sum of the packet, if it made
 * one, must follow.
 */
#define door_sum(ctx, delta) ((void)bpf_csum_update(ctx, delta))

static __always_inline long door_l4_csum(struct __sk_buff *skb, __u32 offset, __u32 delta,
					 __u32 flags)
{
	__be16 check = 1;
	long err;

	if (!delta)
		return 0;
	/* UDP without a checksum: an IPv4 address is still evened out by its header's. */
	if (flags & CSUM_UDP && !bpf_skb_load_bytes(skb, offset, &check, sizeof(check)) && !check) {
		if ((flags & (CSUM_PSEUDO | CSUM_V6)) != CSUM_PSEUDO)
			door_sum(skb, delta);
		return 0;
	}
	err = bpf_l4_csum_replace(skb, offset, 0, delta,
				  (flags & CSUM_PSEUDO ? BPF_F_PSEUDO_HDR : 0) |
					  (flags & CSUM_UDP ? BPF_F_MARK_MANGLED_0 : 0));
	/*
	 * With CHECKSUM_COMPLETE the helper also takes the address's change out of the skb's sum,
	 * as IPv4 needs, whose header checksum evens it out. IPv6 has no such checksum: put it
	 * back.
	 */
	if (!err && (flags & (CSUM_PSEUDO | CSUM_V6)) == (CSUM_PSEUDO | CSUM_V6))
		door_sum(skb, delta);
	return err;
}

static __always_inline long door_resize(struct __sk_buff *skb, __u32 length)
{
	return bpf_skb_change_tail(skb, length, 0);
}

static __always_inline int door_up(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC; /* tcx: the next program's turn; clsact: the next filter's */
}

static __always_inline int door_drop(void)
{
	return TC_ACT_SHOT;
}

static __always_inline int door_defer(struct __sk_buff *skb)
{
	return 0;
}

static __always_inline int door_back(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline struct view door_frame(struct __sk_buff *skb)
{
	struct view view = { (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len };

	if (view.data + PULL_BYTES > view.data_end && skb->len > skb->data_end - skb->data) {
		bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
		view.data = (void *)(long)skb->data;
		view.data_end = (void *)(long)skb->data_end;
	}
	return view;
}

/*
 * What must fit the next device's MTU: of a merged skb one segment. The kernel's own check would
 * let any merged one through, and segments that are too long for the path would be lost without a
 * word.
 */
static __always_inline __u32 skb_length(const struct __sk_buff *skb, const struct pkt *pkt)
{
	return skb->gso_size ? pkt->l4 - pkt->l3 + pkt->l4_len + skb->gso_size : pkt->ip_len;
}

#define door_ifindex(skb) ((skb)->ifindex)
#define door_length skb_length

static __always_inline int door_way(struct __sk_buff *skb, const struct pkt *pkt,
				    const struct exit *exit)
{
	return exit->is_unresolved ? WAY_NEIGHBOUR : WAY_OUT;
}

/*
 * IPv4 in one store: TTL, protocol, checksum, addresses. What the addresses and the TTL add to a
 * sum of the whole packet, the header's checksum takes away.
 */
static __always_inline long rewrite4(struct __sk_buff *skb, const struct pkt *pkt,
				     const struct target *to, int is_dst, int is_forwarded,
				     __u32 delta)
{
	struct {
		__u8 ttl, protocol;
		__u16 check;
		__u32 saddr, daddr;
	} tail;
	__u32 at = pkt->l3 + __builtin_offsetof(struct iphdr, ttl);

	if (bpf_skb_load_bytes(skb, at, &tail, sizeof(tail)))
		return -1;
	if (is_forwarded) {
		tail.ttl--;
		delta = csum_delta16(delta, bpf_htons(0x0100), 0);
	}
	tail.check = csum_apply(tail.check, delta);
	*(is_dst ? &tail.daddr : &tail.saddr) = to->addr[0];
	return bpf_skb_store_bytes(skb, at, &tail, sizeof(tail), 0);
}

static __always_inline long door_lower_ttl(struct __sk_buff *skb, const struct pkt *pkt)
{
	__u8 ttl = pkt->ttl - 1;

	/* The TTL is the first byte of its 16-bit word, whatever the machine's byte order. */
	if (pkt->family == 4)
		return bpf_l3_csum_replace(skb, pkt->l3 + 10, bpf_htons(pkt->ttl << 8),
					   bpf_htons(ttl << 8), 2) ||
		       bpf_skb_store_bytes(skb, pkt->l3 + 8, &ttl, 1, 0);
	return bpf_skb_store_bytes(skb, pkt->l3 + 7, &ttl, 1, BPF_F_RECOMPUTE_CSUM);
}

/* A TCP or UDP packet, or (no ports) a later fragment of one. */
__noinline int door_rewrite(struct __sk_buff *skb, const struct pkt *pkt, const struct target *to,
			    int is_dst, int is_forwarded)
{
	__u32 delta, check, flags;
	__be16 port;

	if (!pkt || !to)
		return -1;
	delta = addr_delta(is_dst ? pkt->daddr : pkt->saddr, to->addr, pkt->family);
	check = pkt->l4 + (pkt->protocol == IPPROTO_TCP ? 16 : 6);
	flags = (pkt->protocol == IPPROTO_UDP ? CSUM_UDP : 0) | (pkt->family == 6 ? CSUM_V6 : 0);
	port = is_dst ? pkt->dport : pkt->sport;
	if (pkt->family == 4) {
		if (rewrite4(skb, pkt, to, is_dst, is_forwarded, delta))
			return -1;
	} else if (bpf_skb_store_bytes(skb, pkt->l3 + (is_dst ? 24 : 8), to->addr, 16, 0) ||
		   (is_forwarded && door_lower_ttl(skb, pkt))) {
		return -1;
	}
	if (pkt->kind == PKT_FRAGMENT) {
		if (pkt->family == 6)
			door_sum(skb, delta);
		return 0;
	}
	if (door_l4_csum(skb, check, delta, flags | CSUM_PSEUDO))
		return -1;
	if (port == to->port)
		return 0;
	return door_l4_csum(skb, check, csum_delta16(0, port, to->port), flags) ||
	       bpf_skb_store_bytes(skb, pkt->l4 + (is_dst ? 2 : 0), &to->port, 2, 0);
}

static __always_inline int door_exit(struct __sk_buff *skb, const struct exit *exit, int way)
{
	if (way == WAY_NEIGHBOUR)
		return bpf_redirect_neigh(exit->ifindex, 0, 0, 0);
	bpf_skb_store_bytes(skb, 0, exit->mac, sizeof(exit->mac), 0);
	/* Saves the way out of the device and in again on its other side. */
	if (exit->device & SL_DEVICE_PEER)
		return bpf_redirect_peer(exit->ifindex, 0);
	return bpf_redirect(exit->ifindex, 0);
}

#include "act.h"

static __always_inline int skb_run(struct __sk_buff *skb, __u32 door)
{
	struct pkt pkt = {};
	int verdict = frame_read(skb, &pkt);

	if (verdict >= 0) {
		count(door, verdict);
		return TC_ACT_UNSPEC;
	}
	if (skb->vlan_present)
		pkt.vlan = 1;
	return door_run(skb, &pkt, door);
}

SEC("tc")
int sl_tc_in(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_TO_US) {
		count(SL_DOOR_TC, SL_pass_not_for_us);
		return TC_ACT_UNSPEC;
	}
	return skb_run(skb, SL_DOOR_TC);
}

SEC("tc")
int sl_tc_out(struct __sk_buff *skb)
{
	return skb_run(skb, SL_DOOR_OUT);
}

/* The doors' clock: its value is what the run returns. Run once, when the maps are made. */
SEC("tc")
int sl_clock(struct __sk_buff *skb)
{
	return bpf_jiffies64();
}
