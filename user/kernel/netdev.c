// SPDX-License-Identifier: Apache-2.0
/* The kernel's `netdev` generic netlink family (6.3 and later): what a driver says of its XDP. */
#include "internal.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <time.h>

/* linux/netdev.h, which the build machine's headers may not have. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_COMMAND_DEV_GET 1
#define NETDEV_ATTR_IFINDEX 1
#define NETDEV_ATTR_XDP_FEATURES 3
#define NETDEV_XDP_NDO_XMIT (1ull << 2)
#define NETDEV_XDP_NDO_XMIT_SG (1ull << 6)

static void cleanup_socket_p(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

static struct mnl_socket *genl_open(void)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID)) {
		mnl_socket_close(socket);
		return NULL;
	}
	return socket;
}

static int genl_ask(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t read, void *data)
{
	char buffer[8192];
	ssize_t size;

	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	return mnl_cb_run(buffer, size, 1, mnl_socket_get_portid(socket), read, data) < 0 ? -errno
											  : 0;
}

static int family_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)data = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int family_read(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct genlmsghdr), family_attr, data);
}

static int features_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NETDEV_ATTR_XDP_FEATURES)
		*(uint64_t *)data = mnl_attr_get_u64(attr);
	return MNL_CB_OK;
}

static int features_read(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct genlmsghdr), features_attr, data);
}

static struct nlmsghdr *genl_message(char *buffer, uint16_t family, uint8_t command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;

	message->nlmsg_type = family;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = command;
	header->version = 1;
	return message;
}

/* Weak, so that tests can be a kernel before 6.3. */
__attribute__((weak)) bool kernel_may_have_netdev(void)
{
	return true;
}

int netdev_xdp_target(uint32_t ifindex, bool *ret_is_target, bool *ret_in_pieces)
{
	__attribute__((cleanup(cleanup_socket_p))) struct mnl_socket *socket = genl_open();
	struct nlmsghdr *message;
	uint64_t features = 0;
	uint16_t family = 0;
	char buffer[256];
	int err;

	if (!socket)
		return -errno;
	message = genl_message(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
	err = genl_ask(socket, message, family_read, &family);
	if (err || !family || !kernel_may_have_netdev())
		return -ENOTSUP;
	message = genl_message(buffer, family, NETDEV_COMMAND_DEV_GET);
	mnl_attr_put_u32(message, NETDEV_ATTR_IFINDEX, ifindex);
	err = genl_ask(socket, message, features_read, &features);
	if (err)
		return err;
	*ret_is_target = features & NETDEV_XDP_NDO_XMIT;
	*ret_in_pieces = features & NETDEV_XDP_NDO_XMIT_SG;
	return 0;
}
