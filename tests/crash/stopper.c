// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a command and stops it at one system call: killed before it, or the call fails without being
 * made. A store to a map in shared memory is no system call; killed before each call, the command
 * is seen after every run of stores.
 *
 * The command's exit code is passed on (128 and the signal, when one ended it). The report is one
 * line:
 *   calls=COUNT at=NAME-OR-NUMBER-OF-THE-CALL signal=N
 */
#include <asm/unistd.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"Usage: stopper [OPTION]... COMMAND...\n"
	"  --after PATH      count from the first call that names a path which begins so\n"
	"  --asked           count from the first call after a SIGUSR1 to the stopper: for a\n"
	"                    command that waits for something to happen\n"
	"  --kill N          SIGKILL before call N\n"
	"  --fail N          call N is not made and fails\n"
	"  --errno NAME      with ENOSPC, EIO or ENOMEM (EIO)\n"
	"  --list FILE       a line for every call: its name, or its number when it changes "
	"nothing\n"
	"  --report FILE     (standard error)\n";

struct stopper {
	const char *after;
	long kill, fail;
	int error;
	FILE *list, *report;
	bool counts;    /* the path of --after was seen, or there is none */
	bool is_asked;  /* not before asked_now */
	bool is_failed; /* this call's result is ours to give */
	long count;
	char at[32];
};

/* Calls that change what another process, or the next, can see. */
static const struct {
	int number;
	const char *name;
} changing[] = {
	{ __NR_write, "write" },           { __NR_pwrite64, "pwrite" },
	{ __NR_writev, "writev" },         { __NR_fsync, "fsync" },
	{ __NR_fdatasync, "fdatasync" },   { __NR_ftruncate, "ftruncate" },
	{ __NR_renameat2, "rename" },      { __NR_linkat, "link" },
	{ __NR_unlinkat, "unlink" },       { __NR_mkdirat, "mkdir" },
	{ __NR_flock, "flock" },           { __NR_sendto, "sendto" },
	{ __NR_membarrier, "membarrier" }, { __NR_mount, "mount" },
#ifdef __NR_renameat
	{ __NR_renameat, "rename" },
#endif
#ifdef __NR_rename
	{ __NR_rename, "rename" },         { __NR_link, "link" },
	{ __NR_unlink, "unlink" },         { __NR_mkdir, "mkdir" },
	{ __NR_rmdir, "rmdir" },
#endif
};

static volatile sig_atomic_t asked_now;

static void asked_take(int number)
{
	asked_now = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "stopper: %s: %s\n", what, strerror(errno));
	exit(125);
}

static bool path_read(pid_t pid, uint64_t address, char *text, size_t size)
{
	/* In two parts, because memory may end with the page. */
	size_t first = 4096 - address % 4096;
	struct iovec here = { text, size - 1 };
	struct iovec there[] = { { (void *)address, first },
				 { (void *)(address + first), size - 1 } };
	ssize_t got = process_vm_readv(pid, &here, 1, there, 2, 0);

	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

static bool names_path(pid_t pid, const struct __ptrace_syscall_info *info, const char *wanted)
{
	char path[512];
	int at = -1;

	switch (info->entry.nr) {
	case __NR_openat:
	case __NR_mkdirat:
	case __NR_newfstatat:
		at = 1;
		break;
#ifdef __NR_open
	case __NR_open:
	case __NR_mkdir:
#endif
	case __NR_statfs:
		at = 0;
		break;
	}
	return at >= 0 && path_read(pid, info->entry.args[at], path, sizeof(path)) &&
	       !strncmp(path, wanted, strlen(wanted));
}

static bool bpf_changes(uint64_t command)
{
	switch (command) {
	case BPF_MAP_CREATE:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_PROG_LOAD:
	case BPF_OBJ_PIN:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
	case BPF_LINK_CREATE:
	case BPF_LINK_UPDATE:
		return true;
	default:
		return false;
	}
}

static void call_name(const struct __ptrace_syscall_info *info, char name[static 32])
{
	snprintf(name, 32, "%llu", (unsigned long long)info->entry.nr);
	if (info->entry.nr == __NR_bpf && bpf_changes(info->entry.args[0]))
		snprintf(name, 32, "bpf-%llu", (unsigned long long)info->entry.args[0]);
	if (info->entry.nr == __NR_openat && info->entry.args[2] & (O_WRONLY | O_RDWR | O_CREAT))
		strcpy(name, "open-to-write");
	for (size_t i = 0; i < sizeof(changing) / sizeof(*changing); i++)
		if (info->entry.nr == (uint64_t)changing[i].number)
			strcpy(name, changing[i].name);
}

/* --- the two changes to a stopped process that depend on the machine --- */

#if defined(__x86_64__)
static void call_skip(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs))
		die("PTRACE_GETREGS");
	regs.orig_rax = -1;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs))
		die("PTRACE_SETREGS");
}

static void call_result(pid_t pid, long result)
{
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), result))
		die("PTRACE_POKEUSER");
}
#elif defined(__aarch64__)
static void call_skip(pid_t pid)
{
	int none = -1;
	struct iovec io = { &none, sizeof(none) };

	if (ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &io))
		die("PTRACE_SETREGSET");
}

static void call_result(pid_t pid, long result)
{
	struct user_regs_struct regs;
	struct iovec io = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io))
		die("PTRACE_GETREGSET");
	regs.regs[0] = result;
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io))
		die("PTRACE_SETREGSET");
}
#else
#define NO_FAILING
static void call_skip(pid_t pid)
{
}

static void call_result(pid_t pid, long result)
{
}
#endif

/*
 * Calls that cannot fail, so that nobody need expect it. brk can, but glibc 2.36 then uses memory
 * that it does not have: any program with a heap dies there.
 */
static bool can_fail(uint64_t number)
{
	switch (number) {
	case __NR_brk:
	case __NR_exit:
	case __NR_exit_group:
	case __NR_rt_sigreturn:
	case __NR_getpid:
	case __NR_geteuid:
	case __NR_getuid:
		return false;
	default:
		return true;
	}
}

/* True when the process has to die now. */
static bool call_enter(struct stopper *stopper, pid_t pid, const struct __ptrace_syscall_info *info)
{
	char name[32];

	if (stopper->is_asked && !asked_now)
		return false;
	if (!stopper->counts && !names_path(pid, info, stopper->after))
		return false;
	stopper->counts = true;
	stopper->count++;
	call_name(info, name);
	if (stopper->list)
		fprintf(stopper->list, "%s\n", name);
	if (stopper->count != stopper->kill && stopper->count != stopper->fail)
		return false;
	strcpy(stopper->at, name);
	if (stopper->count == stopper->kill)
		return true;
	if (can_fail(info->entry.nr)) {
		call_skip(pid);
		stopper->is_failed = true;
	}
	return false;
}

/* The command's wait status. */
static int trace(struct stopper *stopper, pid_t pid)
{
	int status, signal_for_it = 0;

	for (;;) {
		struct __ptrace_syscall_info info;

		if (ptrace(PTRACE_SYSCALL, pid, 0, signal_for_it) && errno != ESRCH)
			die("PTRACE_SYSCALL");
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid");
		if (!WIFSTOPPED(status))
			return status;
		signal_for_it = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
				signal_for_it = WSTOPSIG(status);
			continue;
		}
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
			die("PTRACE_GET_SYSCALL_INFO");
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY && call_enter(stopper, pid, &info)) {
			kill(pid, SIGKILL);
		} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && stopper->is_failed) {
			call_result(pid, -stopper->error);
			stopper->is_failed = false;
		}
	}
}

static pid_t command_start(char **command)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(125);
		raise(SIGSTOP);
		execvp(command[0], command);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("cannot trace");
	if (ptrace(PTRACE_SETOPTIONS, pid, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL))
		die("PTRACE_SETOPTIONS");
	return pid;
}

static int errno_of(const char *name)
{
	if (!strcmp(name, "ENOSPC"))
		return ENOSPC;
	if (!strcmp(name, "ENOMEM"))
		return ENOMEM;
	if (!strcmp(name, "EIO"))
		return EIO;
	fputs(usage, stderr);
	exit(125);
}

static FILE *file_open(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		die(path);
	setvbuf(file, NULL, _IOLBF, 0); /* for who reads it meanwhile */
	return file;
}

static void options_read(int argc, char **argv, struct stopper *stopper)
{
	static const struct option options[] = {
		{ "after", 1, 0, 'a' },  { "asked", 0, 0, 's' },
		{ "kill", 1, 0, 'k' },   { "fail", 1, 0, 'f' },
		{ "errno", 1, 0, 'e' },  { "list", 1, 0, 'l' },
		{ "report", 1, 0, 'r' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			stopper->after = optarg;
			break;
		case 's':
			stopper->is_asked = true;
			signal(SIGUSR1, asked_take);
			break;
		case 'k':
			stopper->kill = atol(optarg);
			break;
		case 'f':
			stopper->fail = atol(optarg);
			break;
		case 'e':
			stopper->error = errno_of(optarg);
			break;
		case 'l':
			stopper->list = file_open(optarg);
			break;
		case 'r':
			stopper->report = file_open(optarg);
			break;
		default:
			fputs(usage, stderr);
			exit(125);
		}
	}
}

int main(int argc, char **argv)
{
	struct stopper stopper = { .error = EIO, .report = stderr, .at = "-" };
	int status;

	options_read(argc, argv, &stopper);
	if (optind == argc) {
		fputs(usage, stderr);
		return 125;
	}
#ifdef NO_FAILING
	if (stopper.fail) {
		fputs("stopper: cannot make calls fail on this machine\n", stderr);
		return 77;
	}
#endif
	stopper.counts = !stopper.after;
	status = trace(&stopper, command_start(argv + optind));
	fprintf(stopper.report, "calls=%ld at=%s signal=%d\n", stopper.count, stopper.at,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
