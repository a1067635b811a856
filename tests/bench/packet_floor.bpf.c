// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floors: the least that any program of a kind can do. Parse and send back is what every one
 * must; a look-up of the service and one of the flow are what a stateful one is expected to; an
 * insertion is what a new flow is expected to cost. The flow tables are LRU hashes from 5-tuple to
 * 16 bytes, with an entry for each connection that Sluice's own is made for. Nothing is rewritten
 * but the MAC addresses, nothing is counted.
 */
#include "bpf/abi.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct tuple4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 protocol;
	__u8 pad[3];
};

struct flow {
	__u64 target, seen;
};

/* What a row must not do; the rows are void when it grows. */
__u64 missed;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct sl_service_key);
	__type(value, struct sl_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct tuple4);
	__type(value, struct flow);
} flows SEC(".maps");

/* A table of its own for the insertions, which is always full: they must not push out what `flows`
 * has to find. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct tuple4);
	__type(value, struct flow);
} fresh_flows SEC(".maps");

#define STEP_SERVICE (1 << 0)
#define STEP_FLOW (1 << 1)
#define STEP_INSERT (1 << 2)
#define STEP_FILL (1 << 3)

static __always_inline int parse(void *data, void *data_end, struct tuple4 *ret_tuple)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return -1;
	if (ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(0x3fff) ||
	    ip->protocol != IPPROTO_TCP)
		return -1;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > data_end)
		return -1;
	ret_tuple->saddr = ip->saddr;
	ret_tuple->daddr = ip->daddr;
	ret_tuple->sport = tcp->source;
	ret_tuple->dport = tcp->dest;
	ret_tuple->protocol = ip->protocol;
	return 0;
}

static __always_inline void *service_of(const struct tuple4 *tuple)
{
	struct sl_service_key key = {
		.revision = 1,
		.vip = { 0, 0, bpf_htonl(0xffff), tuple->daddr },
		.port = tuple->dport,
		.protocol = tuple->protocol,
	};

	return bpf_map_lookup_elem(&services, &key);
}

static __always_inline void mac_swap(void *data)
{
	__u16 *mac = data, one = mac[0], two = mac[1], three = mac[2];

	mac[0] = mac[3], mac[1] = mac[4], mac[2] = mac[5];
	mac[3] = one, mac[4] = two, mac[5] = three;
}

/* 0 when the packet may go back. */
static __always_inline int floor_run(void *data, void *data_end, int steps)
{
	struct tuple4 tuple = {};
	struct flow flow = {};

	if (parse(data, data_end, &tuple) || (steps & STEP_SERVICE && !service_of(&tuple)) ||
	    (steps & STEP_FLOW && !bpf_map_lookup_elem(&flows, &tuple)) ||
	    (steps & STEP_INSERT && bpf_map_update_elem(&fresh_flows, &tuple, &flow, BPF_ANY)) ||
	    (steps & STEP_FILL && bpf_map_update_elem(&flows, &tuple, &flow, BPF_ANY))) {
		__sync_fetch_and_add(&missed, 1);
		return -1;
	}
	mac_swap(data);
	return 0;
}

#define FLOOR(name, steps)                                                                         \
	SEC("xdp.frags")                                                                           \
	int name##_xdp(struct xdp_md *xdp)                                                         \
	{                                                                                          \
		return floor_run((void *)(long)xdp->data, (void *)(long)xdp->data_end, steps)      \
			       ? XDP_DROP                                                          \
			       : XDP_TX;                                                           \
	}                                                                                          \
	SEC("tc")                                                                                  \
	int name##_tc(struct __sk_buff *skb)                                                       \
	{                                                                                          \
		return floor_run((void *)(long)skb->data, (void *)(long)skb->data_end, steps)      \
			       ? TC_ACT_SHOT                                                       \
			       : bpf_redirect(skb->ifindex, 0);                                    \
	}

FLOOR(send, 0)
FLOOR(service, STEP_SERVICE)
FLOOR(flow, STEP_FLOW)
FLOOR(both, STEP_SERVICE | STEP_FLOW)
FLOOR(insert, STEP_INSERT)
FLOOR(fill, STEP_FILL) /* not measured: what `flow` and `both` will find */

SEC("xdp.frags")
int empty_xdp(struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("tc")
int empty_tc(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}
