/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where rows are measured: for each program and number of services one world, made when its first
 * row asks for it. Sluice's has a state folder and pins, the others a network namespace. All go
 * when the benchmark ends, however it ends.
 */
#pragma once
#include "control_process.h"
#include "user/kernel/kernel.h"
#include "user/plan/slots.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define WORLDS_MAX 32
#define HOST_SHORT "s0.bench"
#define NO_DEVICE "sluice-bench*" /* of this namespace's none has such a name */
#define PIN_ROOT "/sys/fs/bpf"
#define READY_LIMIT_S 60

enum world_kind {
	WORLD_SLUICE,
	WORLD_NFT_DNAT, /* in the order of enum nft_form */
	WORLD_NFT_RULE,
	WORLD_NFT_MAP,
	WORLD_HAPROXY,
	WORLD_KINDS,
};

struct bench_world {
	enum world_kind kind;
	uint32_t services;
	unsigned turn, changes; /* which of two inputs comes next */
	char *dir;
	char *input[2], *change[2]; /* Sluice's YAML, nft's rules: v1 has 90 of 100, or 10 */

	char *pins, *state;
	struct kernel *kernel;
	uint8_t *spare_slots; /* at the end of the pinned table, where no split of this world is */
	struct prober prober;

	int netns;
	char *socket, *config, *pid_file;
};

static struct bench_world *worlds[WORLDS_MAX];
static unsigned world_count;
static char *worlds_dir;
static const char *build_dir;
static int netns_home;

__attribute__((format(printf, 1, 2))) static inline char *text_make(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory");
	va_end(args);
	return text;
}

/* --- programs that may not be there --- */

static inline bool is_there(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return !system(command);
}

/* Why rows of the kind cannot be measured; NULL when they can. */
static inline const char *world_lacks(enum world_kind kind)
{
	static int has_nft = -1, has_haproxy = -1;

	if (has_nft < 0) {
		has_nft = is_there("nft");
		has_haproxy = is_there("haproxy");
	}
	if (kind == WORLD_HAPROXY)
		return has_haproxy ? NULL : "haproxy is not installed";
	return kind == WORLD_SLUICE || has_nft ? NULL : "nft is not installed";
}

/* --- Sluice --- */

static inline double sluice_run(struct bench_world *world, unsigned wanted, const char *command,
				va_list words)
{
	char *program = text_make("%s/sluice", build_dir), *argv[16];
	unsigned count = 0;
	const char *word;
	double took;

	argv[count++] = program;
	argv[count++] = (char *)command;
	while ((word = va_arg(words, const char *)))
		argv[count++] = (char *)word;
	argv[count++] = "--pins";
	argv[count++] = world->pins;
	argv[count++] = "--state";
	argv[count++] = world->state;
	argv[count] = NULL;
	took = wanted ? prober_time(&world->prober, wanted, argv) : process_time(argv);
	free(program);
	return took;
}

/* A command of sluice and its words up to NULL, start to exit; µs. */
static inline double sluice_time(struct bench_world *world, const char *command, ...)
{
	va_list words;
	double took;

	va_start(words, command);
	took = sluice_run(world, 0, command, words);
	va_end(words);
	return took;
}

/* The same, start to new connections on version `wanted`. */
static inline double sluice_seen(struct bench_world *world, unsigned wanted, const char *command,
				 ...)
{
	va_list words;
	double took;

	va_start(words, command);
	took = sluice_run(world, wanted, command, words);
	va_end(words);
	return took;
}

/* A client's port whose pick follows the weights, there and back. */
static inline void prober_aim(struct bench_world *world)
{
	bool was_first[256];
	unsigned port = 0;

	for (unsigned i = 0; i < 256; i++) {
		prober_frame(&world->prober, 0, 20000 + i);
		was_first[i] = prober_version(&world->prober) == 1;
	}
	sluice_time(world, "weight", HOST_SHORT, "v1=10", "v2=90", NULL);
	for (unsigned i = 0; !port && i < 256; i++) {
		prober_frame(&world->prober, 0, 20000 + i);
		if (was_first[i] && prober_version(&world->prober) == 2)
			port = 20000 + i;
	}
	if (!port)
		die("no connection of 256 follows the weights");
	sluice_time(world, "weight", HOST_SHORT, "v1=90", "v2=10", NULL);
}

static inline uint8_t *spare_slots_map(const char *pins)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	char *path = text_make("%s/slots", pins);
	int fd = bpf_obj_get(path);
	uint8_t *slots;
	size_t bytes;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		die("%s: %s", path, strerror(errno));
	bytes = (size_t)info.max_entries * info.value_size;
	slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	free(path);
	return slots + bytes - SL_SLOTS_DEFAULT;
}

#define SLUICED(world, program, ...)                                                               \
	{                                                                                          \
		program, "--device", NO_DEVICE, "--pins", (world)->pins, "--state",                \
			(world)->state, "--versions", (world)->services > 1024 ? "32768" : "4096", \
			"--check-interval", "86400", ##__VA_ARGS__, NULL                           \
	}

static inline void agent_once(struct bench_world *world)
{
	char *program = text_make("%s/sluiced", build_dir);
	char *argv[] = SLUICED(world, program, "--once");

	process_time(argv);
	free(program);
}

static inline void sluice_make(struct bench_world *world)
{
	world->pins = text_make(PIN_ROOT "%s", strrchr(world->dir, '/'));
	world->state = text_make("%s/state", world->dir);
	for (int i = 0; i < 2; i++) {
		world->input[i] = text_make("%s/%d.yaml", world->dir, i);
		sluice_write(world->input[i], world->services, i ? 10 : 90);
	}
	agent_once(world);
	sluice_time(world, "apply", "-f", world->input[0], NULL);
	prober_open(&world->prober, world->pins);
	prober_aim(world);
	if (kernel_open(world->pins, &world->kernel))
		die("%s: cannot be opened", world->pins);
	world->spare_slots = spare_slots_map(world->pins);
}

/* The next datagram that says so; the agent has a socket of its own each time. */
static inline void ready_wait(int notify)
{
	struct timeval limit = { .tv_sec = READY_LIMIT_S };
	char text[256];
	ssize_t size;

	setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	do {
		size = recv(notify, text, sizeof(text) - 1, 0);
		if (size < 0) {
			errors_show();
			die("the agent is not ready after %d s", READY_LIMIT_S);
		}
		text[size] = 0;
	} while (!strstr(text, "READY=1"));
}

static inline int notify_open(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* Abstract: a path below the build folder may be too long. */
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", strrchr(dir, '/') + 1);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address,
		 offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1)))
		die("cannot listen for the agent: %s", strerror(errno));
	address.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	return fd;
}

/* An agent started on what a killed one left, until it says that it is ready; µs. Then it is
 * killed. */
static inline double agent_time(struct bench_world *world)
{
	char *program = text_make("%s/sluiced", build_dir);
	char *argv[] = SLUICED(world, program);
	int notify = notify_open(world->dir);
	double began, took;
	pid_t pid;

	began = now_us();
	pid = process_start(argv);
	ready_wait(notify);
	took = now_us() - began;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unsetenv("NOTIFY_SOCKET");
	close(notify);
	free(program);
	return took;
}
