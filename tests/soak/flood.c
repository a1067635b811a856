// SPDX-License-Identifier: Apache-2.0
/*
 * Packets for a pinned door by BPF_PROG_RUN, as if they came in by a device: many live connections,
 * and then a SYN flood of random keys, while the connections are asked in turn whether they still
 * go where they went. Runs in the node's network namespace.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char usage[] = "Usage: flood PROGRAM tc|xdp DEVICE VIP PORT FLOWS RATE COUNTS\n"
			    "  PROGRAM is a door's pin. FLOWS connections from 10.128.0.0/10 to "
			    "VIP:PORT are opened and\n"
			    "  answered; then RATE SYNs a second from random addresses and ports "
			    "of 10.192.0.0/10, and as\n"
			    "  many packets of the connections, until SIGTERM. COUNTS is a file of "
			    "64-bit numbers, kept\n"
			    "  current: runs of the door, connections made, SYNs of the flood, "
			    "packets of connections, of\n"
			    "  these: sent elsewhere than the first one, and not sent at all.\n";

#define FRAME_SIZE 54
#define FLAGS_SYN 0x02
#define FLAGS_ACK 0x10
#define TURN_NS 10000000ull
#define SECOND_NS 1000000000ull

struct counts {
	uint64_t runs, made, flood, asked, moved, lost;
};

struct flood {
	int program;
	bool is_xdp;
	uint32_t ifindex, vip;
	uint8_t mac[ETH_ALEN];
	uint16_t port;
	uint32_t flows;
	uint64_t rate, random;
	uint32_t *endpoints; /* by connection, as its first packet was sent */
	uint16_t endpoint_port;
	struct counts *counts; /* mapped */
};

struct tuple {
	uint32_t saddr, daddr; /* network order, as the ports */
	uint16_t sport, dport;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "flood: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static uint64_t random_next(struct flood *flood)
{
	flood->random ^= flood->random << 13;
	flood->random ^= flood->random >> 7;
	flood->random ^= flood->random << 17;
	return flood->random * 0x2545f4914f6cdd1dull;
}

/* --- one packet --- */

/* Checksums are left 0: the door updates them and never checks. */
static void frame_build(const struct flood *flood, const struct tuple *tuple, uint8_t flags,
			uint8_t frame[FRAME_SIZE])
{
	uint8_t *ip = frame + ETH_HLEN, *tcp = ip + 20;

	memset(frame, 0, FRAME_SIZE);
	memcpy(frame, flood->mac, ETH_ALEN);
	frame[12] = 0x08;
	ip[0] = 0x45;
	ip[3] = 40;
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, tuple, sizeof(*tuple)); /* the ports follow the addresses in both */
	tcp[12] = 5 << 4;
	tcp[13] = flags;
}

/* False: dropped, or answered by the door itself. Else the tuple becomes what left the door. */
static bool packet_run(struct flood *flood, uint8_t flags, struct tuple *tuple)
{
	struct __sk_buff skb = { .ifindex = flood->ifindex };
	struct xdp_md xdp = { .ingress_ifindex = flood->ifindex, .data_end = FRAME_SIZE };
	uint8_t frame[FRAME_SIZE], out[FRAME_SIZE + 256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FRAME_SIZE,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1,
		    .ctx_in = flood->is_xdp ? (void *)&xdp : (void *)&skb,
		    .ctx_size_in = flood->is_xdp ? sizeof(xdp) : sizeof(skb));

	frame_build(flood, tuple, flags, frame);
	if (bpf_prog_test_run_opts(flood->program, &opts))
		die("run the door");
	flood->counts->runs++;
	memcpy(tuple, out + ETH_HLEN + 12, sizeof(*tuple));
	return flood->is_xdp ? opts.retval == XDP_PASS || opts.retval == XDP_REDIRECT
			     : (int)opts.retval == TC_ACT_UNSPEC || opts.retval == TC_ACT_REDIRECT;
}

static struct tuple flow_tuple(const struct flood *flood, uint32_t flow)
{
	return (struct tuple){ .saddr = htonl(0x0a800000 + flow / 16),
			       .daddr = flood->vip,
			       .sport = htons(20000 + flow % 16),
			       .dport = flood->port };
}

/* --- connections and flood --- */

static void flow_make(struct flood *flood, uint32_t flow)
{
	struct tuple out = flow_tuple(flood, flow), back;

	if (!packet_run(flood, FLAGS_SYN, &out) || out.daddr == flood->vip) {
		fprintf(stderr, "flood: connection %u was not sent to an endpoint\n", flow);
		exit(1);
	}
	flood->endpoints[flow] = out.daddr;
	flood->endpoint_port = out.dport;
	back = (struct tuple){ out.daddr, out.saddr, out.dport, out.sport };
	if (!packet_run(flood, FLAGS_SYN | FLAGS_ACK, &back))
		die("open a connection: its answer was dropped");
	flood->counts->made++;
}

static void flow_ask(struct flood *flood, uint32_t flow)
{
	struct tuple tuple = flow_tuple(flood, flow);

	flood->counts->asked++;
	if (!packet_run(flood, FLAGS_ACK, &tuple))
		flood->counts->lost++;
	else if (tuple.daddr != flood->endpoints[flow] || tuple.dport != flood->endpoint_port)
		flood->counts->moved++;
}

static void flood_one(struct flood *flood)
{
	uint64_t random = random_next(flood);
	struct tuple tuple = { .saddr = htonl(0x0ac00000 | (uint32_t)(random >> 42)),
			       .daddr = flood->vip,
			       .sport = (uint16_t)random,
			       .dport = flood->port };

	packet_run(flood, FLAGS_SYN, &tuple);
	flood->counts->flood++;
}

static void run(struct flood *flood)
{
	uint64_t began = now_ns(), done = 0;
	const struct timespec nap = { 0, TURN_NS };

	while (!stopped) {
		uint64_t due = (now_ns() - began) * flood->rate / SECOND_NS;

		/* What a slow machine cannot do is left out, or it would never do anything else. */
		if (due > done + flood->rate / 10)
			done = due - flood->rate / 10;
		for (; done < due && !stopped; done++) {
			flood_one(flood);
			flow_ask(flood, random_next(flood) % flood->flows);
		}
		nanosleep(&nap, NULL);
	}
}

/* --- start --- */

static void counts_map(struct flood *flood, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, sizeof(*flood->counts)))
		die("make the file of counts");
	flood->counts =
		mmap(NULL, sizeof(*flood->counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (flood->counts == MAP_FAILED)
		die("map the file of counts");
	close(fd);
}

static void device_find(struct flood *flood, const char *name)
{
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	flood->ifindex = if_nametoindex(name);
	if (fd < 0 || !flood->ifindex || ioctl(fd, SIOCGIFHWADDR, &request))
		die("find the device");
	memcpy(flood->mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

int main(int argc, char **argv)
{
	struct flood flood = {};

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc != 9 || inet_pton(AF_INET, argv[4], &flood.vip) != 1 || atoi(argv[6]) < 1 ||
	    atoi(argv[6]) > 16 << 22) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGTERM, stop);
	flood.is_xdp = !strcmp(argv[2], "xdp");
	flood.port = htons(atoi(argv[5]));
	flood.flows = atoi(argv[6]);
	flood.rate = strtoull(argv[7], NULL, 10);
	flood.endpoints = calloc(flood.flows, sizeof(*flood.endpoints));
	flood.program = bpf_obj_get(argv[1]);
	if (!flood.endpoints || flood.program < 0)
		die("open the door's pin");
	if (getrandom(&flood.random, sizeof(flood.random), 0) != sizeof(flood.random))
		die("draw a random number");
	flood.random |= 1;
	device_find(&flood, argv[3]);
	counts_map(&flood, argv[8]);
	for (uint32_t flow = 0; flow < flood.flows && !stopped; flow++)
		flow_make(&flood, flow);
	run(&flood);
	free(flood.endpoints);
	return 0;
}
