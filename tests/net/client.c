// SPDX-License-Identifier: Apache-2.0
/*
 * A client that counts who answered, for the tests and the demo. See usage below; the result is one
 * line of JSON.
 *
 * `open` makes new connections (or asks from new UDP sockets), one question and one answer each.
 * `hold` keeps connections open, asks again and again, and notices when another endpoint answers.
 * `ping` sends ICMP echo requests. An answer is a server's name up to its first space or end of
 * line; "v1.s2" is endpoint s2 of version v1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"Usage: client open|hold|ping --to ADDRESS [--port PORT] [OPTION]...\n"
	"  --count N         open, ping: how many; hold: connections (1)\n"
	"  --rate N          new connections a second (0: as fast as they go)\n"
	"  --concurrency N   at once (64)\n"
	"  --for SECONDS     open: instead of --count; hold: how long; SIGTERM ends both early\n"
	"  --udp             datagrams instead of connections\n"
	"  --http            ask by HTTP\n"
	"  --size BYTES      of the question\n"
	"  --get BYTES       of the answer (TCP)\n"
	"  --every MS        hold: between two questions (100)\n"
	"  --timeout MS      for an answer (3000)\n"
	"  --close fin|rst|server   who ends a connection, and how (fin)\n"
	"  --from ADDRESS    source; with --sources N the N addresses from there on, in turn\n"
	"  --source-port P   the same for each\n"
	"  --targets N       the N addresses from --to on, in turn\n"
	"  --list            also print the answers in the order of asking\n"
	"  --ready FILE      hold: make this file once every connection has been answered\n"
	"SIGUSR1 prints the result so far; a held connection is in it under \"failed\" or "
	"\"moved\" or is well.\n";

#define NAMES_MAX 64
#define NAME_SIZE 32
#define SECOND_NS 1000000000ull

enum outcome {
	OK,
	REFUSED,
	RESET,
	TIMEOUT,
	UNREACHABLE,
	OTHER,
	OUTCOMES
};
static const char *const outcome_names[] = { "ok",      "refused",     "reset",
					     "timeout", "unreachable", "other" };

struct options {
	bool hold, ping, udp, http, list;
	struct sockaddr_storage to, from;
	socklen_t length;
	uint64_t count, rate, concurrency, for_ns, every_ns, timeout_ns;
	uint32_t size, get, sources, targets;
	uint16_t port, source_port;
	enum {
		CLOSE_FIN,
		CLOSE_RST,
		CLOSE_SERVER
	} close;
	const char *ready;
};

struct connection {
	int fd; /* -1: free */
	uint64_t number;
	uint64_t asked_ns; /* 0: hold, waiting for its next turn */
	uint64_t next_ns;
	bool asked, started; /* the question is out; the answer's first line has begun */
	bool answered;       /* all that is left is the server's close */
	uint32_t sent;
	uint64_t received;
	char name[NAME_SIZE], now[NAME_SIZE]; /* the first answer's, this one's */
	size_t name_length;
};

static struct options options = {
	.count = 1,
	.concurrency = 64,
	.every_ns = SECOND_NS / 10,
	.timeout_ns = 3 * SECOND_NS,
};
static struct connection *connections;
static uint64_t places, started, active, outcomes[OUTCOMES], exchanges, moved, named, began_ns;
static struct {
	char name[NAME_SIZE];
	uint64_t count;
} names[NAMES_MAX];
static char (*answers)[NAME_SIZE];
static char *question;
static uint32_t question_size;
static int queue, last_error;
static volatile sig_atomic_t stopped, told;

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static void stop(int signal)
{
	stopped = 1;
}

static void tell(int signal)
{
	told = 1;
}

static void result_print(uint64_t ended_ns);

/* --- counting --- */

static void name_count(const char *name)
{
	int at = 0;

	while (at < NAMES_MAX - 1 && names[at].name[0] && strcmp(names[at].name, name))
		at++;
	strcpy(names[at].name, name);
	names[at].count++;
}

static enum outcome outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EACCES:
		return UNREACHABLE;
	default:
		last_error = error;
		return OTHER;
	}
}

static void connection_end(struct connection *connection, enum outcome outcome)
{
	struct linger hard = { 1, 0 };

	outcomes[outcome]++;
	if (answers && connection->number < options.count)
		snprintf(answers[connection->number], NAME_SIZE, "%s",
			 outcome == OK ? connection->name : outcome_names[outcome]);
	if (outcome == OK)
		name_count(connection->name);
	if (options.close == CLOSE_RST)
		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(connection->fd);
	connection->fd = -1;
	active--;
}

/* --- one connection --- */

static void address_add(struct sockaddr_storage *address, uint64_t add)
{
	if (address->ss_family == AF_INET) {
		struct sockaddr_in *v4 = (void *)address;

		v4->sin_addr.s_addr = htonl(ntohl(v4->sin_addr.s_addr) + add);
	} else {
		uint32_t *last = &((struct sockaddr_in6 *)(void *)address)->sin6_addr.s6_addr32[3];

		*last = htonl(ntohl(*last) + add);
	}
}

static int source_bind(int fd, uint64_t number)
{
	struct sockaddr_storage from = options.from;
	int on = 1;

	if (!from.ss_family && !options.source_port)
		return 0;
	from.ss_family = options.to.ss_family;
	if (options.sources)
		address_add(&from, number % options.sources);
	((struct sockaddr_in *)(void *)&from)->sin_port = htons(options.source_port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!options.source_port)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (void *)&from, options.length) ? -errno : 0;
}

static void watch(struct connection *connection, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = connection };

	if (epoll_ctl(queue, EPOLL_CTL_MOD, connection->fd, &event))
		epoll_ctl(queue, EPOLL_CTL_ADD, connection->fd, &event);
}

/* Our own stack may hold a port for some time after a connection that was closed from here. */
static int connect_patiently(int fd, const struct sockaddr_storage *to)
{
	for (int try = 0; connect(fd, (const void *)to, options.length); try++) {
		if (errno == EINPROGRESS)
			return 0;
		if (errno != EADDRNOTAVAIL || !options.source_port || try == 30)
			return -errno;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return 0;
}

static void connection_open(struct connection *connection, uint64_t now)
{
	int type = options.udp ? SOCK_DGRAM : SOCK_STREAM, on = 1, err;
	struct sockaddr_storage to = options.to;

	*connection = (struct connection){ .number = started++, .asked_ns = now };
	active++;
	if (options.targets)
		address_add(&to, connection->number % options.targets);
	connection->fd = socket(options.to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (!options.udp)
		setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	err = connection->fd < 0 ? -errno : source_bind(connection->fd, connection->number);
	if (!err)
		err = connect_patiently(connection->fd, &to);
	if (err)
		connection_end(connection, outcome_of(-err));
	else
		watch(connection, EPOLLOUT);
}

static void connection_ask(struct connection *connection)
{
	while (connection->sent < question_size) {
		ssize_t sent = send(connection->fd, question + connection->sent,
				    question_size - connection->sent, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0) {
			connection_end(connection, outcome_of(errno));
			return;
		}
		connection->sent += sent;
	}
	connection->asked = true;
	watch(connection, EPOLLIN);
}

/* The whole answer is there. */
static void connection_answered(struct connection *connection)
{
	connection->now[connection->name_length] = 0;
	exchanges++;
	if (!connection->name[0]) {
		strcpy(connection->name, connection->now);
		named++;
	} else if (strcmp(connection->name, connection->now)) {
		moved++;
		fprintf(stderr, "client: connection %llu moved from %s to %s\n",
			(unsigned long long)connection->number, connection->name, connection->now);
	}
	connection->asked_ns = 0;
	connection->received = 0;
	connection->name_length = 0;
	connection->started = false;
	connection->answered = options.close == CLOSE_SERVER;
	if (connection->answered)
		connection->asked_ns = now_ns();
	else if (!options.hold)
		connection_end(connection, OK);
}

/* The body of an HTTP answer is its last line; of the others the first one is the answer. */
static bool answer_take(struct connection *connection, const char *bytes, ssize_t size)
{
	for (ssize_t i = 0; i < size; i++) {
		char byte = bytes[i];

		if (byte == '\n' && (!options.http || connection->started))
			return true;
		if (options.http && !connection->started) {
			/* received counts the line's length here */
			if (byte == '\n') {
				connection->started = connection->received == 0;
				connection->received = 0;
			} else if (byte != '\r') {
				connection->received++;
			}
			continue;
		}
		if (byte == ' ')
			connection->started = true;
		if (!(connection->started && !options.http) &&
		    connection->name_length < NAME_SIZE - 1)
			connection->now[connection->name_length++] = byte;
	}
	return false;
}

static void connection_read(struct connection *connection)
{
	char bytes[65536];
	ssize_t size = recv(connection->fd, bytes, sizeof(bytes), 0);

	if (size < 0 && errno == EAGAIN)
		return;
	if (size <= 0)
		connection_end(connection, size                   ? outcome_of(errno)
					   : connection->answered ? OK
								  : RESET);
	else if (options.udp && options.size && (uint32_t)size != options.size)
		connection_end(connection, OTHER);
	else if (answer_take(connection, bytes, size))
		connection_answered(connection);
}

static void connection_turn(struct connection *connection, uint64_t now)
{
	if (connection->fd < 0)
		return;
	if (connection->asked_ns && now > connection->asked_ns + options.timeout_ns) {
		connection_end(connection, TIMEOUT);
	} else if (!connection->asked_ns && now >= connection->next_ns) {
		connection->next_ns = now + options.every_ns;
		connection->asked_ns = now;
		connection->sent = 0;
		connection_ask(connection);
	}
}

static void connection_event(struct connection *connection)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (connection->fd < 0)
		return;
	if (!connection->asked) {
		getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error)
			connection_end(connection, outcome_of(error));
		else
			connection_ask(connection);
	} else {
		connection_read(connection);
	}
}

/* --- the run --- */

static bool may_start(uint64_t now)
{
	if (stopped || active >= places)
		return false;
	if (options.for_ns && !options.hold ? now >= began_ns + options.for_ns
					    : started >= options.count)
		return false;
	return !options.rate || started * SECOND_NS < (now - began_ns) * options.rate;
}

static bool is_over(uint64_t now)
{
	if (options.hold)
		return stopped || (options.for_ns && now > began_ns + options.for_ns) ||
		       (started == options.count && !active);
	return !active && (stopped || (options.for_ns ? now >= began_ns + options.for_ns
						      : started >= options.count));
}

static void connections_start(uint64_t now)
{
	static uint64_t at;

	for (uint64_t tried = 0; tried < places && may_start(now); tried++, at = (at + 1) % places)
		if (connections[at].fd < 0)
			connection_open(&connections[at], now);
}

static void ready_say(void)
{
	if (!options.ready || named < options.count)
		return;
	close(open(options.ready, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	options.ready = NULL;
}

#define PAUSE_NS (SECOND_NS / 5)

/* While this process did not run, others may not have run either: that time is nobody's. */
static void pause_forgive(uint64_t paused_ns)
{
	for (uint64_t i = 0; i < places; i++)
		if (connections[i].asked_ns)
			connections[i].asked_ns += paused_ns;
}

static void run(void)
{
	uint64_t swept_ns = 0, last, now;

	began_ns = last = now_ns();
	while (!is_over(now = now_ns())) {
		struct epoll_event events[256];
		int count;

		if (now > last + PAUSE_NS)
			pause_forgive(now - last);
		last = now;
		connections_start(now);
		count = epoll_wait(queue, events, 256, 1);
		for (int i = 0; i < count; i++)
			connection_event(events[i].data.ptr);
		if (now < swept_ns + SECOND_NS / 100)
			continue;
		swept_ns = now;
		if (told) {
			told = 0;
			result_print(now);
		}
		for (uint64_t i = 0; i < places; i++)
			connection_turn(&connections[i], now);
		ready_say();
	}
	for (uint64_t i = 0; i < places; i++)
		if (connections[i].fd >= 0)
			connection_end(&connections[i], connections[i].name[0] ? OK : TIMEOUT);
}

static uint16_t ping_sum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void ping(void)
{
	bool is_v4 = options.to.ss_family == AF_INET;
	int fd = socket(options.to.ss_family, SOCK_RAW, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	struct timeval wait = { options.timeout_ns / SECOND_NS,
				options.timeout_ns % SECOND_NS / 1000 };
	uint8_t echo[16] = { is_v4 ? 8 : 128 }, bytes[2048];

	((struct sockaddr_in *)(void *)&options.to)->sin_port = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (started = 0; started < options.count; started++) {
		uint16_t id = getpid();
		ssize_t size;

		memcpy(echo + 4, &id, 2);
		echo[7] = started;
		echo[2] = echo[3] = 0;
		if (is_v4) {
			uint16_t sum = htons(ping_sum(echo, sizeof(echo)));

			memcpy(echo + 2, &sum, 2);
		}
		if (sendto(fd, echo, sizeof(echo), 0, (void *)&options.to, options.length) < 0) {
			outcomes[outcome_of(errno)]++;
			continue;
		}
		for (;;) {
			uint8_t *at = bytes + (is_v4 ? 20 : 0);

			size = recv(fd, bytes, sizeof(bytes), 0);
			if (size < 0 ||
			    (at[0] == (is_v4 ? 0 : 129) && !memcmp(at + 4, echo + 4, 4)))
				break;
		}
		outcomes[size < 0 ? TIMEOUT : OK]++;
	}
}

static void names_print(const char *title, bool by_version)
{
	const char *comma = "";

	printf(",\"%s\":{", title);
	for (int i = 0; i < NAMES_MAX && names[i].name[0]; i++) {
		size_t length = by_version ? strcspn(names[i].name, ".") : strlen(names[i].name);
		uint64_t sum = 0;
		bool is_first = true;

		for (int j = 0; j < NAMES_MAX && names[j].name[0]; j++) {
			size_t other =
				by_version ? strcspn(names[j].name, ".") : strlen(names[j].name);

			if (other != length || strncmp(names[i].name, names[j].name, length))
				continue;
			is_first &= j >= i;
			sum += names[j].count;
		}
		if (is_first) {
			printf("%s\"%.*s\":%llu", comma, (int)length, names[i].name,
			       (unsigned long long)sum);
			comma = ",";
		}
	}
	printf("}");
}

static void result_print(uint64_t ended_ns)
{
	double seconds = (double)(ended_ns - began_ns) / SECOND_NS;
	uint64_t failed = 0;

	printf("{\"started\":%llu", (unsigned long long)started);
	for (int i = 0; i < OUTCOMES; i++) {
		printf(",\"%s\":%llu", outcome_names[i], (unsigned long long)outcomes[i]);
		failed += i ? outcomes[i] : 0;
	}
	printf(",\"failed\":%llu,\"error\":\"%s\",\"moved\":%llu,\"exchanges\":%llu,\"seconds\":%."
	       "3f,\"rate\":%.0f",
	       (unsigned long long)failed, last_error ? strerror(last_error) : "",
	       (unsigned long long)moved, (unsigned long long)exchanges, seconds,
	       seconds > 0 ? started / seconds : 0);
	names_print("by", true);
	names_print("endpoints", false);
	if (answers) {
		printf(",\"answers\":[");
		for (uint64_t i = 0; i < options.count; i++)
			printf("%s\"%s\"", i ? "," : "", answers[i]);
		printf("]");
	}
	printf("}\n");
	fflush(stdout);
}

/* --- options --- */

static void fail(const char *what, const char *found)
{
	fprintf(stderr, "client: %s \"%s\"\n%s", what, found, usage);
	exit(2);
}

static socklen_t address_read(const char *text, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *v4 = (void *)ret_address;
	struct sockaddr_in6 *v6 = (void *)ret_address;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		fail("no address:", text);
	v6->sin6_family = AF_INET6;
	return sizeof(*v6);
}

static void close_read(const char *text)
{
	static const char *const ways[] = { "fin", "rst", "server" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, ways[i])) {
			options.close = i;
			return;
		}
	fail("--close", text);
}

static void options_read(int argc, char **argv)
{
	static const struct option table[] = {
		{ "to", 1, NULL, 't' },          { "port", 1, NULL, 'p' },
		{ "count", 1, NULL, 'n' },       { "rate", 1, NULL, 'r' },
		{ "concurrency", 1, NULL, 'c' }, { "for", 1, NULL, 'f' },
		{ "udp", 0, NULL, 'u' },         { "http", 0, NULL, 'h' },
		{ "size", 1, NULL, 's' },        { "get", 1, NULL, 'g' },
		{ "every", 1, NULL, 'e' },       { "timeout", 1, NULL, 'T' },
		{ "close", 1, NULL, 'C' },       { "from", 1, NULL, 'F' },
		{ "sources", 1, NULL, 'S' },     { "source-port", 1, NULL, 'P' },
		{ "targets", 1, NULL, 'D' },     { "list", 0, NULL, 'l' },
		{ "ready", 1, NULL, 'R' },       {},
	};
	int id;

	while ((id = getopt_long(argc, argv, "", table, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (id) {
		case 't':
			options.length = address_read(optarg, &options.to);
			break;
		case 'F':
			address_read(optarg, &options.from);
			break;
		case 'p':
			options.port = number;
			break;
		case 'n':
			options.count = number;
			break;
		case 'r':
			options.rate = number;
			break;
		case 'c':
			options.concurrency = number;
			break;
		case 'f':
			options.for_ns = (uint64_t)(strtod(optarg, NULL) * (double)SECOND_NS);
			break;
		case 'u':
			options.udp = true;
			break;
		case 'h':
			options.http = true;
			break;
		case 's':
			options.size = number;
			break;
		case 'g':
			options.get = number;
			break;
		case 'e':
			options.every_ns = number * 1000000;
			break;
		case 'T':
			options.timeout_ns = number * 1000000;
			break;
		case 'C':
			close_read(optarg);
			break;
		case 'S':
			options.sources = number;
			break;
		case 'D':
			options.targets = number;
			break;
		case 'P':
			options.source_port = number;
			break;
		case 'l':
			options.list = true;
			break;
		case 'R':
			options.ready = optarg;
			break;
		default:
			fail("unknown option", argv[optind - 1]);
		}
	}
	if (optind != argc - 1 || !options.length)
		fail("which mode, and --to where?", optind < argc ? argv[optind] : "");
	options.hold = !strcmp(argv[optind], "hold");
	options.ping = !strcmp(argv[optind], "ping");
	if (!options.hold && !options.ping && strcmp(argv[optind], "open"))
		fail("unknown mode", argv[optind]);
	((struct sockaddr_in *)(void *)&options.to)->sin_port = htons(options.port);
}

static void question_make(void)
{
	size_t room = (options.size > 128 ? options.size : 128) + 1;

	question = malloc(room);
	if (!question)
		exit(1);
	if (options.http)
		strcpy(question, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
	else if (options.get)
		snprintf(question, room, "get %u\n", options.get);
	else
		strcpy(question, options.close == CLOSE_SERVER ? "bye\n" : "?\n");
	question_size = strlen(question);
	if (options.size > question_size) {
		memset(question, 'x', options.size);
		question[options.size - 1] = '\n';
		question_size = options.size;
	}
}

/* A slow machine's answers may take so many times as long. */
static uint64_t times(void)
{
	const char *text = getenv("SLUICE_TIMES");

	return text && atoi(text) > 0 ? atoi(text) : 1;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };

	options_read(argc, argv);
	options.timeout_ns *= times();
	question_make();
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGUSR1, tell);
	places = options.hold ? options.count : options.concurrency;
	connections = calloc(places, sizeof(*connections));
	answers = options.list ? calloc(options.count, sizeof(*answers)) : NULL;
	queue = epoll_create1(EPOLL_CLOEXEC);
	if (!connections || queue < 0 || (options.list && !answers))
		return 1;
	for (uint64_t i = 0; i < places; i++)
		connections[i].fd = -1;
	began_ns = now_ns();
	if (options.ping)
		ping();
	else
		run();
	result_print(now_ns());
	return 0;
}
