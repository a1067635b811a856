/* SPDX-License-Identifier: Apache-2.0 */
/* nftables and HAProxy, each world in a network namespace of its own; and how all worlds are found,
 * made and removed. */
#pragma once
#include "control_world.h"

#include <ctype.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define WEIGHTS_A_LINE 64 /* commands of HAProxy's that fit its buffer */
#define HAPROXY_LIMIT_MS 20000

static inline void netns_enter(int netns)
{
	if (setns(netns, CLONE_NEWNET))
		die("cannot enter a network namespace: %s", strerror(errno));
}

static inline int netns_make(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, netns;

	if (unshare(CLONE_NEWNET))
		die("cannot make a network namespace: %s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || netns < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		die("cannot bring lo up in a network namespace: %s", strerror(errno));
	close(fd);
	return netns;
}

/* --- nftables --- */

static inline double nft_time(struct bench_world *world, char *file)
{
	double took;

	netns_enter(world->netns);
	took = PROCESS_TIME("nft", "-f", file);
	netns_enter(netns_home);
	return took;
}

static inline void nft_make(struct bench_world *world)
{
	enum nft_form form = (enum nft_form)(world->kind - WORLD_NFT_DNAT);

	for (int i = 0; i < 2; i++) {
		world->input[i] = text_make("%s/%d.nft", world->dir, i);
		nft_write(world->input[i], form, world->services, i ? 10 : 90);
		world->change[i] = text_make("%s/change%d.nft", world->dir, i);
		nft_weight_write(world->change[i], 0, i ? 10 : 90);
	}
	world->netns = netns_make();
	nft_time(world, world->input[0]);
}

/* --- HAProxy --- */

/* Of the newest; 0 when there is none. */
static inline pid_t haproxy_pid(const char *pid_file)
{
	FILE *file = fopen(pid_file, "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static inline void haproxy_gone_wait(pid_t pid)
{
	for (int waited = 0; !kill(pid, 0); waited++) {
		if (waited == HAPROXY_LIMIT_MS)
			die("HAProxy %d does not end", pid);
		usleep(1000);
	}
}

static inline void haproxy_kill(const char *pid_file)
{
	pid_t pid = haproxy_pid(pid_file);

	if (!pid)
		return;
	kill(pid, SIGKILL);
	haproxy_gone_wait(pid);
	unlink(pid_file);
}

static inline double haproxy_start(struct bench_world *world)
{
	double took;

	haproxy_kill(world->pid_file);
	netns_enter(world->netns);
	took = PROCESS_TIME("haproxy", "-D", "-f", world->config, "-p", world->pid_file);
	netns_enter(netns_home);
	return took;
}

static inline double haproxy_reload(struct bench_world *world)
{
	pid_t old = haproxy_pid(world->pid_file);
	char text[16];
	double took;

	snprintf(text, sizeof(text), "%d", old);
	netns_enter(world->netns);
	took = PROCESS_TIME("haproxy", "-D", "-f", world->config, "-p", world->pid_file, "-x",
			    world->socket, "-sf", text);
	netns_enter(netns_home);
	haproxy_gone_wait(old);
	return took;
}

/* A line of commands; HAProxy answers each with an empty line, or says what is wrong, and closes.
 */
static inline void haproxy_say(const struct bench_world *world, const char *line, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[4096];
	ssize_t got;

	if (strlen(world->socket) < sizeof(address.sun_path))
		strcpy(address.sun_path, world->socket);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, line, size) != (ssize_t)size)
		die("cannot speak to HAProxy: %s", strerror(errno));
	while ((got = read(fd, answer, sizeof(answer))) > 0)
		for (ssize_t i = 0; i < got; i++)
			if (!isspace((unsigned char)answer[i]))
				die("HAProxy said: %.*s", (int)got, answer);
	close(fd);
	if (got < 0)
		die("HAProxy does not answer: %s", strerror(errno));
}

/* Connect to answer, as many lines as it takes; µs. */
static inline double haproxy_weights(struct bench_world *world, uint32_t services)
{
	unsigned weight = world->changes++ & 1 ? 90 : 10;
	double began = now_us();
	char line[8192];

	for (uint32_t i = 0; i < services;) {
		size_t size = 0;

		for (unsigned n = 0; n < WEIGHTS_A_LINE && i < services; n++, i++)
			size += snprintf(line + size, sizeof(line) - size,
					 "%sset server s%u/e0 weight %u", n ? ";" : "", i, weight);
		line[size++] = '\n';
		haproxy_say(world, line, size);
	}
	return now_us() - began;
}

static inline void haproxy_make(struct bench_world *world)
{
	world->config = text_make("%s/haproxy.cfg", world->dir);
	world->pid_file = text_make("%s/haproxy.pid", world->dir);
	/* A socket's path has 107 characters at most, and the build folder's may be longer. */
	world->socket = text_make("/tmp%s.sock", strrchr(world->dir, '/'));
	haproxy_write(world->config, world->socket, world->services);
	world->netns = netns_make();
	haproxy_start(world);
}

/* --- all worlds --- */

static inline void world_make(struct bench_world *world)
{
	world->dir = text_make("%s/sluice-bench-%d-%u", worlds_dir, getpid(), world_count);
	if (mkdir(world->dir, 0700))
		die("%s: %s", world->dir, strerror(errno));
	if (world->kind == WORLD_SLUICE)
		sluice_make(world);
	else if (world->kind == WORLD_HAPROXY)
		haproxy_make(world);
	else
		nft_make(world);
	if (world->netns)
		netns_enter(netns_home);
}

/* NULL when the machine lacks the program, which is said once. */
static inline struct bench_world *world_get(enum world_kind kind, uint32_t services)
{
	static bool is_said[WORLD_KINDS];
	const char *lack = world_lacks(kind);
	struct bench_world *world;

	if (lack && !is_said[kind])
		fprintf(stderr, "control: rows left out: %s\n", lack);
	is_said[kind] = true;
	if (lack)
		return NULL;
	for (unsigned i = 0; i < world_count; i++)
		if (worlds[i]->kind == kind && worlds[i]->services == services)
			return worlds[i];
	world = calloc(1, sizeof(*world));
	if (!world || world_count == WORLDS_MAX)
		die("no room for a world");
	world->kind = kind;
	world->services = services;
	world_make(world);
	worlds[world_count++] = world;
	return world;
}

/* What is left of one world, whether or not it was made whole. */
static inline void world_remove(const char *name)
{
	char *pid_file = text_make("%s/%s/haproxy.pid", worlds_dir, name);
	char *socket = text_make("/tmp/%s.sock", name);
	char *pins = text_make(PIN_ROOT "/%s", name);
	char *state = text_make("%s/%s/state", worlds_dir, name);
	char *program = text_make("%s/sluiced", build_dir);

	haproxy_kill(pid_file);
	unlink(socket);
	if (!access(pins, F_OK))
		PROCESS_TIME(program, "--detach", "--pins", pins, "--state", state);
	free(program);
	free(state);
	free(pins);
	free(socket);
	free(pid_file);
}

static inline void worlds_end(void)
{
	DIR *stream = opendir(worlds_dir);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			world_remove(entry->d_name);
	if (stream)
		closedir(stream);
	PROCESS_TIME("rm", "-rf", "--", worlds_dir);
}

static volatile sig_atomic_t worlds_child;

static void worlds_interrupt(int signal)
{
	if (worlds_child)
		kill(-worlds_child, SIGKILL);
}

/* The benchmark runs in a child, so that its worlds are removed however it ends. Returns in the
 * child alone. */
static inline void worlds_begin(void)
{
	struct sigaction action = { .sa_handler = worlds_interrupt, .sa_flags = SA_RESTART };
	struct rlimit files = { 1 << 17, 1 << 17 }; /* HAProxy: a listener a service */
	int status;
	pid_t pid;

	build_dir = getenv("BUILD") ?: "build";
	worlds_dir = text_make("%s/bench/control.XXXXXX", build_dir);
	errors_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (errors_fd < 0 || !mkdtemp(worlds_dir))
		die("%s: %s", worlds_dir, strerror(errno));
	setrlimit(RLIMIT_NOFILE, &files);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		setpgid(0, 0);
		netns_home = netns_make();
		return;
	}
	setpgid(pid, pid);
	worlds_child = pid;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL); /* an agent that the child left */
	worlds_child = 0;
	worlds_end();
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
