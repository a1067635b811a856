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

/* Which way of a connection is asked for. */
enum trip {
	TRIP_TO_ENDPOINT, /* of the client's packet */
	TRIP_TO_CLIENT,   /* of the endpoint's */
	TRIP_BACK,        /* to the client, asked by the client's packet */
};

static __always_inline struct sl_exit *exit_place(const __u32 *daddr, __u32 from, __u8 family)
{
	__u64 x = daddr[0] ^ (__u64)from << 32;
	__u32 at;

	if (family == 6)
		x += daddr[1] + ((__u64)daddr[3] << 32 | daddr[2]);
	at = (x * 0x9e3779b97f4a7c15ull) >> 40 & (SL_EXITS - 1);
	return bpf_map_lookup_elem(&sl_exits, &at);
}

static __always_inline int exit_is(const struct sl_exit *exit, const __u32 *daddr, __u32 from,
				   __u8 family)
{
	if (exit->addr[0] != daddr[0] || exit->from != from || exit->family != family)
		return 0;
	return family == 4 || (exit->addr[1] == daddr[1] && exit->addr[2] == daddr[2] &&
			       exit->addr[3] == daddr[3]);
}

/* What was remembered, and is still true. 0 when there is none. */
static __always_inline int exit_find(const __u32 *daddr, __u32 from, __u32 length, __u8 family,
				     struct exit *ret_exit)
{
	struct sl_exit *exit = exit_place(daddr, from, family);
	__u32 zero = 0, sequence;
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);
	struct exit found;

	if (!exit || !control)
		return 0;
	sequence = *(volatile __u32 *)&exit->sequence;
	if (sequence & 1 || (__s32)(exit->until - (__u32)bpf_jiffies64()) <= 0 ||
	    exit->epoch != control->exits_epoch || length > exit->mtu ||
	    !exit_is(exit, daddr, from, family))
		return 0;
	found = (struct exit){ .ifindex = exit->ifindex, .device = exit->device };
	__builtin_memcpy(found.mac, exit->mac, sizeof(exit->mac));
	if (*(volatile __u32 *)&exit->sequence != sequence)
		return 0;
	*ret_exit = found;
	return 1;
}

static __always_inline __u32 exits_epoch(void)
{
	__u32 zero = 0;
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);

	return control ? *(volatile __u32 *)&control->exits_epoch : 0;
}

/* `epoch` is from before the kernel was asked: what has changed since makes the answer void. */
static __always_inline void exit_keep(const __u32 *daddr, __u32 from, __u16 mtu, __u8 family,
				      const struct exit *answer, __u32 epoch)
{
	struct sl_exit *exit = exit_place(daddr, from, family);
	__u32 zero = 0, sequence;
	struct sl_control *control = bpf_map_lookup_elem(&sl_control, &zero);

	if (!exit || !control || control->exits_off)
		return;
	/* Atomic, here and last, because a plain store may overtake another on some machines. */
	sequence = *(volatile __u32 *)&exit->sequence;
	if (sequence & 1 ||
	    __sync_val_compare_and_swap(&exit->sequence, sequence, sequence + 1) != sequence)
		return;
	__builtin_memcpy(exit->addr, daddr, 16);
	exit->from = from;
	exit->ifindex = answer->ifindex;
	__builtin_memcpy(exit->mac, answer->mac, sizeof(exit->mac));
	exit->mtu = mtu;
	exit->family = family;
	exit->device = answer->device;
	exit->epoch = epoch;
	exit->until = (__u32)bpf_jiffies64() + settings.second_ticks;
	__sync_fetch_and_add(&exit->sequence, 1);
}

/*
 * Asks the kernel; `exit->ifindex` is the device that the packet comes in by. Non-zero: only the
 * stack knows.
 */
__noinline int frame_ask(door_ctx *ctx, const struct pkt *pkt, const struct target *to, __u32 trip,
			 struct exit *exit)
{
	struct bpf_fib_lookup fib = {};
	const __u32 *saddr, *daddr;
	__u32 from, length, epoch = exits_epoch();
	long err;

	if (!pkt || !to || !exit)
		return -1;
	/* The look-up has 16 bits for it, and IPv6 may say 40 bytes more: that fits no device. */
	length = door_length(ctx, pkt);
	if (length > 0xffff)
		return -1;
	saddr = trip == TRIP_TO_ENDPOINT ? pkt->saddr : to->addr;
	daddr = trip == TRIP_TO_ENDPOINT ? to->addr
		: trip == TRIP_TO_CLIENT ? pkt->daddr
					 : pkt->saddr;
	fib.ifindex = exit->ifindex;
	fib.l4_protocol = pkt->protocol;
	fib.tot_len = length;
	if (pkt->family == 4) {
		fib.family = 2; /* AF_INET */
		fib.tos = pkt->tos;
		fib.ipv4_src = saddr[0];
		fib.ipv4_dst = daddr[0];
	} else {
		fib.family = 10; /* AF_INET6 */
		__builtin_memcpy(fib.ipv6_src, saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, daddr, 16);
	}
	err = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (err != BPF_FIB_LKUP_RET_SUCCESS && err != BPF_FIB_LKUP_RET_NO_NEIGH)
		return -1;
	exit->is_unresolved = err != 0;
	__builtin_memcpy(exit->mac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(exit->mac + ETH_ALEN, fib.smac, ETH_ALEN);
	from = exit->ifindex;
	exit->ifindex = fib.ifindex;
	exit->device = device_flags(fib.ifindex);
	/* A kernel that tells no MTU leaves the length there, which fits. */
	if (!err)
		exit_keep(daddr, from, fib.tot_len, pkt->family, exit, epoch);
	return 0;
}

/* `exit->ifindex` is the device that the packet comes in by, and then the one that it leaves by. */
static __always_inline int route(door_ctx *ctx, const struct pkt *pkt, const struct target *to,
				 const __u32 *daddr, __u32 trip, struct exit *exit)
{
	if (pkt->ttl <= 1)
		return WAY_UP;
	if (!exit_find(daddr, exit->ifindex, door_length(ctx, pkt), pkt->family, exit) &&
	    frame_ask(ctx, pkt, to, trip, exit))
		return WAY_UP;
	return exit->device & SL_DEVICE_ATTACHED ? door_way(ctx, pkt, exit) : WAY_UP;
}
