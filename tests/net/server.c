// SPDX-License-Identifier: Apache-2.0
/*
 * A server that says who it is, for the tests with real sockets. Usage: server PORT NAME
 *
 * TCP and UDP, IPv4 and IPv6, on one port. Each line is answered with "NAME\n"; "get BYTES" with a
 * line of so many bytes that begins with the name; after "bye" the server closes, so that the
 * client's port is free at once; an HTTP request is answered with the name as the body. A datagram
 * is answered with one of its own size.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_KEPT 64 /* of a line only its beginning tells what it asks */

struct client {
	int fd; /* first: the listener and the UDP socket are told by it */
	char line[LINE_KEPT];
	size_t length;  /* of the line so far */
	bool http;      /* lines are headers until an empty one */
	bool ends;      /* closes when all is sent */
	size_t to_send; /* filler bytes still to go, the line's end included */
};

static const char *name;
static char filler[65536];
static int queue;

static int socket_open(int type, int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;
	int bytes = 4 << 20;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_DGRAM) {
		/* Answers must come from the address that was asked. */
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	}
	if (bind(fd, (void *)&any, sizeof(any)) || (type == SOCK_STREAM && listen(fd, 4096))) {
		perror("server");
		exit(1);
	}
	return fd;
}

static void watch(struct client *client, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (epoll_ctl(queue, EPOLL_CTL_MOD, client->fd, &event))
		epoll_ctl(queue, EPOLL_CTL_ADD, client->fd, &event);
}

static struct client *client_new(int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		exit(1);
	client->fd = fd;
	watch(client, EPOLLIN);
	return client;
}

static void client_free(struct client *client)
{
	close(client->fd);
	free(client);
}

/* False when the connection is over. */
static bool client_send(struct client *client)
{
	while (client->to_send) {
		bool is_last = client->to_send == 1;
		size_t size =
			client->to_send - 1 < sizeof(filler) ? client->to_send - 1 : sizeof(filler);
		ssize_t sent =
			send(client->fd, is_last ? "\n" : filler, is_last ? 1 : size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			watch(client, EPOLLOUT);
			return true;
		}
		if (sent <= 0)
			return false;
		client->to_send -= sent;
	}
	watch(client, EPOLLIN);
	return !client->ends;
}

static bool answer(struct client *client)
{
	char text[256];
	int length;

	if (client->http)
		length = snprintf(text, sizeof(text),
				  "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s\n",
				  strlen(name) + 1, name);
	else if (client->to_send > strlen(name) + 1)
		length = snprintf(text, sizeof(text), "%s ", name);
	else
		length = snprintf(text, sizeof(text), "%s\n", name);
	client->http = false;
	if (send(client->fd, text, length, MSG_NOSIGNAL) != length)
		return false;
	client->to_send -= client->to_send ? (size_t)length : 0;
	return client->to_send ? client_send(client) : !client->ends;
}

static bool line_take(struct client *client)
{
	size_t length = client->length;

	client->line[length < LINE_KEPT ? length : LINE_KEPT - 1] = 0;
	client->length = 0;
	if (client->http)
		return length > 0 && client->line[0] != '\r' ? true : answer(client);
	if (strstr(client->line, " HTTP/1.")) {
		client->http = true;
		return true;
	}
	if (!strncmp(client->line, "get ", 4))
		client->to_send = strtoul(client->line + 4, NULL, 10);
	client->ends = !strncmp(client->line, "bye", 3);
	return answer(client);
}

static bool client_read(struct client *client)
{
	char bytes[16384];
	ssize_t size = recv(client->fd, bytes, sizeof(bytes), 0);

	if (size < 0)
		return errno == EAGAIN;
	for (ssize_t i = 0; i < size; i++) {
		if (bytes[i] == '\n' && !line_take(client))
			return false;
		if (bytes[i] != '\n' && client->length++ < LINE_KEPT)
			client->line[client->length - 1] = bytes[i];
	}
	return size > 0;
}

static void clients_accept(int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		client_new(fd);
	}
}

static void datagrams_answer(int fd)
{
	static char bytes[65536], control[256];
	struct sockaddr_in6 from;
	struct iovec vector = { bytes, sizeof(bytes) };
	struct msghdr message = { &from, sizeof(from), &vector, 1, control, sizeof(control), 0 };
	size_t length = strlen(name);
	ssize_t size;

	while ((size = recvmsg(fd, &message, 0)) >= 0) {
		memset(bytes, 'x', size);
		memcpy(bytes, name, length);
		bytes[length] = '\n';
		vector.iov_len = (size_t)size > length ? (size_t)size : length + 1;
		sendmsg(fd, &message, 0);
		vector.iov_len = sizeof(bytes);
		message.msg_namelen = sizeof(from);
		message.msg_controllen = sizeof(control);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct client *tcp, *udp;

	if (argc != 3) {
		fprintf(stderr, "Usage: server PORT NAME\n");
		return 2;
	}
	name = argv[2];
	memset(filler, 'x', sizeof(filler));
	setrlimit(RLIMIT_NOFILE, &files);
	queue = epoll_create1(EPOLL_CLOEXEC);
	tcp = client_new(socket_open(SOCK_STREAM, atoi(argv[1])));
	udp = client_new(socket_open(SOCK_DGRAM, atoi(argv[1])));
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(queue, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;

			if (client == tcp)
				clients_accept(tcp->fd);
			else if (client == udp)
				datagrams_answer(udp->fd);
			else if (!((events[i].events & EPOLLOUT) ? client_send(client)
								 : client_read(client)))
				client_free(client);
		}
	}
}
