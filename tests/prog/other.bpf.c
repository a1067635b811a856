// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Somebody else's XDP program: counts frames and lets them pass. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 frames;

SEC("xdp")
int other_xdp(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&frames, 1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
