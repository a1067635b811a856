// SPDX-License-Identifier: Apache-2.0
/*
 * What the agent gives up once it has started. Mounting, loading and pinning are over by then; what
 * is left is to follow interfaces, to move numbers in maps that are there, and to read files that
 * others wrote. Whoever takes the agent over by one of these gets no more than that.
 *
 * A call that is not on the list fails with EPERM and the process lives: the rest of the agent
 * reports it as it reports any failure, and the kernel's log names the call. Killing would be as
 * safe for traffic, which needs no agent, but would turn one forgotten call into an agent that dies
 * at every start.
 */
#include "agent.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <net/if.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* linux/bpf.h of 6.6, which the build machine's headers may not have. */
#define ATTACH_TCX_INGRESS 46

/* As gcc says it, and as clang does. Nothing else widens the filter. */
#ifdef __SANITIZE_ADDRESS__
#define HAS_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER
#endif
#endif

/* --- capabilities --- */

static bool bounds_have(unsigned capability)
{
	return prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1;
}

/* A question to a device that is always there; what it answers does not matter, -EINVAL does. */
static bool has_tcx(void)
{
	union bpf_attr attr = {};

	attr.query.target_fd = if_nametoindex("lo"); /* since 6.6 also the place of an index */
	attr.query.attach_type = ATTACH_TCX_INGRESS;
	return !syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) || errno != EINVAL;
}

static bool has_shared_device(const struct agent *agent)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct kernel_device *devices = NULL;
	size_t count = 0;

	if (!memory || kernel_devices(memory, agent->kernel, &devices, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(devices[i].xdp_place, "dispatcher"))
			return true;
	return false;
}

/*
 * Why CAP_SYS_ADMIN has to stay; NULL when it need not. A program's number says whose filter, or
 * whose place behind a dispatcher, it is, and the kernel turns numbers into programs for
 * CAP_SYS_ADMIN alone.
 */
static const char *admin_reason(const struct agent *agent)
{
	if (prctl(PR_CAPBSET_READ, CAP_BPF, 0, 0, 0) < 0)
		return "the kernel has no CAP_BPF";
	if (!has_tcx())
		return "the kernel has no tcx, and filters are found by their programs' numbers";
	if (has_shared_device(agent))
		return "an interface's XDP is shared with another program";
	return NULL;
}

/*
 * Without CAP_SETPCAP (a service manager took it) the bounds stay as they are. They bind only what
 * an execve gives, and there is none any more.
 */
static void bounds_drop(uint64_t kept)
{
	for (unsigned i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(kept & 1ull << i) && bounds_have(i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0))
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int capabilities_keep(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data))
		return -errno;
	bounds_drop(wanted);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		data[i].permitted &= (uint32_t)(wanted >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* --- system calls --- */

/* What takes any argument; files are bounded by their owner and mode, as there is no CAP_DAC_*. */
static const int calls[] = {
	/* files and folders */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(dup3),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(stat),
	SCMP_SYS(stat64),
	SCMP_SYS(lstat),
	SCMP_SYS(lstat64),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(statfs64),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fstatfs64),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(flock),
	SCMP_SYS(fchmod),
	/* waiting, and what tells of news */
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_settime64),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(restart_syscall),
	/* sockets that `socket` below has given */
	SCMP_SYS(bind),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	/* the process's own affairs */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(membarrier),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef HAS_ADDRESS_SANITIZER
	/* AddressSanitizer's search for leaks is another thread that looks at this one. */
	SCMP_SYS(clone),
	SCMP_SYS(ptrace),
	SCMP_SYS(wait4),
	SCMP_SYS(prctl),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(getppid),
	SCMP_SYS(getdents),
#endif
};

static const unsigned bpf_commands[] = {
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_OBJ_PIN,
	BPF_OBJ_GET,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_LINK_CREATE,
	BPF_LINK_UPDATE,
	BPF_LINK_DETACH,
	BPF_PROG_QUERY,
	BPF_PROG_GET_FD_BY_ID,
	BPF_PROG_GET_NEXT_ID,
	BPF_MAP_GET_FD_BY_ID,
	BPF_BTF_GET_FD_BY_ID,
	BPF_LINK_GET_FD_BY_ID,
};

/*
 * No new program and no new map after the start, but where one may have to be put behind a
 * dispatcher, which is made anew for it.
 */
static const unsigned bpf_commands_sharing[] = {
	BPF_PROG_LOAD, BPF_MAP_CREATE,          BPF_MAP_FREEZE,
	BPF_BTF_LOAD,  BPF_RAW_TRACEPOINT_OPEN, BPF_PROG_BIND_MAP,
};

static const unsigned socket_families[] = { AF_UNIX, AF_NETLINK };
/* An interface's name; and whether a stream is a terminal. */
static const unsigned ioctl_requests[] = { SIOCGIFNAME, SIOCGIFINDEX, TCGETS };

/* SCMP_CMP32 of one value leaves a member out, which clang takes for a slip. */
static struct scmp_arg_cmp argument_is(unsigned at, uint32_t value)
{
	return (struct scmp_arg_cmp){ .arg = at, .op = SCMP_CMP_EQ, .datum_a = value };
}

/* The call with one of the values as its argument number `at`. */
static int calls_with(scmp_filter_ctx filter, int call, unsigned at, const unsigned *values,
		      size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, argument_is(at, values[i]));
	return err;
}

/* Memory that is never executable, and a signal for nobody but the process itself (abort). */
static int calls_bounded(scmp_filter_ctx filter)
{
	static const int memory[] = { SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect) };
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(memory); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, memory[i], 1,
				       SCMP_CMP32(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err ? err
		   : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      argument_is(0, (uint32_t)getpid()));
}

static int filter_fill(scmp_filter_ctx filter, bool is_sharing)
{
	int err = calls_bounded(filter);

	for (size_t i = 0; !err && i < ARRAY_SIZE(calls); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	if (!err)
		err = calls_with(filter, SCMP_SYS(socket), 0, socket_families,
				 ARRAY_SIZE(socket_families));
	if (!err)
		err = calls_with(filter, SCMP_SYS(ioctl), 1, ioctl_requests,
				 ARRAY_SIZE(ioctl_requests));
	if (!err)
		err = calls_with(filter, SCMP_SYS(bpf), 0, bpf_commands, ARRAY_SIZE(bpf_commands));
	if (!err && is_sharing)
		err = calls_with(filter, SCMP_SYS(bpf), 0, bpf_commands_sharing,
				 ARRAY_SIZE(bpf_commands_sharing));
	/* Later libbpf keeps a map's place by one until the map is made. */
	if (!err && is_sharing)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(memfd_create), 0);
	return err;
}

static void cleanup_filter_p(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

static int calls_keep(bool is_sharing)
{
	__attribute__((cleanup(cleanup_filter_p))) scmp_filter_ctx filter =
		seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? 0 : -ENOMEM;

	if (!err)
		err = filter_fill(filter, is_sharing);
	if (err)
		return err;
	/* Both wanted, neither needed: a kernel that has no such log, a process of one thread. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return seccomp_load(filter);
}

static bool has_seccomp(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

int agent_confine(const struct agent *agent)
{
	const char *reason = admin_reason(agent);
	uint64_t wanted = 1ull << CAP_BPF | 1ull << CAP_NET_ADMIN | 1ull << CAP_PERFMON;
	int err;

	if (reason) {
		wanted |= 1ull << CAP_SYS_ADMIN;
		log_line(LOG_LEVEL_NOTE, "CAP_SYS_ADMIN is kept: %s", reason);
	}
	err = capabilities_keep(wanted);
	if (!err && !has_seccomp())
		log_line(LOG_LEVEL_WARNING,
			 "this kernel filters no system calls (CONFIG_SECCOMP_FILTER)");
	else if (!err)
		err = calls_keep(reason != NULL);
	if (err)
		log_line(LOG_LEVEL_ERROR, "cannot give up the privileges of the start: %s",
			 strerror(-err));
	return err;
}
