// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP door: the same decisions before an skb exists. What it cannot finish (a neighbour still
 * unknown, a device that takes no XDP frames) it leaves untouched to the tc door of the same
 * device, which is always there beside it.
 */
#include "maps.h"

#include "csum.h"
#include "route.h"
#include "settings.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
const volatile struct sl_settings settings = {
	.udp_idle_ns = SL_UDP_IDLE_NS_DEFAULT,
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

static __always_inline long door_l4_csum(struct xdp_md *xdp, __u32 offset, __u32 delta, __u32 flags)
{
	struct view view = door_frame(xdp);
	__u16 *check = view_at(&view, offset, 2);
	__u16 sum;

	if (!check)
		return -1;
	if (flags & 2 && !*check)
		return 0;
	sum = csum_apply(*check, delta);
	*check = flags & 2 && !sum ? 0xffff : sum;
	return 0;
}

#define door_sum(ctx, delta) ((void)0) /* no skb yet */

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
	return !(route_device(xdp->ingress_ifindex) & SL_DEVICE_XDP_TARGET);
}

/*
 * Not XDP_TX while there is another way: a veth device whose peer has no program of its own never
 * wakes it for that.
 */
static __always_inline int door_back(struct xdp_md *xdp)
{
	return bpf_redirect_map(&sl_txdevs, xdp->ingress_ifindex, XDP_TX);
}

static __always_inline int door_route(struct xdp_md *xdp, const struct pkt *pkt, const __u32 *saddr,
				      const __u32 *daddr, __u32 ifindex, struct exit *ret_exit)
{
	struct bpf_fib_lookup fib = {};
	__u32 device;
	long err;

	route_fill(&fib, pkt, saddr, daddr, ifindex ? ifindex : xdp->ingress_ifindex, pkt->ip_len);
	if (pkt->ttl <= 1)
		return WAY_UP;
	err = bpf_fib_lookup(xdp, &fib, sizeof(fib), 0);
	if (err != BPF_FIB_LKUP_RET_SUCCESS && err != BPF_FIB_LKUP_RET_NO_NEIGH)
		return WAY_UP;
	device = route_device(fib.ifindex);
	if (!(device & SL_DEVICE_ATTACHED))
		return WAY_UP;
	route_exit(&fib, ret_exit);
	return err || !(device & SL_DEVICE_XDP_TARGET) ? WAY_DEFER : WAY_OUT;
}

static __always_inline int door_exit(struct xdp_md *xdp, const struct pkt *pkt,
				     const struct exit *exit, int way)
{
	struct view view = door_frame(xdp);
	void *eth = view_at(&view, 0, sizeof(exit->mac));

	if (!eth)
		return XDP_DROP;
	__builtin_memcpy(eth, exit->mac, sizeof(exit->mac));
	if (pkt->family == 4) {
		struct iphdr *ip = view_at(&view, pkt->l3, sizeof(*ip));

		if (!ip)
			return XDP_DROP;
		ip->ttl--;
		ip->check = csum_apply(ip->check, csum_delta16(0, bpf_htons(0x0100), 0));
	} else {
		struct ipv6hdr *ip = view_at(&view, pkt->l3, sizeof(*ip));

		if (!ip)
			return XDP_DROP;
		ip->hop_limit--;
	}
	return bpf_redirect_map(&sl_txdevs, exit->ifindex, 0);
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

SEC("xdp")
int sl_xdp(struct xdp_md *xdp)
{
	struct pkt pkt = {};
	int verdict = is_for_many(xdp) ? SL_pass_not_for_us : frame_parse(xdp, &pkt);

	if (verdict >= 0) {
		count(SL_DOOR_XDP, verdict);
		return XDP_PASS;
	}
	return door_run(xdp, &pkt, SL_DOOR_XDP);
}
