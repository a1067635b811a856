// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The generator: BPF_PROG_RUN repeats a program over one buffer, so a program that rewrites would
 * see its own output the second time. This one restores the headers, gives the packet a flow of its
 * own, and tail-calls the program under test. It has no branch that depends on the stream, so that
 * its cost is the same for all and can be taken off.
 */
#include "packet.h"

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct packet_stream stream;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} made SEC(".maps");

/* The program under test; an array for each program type, because the kernel allows one type in an
 * array. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tc_target SEC(".maps");

/* MurmurHash3's finalizer: one to one on 32 bits, so no flow is met twice before all were, and no
 * prefetcher follows. */
static __always_inline __u32 scatter(__u32 x)
{
	x ^= x >> 16;
	x *= 0x85ebca6b;
	x ^= x >> 13;
	x *= 0xc2b2ae35;
	return x ^ x >> 16;
}

static __always_inline int put(void *data, void *data_end, __u32 offset, const void *from,
			       const __u32 size)
{
	void *at = data + (offset & (PACKET_SIZE - 1));

	if (at + size > data_end)
		return -1;
	__builtin_memcpy(at, from, size);
	return 0;
}

static __always_inline int make(void *data, void *data_end)
{
	__u32 zero = 0, *count = bpf_map_lookup_elem(&made, &zero), flow, client, vip;
	__u64 *words = data;
	__be16 port;

	if (!count || data + PACKET_SIZE > data_end)
		return -1;
	flow = (*count)++;
	flow = (stream.is_mixed ? scatter(flow) : flow) & stream.mask;
#pragma unroll
	for (int i = 0; i < PACKET_HEADER_WORDS; i++)
		words[i] = stream.frame[i];
	client = bpf_htonl(stream.client + (flow >> PACKET_PORT_BITS));
	port = bpf_htons(PACKET_PORT_FIRST + (flow & ((1 << PACKET_PORT_BITS) - 1)));
	vip = bpf_htonl(stream.vip + (((__u64)(flow * 0x9e3779b1u) * stream.services) >> 32));
	return put(data, data_end, stream.client_at, &client, sizeof(client)) ||
	       put(data, data_end, stream.port_at, &port, sizeof(port)) ||
	       put(data, data_end, stream.vip_at, &vip, sizeof(vip));
}

SEC("xdp.frags")
int make_xdp(struct xdp_md *xdp)
{
	if (!make((void *)(long)xdp->data, (void *)(long)xdp->data_end))
		bpf_tail_call_static(xdp, &xdp_target, 0);
	return -1;
}

SEC("tc")
int make_tc(struct __sk_buff *skb)
{
	if (!make((void *)(long)skb->data, (void *)(long)skb->data_end))
		bpf_tail_call_static(skb, &tc_target, 0);
	return -2;
}
