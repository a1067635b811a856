// SPDX-License-Identifier: Apache-2.0
/*
 * The server behind every candidate of the end-to-end benchmark. Usage: backend PORT VERSION
 *
 * Each byte is answered with VERSION's first character; after a 'c' the server closes, so that the
 * client's port is free at once and TIME_WAIT is spent here, where nothing runs out.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 128
#define BACKLOG 4096

static char version;
static int queue;

/* False when the connection is over. */
static bool client_serve(int fd)
{
	char asked[256], answer[sizeof(asked)];
	ssize_t size = recv(fd, asked, sizeof(asked), 0);

	if (size < 0)
		return errno == EAGAIN;
	memset(answer, version, size);
	if (size == 0 || send(fd, answer, size, MSG_NOSIGNAL) != size)
		return false;
	return asked[size - 1] != 'c';
}

static void clients_accept(int listener)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		event.data.fd = fd;
		/* The question is often there already: then the queue need not know the socket. */
		if (!client_serve(fd) || epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event))
			close(fd);
	}
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event event = { .events = EPOLLIN };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	queue = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = fd;
	/* TCP_NODELAY: connections have it from the listener. */
	if (fd < 0 || queue < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(fd, (void *)&any, sizeof(any)) || listen(fd, BACKLOG) ||
	    epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event)) {
		fprintf(stderr, "backend: cannot listen on port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	int listener;

	if (argc != 3 || !atoi(argv[1]) || !argv[2][0]) {
		fprintf(stderr, "Usage: backend PORT VERSION\n");
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	version = argv[2][0];
	setrlimit(RLIMIT_NOFILE, &files);
	listener = listener_open(atoi(argv[1]));
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		int count = epoll_wait(queue, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				clients_accept(fd);
			else if (!client_serve(fd))
				close(fd);
		}
	}
}
