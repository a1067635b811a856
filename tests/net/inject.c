// SPDX-License-Identifier: Apache-2.0
/*
 * Makes another process make a system call, as code that was smuggled into it would, and prints
 * what came of it: a number, or the error's name. The process goes on as if nothing had been.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"Usage: inject PID CALL [ARGUMENT...]\n"
	"  CALL is a name (see the source) or a number; arguments are numbers.\n"
	"  Exit code 77: not on this architecture.\n";

static const struct {
	const char *name;
	long number;
} calls[] = {
	{ "bpf", __NR_bpf },           { "clone", __NR_clone },
	{ "execve", __NR_execve },     { "getpid", __NR_getpid },
	{ "kill", __NR_kill },         { "memfd_create", __NR_memfd_create },
	{ "mmap", __NR_mmap },         { "mount", __NR_mount },
	{ "mprotect", __NR_mprotect }, { "setns", __NR_setns },
	{ "setuid", __NR_setuid },     { "socket", __NR_socket },
	{ "unshare", __NR_unshare },   { "ioctl", __NR_ioctl },
	{ "umask", __NR_umask },
};

static long call_number(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].number;
	return strtol(name, NULL, 0);
}

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(1);
}

#ifdef __x86_64__
/* The kernel's own results of a call that a stop has interrupted: ERESTARTSYS and its like. */
#define ERESTART_LEAST 512
#define ERESTART_MOST 516
#define TRIES 1000
#define PAUSE_US 10000

static void stop_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		die("the process did not stop");
}

static void go_on(pid_t pid)
{
	if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL))
		die("cannot let it go on");
	stop_wait(pid);
}

/* Was it waiting in a call? One that was interrupted says so, one that is done has its result. */
static int is_waiting(const struct user_regs_struct *regs)
{
	long result = (long)regs->rax;

	return (long)regs->orig_rax >= 0 &&
	       (result == -EINTR || (result <= -ERESTART_LEAST && result >= -ERESTART_MOST));
}

/* Stops it where it waits; what it is doing otherwise would go wrong with registers changed. */
static void wait_stop(pid_t pid, struct user_regs_struct *ret_regs)
{
	for (int i = 0; i < TRIES; i++) {
		if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
			die("cannot stop it");
		stop_wait(pid);
		if (ptrace(PTRACE_GETREGS, pid, NULL, ret_regs))
			die("cannot read its registers");
		if (is_waiting(ret_regs))
			return;
		if (ptrace(PTRACE_CONT, pid, NULL, NULL))
			die("cannot let it go on");
		usleep(PAUSE_US);
	}
	errno = ETIMEDOUT;
	die("it never waits in a call");
}

/* The instruction that calls stands right before where it will go on. */
static long call_make(pid_t pid, long number, const unsigned long arguments[6])
{
	struct user_regs_struct before, now;

	wait_stop(pid, &before);
	now = before;
	now.orig_rax = -1ul; /* the call that it waits in is not made again meanwhile */
	now.rip -= 2;
	now.rax = (unsigned long)number;
	now.rdi = arguments[0];
	now.rsi = arguments[1];
	now.rdx = arguments[2];
	now.r10 = arguments[3];
	now.r8 = arguments[4];
	now.r9 = arguments[5];
	if (ptrace(PTRACE_SETREGS, pid, NULL, &now))
		die("cannot set its registers");
	go_on(pid);
	go_on(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &now))
		die("cannot read the result");
	before.rax = -(unsigned long)EINTR; /* of the call that it waited in */
	before.orig_rax = -1ul;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &before))
		die("cannot put its registers back");
	return (long)now.rax;
}

static long inject(pid_t pid, long number, const unsigned long arguments[6])
{
	long result;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD))
		die("cannot attach");
	result = call_make(pid, number, arguments);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return result;
}
#else
static long inject(pid_t pid, long number, const unsigned long arguments[6])
{
	printf("inject knows the registers of x86-64 alone\n");
	exit(77);
}
#endif

int main(int argc, char **argv)
{
	unsigned long arguments[6] = { 0 };
	long result;

	if (argc < 3 || argc > 9) {
		fputs(usage, stderr);
		return 2;
	}
	for (int i = 3; i < argc; i++)
		arguments[i - 3] = strtoul(argv[i], NULL, 0);
	result = inject(atoi(argv[1]), call_number(argv[2]), arguments);
	if (result < 0 && result > -4096)
		printf("%s\n", strerrorname_np((int)-result));
	else
		printf("%ld\n", result);
	return 0;
}
