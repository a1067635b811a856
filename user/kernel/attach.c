// SPDX-License-Identifier: Apache-2.0
/*
 * Doors on interfaces. tc through tcx links where the kernel has them (6.6), else clsact filters;
 * XDP through a link, or through libxdp's dispatcher where another program is there already. Links
 * are pinned, so that what is attached outlives whoever attached it, and is replaced by a link
 * update: no packet sees a gap.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <talloc.h>

/* linux/bpf.h of 6.6, which the build machine's headers may not have. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

const struct tc_hook tc_hooks[TC_HOOKS] = {
	{ "in", "prog_tc_in", ATTACH_TCX_INGRESS, true },
	{ "out", "prog_tc_out", ATTACH_TCX_EGRESS, false },
};

int link_path(const struct kernel *kernel, uint32_t ifindex, const char *suffix,
	      char path[static 320])
{
	int length = snprintf(path, 320, "%s/links/%u_%s", kernel->base_dir, ifindex, suffix);

	return length < 320 ? 0 : -ENAMETOOLONG;
}

int program_get(const struct kernel *kernel, const char *name)
{
	char path[320];
	int fd, err = path_join(path, sizeof(path), kernel->pin_dir, name);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/*
 * libbpf of Debian 12 knows tcx not by name, but the system call's arguments are the same as for
 * any link.
 */
int link_create(int program, uint32_t ifindex, int attach_type, uint32_t flags, int relative)
{
	union bpf_attr attr = {};
	int fd;

	attr.link_create.prog_fd = program;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = attach_type;
	attr.link_create.flags = flags;
	/* In the place of tcx.relative_fd, which is younger than the headers may be. */
	attr.link_create.target_btf_id = relative;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

/*
 * A link whose interface has gone (or came back under the same number) is detached: its info names
 * no interface.
 */
bool link_is_alive(int link, uint32_t ifindex)
{
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);

	/* tcx and xdp both begin with the interface's index. */
	return !bpf_obj_get_info_by_fd(link, &info, &size) && info.xdp.ifindex == ifindex;
}

/* Pinned already: the program is replaced in the link. Else a new link is made and pinned. */
static int link_set(const struct kernel *kernel, uint32_t ifindex, const char *suffix,
		    int attach_type, uint32_t flags, int program)
{
	char path[320];
	int err = link_path(kernel, ifindex, suffix, path);

	if (err)
		return err;

	_cleanup_close_ int old = bpf_obj_get(path);

	if (old >= 0 && link_is_alive(old, ifindex))
		return bpf_link_update(old, program, NULL) ? -errno : 0;
	if (old >= 0)
		unlink(path);

	_cleanup_close_ int link = link_create(program, ifindex, attach_type, flags, 0);

	if (link < 0)
		return link;
	return bpf_obj_pin(link, path) ? -errno : 0;
}

static void link_remove(const struct kernel *kernel, uint32_t ifindex, const char *suffix)
{
	char path[320];

	if (!link_path(kernel, ifindex, suffix, path))
		pin_remove(path);
}

/* --- tc --- */

/* Weak, so that tests can be a kernel before 6.6. */
__attribute__((weak)) bool kernel_may_have_tcx(void)
{
	return true;
}

static bool is_unsupported(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -E2BIG;
}

/* One device has both its hooks by the same way: the first decides. */
static int hook_attach(const struct kernel *kernel, uint32_t ifindex, const struct tc_hook *hook,
		       uint32_t *flags)
{
	_cleanup_close_ int program = program_get(kernel, hook->program);
	bool is_new = false;
	int err = -EOPNOTSUPP;

	if (program < 0)
		return program;
	if (kernel_may_have_tcx() && !(*flags & SL_DEVICE_CLSACT))
		err = link_set(kernel, ifindex, hook->suffix, hook->tcx, 0, program);
	if (!err)
		*flags |= SL_DEVICE_TCX;
	if (!err || *flags & SL_DEVICE_TCX || !is_unsupported(err))
		return err;
	err = clsact_set(ifindex, hook->is_ingress, program, &is_new);
	*flags |= SL_DEVICE_CLSACT | (is_new ? SL_DEVICE_OUR_QDISC : 0);
	return err;
}

static int tc_attach(const struct kernel *kernel, uint32_t ifindex, uint32_t *flags)
{
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(tc_hooks); i++)
		err = hook_attach(kernel, ifindex, &tc_hooks[i], flags);
	return err;
}

/* --- XDP --- */

/* A link that was there already keeps its mode, whatever was asked for. */
static uint32_t xdp_mode(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	return !bpf_xdp_query(ifindex, 0, &opts) && opts.attach_mode == XDP_ATTACHED_SKB
		       ? SL_DEVICE_XDP_GENERIC
		       : SL_DEVICE_XDP_NATIVE;
}

static int xdp_attach(const struct kernel *kernel, uint32_t ifindex, bool allow_generic,
		      uint32_t *ret_flags)
{
	_cleanup_close_ int program = program_get(kernel, "prog_xdp");
	int err;

	if (program < 0)
		return program;
	err = link_set(kernel, ifindex, "xdp", BPF_XDP, XDP_FLAGS_DRV_MODE, program);
	if (err == -EBUSY || err == -EEXIST)
		return xdp_share(kernel, ifindex, program, allow_generic, ret_flags);
	if (is_unsupported(err) && allow_generic)
		err = link_set(kernel, ifindex, "xdp", BPF_XDP, XDP_FLAGS_SKB_MODE, program);
	if (!err)
		*ret_flags = xdp_mode(ifindex);
	return err;
}

/*
 * A virtual device's peer may hand over packets whose checksum is still to be computed; XDP cannot
 * tell. So `auto` takes XDP only on real hardware, which has a device behind it.
 */
static bool is_hardware(const char *name)
{
	char path[64];
	struct stat info;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
	return !stat(path, &info);
}

static void device_describe(uint32_t ifindex, uint32_t flags, struct kernel_device *ret_device)
{
	struct kernel_device device = { .ifindex = ifindex };

	if (!if_indextoname(ifindex, device.name))
		snprintf(device.name, sizeof(device.name), "%s", "?");
	snprintf(device.door, sizeof(device.door), "%s",
		 flags & (SL_DEVICE_XDP_NATIVE | SL_DEVICE_XDP_GENERIC) ? "xdp+tc" : "tc");
	snprintf(device.tc_hook, sizeof(device.tc_hook), "%s",
		 flags & SL_DEVICE_TCX ? "tcx" : "clsact");
	snprintf(device.tc_by, sizeof(device.tc_by), "%s",
		 flags & SL_DEVICE_TCX ? "link" : "netlink");
	if (flags & (SL_DEVICE_XDP_NATIVE | SL_DEVICE_XDP_GENERIC)) {
		snprintf(device.xdp_mode, sizeof(device.xdp_mode), "%s",
			 flags & SL_DEVICE_XDP_NATIVE ? "native" : "generic");
		snprintf(device.xdp_place, sizeof(device.xdp_place), "%s",
			 flags & SL_DEVICE_XDP_SHARED ? "dispatcher" : "single");
		snprintf(device.xdp_by, sizeof(device.xdp_by), "%s",
			 flags & SL_DEVICE_XDP_SHARED ? "netlink" : "link");
	}
	device.xdp_target = flags & SL_DEVICE_XDP_TARGET;
	device.to_peer = flags & SL_DEVICE_PEER;
	*ret_device = device;
}

/*
 * Whether XDP may send out of it: the driver's word, or on kernels without it, that it runs our XDP
 * natively itself. Of frames of several buffers such a kernel's drivers say nothing: the tc door
 * sends them.
 */
static uint32_t target_flags(uint32_t ifindex, uint32_t flags)
{
	bool is_target = false, in_pieces = false;
	int err = netdev_xdp_target(ifindex, &is_target, &in_pieces);

	if (err)
		is_target = flags & SL_DEVICE_XDP_NATIVE;
	return (is_target ? SL_DEVICE_XDP_TARGET : 0) | (in_pieces ? SL_DEVICE_XDP_PIECES : 0);
}

static int device_write(struct kernel *kernel, uint32_t ifindex, uint32_t flags)
{
	int err = bpf_map_update_elem(kernel->map[MAP_DEVICES].fd, &ifindex, &flags, BPF_ANY)
			  ? -errno
			  : 0;

	exits_forget(kernel);
	return err;
}

static int device_record(struct kernel *kernel, uint32_t ifindex, const char *name, uint32_t flags,
			 struct diags *diags)
{
	int err = device_write(kernel, ifindex, flags);

	if (err == -E2BIG)
		diag_add(diags, DIAG_ERROR, name, 0, 0, NULL,
			 "no room for another interface: there are %u, which is all that the doors "
			 "have room for; start sluiced with --device for fewer",
			 kernel->map[MAP_DEVICES].entries);
	else if (err)
		diag_add(diags, DIAG_ERROR, name, 0, 0, NULL,
			 "cannot be recorded in the kernel: %s", strerror(-err));
	return err;
}

/*
 * Last, as its entry comes first: whoever is killed in between leaves an interface that the next
 * one finds, and no pins that nobody knows.
 */
static void device_forget(struct kernel *kernel, uint32_t ifindex)
{
	bpf_map_delete_elem(kernel->map[MAP_DEVICES].fd, &ifindex);
	exits_forget(kernel);
}

/* A link asks for no more than the agent keeps: what is not permitted is the dispatcher. */
static const char *xdp_advice(enum kernel_door door, int err)
{
	if (err == -EPERM)
		return "; another's XDP program is there, and what it takes to stand beside it was "
		       "given up when no interface needed it: if libxdp put it there, start "
		       "sluiced again; beside any other --door tc works";
	return door == KERNEL_DOOR_XDP ? "; --door tc works without" : "; using tc alone";
}

static int xdp_choose(struct kernel *kernel, uint32_t ifindex, const char *name,
		      enum kernel_door door, struct diags *diags, uint32_t *flags)
{
	uint32_t xdp = 0, before = 0;
	int err;

	if (door == KERNEL_DOOR_TC || (door == KERNEL_DOOR_AUTO && !is_hardware(name))) {
		link_remove(kernel, ifindex, "xdp");
		xdp_unshare(ifindex, map_id(kernel->map[MAP_VERDICTS].fd), 0);
		return 0;
	}
	err = xdp_attach(kernel, ifindex, door == KERNEL_DOOR_XDP, &xdp);
	if (!err) {
		*flags |= xdp;
		if (xdp & SL_DEVICE_XDP_GENERIC)
			diag_add(diags, DIAG_WARNING, name, 0, 0, NULL,
				 "the driver has no native XDP: generic XDP is slower than the tc "
				 "door");
		return 0;
	}
	/* What is there goes on, and is still what is there. */
	bpf_map_lookup_elem(kernel->map[MAP_DEVICES].fd, &ifindex, &before);
	*flags |= before & (SL_DEVICE_XDP_NATIVE | SL_DEVICE_XDP_GENERIC | SL_DEVICE_XDP_SHARED);
	diag_add(diags, door == KERNEL_DOOR_XDP ? DIAG_ERROR : DIAG_WARNING, name, 0, 0, NULL,
		 "cannot attach XDP: %s%s", strerror(-err), xdp_advice(door, err));
	return door == KERNEL_DOOR_XDP ? err : 0;
}

/* Everything of ours off the device; `flags` say what its qdisc is. */
static void device_clear(struct kernel *kernel, uint32_t ifindex, uint32_t flags)
{
	uint32_t owner = map_id(kernel->map[MAP_VERDICTS].fd);

	xdp_unshare(ifindex, owner, 0);
	clsact_remove(ifindex, owner, flags & SL_DEVICE_OUR_QDISC);
	link_remove(kernel, ifindex, "xdp");
	for (size_t i = 0; i < ARRAY_SIZE(tc_hooks); i++)
		link_remove(kernel, ifindex, tc_hooks[i].suffix);
}

static int doors_attach(struct kernel *kernel, uint32_t ifindex, const char *name,
			enum kernel_door door, struct diags *diags, uint32_t *flags)
{
	int err = tc_attach(kernel, ifindex, flags);

	if (err)
		diag_add(diags, DIAG_ERROR, name, 0, 0, NULL, "cannot attach the tc door: %s%s",
			 strerror(-err),
			 err == -ENOENT ? "; the pins are gone (sluice detach?): restart sluiced, "
					  "or stop it"
					: "");
	if (!err)
		err = xdp_choose(kernel, ifindex, name, door, diags, flags);
	if (err)
		return err;
	*flags |= SL_DEVICE_ATTACHED | target_flags(ifindex, *flags) |
		  (device_has_bare_peer(ifindex) ? SL_DEVICE_PEER : 0);
	return device_record(kernel, ifindex, name, *flags, diags);
}

int kernel_attach(struct kernel *kernel, uint32_t ifindex, enum kernel_door door,
		  struct diags *diags, struct kernel_device *ret_device)
{
	uint32_t before = 0, flags;
	char name[IF_NAMESIZE];
	int err;

	if (!if_indextoname(ifindex, name))
		return -ENODEV;
	bpf_map_lookup_elem(kernel->map[MAP_DEVICES].fd, &ifindex, &before);
	flags = before & SL_DEVICE_OUR_QDISC;
	err = before ? 0 : device_record(kernel, ifindex, name, 0, diags);
	if (!err)
		err = doors_attach(kernel, ifindex, name, door, diags, &flags);
	/*
	 * Half a device would send packets one way alone; one that had its doors before keeps what
	 * it has.
	 */
	if (err && !before) {
		device_clear(kernel, ifindex, flags);
		device_forget(kernel, ifindex);
	}
	if (!err && before & SL_DEVICE_CLSACT && flags & SL_DEVICE_TCX)
		clsact_remove(ifindex, map_id(kernel->map[MAP_VERDICTS].fd),
			      before & SL_DEVICE_OUR_QDISC);
	if (!err && ret_device)
		device_describe(ifindex, flags, ret_device);
	return err;
}

int kernel_detach(struct kernel *kernel, uint32_t ifindex)
{
	uint32_t flags = 0;

	/* The doors of others must stop sending here first. */
	bpf_map_lookup_elem(kernel->map[MAP_DEVICES].fd, &ifindex, &flags);
	flags &= SL_DEVICE_OUR_QDISC;
	device_write(kernel, ifindex, flags);
	device_clear(kernel, ifindex, flags);
	device_forget(kernel, ifindex);
	return 0;
}

struct device_list {
	void *parent;
	struct kernel_device *list;
	size_t count;
};

static int device_collect(void *context, void *key, void *value)
{
	struct device_list *devices = context;
	struct kernel_device *list = talloc_realloc(devices->parent, devices->list,
						    struct kernel_device, devices->count + 1);

	if (!list)
		return -ENOMEM;
	devices->list = list;
	device_describe(*(uint32_t *)key, *(uint32_t *)value, &list[devices->count++]);
	return 0;
}

static int device_order(const void *a, const void *b)
{
	return strcmp(((const struct kernel_device *)a)->name,
		      ((const struct kernel_device *)b)->name);
}

int kernel_devices(void *parent, const struct kernel *kernel, struct kernel_device **ret_list,
		   size_t *ret_count)
{
	struct device_list devices = { .parent = parent };
	int err = map_walk(&kernel->map[MAP_DEVICES], device_collect, &devices);

	if (err)
		return err;
	if (devices.count)
		qsort(devices.list, devices.count, sizeof(*devices.list), device_order);
	*ret_list = devices.list;
	*ret_count = devices.count;
	return 0;
}
