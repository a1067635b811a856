// SPDX-License-Identifier: Apache-2.0
/*
 * What this kernel can do, found out by asking it: distributions carry features back to older
 * versions and leave others out of newer ones. The versions here are for people alone.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>

/* linux/bpf.h of 6.6, which the build machine's headers may not have. */
#define ATTACH_TCX_INGRESS 46

/* Programs that do nothing but be verified. */
static bool loads(const struct bpf_insn *code, size_t count)
{
	_cleanup_close_ int fd =
		bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, NULL, "GPL", code, count, NULL);

	return fd >= 0;
}

static bool has_atomics(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = BPF_REG_10,
		  .src_reg = BPF_REG_1,
		  .off = -8,
		  .imm = BPF_CMPXCHG },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return loads(code, ARRAY_SIZE(code));
}

static bool has_mapped_arrays(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sl_probe", 4, 4, 1, &opts);

	return fd >= 0;
}

static bool has_redirect_neigh(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_neigh, NULL) > 0;
}

static bool has_xdp_bytes(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) > 0;
}

/* Index 1 is the loopback of every namespace. */
static bool has_tcx(void)
{
	uint32_t ids[1], count = 0, flags;
	int err = bpf_prog_query(1, ATTACH_TCX_INGRESS, 0, &flags, ids, &count);

	return kernel_may_have_tcx() && (!err || err == -ENOSPC);
}

static bool has_netdev_family(void)
{
	bool is_target, in_pieces;

	return netdev_xdp_target(1, &is_target, &in_pieces) != -ENOTSUP;
}

static const struct {
	struct kernel_feature says;
	bool (*probe)(void);
} features[KERNEL_FEATURES] = {
	{ { "BPF arrays that can be mapped", "5.5", NULL, true, false }, has_mapped_arrays },
	{ { "BPF atomic operations with a result", "5.12", NULL, true, false }, has_atomics },
	{ { "redirection to a neighbour", "5.10", NULL, true, false }, has_redirect_neigh },
	{ { "XDP's access to bytes by copy", "5.18", NULL, true, false }, has_xdp_bytes },
	{ { "tcx links", "6.6", "clsact filters by netlink", false, false }, has_tcx },
	{ { "drivers' own word on XDP", "6.3", "a device is an XDP target when it runs our XDP",
	    false, false },
	  has_netdev_family },
};

size_t kernel_features(struct kernel_feature ret_list[KERNEL_FEATURES])
{
	/* What is probed for may not be there, and libbpf would say so. */
	libbpf_print_fn_t before = libbpf_set_print(NULL);

	for (size_t i = 0; i < KERNEL_FEATURES; i++) {
		ret_list[i] = features[i].says;
		ret_list[i].is_there = features[i].probe();
	}
	libbpf_set_print(before);
	return KERNEL_FEATURES;
}
