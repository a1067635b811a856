// SPDX-License-Identifier: Apache-2.0
/*
 * The node of tests/prog/world.h, as a table: what its commands to ip(8) set up in a network
 * namespace, and what the kernel then answers when a door asks for a route. The commands are
 * checked against the table, so that the one does not change without the other.
 */
#include "native.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "include/bpf/bpf_helpers.h"

#define NODE_LINKS 4
#define LINK_FIRST 2 /* 1 is the loopback device */

/* A link's networks, and whose MAC address is known there. */
static const struct node_link {
	const char *name, *networks[2], *neighbours[2];
} node_links[NODE_LINKS] = {
	{ "cl0",
	  { "192.0.2.1/24", "2001:db8:1::1/64" },
	  { "192.0.2.10 192.0.2.77", "2001:db8:1::10 2001:db8:1:0:77::10" } },
	{ "ep0",
	  { "10.0.0.1/24", "fd00::1/64" },
	  { "10.0.0.11 10.0.0.12 10.0.0.13", "fd00::11 fd00::12:0:0:1 fd00::13" } },
	{ "slow0", { "10.0.1.1/24", "fd00:1::1/64" }, { "10.0.1.11", "fd00:1::11" } },
	{ "plain0", { "10.0.2.1/24", "fd00:2::1/64" }, { "10.0.2.11", "fd00:2::11" } },
};

/* 02:00:00:00:00:0n here, 02:00:00:00:01:0n at the other end. */
static const __u8 node_macs[NODE_LINKS + 1][2][ETH_ALEN] = {
	{ { 0 }, { 0 } },
	{ { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 1, 1 } },
	{ { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 1, 2 } },
	{ { 2, 0, 0, 0, 0, 3 }, { 2, 0, 0, 0, 1, 3 } },
	{ { 2, 0, 0, 0, 0, 4 }, { 2, 0, 0, 0, 1, 4 } },
};

static __u32 node_mtus[NODE_LINKS + 1] = { 65536, 1500, 1500, 1500, 1500 };

static bool is_device(__u32 ifindex)
{
	return ifindex && ifindex < LINK_FIRST + NODE_LINKS;
}

const __u8 *native_mac(__u32 ifindex)
{
	return is_device(ifindex) ? node_macs[ifindex - 1][0] : NULL;
}

__u32 native_mtu(__u32 ifindex)
{
	return is_device(ifindex) ? node_mtus[ifindex - 1] : 0;
}

/* --- what the tests ask of the C library about the node --- */

unsigned int if_nametoindex(const char *name)
{
	for (unsigned i = 0; i < NODE_LINKS; i++)
		if (!strcmp(node_links[i].name, name))
			return LINK_FIRST + i;
	errno = ENODEV;
	return 0;
}

int unshare(int flags)
{
	return 0;
}

static void command_wants(const char *command, const char *text)
{
	if (strstr(command, text))
		return;
	fprintf(stderr, "tests/prog/world.h sets up another node than this one: no \"%s\"\n", text);
	exit(1);
}

/* `ip link set DEVICE mtu BYTES`, once or more, joined by &&. */
static int mtus_set(const char *command)
{
	const char *next = command;
	unsigned ifindex, mtu;
	char name[16];

	while (next) {
		if (sscanf(next, "ip link set %15s mtu %u", name, &mtu) != 2)
			native_die("understand a command of ip(8)");
		ifindex = if_nametoindex(name);
		if (!ifindex)
			return 1;
		node_mtus[ifindex - 1] = mtu;
		next = strstr(next, " && ");
		next = next ? next + 4 : NULL;
	}
	return 0;
}

int system(const char *command)
{
	char text[128];

	if (!strncmp(command, "ip link set ", 12))
		return mtus_set(command);
	for (unsigned i = 0; i < NODE_LINKS; i++) {
		const struct node_link *link = &node_links[i];

		snprintf(text, sizeof(text), "ip addr add %s dev %s; ip -6 addr add %s dev %s",
			 link->networks[0], link->name, link->networks[1], link->name);
		command_wants(command, text);
		snprintf(text, sizeof(text), "n %s 02:00:00:00:01:0%u %s %s\n", link->name, i + 1,
			 link->neighbours[0], link->neighbours[1]);
		command_wants(command, text);
	}
	return 0;
}

/* --- routes --- */

/* Is it a host of the network? The node itself is none, nor IPv4's broadcast, nor IPv6's anycast.
 */
static bool is_in_network(const char *network, const __u8 *addr, int family)
{
	char text[64];
	static const __u8 routers[8];
	__u8 bytes[16];
	int bits = 0;

	if (sscanf(network, "%63[^/]/%d", text, &bits) != 2 ||
	    inet_pton(family, text, bytes) != 1 || bits % 8)
		native_die("read a network of the node");
	if (memcmp(bytes, addr, bits / 8) || !memcmp(bytes, addr, family == AF_INET ? 4 : 16))
		return false;
	return family == AF_INET ? addr[3] != 255 : memcmp(addr + 8, routers, 8) != 0;
}

static bool is_neighbour(const char *neighbours, const __u8 *addr, int family)
{
	char list[128], *rest = list;
	__u8 bytes[16];

	snprintf(list, sizeof(list), "%s", neighbours);
	for (char *word; (word = strsep(&rest, " "));) {
		if (inet_pton(family, word, bytes) != 1)
			native_die("read a neighbour of the node");
		if (!memcmp(bytes, addr, family == AF_INET ? 4 : 16))
			return true;
	}
	return false;
}

/* All links forward, none has rules or routes but those to its own networks. */
long bpf_fib_lookup(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags)
{
	bool is_v6 = params->family == AF_INET6;
	const __u8 *dst = is_v6 ? (void *)params->ipv6_dst : (void *)&params->ipv4_dst;

	if (plen < (int)sizeof(*params) || flags)
		return -EINVAL;
	if (params->family != AF_INET && !is_v6)
		return -EAFNOSUPPORT;
	if (!native_mac(params->ifindex))
		return -ENODEV;
	for (unsigned i = 0; i < NODE_LINKS; i++) {
		if (!is_in_network(node_links[i].networks[is_v6], dst, params->family))
			continue;
		if (params->tot_len > node_mtus[i + 1]) {
			params->mtu_result = node_mtus[i + 1];
			return BPF_FIB_LKUP_RET_FRAG_NEEDED;
		}
		params->ifindex = LINK_FIRST + i;
		if (!is_neighbour(node_links[i].neighbours[is_v6], dst, params->family))
			return BPF_FIB_LKUP_RET_NO_NEIGH;
		memcpy(params->smac, node_macs[i + 1][0], ETH_ALEN);
		memcpy(params->dmac, node_macs[i + 1][1], ETH_ALEN);
		params->h_vlan_TCI = 0;
		params->h_vlan_proto = 0;
		params->mtu_result = node_mtus[i + 1];
		return BPF_FIB_LKUP_RET_SUCCESS;
	}
	return BPF_FIB_LKUP_RET_NOT_FWDED;
}
