// SPDX-License-Identifier: Apache-2.0
/* Lists that the kernel gives over netlink: rules, next hops, routes, neighbours. */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>
#include <sys/socket.h>

int dump_open(struct mnl_socket **ret_socket)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int err;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID)) {
		err = -errno;
		mnl_socket_close(socket);
		return err;
	}
	*ret_socket = socket;
	return 0;
}

void dump_close(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

/* Both carry an error first; that of a dump's end is one that libmnl does not look at. */
static int dump_end(const struct nlmsghdr *message, void *data)
{
	int err = 0;

	(void)data;
	if (mnl_nlmsg_get_payload_len(message) >= sizeof(err))
		memcpy(&err, mnl_nlmsg_get_payload(message), sizeof(err));
	errno = -err;
	return err ? MNL_CB_ERROR : MNL_CB_STOP;
}

static int dump_read(struct mnl_socket *socket, uint32_t sequence,
		     int (*each)(const struct nlmsghdr *message, void *data), void *data)
{
	static mnl_cb_t ends[] = { [NLMSG_ERROR] = dump_end, [NLMSG_DONE] = dump_end };
	uint32_t port = mnl_socket_get_portid(socket);
	char buffer[32768];
	ssize_t size;
	int more = MNL_CB_OK;

	while (more > MNL_CB_STOP) {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0)
			return -errno;
		more = mnl_cb_run2(buffer, size, sequence, port, each, data, ends,
				   ARRAY_SIZE(ends));
	}
	return more < 0 ? -errno : 0;
}

int dump_ask(struct mnl_socket *socket, const struct dump *dump,
	     int (*each)(const struct nlmsghdr *message, void *data), void *data)
{
	char buffer[64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	uint8_t *header = mnl_nlmsg_put_extra_header(message, dump->header);
	int err;

	message->nlmsg_type = dump->type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* Any number that no other dump of this socket has. */
	message->nlmsg_seq = (uint32_t)dump->type << 8 | dump->family;
	header[0] = dump->family;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	err = dump_read(socket, message->nlmsg_seq, each, data);
	/* A kernel without the family, without tables of policy or without next hops has none. */
	return err == -EOPNOTSUPP || err == -EAFNOSUPPORT ? 0 : err;
}
