// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_wanted(const struct options *options, const char *name)
{
	for (size_t i = 0; i < options->glob_count; i++)
		if (!fnmatch(options->globs[i], name, 0))
			return true;
	return false;
}

static const struct kernel_device *device_find(const struct kernel_device *list, size_t count,
					       uint32_t ifindex)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].ifindex == ifindex)
			return &list[i];
	return NULL;
}

static bool device_attach(struct agent *agent, uint32_t ifindex, const char *name, bool is_new,
			  struct diags *diags)
{
	struct kernel_device device;

	if (kernel_attach(agent->kernel, ifindex, agent->options->door, diags, &device))
		return false;
	if (is_new)
		log_line(LOG_LEVEL_NOTE, "%s: attached (%s, %s%s%s)", name, device.door,
			 device.tc_hook, *device.xdp_mode ? ", XDP " : "", device.xdp_mode);
	return true;
}

/* Misspelt, or its interface comes later: both look like an agent that does its work. */
static void unmatched_warn(struct agent *agent, bool is_matched)
{
	if (!is_matched && !agent->unmatched_said)
		log_line(LOG_LEVEL_WARNING, "no interface has a name that --device gives: nothing "
					    "is attached");
	agent->unmatched_said = !is_matched;
}

/*
 * One interface that takes no door must not leave the others without an agent: only where none of
 * those that are wanted has its doors is that an error.
 */
static int devices_attach(struct agent *agent, const struct if_nameindex *links,
			  const struct kernel_device *now, size_t count, bool refresh,
			  struct diags *diags)
{
	size_t failed = 0, attached = 0;

	for (const struct if_nameindex *link = links; link->if_index; link++) {
		const struct kernel_device *known = device_find(now, count, link->if_index);

		if (!is_wanted(agent->options, link->if_name))
			continue;
		if ((known && !refresh) ||
		    device_attach(agent, link->if_index, link->if_name, !known, diags))
			attached++;
		else
			failed++;
	}
	unmatched_warn(agent, failed || attached);
	return failed && !attached ? -EIO : 0;
}

static void devices_detach(struct agent *agent, const struct if_nameindex *links,
			   const struct kernel_device *now, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct if_nameindex *link = links;

		while (link->if_index && link->if_index != now[i].ifindex)
			link++;
		if (link->if_index && is_wanted(agent->options, link->if_name))
			continue;
		kernel_detach(agent->kernel, now[i].ifindex);
		log_line(LOG_LEVEL_NOTE, "%s (%u): detached: %s", now[i].name, now[i].ifindex,
			 link->if_index ? "no --device names it" : "it is gone");
	}
}

static void cleanup_links_p(struct if_nameindex **links)
{
	if (*links)
		if_freenameindex(*links);
}

static int devices_complain(int err)
{
	log_line(LOG_LEVEL_ERROR, "cannot list the interfaces: %s", strerror(-err));
	return err;
}

int devices_sync(struct agent *agent, bool refresh)
{
	__attribute__((cleanup(cleanup_links_p))) struct if_nameindex *links = if_nameindex();
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	_cleanup_talloc_ struct store *store = NULL;
	struct kernel_device *now = NULL;
	size_t count = 0;
	int err;

	if (!links)
		return devices_complain(errno ? -errno : -ENOMEM);
	if (!diags)
		return -ENOMEM;
	err = store_open(NULL, agent->options->state_dir, true, diags, &store);
	if (!err)
		err = store_lock(store, 5000, "sluiced devices", diags);
	if (!err)
		err = kernel_devices(diags, agent->kernel, &now, &count);
	if (!err) {
		devices_detach(agent, links, now, count);
		err = devices_attach(agent, links, now, count, refresh, diags);
	}
	if (err == -EIO && !diags->errors)
		log_line(LOG_LEVEL_ERROR, "no interface that --device names could be attached");
	else if (err && !diags->errors)
		devices_complain(err);
	log_diags(diags);
	return err;
}

int devices_watch(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return TAKE_FD(fd);
}

bool devices_news(int socket)
{
	bool news = false;
	char buffer[32768];
	ssize_t size;

	while ((size = recv(socket, buffer, sizeof(buffer), 0)) > 0) {
		for (struct nlmsghdr *message = (void *)buffer; NLMSG_OK(message, size);
		     message = NLMSG_NEXT(message, size))
			news |= message->nlmsg_type == RTM_NEWLINK ||
				message->nlmsg_type == RTM_DELLINK;
	}
	/*
	 * ENOBUFS: more news than the socket holds. What was lost does not matter, everything is
	 * looked at anyway.
	 */
	return news || (size < 0 && errno == ENOBUFS);
}
