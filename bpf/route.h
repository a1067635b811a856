/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The node's own routing decision about a rewritten packet: asked of the kernel, and remembered for
 * a second. The door defines, before:
 *
 *   door_way     what it can make of an exit
 *   door_length  what must fit the next device's MTU, in bytes of IP packet
 *   door_ifindex the device that the packet came in by
 */
#pragma once
#include "maps.h"
#include "settings.h"
#include "target.h"

/* What is asked. */
struct trip {
	__u32 saddr[4], daddr[4]; /* IPv4 alone in [0] */
	__u32 from;               /* interface index */
	__u16 length;
	__u16 pad;
};

static __always_inline struct sl_exit *exit_place(const struct trip *trip, __u8 family)
{
	__u64 x = trip->daddr[0] ^ (__u64)trip->from << 32;
	__u32 at;

	if (family == 6)
		x += trip->daddr[1] + ((__u64)trip->daddr[3] << 32 | trip->daddr[2]);
	at = (x * 0x9e3779b97f4a7c15ull) >> 40 & (SL_EXITS - 1);
	return bpf_map_lookup_elem(&sl_exits, &at);
}

static __always_inline int exit_is(const struct sl_exit *exit, const struct trip *trip, __u8 family)
{
	if (exit->addr[0] != trip->daddr[0] || exit->from != trip->from || exit->family != family)
		return 0;
	return family == 4 ||
	       (exit->addr[1] == trip->daddr[1] && exit->addr[2] == trip->daddr[2] &&
		exit->addr[3] == trip->daddr[3]);
}

/* What was remembered, and is still true. 0 when there is none. */
static __always_inline int exit_find(const struct trip *trip, __u8 family, struct exit *ret_exit)
{
	struct sl_exit *exit = exit_place(trip, family);
	__u32 zero = 0, until;
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);

	if (!exit || !control)
		return 0;
	until = *(volatile __u32 *)&exit->until;
	if ((__s32)(until - (__u32)bpf_jiffies64()) <= 0 || exit->epoch != control->exits_epoch ||
	    trip->length > exit->mtu || !exit_is(exit, trip, family))
		return 0;
	ret_exit->ifindex = exit->ifindex;
	ret_exit->device = exit->device;
	__builtin_memcpy(ret_exit->mac, exit->mac, sizeof(exit->mac));
	/* Whoever rewrote it meanwhile has changed `until` before. */
	return *(volatile __u32 *)&exit->until == until;
}

static __always_inline void exit_keep(const struct trip *trip, __u8 family, __u16 mtu,
				      const struct exit *from)
{
	struct sl_exit *exit = exit_place(trip, family);
	__u32 zero = 0, now = bpf_jiffies64();
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);

	if (!exit || !control || control->exits_off)
		return;
	if (__sync_lock_test_and_set(&exit->lock, 1))
		return;
	/* Atomic, because a plain store may overtake another on some machines. */
	__sync_lock_test_and_set(&exit->until, now);
	__builtin_memcpy(exit->addr, trip->daddr, 16);
	exit->from = trip->from;
	exit->ifindex = from->ifindex;
	__builtin_memcpy(exit->mac, from->mac, sizeof(exit->mac));
	exit->mtu = mtu;
	exit->family = family;
	exit->device = from->device;
	exit->epoch = control->exits_epoch;
	__sync_lock_test_and_set(&exit->until, now + settings.second_ticks);
	__sync_lock_test_and_set(&exit->lock, 0);
}

/* Asks the kernel. Non-zero: only the stack knows. */
__noinline int frame_ask(door_ctx *ctx, const struct pkt *pkt, const struct trip *trip,
			 struct exit *exit)
{
	struct bpf_fib_lookup fib = {};
	long err;

	if (!pkt || !trip || !exit)
		return -1;
	fib.ifindex = trip->from;
	fib.l4_protocol = pkt->protocol;
	fib.tot_len = trip->length;
	if (pkt->family == 4) {
		fib.family = 2; /* AF_INET */
		fib.tos = pkt->tos;
		fib.ipv4_src = trip->saddr[0];
		fib.ipv4_dst = trip->daddr[0];
	} else {
		fib.family = 10; /* AF_INET6 */
		__builtin_memcpy(fib.ipv6_src, trip->saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, trip->daddr, 16);
	}
	err = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (err != BPF_FIB_LKUP_RET_SUCCESS && err != BPF_FIB_LKUP_RET_NO_NEIGH)
		return -1;
	exit->ifindex = fib.ifindex;
	exit->device = device_flags(fib.ifindex);
	exit->is_unresolved = err != 0;
	__builtin_memcpy(exit->mac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(exit->mac + ETH_ALEN, fib.smac, ETH_ALEN);
	/* A kernel that tells no MTU leaves the length there, which fits. */
	if (!err)
		exit_keep(trip, pkt->family, fib.tot_len, exit);
	return 0;
}

static __always_inline int route(door_ctx *ctx, const struct pkt *pkt, const __u32 *saddr,
				 const __u32 *daddr, __u32 from, struct exit *ret_exit)
{
	struct trip trip = { .from = from ? from : door_ifindex(ctx),
			     .length = door_length(ctx, pkt) };

	if (pkt->ttl <= 1)
		return WAY_UP;
	__builtin_memcpy(trip.saddr, saddr, 16);
	__builtin_memcpy(trip.daddr, daddr, 16);
	if (!exit_find(&trip, pkt->family, ret_exit) && frame_ask(ctx, pkt, &trip, ret_exit))
		return WAY_UP;
	return ret_exit->device & SL_DEVICE_ATTACHED ? door_way(ret_exit) : WAY_UP;
}
