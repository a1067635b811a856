// SPDX-License-Identifier: Apache-2.0
/*
 * Whether the doors may remember routes (sl_exit), and for how long they are true: a look at the
 * kernel's rules, next hops and routes decides the first, its news the second.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define LOOK_TRIES 4        /* a dump that a change interrupted is asked for again */
#define NEWS_MAX 1024       /* messages at a time: a flood of them must not keep the agent */
#define NEWS_BUFFER 1048576 /* of the socket, in bytes */
#define NEIGHBOURS 4096u    /* a power of two */

static const char *const off_words[SL_EXITS_OFF_COUNT] = {
	[SL_EXITS_UNKNOWN] = "unknown",
	[SL_EXITS_ASKED] = "asked for",
	[SL_EXITS_POLICY] = "policy rules",
	[SL_EXITS_MULTIPATH] = "multipath",
};

static uint32_t exits_off(const struct kernel *kernel)
{
	return __atomic_load_n(&control_of(kernel)->exits_off, __ATOMIC_ACQUIRE);
}

/* In this order, so that nothing is remembered under the new number by a door that saw the old
 * word. */
static void exits_set(struct kernel *kernel, enum sl_exits_off off)
{
	__atomic_store_n(&control_of(kernel)->exits_off, off, __ATOMIC_SEQ_CST);
	exits_forget(kernel);
}

const char *kernel_routes_off(const struct kernel *kernel)
{
	uint32_t off = exits_off(kernel);

	return off < SL_EXITS_OFF_COUNT ? off_words[off] : off_words[SL_EXITS_UNKNOWN];
}

/* --- what a rule, a next hop or a route says of the whole --- */

/*
 * Harmless: what says where the rule stands and what it does with the route that it finds, and the
 * two selectors that an answer is remembered by. Anything else looks at more, or is not known here.
 */
static int rule_attr(const struct nlattr *attr, void *data)
{
	switch (mnl_attr_get_type(attr)) {
	case FRA_PAD:
	case FRA_DST:
	case FRA_IIFNAME:
	case FRA_GOTO:
	case FRA_PRIORITY:
	case FRA_SUPPRESS_IFGROUP:
	case FRA_SUPPRESS_PREFIXLEN:
	case FRA_TABLE:
	case FRA_PROTOCOL:
		return MNL_CB_OK;
	default:
		*(enum sl_exits_off *)data = SL_EXITS_POLICY;
		return MNL_CB_STOP;
	}
}

static enum sl_exits_off rule_judge(const struct nlmsghdr *message)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(message);
	enum sl_exits_off off = SL_EXITS_KEPT;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*rule))
		return SL_EXITS_UNKNOWN;
	if (rule->family != AF_INET && rule->family != AF_INET6)
		return SL_EXITS_KEPT;
	if (rule->src_len || rule->tos)
		return SL_EXITS_POLICY;
	return mnl_attr_parse(message, sizeof(*rule), rule_attr, &off) < 0 ? SL_EXITS_UNKNOWN : off;
}

struct nexthop {
	bool is_bridged; /* a VXLAN's: no route uses it */
	size_t group;    /* bytes of its list of others */
};

static int nexthop_attr(const struct nlattr *attr, void *data)
{
	struct nexthop *nexthop = data;

	if (mnl_attr_get_type(attr) == NHA_FDB)
		nexthop->is_bridged = true;
	if (mnl_attr_get_type(attr) == NHA_GROUP)
		nexthop->group = mnl_attr_get_payload_len(attr);
	return MNL_CB_OK;
}

/* Whether a route uses it is not asked: groups are made to be used. */
static enum sl_exits_off nexthop_judge(const struct nlmsghdr *message)
{
	struct nexthop nexthop = {};

	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nhmsg) ||
	    mnl_attr_parse(message, sizeof(struct nhmsg), nexthop_attr, &nexthop) < 0)
		return SL_EXITS_UNKNOWN;
	return nexthop.group > sizeof(struct nexthop_grp) && !nexthop.is_bridged
		       ? SL_EXITS_MULTIPATH
		       : SL_EXITS_KEPT;
}

static int route_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) != RTA_MULTIPATH)
		return MNL_CB_OK;
	*(enum sl_exits_off *)data = SL_EXITS_MULTIPATH;
	return MNL_CB_STOP;
}

/* Of every table, because any may be asked; a learnt exception (cloned) repeats its route. */
static enum sl_exits_off route_judge(const struct nlmsghdr *message)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	enum sl_exits_off off = SL_EXITS_KEPT;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*route))
		return SL_EXITS_UNKNOWN;
	if ((route->rtm_family != AF_INET && route->rtm_family != AF_INET6) ||
	    route->rtm_flags & RTM_F_CLONED)
		return SL_EXITS_KEPT;
	if (route->rtm_src_len || route->rtm_tos)
		return SL_EXITS_POLICY;
	return mnl_attr_parse(message, sizeof(*route), route_attr, &off) < 0 ? SL_EXITS_UNKNOWN
									     : off;
}

static enum sl_exits_off message_judge(const struct nlmsghdr *message)
{
	switch (message->nlmsg_type) {
	case RTM_NEWRULE:
		return rule_judge(message);
	case RTM_NEWNEXTHOP:
		return nexthop_judge(message);
	case RTM_NEWROUTE:
		return route_judge(message);
	default:
		return SL_EXITS_KEPT;
	}
}

/* --- the look --- */

static int look_message(const struct nlmsghdr *message, void *data)
{
	enum sl_exits_off *found = data;

	*found = message_judge(message);
	return *found ? MNL_CB_STOP : MNL_CB_OK;
}

/* Stops at the first that says no: the rest is then of no interest. */
static int look_once(enum sl_exits_off *ret_found)
{
	static const struct dump dumps[] = {
		{ RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr) },
		{ RTM_GETRULE, AF_INET6, sizeof(struct fib_rule_hdr) },
		{ RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg) },
		{ RTM_GETROUTE, AF_INET, sizeof(struct rtmsg) },
		{ RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg) },
	};
	_cleanup_dump_ struct mnl_socket *socket = NULL;
	int err = dump_open(&socket);

	*ret_found = SL_EXITS_KEPT;
	for (size_t i = 0; i < ARRAY_SIZE(dumps) && !err && !*ret_found; i++)
		err = dump_ask(socket, &dumps[i], look_message, ret_found);
	return err;
}

bool kernel_routes_look(struct kernel *kernel)
{
	enum sl_exits_off found = SL_EXITS_UNKNOWN;
	int err = -EINTR;

	if (exits_off(kernel) == SL_EXITS_ASKED)
		return true;
	for (int i = 0; i < LOOK_TRIES && err == -EINTR; i++)
		err = look_once(&found);
	found = err ? SL_EXITS_UNKNOWN : found;
	exits_set(kernel, found);
	return found != SL_EXITS_UNKNOWN;
}

void exits_begin(struct kernel *kernel, bool is_wanted)
{
	exits_set(kernel, is_wanted ? SL_EXITS_UNKNOWN : SL_EXITS_ASKED);
	kernel_routes_look(kernel);
}

/* --- news --- */

/* As a neighbour was last heard of; compared as bytes. */
struct neighbour {
	uint32_t ifindex;
	uint8_t family;
	uint8_t has_mac;
	uint8_t addr[16];
	uint8_t mac[6];
};

/*
 * `known` is direct-mapped: a neighbour that has lost its place to another is taken for changed,
 * which makes the doors ask once more.
 */
struct kernel_routes {
	struct mnl_socket *socket;
	struct neighbour known[NEIGHBOURS];
};

struct news {
	struct kernel *kernel;
	struct kernel_routes *routes;
	bool forget, look;
};

static int neighbour_attr(const struct nlattr *attr, void *data)
{
	struct neighbour *neighbour = data;
	size_t size = mnl_attr_get_payload_len(attr);

	if (mnl_attr_get_type(attr) == NDA_DST && size <= sizeof(neighbour->addr))
		memcpy(neighbour->addr, mnl_attr_get_payload(attr), size);
	if (mnl_attr_get_type(attr) == NDA_LLADDR && size == sizeof(neighbour->mac)) {
		memcpy(neighbour->mac, mnl_attr_get_payload(attr), size);
		neighbour->has_mac = 1;
	}
	return MNL_CB_OK;
}

static struct neighbour *neighbour_place(struct kernel_routes *routes,
					 const struct neighbour *neighbour)
{
	uint32_t hash = 2166136261u ^ neighbour->ifindex;

	for (size_t i = 0; i < sizeof(neighbour->addr); i++)
		hash = (hash ^ neighbour->addr[i]) * 16777619u;
	return &routes->known[(hash ^ hash >> 16) & (NEIGHBOURS - 1)];
}

/*
 * A neighbour that is confirmed, grows stale and is asked again keeps its address all the while,
 * and a packet goes the same way. What a bridge learns comes as a neighbour too, and routes
 * nothing.
 */
static bool neighbour_is_news(struct kernel_routes *routes, const struct nlmsghdr *message)
{
	const uint16_t usable =
		NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	struct neighbour now, *before;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return true;
	if (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)
		return false;
	memset(&now, 0, sizeof(now));
	now.ifindex = header->ndm_ifindex;
	now.family = header->ndm_family;
	mnl_attr_parse(message, sizeof(*header), neighbour_attr, &now);
	before = neighbour_place(routes, &now);
	if (message->nlmsg_type == RTM_DELNEIGH || !(header->ndm_state & usable))
		now.has_mac = 0;
	if (now.has_mac && !memcmp(before, &now, sizeof(now)))
		return false;
	*before = now;
	return true;
}

/* What stops the memory stops it at once; what may let it begin again is worth a look. */
static void routing_take(struct news *news, const struct nlmsghdr *message)
{
	enum sl_exits_off off = message_judge(message);

	if (exits_off(news->kernel) != SL_EXITS_KEPT)
		news->look = true;
	else if (off)
		exits_set(news->kernel, off);
}

static int news_message(const struct nlmsghdr *message, void *data)
{
	struct news *news = data;

	switch (message->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		news->forget |= neighbour_is_news(news->routes, message);
		return MNL_CB_OK;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		routing_take(news, message);
		break;
	}
	news->forget = true;
	return MNL_CB_OK;
}

/* News were lost, and may have been any. */
static void news_lost(struct news *news)
{
	if (exits_off(news->kernel) != SL_EXITS_ASKED)
		exits_set(news->kernel, SL_EXITS_UNKNOWN);
	news->look = true;
}

bool kernel_routes_news(struct kernel *kernel, struct kernel_routes *routes)
{
	struct news news = { .kernel = kernel, .routes = routes };
	char buffer[32768];

	for (int i = 0; i < NEWS_MAX; i++) {
		ssize_t size = mnl_socket_recvfrom(routes->socket, buffer, sizeof(buffer));

		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0 && errno == EINTR)
			continue;
		news.forget = false;
		if (size < 0 || mnl_cb_run(buffer, size, 0, 0, news_message, &news) < 0)
			news_lost(&news);
		else if (news.forget)
			exits_forget(kernel);
	}
	return news.look;
}

void kernel_routes_close(struct kernel_routes *routes)
{
	if (!routes)
		return;
	if (routes->socket)
		mnl_socket_close(routes->socket);
	free(routes);
}

#define GROUP(name) (1u << (RTNLGRP_##name - 1))

static int routes_listen(struct kernel_routes *routes)
{
	const uint32_t groups = GROUP(LINK) | GROUP(NEIGH) | GROUP(IPV4_IFADDR) |
				GROUP(IPV6_IFADDR) | GROUP(IPV4_ROUTE) | GROUP(IPV6_ROUTE) |
				GROUP(IPV4_RULE) | GROUP(IPV6_RULE) | GROUP(NEXTHOP) |
				GROUP(IPV4_NETCONF) | GROUP(IPV6_NETCONF);
	int size = NEWS_BUFFER;

	routes->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!routes->socket)
		return -errno;
	/* Refused, the usual size stays, and a burst is lost sooner: see news_lost. */
	(void)setsockopt(mnl_socket_get_fd(routes->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size,
			 sizeof(size));
	return mnl_socket_bind(routes->socket, groups, MNL_SOCKET_AUTOPID) ? -errno : 0;
}

int kernel_routes_open(struct kernel_routes **ret_routes)
{
	struct kernel_routes *routes = calloc(1, sizeof(*routes));
	int err = routes ? routes_listen(routes) : -ENOMEM;

	if (err)
		kernel_routes_close(routes);
	else
		*ret_routes = routes;
	return err;
}

int kernel_routes_fd(const struct kernel_routes *routes)
{
	return mnl_socket_get_fd(routes->socket);
}
