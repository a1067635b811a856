/* SPDX-License-Identifier: Apache-2.0 */
/* A frame through a door, and what came of it: bytes, return code, counters. */
#pragma once
#include "world.h"

#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1U << 2)
#endif

static const char *const counter_names[SL_COUNTER_COUNT] = {
#define SL_X(name) #name,
	SL_VERDICTS(SL_X) SL_NOTES(SL_X)
#undef SL_X
};
static const char *const door_names[SL_DOOR_COUNT] = { "xdp", "tc", "out" };

struct run {
	__u8 in[WIRE_MAX], out[WIRE_MAX + 512];
	__u32 in_len, out_len, code;
	int err; /* of the test run itself */
	__u64 counted[SL_COUNTER_COUNT];
};

static inline void counters_read(const struct world *world, __u32 door, __u64 *ret_counters)
{
	static __u64 each[WORLD_CPUS][SL_COUNTER_COUNT];

	if (bpf_map_lookup_elem(world_fd(world, verdicts), &door, each))
		world_die("read the counters");
	memset(ret_counters, 0, sizeof(each[0]));
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (int i = 0; i < SL_COUNTER_COUNT; i++)
			ret_counters[i] += each[cpu][i];
}

static inline int door_fd(const struct world *world, __u32 door)
{
	if (door == SL_DOOR_XDP)
		return bpf_program__fd(world->xdp->progs.sl_xdp);
	return bpf_program__fd(door == SL_DOOR_TC ? world->tc->progs.sl_tc_in
						  : world->tc->progs.sl_tc_out);
}

/* Does a test run take a frame of so many bytes? */
static inline bool takes_length(const struct world *world, __u32 length)
{
	static __u8 frame[9000];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = length);

	return !bpf_prog_test_run_opts(bpf_program__fd(world->tc->progs.sl_clock), &opts);
}

/*
 * Bytes of the shortest and of the longest frame that a door is tried with. The kernel's test run
 * wants an Ethernet header, and at tc an IP header too; where it holds a frame for tc in one page,
 * the frame must fit there, with what the kernel keeps around it.
 */
static inline __u32 length_min(const struct world *world, __u32 door)
{
	static int is_free = -1;

	if (is_free < 0)
		is_free = takes_length(world, 1);
	return is_free ? 0 : door == SL_DOOR_XDP ? ETH_HLEN : ETH_HLEN + 40;
}

static inline __u32 length_max(const struct world *world, __u32 door)
{
	static int is_free = -1;

	if (is_free < 0)
		is_free = takes_length(world, 9000);
	return door == SL_DOOR_XDP || is_free ? 9000 : 3600;
}

/* `run->in` through a door as if it came in (or goes out) by a device. */
static inline void run_bare(const struct world *world, __u32 door, __u32 ifindex, __u32 flags,
			    struct run *run)
{
	struct __sk_buff skb = { .ifindex = ifindex };
	struct xdp_md xdp = { .ingress_ifindex = ifindex, .data_end = run->in_len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = run->in, .data_size_in = run->in_len,
		    .data_out = run->out, .data_size_out = sizeof(run->out), .repeat = 1);

	if (door == SL_DOOR_XDP) {
		opts.ctx_in = &xdp;
		opts.ctx_size_in = sizeof(xdp);
	} else {
		opts.ctx_in = &skb;
		opts.ctx_size_in = sizeof(skb);
		opts.flags = flags;
	}
	run->err = bpf_prog_test_run_opts(door_fd(world, door), &opts);
	run->out_len = opts.data_size_out;
	run->code = opts.retval;
}

/*
 * The flag by which the kernel pretends that the device summed the packet (CHECKSUM_COMPLETE), and
 * checks the skb's sum afterwards; 0 where the kernel has none (before 6.17).
 */
static inline __u32 skb_sum_flag(const struct world *world)
{
	static struct run run = { .in_len = 64 };
	static int known = -1;

	if (known < 0) {
		run_bare(world, SL_DOOR_TC, 1, BPF_F_TEST_SKB_CHECKSUM_COMPLETE, &run);
		known = !run.err;
		if (!known)
			fprintf(stderr, "SKIP: the skb's own sum (this kernel's test run has no "
					"CHECKSUM_COMPLETE)\n");
	}
	return known ? BPF_F_TEST_SKB_CHECKSUM_COMPLETE : 0;
}

static inline void run_door(const struct world *world, __u32 door, __u32 ifindex, __u32 flags,
			    struct run *run)
{
	__u64 before[SL_COUNTER_COUNT];

	counters_read(world, door, before);
	run_bare(world, door, ifindex, flags, run);
	counters_read(world, door, run->counted);
	for (int i = 0; i < SL_COUNTER_COUNT; i++)
		run->counted[i] -= before[i];
}

/* The one verdict that was counted; SL_VERDICT_COUNT when it was none or several. */
static inline __u32 run_verdict(const struct run *run)
{
	__u32 verdict = SL_VERDICT_COUNT;

	for (__u32 i = 0; i < SL_VERDICT_COUNT; i++) {
		if (!run->counted[i])
			continue;
		if (verdict != SL_VERDICT_COUNT || run->counted[i] != 1)
			return SL_VERDICT_COUNT;
		verdict = i;
	}
	return verdict;
}

/* What a door returns for a verdict. */
static inline __u32 verdict_code(__u32 door, __u32 verdict)
{
	const char *name = counter_names[verdict];
	bool is_xdp = door == SL_DOOR_XDP;

	if (strstr(name, "_redirect"))
		return is_xdp ? XDP_REDIRECT : TC_ACT_REDIRECT;
	if (!strncmp(name, "refuse", 6))
		return is_xdp ? XDP_REDIRECT : TC_ACT_REDIRECT;
	if (!strncmp(name, "drop", 4))
		return is_xdp ? XDP_DROP : TC_ACT_SHOT;
	return is_xdp ? XDP_PASS : (__u32)TC_ACT_UNSPEC;
}

static inline void print_bytes(const char *what, const __u8 *bytes, __u32 count)
{
	fprintf(stderr, "    %s, %u bytes:", what, count);
	for (__u32 i = 0; i < count && i < 256; i++)
		fprintf(stderr, "%s%02x", i % 32 ? i % 4 ? "" : " " : "\n      ", bytes[i]);
	fprintf(stderr, "\n");
}

static inline void print_counted(const struct run *run)
{
	fprintf(stderr, "    counted:");
	for (int i = 0; i < SL_COUNTER_COUNT; i++)
		if (run->counted[i])
			fprintf(stderr, " %s=%llu", counter_names[i],
				(unsigned long long)run->counted[i]);
	fprintf(stderr, "\n");
}
