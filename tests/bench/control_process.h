/* SPDX-License-Identifier: Apache-2.0 */
/* Processes timed from their start to their end, and a prober that sees when new connections obey.
 */
#pragma once
#include "bench_report.h"
#include "control_input.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>

#define PROBE_LIMIT_US 30e6

static int errors_fd; /* what the processes say on standard error: shown when one of them fails */

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("control: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* --- processes --- */

static inline void errors_show(void)
{
	char text[4096];
	ssize_t size = pread(errors_fd, text, sizeof(text), 0);

	if (size > 0)
		fwrite(text, 1, size, stderr);
}

static inline pid_t process_start(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, errors_fd, 2);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		die("cannot start %s: %s", argv[0], strerror(err));
	return pid;
}

static inline void process_end(pid_t pid, char *const argv[])
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (!status)
		return;
	errors_show();
	die("%s %s ended with %d", argv[0], argv[1] ? argv[1] : "",
	    WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* From posix_spawn to the process's end; µs. */
static inline double process_time(char *const argv[])
{
	double began;
	pid_t pid;

	if (ftruncate(errors_fd, 0))
		die("cannot empty the file of messages");
	began = now_us();
	pid = process_start(argv);
	process_end(pid, argv);
	return now_us() - began;
}

#define PROCESS_TIME(...) process_time((char *[]){ __VA_ARGS__, NULL })

/* --- prober --- */

/*
 * Runs a pinned tc program with one and the same SYN, again and again, and reads from the packet
 * that comes out to which version it was sent: a SYN always decides anew.
 */
struct prober {
	int program;
	uint8_t frame[ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr)];
	unsigned wanted; /* version */
	double seen_us;  /* when it was sent there first; 0: not within the limit */
	bool has_begun;
	pthread_t thread;
};

static inline void prober_frame(struct prober *prober, uint32_t service, uint16_t port)
{
	struct ethhdr *eth = (struct ethhdr *)prober->frame;
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };
	struct tcphdr tcp = { .doff = 5, .syn = 1 };

	ip.tot_len = htons(sizeof(ip) + sizeof(tcp));
	ip.saddr = htonl(0x0a010203);
	ip.daddr = htonl(vip_of(service));
	tcp.source = htons(port);
	tcp.dest = htons(SERVICE_PORT);
	/* The address of lo, as which the packet is run: one for another host would pass. */
	memset(eth, 0, (size_t)2 * ETH_ALEN);
	eth->h_proto = htons(ETH_P_IP);
	memcpy(prober->frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(prober->frame + ETH_HLEN + sizeof(ip), &tcp, sizeof(tcp));
}

/* 1 or 2; 0 when the packet went to no endpoint of the benchmark's. */
static inline unsigned prober_version(const struct prober *prober)
{
	struct __sk_buff skb = { .ifindex = 1 };
	uint8_t out[256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = prober->frame,
		    .data_size_in = sizeof(prober->frame), .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &skb, .ctx_size_in = sizeof(skb),
		    .repeat = 1);
	struct iphdr ip;
	uint32_t endpoint;

	if (bpf_prog_test_run_opts(prober->program, &opts))
		die("cannot run the pinned program: %s", strerror(errno));
	memcpy(&ip, out + ETH_HLEN, sizeof(ip));
	endpoint = ntohl(ip.daddr) - endpoint_of(0, 0);
	return endpoint >= ENDPOINTS << 20 ? 0 : 1 + (endpoint >> 20) / 2;
}

static inline void *prober_run(void *context)
{
	struct prober *prober = context;
	double until = now_us() + PROBE_LIMIT_US;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	__atomic_store_n(&prober->has_begun, true, __ATOMIC_RELEASE);
	while (now_us() < until) {
		if (prober_version(prober) != prober->wanted)
			continue;
		prober->seen_us = now_us();
		break;
	}
	return NULL;
}

static inline void prober_open(struct prober *prober, const char *pins)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/prog_tc_in", pins);
	prober->program = bpf_obj_get(path);
	if (prober->program < 0)
		die("%s: %s", path, strerror(errno));
}

/* From the process's start until new connections are seen on `wanted`; µs. */
static inline double prober_time(struct prober *prober, unsigned wanted, char *const argv[])
{
	double began;
	pid_t pid;

	if (prober_version(prober) == wanted)
		die("new connections are on version %u before %s", wanted, argv[1]);
	prober->wanted = wanted;
	prober->seen_us = 0;
	prober->has_begun = false;
	if (pthread_create(&prober->thread, NULL, prober_run, prober))
		die("no thread for the prober");
	while (!__atomic_load_n(&prober->has_begun, __ATOMIC_ACQUIRE))
		sched_yield();
	began = now_us();
	pid = process_start(argv);
	process_end(pid, argv);
	pthread_join(prober->thread, NULL);
	if (!prober->seen_us)
		die("%s: no new connection on version %u", argv[1], wanted);
	return prober->seen_us - began;
}
