// SPDX-License-Identifier: Apache-2.0
/*
 * The client of the end-to-end benchmark: a closed loop of new connections, or of one-byte
 * questions and answers on connections that stay. See usage below; the result is one line of JSON.
 *
 * Every process counts what ends between two instants that all share; the time before them warms
 * up, what is under way after them is ended in peace. One failure anywhere is told, never left out.
 */
#include "load_counts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"Usage: load connect|pingpong [OPTION]... ADDRESS:PORT[*WEIGHT]...\n"
	"  connect    new connections: connect, ask with one byte, take one, wait for the server's "
	"close\n"
	"  pingpong   one byte each way, again and again, on connections that stay\n"
	"  -s, --seconds S     length of what is counted (1)\n"
	"  -w, --warm S        of what goes before (0.1)\n"
	"  -c, --inflight N    connections at once, of each process (1)\n"
	"  -p, --processes N   (1)\n"
	"      --cpu N         stay on this CPU\n"
	"      --timeout S     for one connection or answer (5)\n"
	"  -h, --help          this text\n"
	"Several targets are drawn from by weight, at random. Exit code 1: something failed "
	"(\"failed\", \"why\").\n";

#define TARGETS_MAX 8
#define PROCESSES_MAX 64
#define EVENTS_MAX 128

struct target {
	struct sockaddr_in to;
	uint32_t upto; /* weights of this and those before */
};

struct connection {
	int fd;
	uint64_t asked_ns; /* pingpong: the question; connect: the SYN */
	bool asked, answered;
	unsigned char version;
};

static struct {
	bool pingpong;
	uint64_t length_ns, warm_ns, timeout_ns;
	uint32_t inflight, processes, target_count;
	int cpu;
	struct target targets[TARGETS_MAX];
} options = { .length_ns = SECOND_NS,
	      .warm_ns = SECOND_NS / 10,
	      .timeout_ns = 5 * SECOND_NS,
	      .inflight = 1,
	      .processes = 1,
	      .cpu = -1 };

static struct counts *shared, *counts;
static uint32_t *samples; /* ns, all processes' in a row */
static struct connection *connections;
static uint64_t begin_ns, end_ns, random_state;
static uint32_t alive;
static int queue;

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static void sleep_until(uint64_t when_ns)
{
	struct timespec when = { when_ns / SECOND_NS, when_ns % SECOND_NS };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
		;
}

/* xorshift64*: the low bits are the weak ones. */
static uint32_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull >> 33;
}

static const struct sockaddr_in *target_pick(void)
{
	uint32_t at = 0, drawn;

	if (options.target_count > 1) {
		drawn = random_next() % options.targets[options.target_count - 1].upto;
		while (drawn >= options.targets[at].upto)
			at++;
	}
	return &options.targets[at].to;
}

/* --- one connection --- */

static void connection_fail(struct connection *connection, const char *doing, const char *why)
{
	if (!counts->failed++)
		snprintf(counts->why, sizeof(counts->why), "%s: %s", doing, why);
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	alive--;
}

static void connection_open(struct connection *connection, uint64_t now)
{
	/* Edge-triggered once for both ways: one epoll_ctl a connection. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				     .data.ptr = connection };
	const struct sockaddr_in *to = target_pick();
	int on = 1;

	*connection = (struct connection){ .asked_ns = now };
	alive++;
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		connection_fail(connection, "socket", strerror(errno));
	else if ((options.pingpong && /* the others have one byte to send, for which nothing waits
				       */
		  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) ||
		 (connect(connection->fd, (void *)to, sizeof(*to)) && errno != EINPROGRESS) ||
		 epoll_ctl(queue, EPOLL_CTL_ADD, connection->fd, &event))
		connection_fail(connection, "connect", strerror(errno));
}

static void connection_ask(struct connection *connection)
{
	const char question = options.pingpong ? 'p' : 'c';

	connection->asked = true;
	if (options.pingpong)
		connection->asked_ns = now_ns();
	if (send(connection->fd, &question, 1, MSG_NOSIGNAL) != 1)
		connection_fail(connection, "ask", strerror(errno));
}

/* A whole connection, or one question and its answer. */
static void done_count(const struct connection *connection, uint64_t now)
{
	uint64_t took_ns = now - connection->asked_ns;

	if (took_ns > counts->slowest_ns)
		counts->slowest_ns = took_ns;
	/* The split is judged by all, those outside of the measured time too. */
	counts->by[connection->version]++;
	if (now < begin_ns || now >= end_ns)
		return;
	counts->done++;
	if (options.pingpong && counts->samples < SAMPLES_MAX / options.processes)
		samples[(counts - shared) * (SAMPLES_MAX / options.processes) + counts->samples++] =
			took_ns > UINT32_MAX ? UINT32_MAX : took_ns;
}

static void connection_close(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
	alive--;
}

/* False while there is nothing to take. */
static bool answer_take(struct connection *connection)
{
	unsigned char bytes[16];
	ssize_t size = recv(connection->fd, bytes, sizeof(bytes), 0);

	if (size < 0 && errno == EAGAIN)
		return false;
	if (size == 1 && !connection->answered) {
		connection->answered = true;
		connection->version = bytes[0];
		return true;
	}
	if (size == 0 && connection->answered && !options.pingpong) {
		done_count(connection, now_ns());
		connection_close(connection);
		if (now_ns() < end_ns)
			connection_open(connection, now_ns());
		return false;
	}
	connection_fail(connection, "answer",
			size < 0    ? strerror(errno)
			: size == 0 ? "closed before it came"
				    : "more than asked for");
	return false;
}

static void pong_take(struct connection *connection)
{
	uint64_t now = now_ns();

	done_count(connection, now);
	connection->answered = false;
	if (now < end_ns)
		connection_ask(connection);
	else
		connection_close(connection);
}

static void connection_event(struct connection *connection, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (connection->fd < 0)
		return;
	if (!connection->asked) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
			connection_fail(connection, "connect", strerror(error));
		} else if (events & EPOLLOUT) {
			connection_ask(connection);
		}
		return;
	}
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || !answer_take(connection))
		return;
	if (options.pingpong)
		pong_take(connection);
	else if (events & EPOLLRDHUP) /* its edge will not come again */
		answer_take(connection);
}

/* --- one process --- */

static void late_fail(uint64_t now)
{
	for (uint32_t i = 0; i < options.inflight; i++)
		if (connections[i].fd >= 0 && now > connections[i].asked_ns + options.timeout_ns)
			connection_fail(&connections[i],
					connections[i].asked ? "answer" : "connect", "timed out");
}

static void process_run(uint32_t number)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t looked_ns = now_ns();

	counts = &shared[number];
	random_state = looked_ns * 2654435761u + number + 1;
	connections = calloc(options.inflight, sizeof(*connections));
	queue = epoll_create1(EPOLL_CLOEXEC);
	if (!connections || queue < 0)
		exit(1);
	for (uint32_t i = 0; i < options.inflight; i++)
		connection_open(&connections[i], now_ns());
	while (alive) {
		int count = epoll_wait(queue, events, EVENTS_MAX, 100);

		for (int i = 0; i < count; i++)
			connection_event(events[i].data.ptr, events[i].events);
		if (now_ns() > looked_ns + SECOND_NS / 10)
			late_fail(looked_ns = now_ns());
	}
	exit(0);
}

/* --- all of them --- */

static void processes_start(void)
{
	pid_t parent = getpid();

	for (uint32_t i = 0; i < options.processes; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("load: fork");
			exit(1);
		}
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			process_run(i);
		exit(1);
	}
}

static int run(void)
{
	uint64_t busy_us, stolen_us, busy_after_us, stolen_after_us;
	int status, bad = 0;

	begin_ns = now_ns() + options.warm_ns;
	end_ns = begin_ns + options.length_ns;
	processes_start();
	sleep_until(begin_ns);
	cpu_read(&busy_us, &stolen_us);
	sleep_until(end_ns);
	cpu_read(&busy_after_us, &stolen_after_us);
	for (uint32_t i = 0; i < options.processes; i++)
		if (wait(&status) < 0 || status)
			bad = 1;
	if (bad)
		fprintf(stderr, "load: a process of its own ended before its time\n");
	return result_print(shared, options.processes, samples, end_ns - begin_ns,
			    busy_after_us - busy_us, stolen_after_us - stolen_us) |
	       bad;
}

/* --- options --- */

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "load: %s: %s\n%s", what, which, usage);
	exit(2);
}

static void target_add(const char *text)
{
	struct target *target = &options.targets[options.target_count];
	uint32_t before = options.target_count ? target[-1].upto : 0, weight = 1;
	char address[64];
	uint16_t port;

	if (options.target_count == TARGETS_MAX)
		fail("too many targets", text);
	if (sscanf(text, "%63[0-9.]:%hu*%u", address, &port, &weight) < 2 || !weight ||
	    inet_pton(AF_INET, address, &target->to.sin_addr) != 1)
		fail("a target is ADDRESS:PORT or ADDRESS:PORT*WEIGHT", text);
	target->to.sin_family = AF_INET;
	target->to.sin_port = htons(port);
	target->upto = before + weight;
	options.target_count++;
}

static uint64_t seconds_of(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (*end || !(seconds >= 0 && seconds <= 3600))
		fail("seconds are a number up to 3600", text);
	return (uint64_t)(seconds * (double)SECOND_NS);
}

static uint32_t number_of(const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end || number < least || number > most)
		fail("not a number that is allowed here", text);
	return number;
}

static void options_read(int argc, char **argv)
{
	static const struct option list[] = {
		{ "seconds", 1, NULL, 's' },  { "warm", 1, NULL, 'w' },
		{ "inflight", 1, NULL, 'c' }, { "processes", 1, NULL, 'p' },
		{ "cpu", 1, NULL, 'u' },      { "timeout", 1, NULL, 't' },
		{ "help", 0, NULL, 'h' },     {},
	};
	int option;

	while ((option = getopt_long(argc, argv, "s:w:c:p:h", list, NULL)) != -1) {
		switch (option) {
		case 's':
			options.length_ns = seconds_of(optarg);
			break;
		case 'w':
			options.warm_ns = seconds_of(optarg);
			break;
		case 't':
			options.timeout_ns = seconds_of(optarg);
			break;
		case 'c':
			options.inflight = number_of(optarg, 1, 20000);
			break;
		case 'p':
			options.processes = number_of(optarg, 1, PROCESSES_MAX);
			break;
		case 'u':
			options.cpu = number_of(optarg, 0, CPU_SETSIZE - 1);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind == argc || (strcmp(argv[optind], "connect") && strcmp(argv[optind], "pingpong")))
		fail("unknown mode", optind < argc ? argv[optind] : "(none)");
	options.pingpong = !strcmp(argv[optind], "pingpong");
	while (++optind < argc)
		target_add(argv[optind]);
	if (!options.target_count)
		fail("which target?", "(none)");
}

static void *memory_share(size_t size)
{
	/* Populated, for a page fault would be in the figures. */
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("load: memory");
		exit(1);
	}
	return memory;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	cpu_set_t cpus;

	options_read(argc, argv);
	setrlimit(RLIMIT_NOFILE, &files);
	shared = memory_share(options.processes * sizeof(*shared));
	samples = memory_share(SAMPLES_MAX * sizeof(*samples));
	CPU_ZERO(&cpus);
	if (options.cpu >= 0) {
		CPU_SET(options.cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
			fprintf(stderr, "load: cannot stay on CPU %d: %s\n", options.cpu,
				strerror(errno));
			return 1;
		}
	}
	return run();
}
