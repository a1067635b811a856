// SPDX-License-Identifier: Apache-2.0
/*
 * tc doors as clsact filters, on kernels before 6.6, which have no tcx. A filter is nobody's pin:
 * it is ours when its program uses our maps, so that it is found and removed also when the maps are
 * another release's or half gone.
 */
#include "internal.h"

#include "../base/cleanup.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>

/* Our filters' own, so that others' stay; and of those before and after them in a takeover. */
#define CLSACT_PRIORITY 0x51
#define CLSACT_HANDLE 1

/* libbpf repeats to stderr what the kernel says to questions whose answer may well be no. */
static void cleanup_print_p(libbpf_print_fn_t *before)
{
	libbpf_set_print(*before);
}
#define QUIETLY                                                                                    \
	__attribute__((cleanup(cleanup_print_p), unused)) libbpf_print_fn_t before_ =              \
		libbpf_set_print(NULL)

static const enum bpf_tc_attach_point points[] = { BPF_TC_INGRESS, BPF_TC_EGRESS };

/* The program at a place of ours; 0 when there is none. */
static uint32_t filter_id(uint32_t ifindex, bool is_ingress, uint32_t priority)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex,
			    .attach_point = points[!is_ingress]);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = priority);

	return bpf_tc_query(&tc, &opts) ? 0 : opts.prog_id;
}

static int filter_set(uint32_t ifindex, bool is_ingress, int program, uint32_t priority)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex,
			    .attach_point = points[!is_ingress]);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = priority,
			    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	uint32_t there = filter_id(ifindex, is_ingress, priority);

	/* Somebody else's, who numbered it so by hand: it stays. */
	return there && !program_is_ours(there, 0) ? -EBUSY : bpf_tc_attach(&tc, &opts);
}

int clsact_set(uint32_t ifindex, bool is_ingress, int program, bool *ret_is_new)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex,
			    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	QUIETLY;
	int err = bpf_tc_hook_create(&tc);

	if (err && err != -EEXIST)
		return err;
	*ret_is_new = !err;
	return filter_set(ifindex, is_ingress, program, CLSACT_PRIORITY);
}

int clsact_place(uint32_t ifindex, bool is_ingress, int program, int place)
{
	QUIETLY;

	/* As with a link that has gone: who has no door here needs no second. */
	if (!filter_id(ifindex, is_ingress, CLSACT_PRIORITY))
		return -ENOLINK;
	return filter_set(ifindex, is_ingress, program, CLSACT_PRIORITY + place);
}

/* Each kind and priority is told once more by itself, with no filter's handle. */
static int filter_seen(const struct nlmsghdr *message, void *data)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);

	*(uint32_t *)data += tc->tcm_handle != 0;
	return MNL_CB_OK;
}

/* How many filters, whoever's, stand at one side. libbpf cannot list them. */
static int filters_count(struct mnl_socket *socket, uint32_t ifindex, uint32_t parent,
			 uint32_t *ret_count)
{
	char buffer[8192];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(message, sizeof(*tc));
	int more = MNL_CB_OK;

	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = parent;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (more == MNL_CB_OK) {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		more = size < 0 ? MNL_CB_ERROR
				: mnl_cb_run(buffer, size, parent, mnl_socket_get_portid(socket),
					     filter_seen, ret_count);
	}
	return more == MNL_CB_ERROR ? -errno : 0;
}

int clsact_count(uint32_t ifindex, bool is_ingress)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	uint32_t side = is_ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS, count = 0;
	int err = socket && !mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) ? 0 : -EIO;

	if (!err)
		err = filters_count(socket, ifindex, TC_H_MAKE(TC_H_CLSACT, side), &count);
	if (socket)
		mnl_socket_close(socket);
	return err ? err : (int)count;
}

/* Who cannot tell leaves it: an empty clsact does nothing. */
static bool has_filters(uint32_t ifindex)
{
	return clsact_count(ifindex, true) || clsact_count(ifindex, false);
}

static bool filter_remove(uint32_t ifindex, enum bpf_tc_attach_point point, uint32_t priority,
			  uint32_t owner)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = priority);

	if (bpf_tc_query(&tc, &opts) || !program_is_ours(opts.prog_id, owner))
		return false;
	opts.flags = opts.prog_fd = opts.prog_id = 0;
	return !bpf_tc_detach(&tc, &opts);
}

void clsact_remove(uint32_t ifindex, uint32_t owner, bool is_our_qdisc)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex,
			    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	QUIETLY;

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		for (int place = -1; place <= 1; place++)
			filter_remove(ifindex, points[i], CLSACT_PRIORITY + place, owner);
	if (is_our_qdisc && !has_filters(ifindex))
		bpf_tc_hook_destroy(&tc);
}

void clsact_unplace(uint32_t ifindex, uint32_t owner, int place)
{
	QUIETLY;

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		filter_remove(ifindex, points[i], CLSACT_PRIORITY + place, owner);
}

void clsact_places_clear(uint32_t ifindex, uint32_t owner)
{
	clsact_unplace(ifindex, owner, -1);
	clsact_unplace(ifindex, owner, 1);
}
