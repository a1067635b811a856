// SPDX-License-Identifier: Apache-2.0
/*
 * The frame under a program, and the kernel's helpers that read, write, resize and send it. Limits,
 * flags and errors are those that linux/net/core/filter.c and net/bpf/test_run.c have.
 */
#include "native.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "include/bpf/bpf_helpers.h"

#define ROOM 65536 /* more than any frame */

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

_Noreturn void native_die(const char *what)
{
	fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the frame --- */

/* A room with a page behind it that nobody may touch, below 4 GiB: tried from 512 MiB on. */
static __u8 *room_make(void)
{
	for (uintptr_t hint = 1u << 29; hint < 0xf0000000u; hint += 1u << 24) {
		__u8 *room = mmap((void *)hint, ROOM + 4096, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (room == MAP_FAILED)
			break;
		if ((uintptr_t)room + ROOM + 4096 <= UINT32_MAX) {
			if (mprotect(room + ROOM, 4096, PROT_NONE))
				native_die("guard the frame's end");
			return room;
		}
		munmap(room, ROOM + 4096);
	}
	native_die("find room for a frame below 4 GiB");
}

static __u8 *room_end(void)
{
	static __thread __u8 *room;

	if (!room)
		room = room_make();
	return room + ROOM;
}

static void frame_show(struct native_frame *frame, __u32 length)
{
	__u8 *end = room_end();

	frame->data = end - length;
	frame->length = length;
	ASAN_POISON_MEMORY_REGION(end - ROOM, ROOM);
	ASAN_UNPOISON_MEMORY_REGION(frame->data, length);
	if (frame->is_xdp) {
		frame->ctx.xdp.data = (uintptr_t)frame->data;
		frame->ctx.xdp.data_end = (uintptr_t)end;
		return;
	}
	frame->ctx.skb.data = (uintptr_t)frame->data;
	frame->ctx.skb.data_end = (uintptr_t)end;
	frame->ctx.skb.len = length;
}

int native_frame_make(struct native_frame *frame, const void *bytes, __u32 length)
{
	static __thread __u8 rest[NATIVE_MAX];
	__u32 first = frame->is_xdp && length > NATIVE_XDP_FIRST ? NATIVE_XDP_FIRST : length;

	if (length > NATIVE_MAX)
		return -EINVAL;
	frame_show(frame, first);
	memcpy(frame->data, bytes, first);
	frame->rest = rest;
	frame->rest_length = length - first;
	memcpy(rest, (const __u8 *)bytes + first, frame->rest_length);
	return 0;
}

void native_frame_resize(struct native_frame *frame, __u32 length)
{
	__u32 kept = length < frame->length ? length : frame->length;
	__u8 bytes[NATIVE_MAX];

	memcpy(bytes, frame->data, kept);
	frame_show(frame, length);
	memset(frame->data, 0, length);
	memcpy(frame->data, bytes, kept);
}

__u8 *native_frame_at(const struct native_frame *frame, __u32 offset, __u32 length)
{
	return (__u64)offset + length > frame->length ? NULL : frame->data + offset;
}

static struct native_frame *frame_of(const void *ctx)
{
	struct native_frame *frame = native_running();

	if (ctx != &frame->ctx)
		native_die("find the frame of a program's context");
	return frame;
}

/* --- clocks --- */

static __u64 clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

__u64 bpf_ktime_get_ns(void)
{
	return clock_ns();
}

/* The tick is as long as this machine's, which the settings are made from. */
__u64 bpf_jiffies64(void)
{
	static __u64 tick_ns;
	struct timespec tick;

	if (!tick_ns) {
		if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || !tick.tv_nsec)
			native_die("learn the kernel's tick");
		tick_ns = tick.tv_nsec;
	}
	return clock_ns() / tick_ns;
}

/* --- an skb's bytes --- */

long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 len)
{
	const __u8 *at = offset > INT_MAX ? NULL : native_frame_at(frame_of(skb), offset, len);

	if (!at) {
		memset(to, 0, len);
		return -EFAULT;
	}
	memcpy(to, at, len);
	return 0;
}

long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len,
			 __u64 flags)
{
	struct native_frame *frame = frame_of(skb);
	__u8 *at;

	if (flags & ~(__u64)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return -EINVAL;
	at = offset > INT_MAX ? NULL : native_frame_at(frame, offset, len);
	if (!at)
		return -EFAULT;
	if (flags & BPF_F_RECOMPUTE_CSUM)
		native_sum_change(frame, offset, at, len, false);
	memcpy(at, from, len);
	if (flags & BPF_F_RECOMPUTE_CSUM)
		native_sum_change(frame, offset, at, len, true);
	return 0;
}

long bpf_skb_pull_data(struct __sk_buff *skb, __u32 len)
{
	return len > frame_of(skb)->length ? -ENOMEM : 0;
}

long bpf_skb_change_tail(struct __sk_buff *skb, __u32 len, __u64 flags)
{
	struct native_frame *frame = frame_of(skb);
	__u32 most = native_mtu(frame->ctx.skb.ifindex) + ETH_HLEN;

	if (flags || len < ETH_HLEN || len > most || len > NATIVE_MAX)
		return -EINVAL;
	if (len < frame->length)
		native_sum_change(frame, len, frame->data + len, frame->length - len, false);
	native_frame_resize(frame, len);
	return 0;
}

/* --- an XDP frame's --- */

static __u32 xdp_length(const struct native_frame *frame)
{
	return frame->length + frame->rest_length;
}

/* One byte, in whichever buffer. */
static __u8 *xdp_byte(const struct native_frame *frame, __u32 at)
{
	return at < frame->length ? frame->data + at : frame->rest + (at - frame->length);
}

static long xdp_has(const struct native_frame *frame, __u32 offset, __u32 len)
{
	if (offset > 0xffff || len > 0xffff)
		return -EFAULT;
	return offset + len > xdp_length(frame) ? -EINVAL : 0;
}

long bpf_xdp_load_bytes(struct xdp_md *xdp, __u32 offset, void *to, __u32 len)
{
	const struct native_frame *frame = frame_of(xdp);
	long err = xdp_has(frame, offset, len);

	for (__u32 i = 0; !err && i < len; i++)
		((__u8 *)to)[i] = *xdp_byte(frame, offset + i);
	return err;
}

long bpf_xdp_store_bytes(struct xdp_md *xdp, __u32 offset, void *from, __u32 len)
{
	const struct native_frame *frame = frame_of(xdp);
	long err = xdp_has(frame, offset, len);

	for (__u32 i = 0; !err && i < len; i++)
		*xdp_byte(frame, offset + i) = ((const __u8 *)from)[i];
	return err;
}

/* Of several buffers the last ones go first, and none grows: a veth's have no room behind them. */
long bpf_xdp_adjust_tail(struct xdp_md *xdp, int delta)
{
	struct native_frame *frame = frame_of(xdp);
	long length = (long)xdp_length(frame) + delta;

	if (frame->rest_length && delta > 0)
		return -EOPNOTSUPP;
	if (length < ETH_HLEN || (delta > 0 && length > NATIVE_XDP_FIRST))
		return -EINVAL;
	if (length >= frame->length && frame->rest_length) {
		frame->rest_length = length - frame->length;
		return 0;
	}
	frame->rest_length = 0;
	native_frame_resize(frame, length);
	return 0;
}

__u64 bpf_xdp_get_buff_len(struct xdp_md *xdp)
{
	return xdp_length(frame_of(xdp));
}

/* --- ways out --- */

/*
 * A frame leaves by a device with that device's own address as its source; or turned round, by the
 * one that it came in by. A door that says otherwise has mixed up two devices.
 */
static bool is_from(__u32 ifindex)
{
	const struct native_frame *frame = native_running();
	__u32 came_in = frame->is_xdp ? frame->ctx.xdp.ingress_ifindex : frame->ctx.skb.ifindex;
	const __u8 *own = native_mac(ifindex), *source = native_frame_at(frame, ETH_ALEN, ETH_ALEN);

	if (!own || !source)
		return false;
	return !memcmp(source, own, ETH_ALEN) ||
	       (ifindex == came_in && !memcmp(source, frame->came_to, ETH_ALEN));
}

long bpf_redirect(__u32 ifindex, __u64 flags)
{
	bool is_good = !flags && is_from(ifindex);

	if (native_running()->is_xdp)
		return is_good ? XDP_REDIRECT : XDP_ABORTED;
	return is_good ? TC_ACT_REDIRECT : TC_ACT_SHOT;
}

long bpf_redirect_peer(__u32 ifindex, __u64 flags)
{
	return flags || !is_from(ifindex) ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags)
{
	return (plen && plen < (int)sizeof(*params)) || flags || !native_mac(ifindex)
		       ? TC_ACT_SHOT
		       : TC_ACT_REDIRECT;
}
