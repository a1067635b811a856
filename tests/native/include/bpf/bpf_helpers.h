/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doors' source takes for libbpf's header when it is compiled as plain C: the macros of
 * the maps' declarations, and the kernel's helpers as functions of this process (helpers.c,
 * checksums.c, routes.c). A helper that is not here does not link: whoever uses a new one gives it
 * a model.
 */
#pragma once
#include "../../native.h"

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

/* The user half's functions of the same names take a descriptor: the linker must not mix them. */
static inline void *bpf_map_lookup_elem(const void *map, const void *key)
{
	return native_map_lookup(map, key);
}

static inline long bpf_map_update_elem(const void *map, const void *key, const void *value,
				       __u64 flags)
{
	return native_map_update(map, key, value, flags);
}

__u64 bpf_jiffies64(void);
__u64 bpf_ktime_get_ns(void);

long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 len);
long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len,
			 __u64 flags);
long bpf_skb_pull_data(struct __sk_buff *skb, __u32 len);
long bpf_skb_change_tail(struct __sk_buff *skb, __u32 len, __u64 flags);
long bpf_l3_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
long bpf_csum_update(struct __sk_buff *skb, __u32 csum);

long bpf_xdp_load_bytes(struct xdp_md *xdp, __u32 offset, void *to, __u32 len);
long bpf_xdp_store_bytes(struct xdp_md *xdp, __u32 offset, void *from, __u32 len);
long bpf_xdp_adjust_tail(struct xdp_md *xdp, int delta);
__u64 bpf_xdp_get_buff_len(struct xdp_md *xdp);

long bpf_redirect(__u32 ifindex, __u64 flags);
long bpf_redirect_peer(__u32 ifindex, __u64 flags);
long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags);
long bpf_fib_lookup(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags);
