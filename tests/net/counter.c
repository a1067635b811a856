// SPDX-License-Identifier: Apache-2.0
/*
 * Somebody else's program on a device, beside ours: counts packets and lets them go on, at tcx or,
 * pinned, as a filter of tc(8). By the bpf system call alone: no library of this machine need know
 * of tcx.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] = "Usage: counter DEVICE in|out first|last READY\n"
			    "       counter --pin PROGRAM MAP | --read MAP\n"
			    "  At tcx: counts until SIGTERM, then prints how many packets. Makes "
			    "the file READY once it\n"
			    "  stands there. Exit code 77: the kernel has no tcx. Or pins program "
			    "and map for tc(8), and\n"
			    "  prints the map's count.\n";

enum {
	TCX_INGRESS = 46,
	TCX_EGRESS = 47,
	FLAG_BEFORE = 1 << 3,
	FLAG_AFTER = 1 << 4
};

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(__NR_bpf, command, attr, sizeof(*attr));
}

static void die(const char *what)
{
	fprintf(stderr, "counter: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static int map_make(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1
	};
	int fd = bpf(BPF_MAP_CREATE, &attr);

	if (fd < 0)
		die("make a map");
	return fd;
}

#define INSN(c, d, s, o, i)                                                                        \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}

/* Adds one to the map's value and says "next". */
static int program_load(int map)
{
	static const char license[] = "GPL";
	struct bpf_insn code[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SCHED_CLS,
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(code[0]),
				.license = (uintptr_t)license };
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		die("load the program");
	return fd;
}

static void link_make(int program, const char *device, const char *way, const char *place)
{
	union bpf_attr attr = {};

	attr.link_create.prog_fd = program;
	attr.link_create.target_ifindex = if_nametoindex(device);
	attr.link_create.attach_type = strcmp(way, "in") ? TCX_EGRESS : TCX_INGRESS;
	attr.link_create.flags = strcmp(place, "first") ? FLAG_AFTER : FLAG_BEFORE;
	if (!attr.link_create.target_ifindex)
		die("find the device");
	if (bpf(BPF_LINK_CREATE, &attr) >= 0)
		return;
	if (errno == EINVAL) {
		puts("the kernel has no tcx");
		exit(77);
	}
	die("attach");
}

static uint64_t map_read(int map)
{
	uint32_t key = 0;
	uint64_t value = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	if (bpf(BPF_MAP_LOOKUP_ELEM, &attr))
		die("read the map");
	return value;
}

static void pin(int fd, const char *path)
{
	union bpf_attr attr = { .bpf_fd = fd, .pathname = (uintptr_t)path };

	if (bpf(BPF_OBJ_PIN, &attr))
		die("pin");
}

static int pinned(const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path };
	int fd = bpf(BPF_OBJ_GET, &attr);

	if (fd < 0)
		die("open the pinned map");
	return fd;
}

static void count_print(int map)
{
	printf("%llu\n", (unsigned long long)map_read(map));
}

static void tcx_run(char **argv)
{
	int map = map_make(), got;
	sigset_t ends;
	FILE *ready;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	link_make(program_load(map), argv[1], argv[2], argv[3]);
	ready = fopen(argv[4], "w");
	if (!ready || fclose(ready))
		die("say that it is there");
	sigwait(&ends, &got);
	count_print(map);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
	} else if (argc == 3 && !strcmp(argv[1], "--read")) {
		count_print(pinned(argv[2]));
	} else if (argc == 4 && !strcmp(argv[1], "--pin")) {
		int map = map_make();

		pin(program_load(map), argv[2]);
		pin(map, argv[3]);
	} else if (argc == 5) {
		tcx_run(argv);
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
