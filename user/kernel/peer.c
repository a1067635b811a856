// SPDX-License-Identifier: Apache-2.0
/*
 * May a packet for a device be handed to its peer in another namespace at once (bpf_redirect_peer)?
 * It saves the way out of the device and in again, and so passes by whatever stands there: only
 * where nothing does.
 */
#include "internal.h"

#include "../base/cleanup.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define TCX_EGRESS 47 /* BPF_TCX_EGRESS, which the build machine's headers may not have */

struct link_facts {
	bool is_pair;     /* veth or netkit */
	bool is_apart;    /* the peer is in another namespace */
	bool is_unqueued; /* no qdisc that would shape or drop */
};

static void cleanup_socket_p(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

static int kind_read(const struct nlattr *attr, void *data)
{
	struct link_facts *facts = data;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		facts->is_pair = !strcmp(mnl_attr_get_str(attr), "veth") ||
				 !strcmp(mnl_attr_get_str(attr), "netkit");
	return MNL_CB_OK;
}

static int fact_read(const struct nlattr *attr, void *data)
{
	struct link_facts *facts = data;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_LINKINFO:
		return mnl_attr_parse_nested(attr, kind_read, data);
	case IFLA_LINK_NETNSID:
		facts->is_apart = true;
		break;
	case IFLA_QDISC:
		facts->is_unqueued = !strcmp(mnl_attr_get_str(attr), "noqueue");
		break;
	}
	return MNL_CB_OK;
}

static int link_read(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct ifinfomsg), fact_read, data);
}

static int link_ask(uint32_t ifindex, struct link_facts *ret_facts)
{
	__attribute__((cleanup(cleanup_socket_p))) struct mnl_socket *socket =
		mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[16384];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	ssize_t size;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	link->ifi_index = ifindex;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	return mnl_cb_run(buffer, size, 1, mnl_socket_get_portid(socket), link_read, ret_facts) < 0
		       ? -errno
		       : 0;
}

/* Programs and filters on the way out, ours among them; -errno. */
static int egress_count(uint32_t ifindex)
{
	uint32_t links = 0;
	int filters = clsact_count(ifindex, false);

	/* A kernel without tcx has none of its programs. */
	if (bpf_prog_query(ifindex, TCX_EGRESS, 0, NULL, NULL, &links))
		links = 0;
	return filters < 0 ? filters : filters + (int)links;
}

bool device_has_bare_peer(uint32_t ifindex)
{
	struct link_facts facts = {};

	return !link_ask(ifindex, &facts) && facts.is_pair && facts.is_apart && facts.is_unqueued &&
	       egress_count(ifindex) == 1;
}
