// SPDX-License-Identifier: Apache-2.0
/*
 * A start: what is pinned is taken as it is, or made, or made anew beside the maps of another
 * release.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define BPF_ROOT "/sys/fs/bpf"

static int bpffs_mount(const char *pin_dir, struct diags *diags)
{
	struct statfs fs;

	if (strncmp(pin_dir, BPF_ROOT, strlen(BPF_ROOT)) ||
	    (!statfs(BPF_ROOT, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC))
		return 0;
	/* Without a mode everybody may make folders there. */
	if (mount("bpf", BPF_ROOT, "bpf", 0, "mode=0700")) {
		int err = -errno;

		diag_add(diags, DIAG_ERROR, BPF_ROOT, 0, 0, NULL,
			 "no BPF file system, and it cannot be mounted: %s", strerror(-err));
		return err;
	}
	return 0;
}

/* What is pinned there is believed: whoever may change the folder may change what runs. */
static int pin_dir_guard(const char *pin_dir, struct diags *diags)
{
	struct stat status;

	if (lstat(pin_dir, &status))
		return -errno;
	if (S_ISDIR(status.st_mode) && status.st_uid == geteuid() && !(status.st_mode & 022))
		return 0;
	diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
		 "the folder of pins is not this user's alone (owner %u, mode %04o): remove it, or "
		 "give another --pins",
		 status.st_uid, status.st_mode & 07777);
	return -EPERM;
}

static int pin_dir_make(const char *pin_dir, struct diags *diags)
{
	char path[320];
	int err = bpffs_mount(pin_dir, diags);

	if (err)
		return err;
	err = path_join(path, sizeof(path), pin_dir, "links");
	if (!err && mkdir(pin_dir, 0700) && errno != EEXIST)
		err = -errno;
	/* Nothing is made in a folder that is refused. */
	if (!err && pin_dir_guard(pin_dir, diags))
		return -EPERM;
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	if (err)
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot make the folder of pins: %s", strerror(-err));
	return err;
}

/* What may change while the maps stay. The seed may not: another would move every client. */
static void control_update(struct kernel *kernel, const struct kernel_settings *settings,
			   struct diags *diags)
{
	struct sl_control *control = control_of(kernel);

	control->redirect = settings->redirect;
	control->udp_idle_ns = settings->udp_idle_ms * 1000000ull;
	if (memcmp(control->seed, settings->seed, sizeof(control->seed)))
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the seed in the kernel is another than the state folder's: it stays, or "
			 "every client would move");
	if (control->slots != settings->slots)
		diag_add(diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "slot tables stay at %u slots (%u were asked for): sluiced --detach first "
			 "to change it",
			 control->slots, settings->slots);
}

static int settings_check(const struct kernel_settings *settings, struct diags *diags)
{
	uint32_t slots = settings->slots;

	if (slots >= SL_SLOTS_PER_GROUP && slots <= 65536 && !(slots & (slots - 1)) &&
	    settings->flows && settings->services && settings->versions && settings->endpoints &&
	    settings->endpoints <= SL_ENDPOINTS_MAX && settings->flows <= 1u << 28 &&
	    settings->versions <= 1u << 20)
		return 0;
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "sizes must be at least 1 (flows at most 268435456, endpoints 4194302, versions "
		 "1048576), and slots a power of two from 8 to 65536; found %u",
		 slots);
	return -EINVAL;
}

/* The links' folder goes with what is in it. */
static int leftovers_clear(const char *pin_dir, struct diags *diags)
{
	int err = pins_clear(pin_dir);

	if (err)
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot remove what a start or a detach that never ended has left: %s",
			 strerror(-err));
	return err ? err : pin_dir_make(pin_dir, diags);
}

/* --- beside the maps of another release --- */

/* The word of the revision that is obeyed, alone in its map since the first release. */
static int active_share(const char *pin_dir, const char *beside, uint32_t *ret_active)
{
	char from[320], to[320];
	uint32_t zero = 0;
	int err = path_join(from, sizeof(from), pin_dir, map_names[MAP_ACTIVE]);

	if (!err)
		err = path_join(to, sizeof(to), beside, map_names[MAP_ACTIVE]);
	if (err)
		return err;

	_cleanup_close_ int fd = bpf_obj_get(from);

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, ret_active))
		return -errno;
	/* One word for both: a flip is one store also while doors of both are under way. */
	return bpf_obj_pin(fd, to) && errno != EEXIST ? -errno : 0;
}

static int origin_refuse(struct diags *diags, const char *pin_dir, uint32_t abi, const char *why)
{
	diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
		 "holds maps of ABI %u, this program speaks %u, and their flows cannot be taken "
		 "over: %s; use the sluiced that made them, or sluiced --detach first",
		 abi, SL_ABI, why);
	return -EPROTO;
}

static int origin_read(const char *pin_dir, uint32_t abi, struct diags *diags,
		       struct sl_layout *ret_origin)
{
	if (layout_read(pin_dir, ret_origin) || ret_origin->abi != abi)
		return origin_refuse(diags, pin_dir, abi, "they do not say how they are laid out");
	if (!layout_has_our_tags(ret_origin))
		return origin_refuse(diags, pin_dir, abi,
				     "they know connections by another hash function");
	return 0;
}

/* What must be as it is, so that flows keep their buckets and new connections their picks. */
static void origin_keep(const char *pin_dir, const struct sl_layout *origin,
			struct kernel_settings *settings)
{
	uint32_t buckets = map_pinned_entries(pin_dir, MAP_FLOWS);

	settings->seed[0] = origin->seed[0];
	settings->seed[1] = origin->seed[1];
	settings->slots = origin->slots;
	if (buckets && layout_has_our_homes(origin))
		settings->flows = buckets * (SL_WAYS / 4);
}

/* What a start that never came to change doors has left goes. */
static int next_begin(const char *pin_dir, const char *beside, struct diags *diags,
		      bool *ret_is_new)
{
	uint32_t abi = 0;
	int err = abi_pinned(beside, &abi);

	*ret_is_new = !next_is_live(pin_dir);
	if (!*ret_is_new && (err || abi != SL_ABI)) {
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "a sluiced of a third ABI, %u, has begun to take over and has not ended: "
			 "start it again first",
			 abi);
		return -EPROTO;
	}
	err = *ret_is_new ? next_clear(pin_dir) : 0;
	if (!err && mkdir(beside, 0700) && errno != EEXIST)
		err = -errno;
	if (err)
		diag_add(diags, DIAG_ERROR, beside, 0, 0, NULL,
			 "cannot make the folder for new maps: %s", strerror(-err));
	return err;
}

static int next_create(const char *pin_dir, uint32_t abi, const struct kernel_settings *settings,
		       struct diags *diags, struct kernel **ret_kernel)
{
	struct kernel_settings kept = *settings;
	struct plane plane = { .settings = &kept, .diags = diags };
	struct sl_layout origin;
	char beside[320];
	bool is_new;
	int err = path_join(beside, sizeof(beside), pin_dir, NEXT_DIR);

	if (!err)
		err = origin_read(pin_dir, abi, diags, &origin);
	if (!err)
		err = next_begin(pin_dir, beside, diags, &is_new);
	if (!err)
		err = active_share(pin_dir, beside, &plane.active);
	if (err)
		return err;
	origin_keep(pin_dir, &origin, &kept);
	plane.pin_dir = beside;
	plane.origin = &origin;
	err = plane_load(&plane, is_new, ret_kernel);
	if (err && !next_is_live(pin_dir))
		next_clear(pin_dir);
	if (!err)
		snprintf((*ret_kernel)->base_dir, sizeof((*ret_kernel)->base_dir), "%s", pin_dir);
	return err;
}

/* --- */

static int plane_create(const char *pin_dir, uint32_t abi, const struct kernel_settings *settings,
			struct diags *diags, struct kernel **ret_kernel)
{
	const struct plane plane = { .pin_dir = pin_dir, .settings = settings, .diags = diags };
	int err;

	if (abi && abi != SL_ABI)
		return next_create(pin_dir, abi, settings, diags, ret_kernel);
	/* One that has begun to take over from us has flows of its own: see kernel_takeover. */
	if (abi)
		err = next_is_live(pin_dir) ? 0 : next_clear(pin_dir);
	else
		err = leftovers_clear(pin_dir, diags);
	if (!err)
		err = plane_load(&plane, !abi, ret_kernel);
	if (!err) {
		pins_retire(pin_dir);
	} else if (!abi) {
		pins_clear(pin_dir);
		rmdir(pin_dir);
	}
	return err;
}

int kernel_create(const char *pin_dir, const struct kernel_settings *settings, struct diags *diags,
		  struct kernel **ret_kernel)
{
	struct kernel *kernel;
	uint32_t abi = 0;
	int err = settings_check(settings, diags);

	pin_dir = pin_dir ? pin_dir : SL_PIN_DIR;
	if (!err)
		err = pin_dir_make(pin_dir, diags);
	if (err)
		return err;
	err = next_finish(pin_dir);
	if (!err)
		err = abi_pinned(pin_dir, &abi);
	if (err && err != -ENOENT && err != -EPROTO) {
		diag_add(diags, DIAG_ERROR, pin_dir, 0, 0, NULL,
			 "cannot read the maps pinned there: %s", strerror(-err));
		return err;
	}
	if (err == -EPROTO)
		return origin_refuse(diags, pin_dir, abi, "they are no release's");
	err = plane_create(pin_dir, abi, settings, diags, &kernel);
	if (err)
		return err;
	control_update(kernel, settings, diags);
	exits_begin(kernel, settings->route_cache);
	*ret_kernel = kernel;
	return 0;
}
