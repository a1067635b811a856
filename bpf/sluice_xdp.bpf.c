// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP door: the same decisions before an skb exists. What it cannot finish (a neighbour still
 * unknown, a device that takes no XDP frames) it leaves untouched to the tc door of the same
 * device, which is always there beside it.
 */
#include "maps.h"

#include "settings.h"
#include "target.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
const volatile struct sl_settings settings = {
	.redirect = 1,
};

typedef struct xdp_md door_ctx;

static __always_inline struct view door_frame(struct xdp_md *xdp)
{
	return (struct view){ (void *)(long)xdp->data, (void *)(long)xdp->data_end, 0 };
}

static __always_inline long door_store(struct xdp_md *xdp, __u32 offset, const void *from,
				       const __u32 size)
{
	struct view view = door_frame(xdp);
	void *at = view_at(&view, offset, size);

	if (!at)
		return -1;
	__builtin_memcpy(at, from, size);
	return 0;
}

#define door_store_slow(ctx, offset, from, size)                                                   \
	bpf_xdp_store_bytes(ctx, offset, (void *)(from), size)
#define door_load(ctx, offset, to, size) bpf_xdp_load_bytes(ctx, offset, to, size)

static __always_inline long door_l3_csum(struct xdp_md *xdp, __u32 offset, __u32 delta)
{
	struct view view = door_frame(xdp);
	__u16 *check = view_at(&view, offset, 2);

	if (!check)
		return -1;
	*check = csum_apply(*check, delta);
	return 0;
}

static __always_inline void check_write(__u16 *check, __u32 delta, int is_udp)
{
	__u16 sum;

	if (is_udp && !*check)
		return;
	sum = csum_apply(*check, delta);
	*check = is_udp && !sum ? 0xffff : sum;
}

static __always_inline long door_l4_csum(struct xdp_md *xdp, __u32 offset, __u32 delta, __u32 flags)
{
	struct view view = door_frame(xdp);
	__u16 *check = view_at(&view, offset, 2);

	if (!check)
		return -1;
	check_write(check, delta, flags & CSUM_UDP);
	return 0;
}

static __always_inline void ttl_lower4(struct iphdr *ip, __u32 delta)
{
	ip->ttl--;
	ip->check = csum_apply(ip->check, csum_delta16(delta, bpf_htons(0x0100), 0));
}

static __always_inline long door_lower_ttl(struct xdp_md *xdp, const struct pkt *pkt)
{
	struct view view = door_frame(xdp);
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (pkt->family == 4) {
		ip = view_at(&view, pkt->l3, sizeof(*ip));
		if (!ip)
			return -1;
		ttl_lower4(ip, 0);
		return 0;
	}
	ip6 = view_at(&view, pkt->l3, sizeof(*ip6));
	if (!ip6)
		return -1;
	ip6->hop_limit--;
	return 0;
}

static __always_inline long transport_rewrite(const struct view *view, const struct pkt *pkt,
					      __be16 port, int is_dst, __u32 delta)
{
	__be16 *ports;

	if (pkt->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = view_at(view, pkt->l4, sizeof(*tcp));

		if (!tcp)
			return -1;
		check_write(&tcp->check, delta, 0);
		ports = &tcp->source;
	} else {
		struct udphdr *udp = view_at(view, pkt->l4, sizeof(*udp));

		if (!udp)
			return -1;
		check_write(&udp->check, delta, 1);
		ports = &udp->source;
	}
	ports[is_dst ? 1 : 0] = port;
	return 0;
}

/* A TCP or UDP packet, or (no ports) a later fragment of one. */
static __always_inline long door_rewrite(struct xdp_md *xdp, const struct pkt *pkt,
					 const struct target *to, int is_dst, int is_forwarded)
{
	__u32 delta = addr_delta(is_dst ? pkt->daddr : pkt->saddr, to->addr, pkt->family);
	struct view view = door_frame(xdp);

	if (pkt->family == 4) {
		struct iphdr *ip = view_at(&view, pkt->l3, sizeof(*ip));

		if (!ip)
			return -1;
		*(is_dst ? &ip->daddr : &ip->saddr) = to->addr[0];
		if (is_forwarded)
			ttl_lower4(ip, delta);
		else
			ip->check = csum_apply(ip->check, delta);
	} else {
		struct ipv6hdr *ip = view_at(&view, pkt->l3, sizeof(*ip));

		if (!ip)
			return -1;
		__builtin_memcpy(is_dst ? &ip->daddr : &ip->saddr, to->addr, 16);
		ip->hop_limit -= is_forwarded;
	}
	if (pkt->kind == PKT_FRAGMENT)
		return 0;
	delta = csum_delta16(delta, is_dst ? pkt->dport : pkt->sport, to->port);
	return transport_rewrite(&view, pkt, to->port, is_dst, delta);
}

static __always_inline long door_resize(struct xdp_md *xdp, __u32 length)
{
	return bpf_xdp_adjust_tail(xdp, (int)(length - bpf_xdp_get_buff_len(xdp)));
}

static __always_inline int door_up(struct xdp_md *xdp)
{
	return XDP_PASS;
}

static __always_inline int door_drop(void)
{
	return XDP_DROP;
}

/* A device that takes no XDP frames cannot take the answer back either. */
static __always_inline int door_defer(struct xdp_md *xdp)
{
	return !(device_flags(xdp->ingress_ifindex) & SL_DEVICE_XDP_TARGET);
}

/*
 * Not XDP_TX: a veth device whose peer has no program of its own never wakes it for that.
 */
static __always_inline int door_back(struct xdp_md *xdp)
{
	return bpf_redirect(xdp->ingress_ifindex, 0);
}

#define door_ifindex(xdp) ((xdp)->ingress_ifindex)
#define door_length(xdp, pkt) ((pkt)->ip_len)

/*
 * The first buffer holds the headers; not every driver can send the others. They may hold padding
 * alone: only where the first has some of it, more than Ethernet asks for, is that a question.
 */
static __always_inline int is_in_pieces(struct xdp_md *xdp, const struct pkt *pkt)
{
	__u32 first = xdp->data_end - xdp->data, packet = pkt->l3 + pkt->ip_len;

	return packet > first ||
	       (packet < first && first > ETH_ZLEN && bpf_xdp_get_buff_len(xdp) > first);
}

static __always_inline int door_way(struct xdp_md *xdp, const struct pkt *pkt,
				    const struct exit *exit)
{
	__u32 needs = SL_DEVICE_XDP_TARGET | (is_in_pieces(xdp, pkt) ? SL_DEVICE_XDP_PIECES : 0);

	return exit->is_unresolved || (exit->device & needs) != needs ? WAY_DEFER : WAY_OUT;
}

static __always_inline int door_exit(struct xdp_md *xdp, const struct exit *exit, int way)
{
	struct view view = door_frame(xdp);
	void *eth = view_at(&view, 0, sizeof(exit->mac));

	if (!eth)
		return XDP_DROP;
	__builtin_memcpy(eth, exit->mac, sizeof(exit->mac));
	return bpf_redirect(exit->ifindex, 0);
}

#include "act.h"

/*
 * A broadcast or multicast frame. Another host's own frames are seen on a promiscuous device alone:
 * a known limit.
 */
static __always_inline int is_for_many(struct xdp_md *xdp)
{
	struct view view = door_frame(xdp);
	__u8 *mac = view_at(&view, 0, ETH_ALEN);

	return mac && mac[0] & 1;
}

SEC("xdp.frags")
int sl_xdp(struct xdp_md *xdp)
{
	struct pkt pkt = {};
	int verdict = is_for_many(xdp) ? SL_pass_not_for_us : frame_read(xdp, &pkt);

	if (verdict >= 0) {
		count(SL_DOOR_XDP, verdict);
		return XDP_PASS;
	}
	return door_run(xdp, &pkt, SL_DOOR_XDP);
}
