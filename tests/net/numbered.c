// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered datagrams, each of which must come back: who sends them knows which were lost on either
 * way, which came twice, and whether another endpoint answered than the socket's first.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"Usage: numbered echo PORT NAME\n"
	"       numbered send ADDRESS PORT RATE SECONDS SOCKETS READY\n"
	"  echo sends each datagram back, with its name in it. send lets SOCKETS take turns, makes "
	"the\n"
	"  file READY once each has been answered, and prints one line of JSON at the end, or "
	"when\n"
	"  SIGTERM ends it early: sent, lost, twice, moved, refused, pause_us (the longest between "
	"two\n"
	"  of its datagrams). SLUICE_TIMES gives a slow machine so many times the time.\n";

#define SECOND_NS 1000000000ull
#define SOCKETS_MAX 256
#define BURST_MAX 32 /* of what is late, so that no queue on the way is too short for it */
#define BUFFER_SIZE (32 << 20)

struct datagram {
	uint64_t number;
	char name[24];
};

struct run {
	uint64_t rate, limit, sent, received, twice, moved, refused, pause_ns;
	int fds[SOCKETS_MAX], sockets, named;
	char names[SOCKETS_MAX][24];
	uint8_t *seen; /* a byte a number */
	const char *ready;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "numbered: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND_NS + time.tv_nsec;
}

/* A receiver that had to wait for its CPU must not be what loses packets. */
static void buffers_widen(int fd)
{
	int size = BUFFER_SIZE;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		die("widen a socket's buffers (root?)");
}

/* --- echo --- */

static int echo_open(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) ||
	    bind(fd, (void *)&any, sizeof(any)))
		die("listen");
	buffers_widen(fd);
	return fd;
}

/* From the address that it was sent to: its control data goes back as it came. */
static _Noreturn void echo(uint16_t port, const char *name)
{
	static char control[256];
	struct datagram datagram;
	struct sockaddr_in6 from;
	struct iovec vector = { &datagram, sizeof(datagram) };
	int fd = echo_open(port);

	for (;;) {
		struct msghdr message = { &from,   sizeof(from),    &vector, 1,
					  control, sizeof(control), 0 };

		if (recvmsg(fd, &message, 0) != sizeof(datagram))
			continue;
		snprintf(datagram.name, sizeof(datagram.name), "%s", name);
		if (sendmsg(fd, &message, 0) < 0)
			fprintf(stderr, "numbered: cannot answer: %s\n", strerror(errno));
	}
}

/* --- send --- */

static int socket_open(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_DGRAM };
	struct addrinfo *to;
	int fd;

	if (getaddrinfo(address, port, &hints, &to)) {
		fprintf(stderr, "numbered: no address: \"%s\", port \"%s\"\n", address, port);
		exit(2);
	}
	fd = socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen))
		die("open a socket");
	freeaddrinfo(to);
	buffers_widen(fd);
	return fd;
}

static void answer_count(struct run *run, int at, const struct datagram *datagram)
{
	if (datagram->number >= run->sent)
		return;
	if (run->seen[datagram->number]++)
		run->twice++;
	else
		run->received++;
	if (!run->names[at][0]) {
		memcpy(run->names[at], datagram->name, sizeof(run->names[at]));
		run->named++;
	} else if (memcmp(run->names[at], datagram->name, sizeof(run->names[at]))) {
		run->moved++;
	}
}

static void answers_take(struct run *run)
{
	struct datagram datagram;

	for (int i = 0; i < run->sockets; i++) {
		ssize_t size;

		while ((size = recv(run->fds[i], &datagram, sizeof(datagram), 0)) >= 0)
			if (size == sizeof(datagram))
				answer_count(run, i, &datagram);
		run->refused += errno != EAGAIN;
	}
	if (run->ready && run->named == run->sockets) {
		FILE *file = fopen(run->ready, "we");

		if (!file || fclose(file))
			die("make the file that says ready");
		run->ready = NULL;
	}
}

/* What is due by now, and no more than a burst. */
static void datagrams_send(struct run *run, uint64_t since_ns)
{
	uint64_t due = since_ns * run->rate / SECOND_NS + 1;

	for (int i = 0; i < BURST_MAX && run->sent < due && run->sent < run->limit; i++) {
		struct datagram datagram = { .number = run->sent };

		if (send(run->fds[run->sent % run->sockets], &datagram, sizeof(datagram), 0) < 0)
			run->refused++;
		run->sent++;
	}
}

static void run_all(struct run *run, uint64_t for_ns, uint64_t late_ns)
{
	const struct timespec nap = { 0, SECOND_NS / 10000 };
	uint64_t began = now_ns(), last = began, now;

	while (!stopped && (now = now_ns()) < began + for_ns) {
		if (run->sent && now - last > run->pause_ns)
			run->pause_ns = now - last;
		last = now;
		datagrams_send(run, now - began);
		answers_take(run);
		nanosleep(&nap, NULL);
	}
	began = now_ns();
	while (run->received < run->sent && now_ns() < began + late_ns) {
		answers_take(run);
		nanosleep(&nap, NULL);
	}
}

static int send_all(char **words, uint64_t times)
{
	struct run run = { .rate = strtoull(words[2], NULL, 10), .ready = words[5] };
	uint64_t seconds = strtoull(words[3], NULL, 10) * times;

	run.sockets = atoi(words[4]);
	run.limit = run.rate * seconds;
	if (run.sockets < 1 || run.sockets > SOCKETS_MAX || !run.limit) {
		fputs(usage, stderr);
		return 2;
	}
	run.seen = calloc(run.limit, 1);
	if (!run.seen)
		die("keep so many numbers");
	for (int i = 0; i < run.sockets; i++)
		run.fds[i] = socket_open(words[0], words[1]);
	signal(SIGTERM, stop);
	run_all(&run, seconds * SECOND_NS, 3 * times * SECOND_NS);
	printf("{\"sent\":%llu,\"lost\":%llu,\"twice\":%llu,\"moved\":%llu,\"refused\":%llu,"
	       "\"pause_us\":%llu}\n",
	       (unsigned long long)run.sent, (unsigned long long)(run.sent - run.received),
	       (unsigned long long)run.twice, (unsigned long long)run.moved,
	       (unsigned long long)run.refused, (unsigned long long)run.pause_ns / 1000);
	free(run.seen);
	return 0;
}

int main(int argc, char **argv)
{
	const char *times = getenv("SLUICE_TIMES");

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "echo"))
		echo(atoi(argv[2]), argv[3]);
	if (argc == 8 && !strcmp(argv[1], "send"))
		return send_all(argv + 2, times && atoi(times) > 0 ? atoi(times) : 1);
	fputs(usage, stderr);
	return 2;
}
