// SPDX-License-Identifier: Apache-2.0
/*
 * From the doors and maps of another release to ours, under traffic. A connection begins at one
 * interface and is answered at another, and interfaces are changed one by one. So for a while both
 * releases' doors stand at each: a packet that the first does not know is the second's. In order:
 *
 *   other             the live flows are copied
 *   other, ours       everywhere; then copied again: all still begin in the other's table
 *   ours, other, ours everywhere, and XDP: from here all begin in ours; then copied, for the last
 *                     time
 *   ours, ours        everywhere, by link update
 *   ours              once the maps have been committed
 *
 * What goes out opens nothing, so there the order does not matter: ours comes first at once.
 *
 * A connection that begins in the other's table after the second copy, and whose next packet meets
 * ours before the third, is picked once more, by equal tables and one seed: to the same endpoint.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <time.h>

/* linux/bpf.h of 6.6, which the build machine's headers may not have. */
#define PLACE_BEFORE (1u << 3)
#define PLACE_AFTER (1u << 4)
#define PLACE_BY_LINK (1u << 13)

enum place {
	BEFORE = -1,
	INSTEAD,
	AFTER
};

struct device {
	uint32_t ifindex, flags; /* SL_DEVICE_* */
};

struct takeover {
	struct kernel *kernel;
	char beside[320]; /* the folder of links before and after */
	const char *from; /* of the other's pins */
	struct diags *diags;
	struct other *other;
	struct device *devices;
	size_t count;
	uint32_t owner;      /* the map by which the other's programs are known */
	int first[TC_HOOKS]; /* the programs that come before the other's, in the order of tc_hooks
			      */
};

static bool is_beside(const struct kernel *kernel)
{
	return strcmp(kernel->pin_dir, kernel->base_dir);
}

bool kernel_has_other(const struct kernel *kernel)
{
	return is_beside(kernel) || next_is_live(kernel->base_dir);
}

const char *kernel_pins(const struct kernel *kernel)
{
	return kernel->pin_dir;
}

static int device_note(void *context, void *key, void *value)
{
	struct takeover *takeover = context;
	struct device *devices = talloc_realloc(takeover->other, takeover->devices, struct device,
						takeover->count + 1);

	if (!devices)
		return -ENOMEM;
	takeover->devices = devices;
	devices[takeover->count++] = (struct device){ *(uint32_t *)key, *(uint32_t *)value };
	return 0;
}

/* --- one hook --- */

static bool is_gone(int err)
{
	return err == -ENODEV || err == -ENOLINK || err == -ENXIO;
}

/* Pinned, so that it stays when we do not; in a folder that goes with the takeover. */
static int link_place(const struct takeover *takeover, uint32_t ifindex, const struct tc_hook *hook,
		      int program, enum place place)
{
	uint32_t flags = PLACE_BY_LINK | (place == BEFORE ? PLACE_BEFORE : PLACE_AFTER);
	char path[320], beside[340];
	int err = link_path(takeover->kernel, ifindex, hook->suffix, path);

	if (err)
		return err;
	snprintf(beside, sizeof(beside), "%s/links/%u_%s_%s", takeover->beside, ifindex,
		 hook->suffix, place == BEFORE ? "before" : "after");

	_cleanup_close_ int main = bpf_obj_get(path);
	_cleanup_close_ int old = bpf_obj_get(beside);

	if (main < 0 || !link_is_alive(main, ifindex))
		return -ENOLINK;
	if (old >= 0 && link_is_alive(old, ifindex))
		return bpf_link_update(old, program, NULL) ? -errno : 0;
	if (old >= 0)
		unlink(beside);

	_cleanup_close_ int link = link_create(program, ifindex, hook->tcx, flags, main);

	if (link < 0)
		return link;
	return bpf_obj_pin(link, beside) ? -errno : 0;
}

static int link_replace(const struct takeover *takeover, uint32_t ifindex, const char *suffix,
			int program)
{
	char path[320];
	int err = link_path(takeover->kernel, ifindex, suffix, path);

	if (err)
		return err;

	_cleanup_close_ int link = bpf_obj_get(path);

	if (link < 0 || !link_is_alive(link, ifindex))
		return -ENOLINK;
	return bpf_link_update(link, program, NULL) ? -errno : 0;
}

static void link_unplace(const struct takeover *takeover, uint32_t ifindex,
			 const struct tc_hook *hook, enum place place)
{
	char beside[340];

	snprintf(beside, sizeof(beside), "%s/links/%u_%s_%s", takeover->beside, ifindex,
		 hook->suffix, place == BEFORE ? "before" : "after");
	pin_remove(beside);
}

static int hook_set(const struct takeover *takeover, const struct device *device, size_t at,
		    enum place place)
{
	const struct tc_hook *hook = &tc_hooks[at];
	_cleanup_close_ int own = program_get(takeover->kernel, hook->program);
	int program = place == BEFORE ? takeover->first[at] : own;
	bool is_new;

	if (program < 0)
		return program;
	if (device->flags & SL_DEVICE_CLSACT && place == INSTEAD)
		return clsact_set(device->ifindex, hook->is_ingress, program, &is_new);
	if (device->flags & SL_DEVICE_CLSACT)
		return clsact_place(device->ifindex, hook->is_ingress, program, place);
	if (place != INSTEAD)
		return link_place(takeover, device->ifindex, hook, program, place);
	/* Ours behind the other's is to stand in its place: no program is twice at a hook. */
	if (is_beside(takeover->kernel))
		link_unplace(takeover, device->ifindex, hook, AFTER);
	return link_replace(takeover, device->ifindex, hook->suffix, program);
}

/* What XDP leaves alone, both doors behind it see: it needs no second one. */
static int xdp_set(const struct takeover *takeover, const struct device *device)
{
	_cleanup_close_ int program = program_get(takeover->kernel, "prog_xdp");
	uint32_t flags;
	int err;

	if (!(device->flags & (SL_DEVICE_XDP_NATIVE | SL_DEVICE_XDP_GENERIC)))
		return 0;
	if (program < 0)
		return program;
	if (!(device->flags & SL_DEVICE_XDP_SHARED))
		return link_replace(takeover, device->ifindex, "xdp", program);
	err = xdp_share(takeover->kernel, device->ifindex, program, true, &flags);
	if (!err)
		xdp_unshare(device->ifindex, takeover->owner, 0);
	return err;
}

static int device_complain(const struct takeover *takeover, uint32_t ifindex, int err)
{
	diag_add(takeover->diags, DIAG_ERROR, NULL, 0, 0, NULL,
		 "cannot put the new doors into interface %u: %s", ifindex, strerror(-err));
	return err;
}

/* At every interface; one that has gone needs none. */
static int hooks_set(const struct takeover *takeover, enum place place)
{
	for (size_t i = 0; i < takeover->count; i++) {
		const struct device *device = &takeover->devices[i];
		int err = 0;

		for (size_t hook = 0; !err && hook < TC_HOOKS; hook++)
			err = hook_set(takeover, device, hook,
				       place == AFTER && !tc_hooks[hook].is_ingress ? BEFORE
										    : place);
		if (!err && place == BEFORE)
			err = xdp_set(takeover, device);
		if (err && !is_gone(err))
			return device_complain(takeover, device->ifindex, err);
	}
	return 0;
}

/* --- all of it --- */

static int takeover_open(struct takeover *takeover)
{
	struct kernel *kernel = takeover->kernel;
	char path[320];
	int err = other_open(NULL, kernel, takeover->from, takeover->diags, &takeover->other);

	if (!err)
		err = other_devices(takeover->other);
	if (!err)
		err = map_walk(&kernel->map[MAP_DEVICES], device_note, takeover);
	if (!err)
		err = path_join(path, sizeof(path), takeover->from, map_names[MAP_VERDICTS]);
	if (err)
		return err;

	_cleanup_close_ int verdicts = bpf_obj_get(path);

	/* Without it any door would pass for the other's, ours too. */
	takeover->owner = map_id(verdicts);
	return takeover->owner ? 0 : -ENOENT;
}

/* The other's doors still come first: when it fails, all is as it was. */
static int takeover_begin(struct takeover *takeover, bool was_live)
{
	const struct other_pass first = { .ours_counts = was_live };
	struct other_count count;
	char path[320];
	int err = other_copy(takeover->other, first, &count);

	if (!err)
		err = doors_again(takeover->kernel, takeover->first);
	if (!err)
		err = path_join(path, sizeof(path), takeover->beside, "links");
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	if (!err)
		err = hooks_set(takeover, AFTER);
	if (!err)
		err = other_copy(takeover->other, first, &count);
	return err;
}

static const struct other_pass last_pass = { .ours_counts = true, .is_last = true };

static int takeover_end(struct takeover *takeover, struct kernel_takeover *ret_takeover)
{
	struct kernel *kernel = takeover->kernel;
	struct other_count count;
	int err = hooks_set(takeover, BEFORE);

	/* What the other's doors were about to write is written. */
	if (!err)
		err = kernel_grace();
	if (!err)
		err = other_copy(takeover->other, last_pass, &count);
	if (!err)
		err = hooks_set(takeover, INSTEAD);
	if (!err)
		err = next_commit(kernel->base_dir);
	if (err)
		return err;
	ret_takeover->moved = count.moved + count.known;
	ret_takeover->misfit = count.misfit;
	snprintf(kernel->pin_dir, sizeof(kernel->pin_dir), "%s", kernel->base_dir);
	pins_retire(kernel->base_dir);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static int beside_takeover(struct takeover *takeover, struct kernel_takeover *ret_takeover)
{
	struct kernel *kernel = takeover->kernel;
	bool was_live = next_is_live(kernel->base_dir);
	int err = takeover_open(takeover);

	if (!err)
		err = takeover_begin(takeover, was_live);
	if (err && !was_live) {
		for (size_t i = 0; i < takeover->count; i++)
			clsact_places_clear(takeover->devices[i].ifindex,
					    map_id(kernel->map[MAP_VERDICTS].fd));
		next_clear(kernel->base_dir);
	}
	return err ? err : takeover_end(takeover, ret_takeover);
}

/* --- back: the other began to take over from these maps, and was killed --- */

/* The other's own programs, from its pins, behind ours. */
static int theirs_behind(const struct takeover *takeover, const struct device *device)
{
	int err = 0;

	for (size_t i = 0; !err && i < TC_HOOKS; i++) {
		const struct tc_hook *hook = &tc_hooks[i];
		char path[340];

		snprintf(path, sizeof(path), "%s/%s", takeover->from, hook->program);

		_cleanup_close_ int program = bpf_obj_get(path);

		if (program < 0)
			return -errno;
		err = (device->flags & SL_DEVICE_CLSACT)
			      ? clsact_place(device->ifindex, hook->is_ingress, program, AFTER)
			      : link_place(takeover, device->ifindex, hook, program, AFTER);
	}
	return err;
}

static int hooks_back(const struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->count; i++) {
		const struct device *device = &takeover->devices[i];
		int err = 0;

		for (size_t hook = 0; !err && hook < TC_HOOKS; hook++)
			err = hook_set(takeover, device, hook, INSTEAD);
		if (!err)
			err = theirs_behind(takeover, device);
		if (!err)
			err = xdp_set(takeover, device);
		if (err && !is_gone(err))
			return device_complain(takeover, device->ifindex, err);
	}
	return 0;
}

/* All that the other's doors do not know is known to ours behind them, and the other way round. */
static void hooks_unplace(const struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->count; i++) {
		const struct device *device = &takeover->devices[i];

		if (device->flags & SL_DEVICE_CLSACT)
			clsact_unplace(device->ifindex, takeover->owner, BEFORE);
		for (size_t hook = 0; hook < TC_HOOKS; hook++)
			link_unplace(takeover, device->ifindex, &tc_hooks[hook], BEFORE);
	}
}

static int back_takeover(struct takeover *takeover, struct kernel_takeover *ret_takeover)
{
	const struct other_pass first = { .ours_counts = true };
	const char *base_dir = takeover->kernel->base_dir;
	struct other_count count;
	int err = takeover_open(takeover);

	if (!err)
		err = other_copy(takeover->other, first, &count);
	if (!err)
		err = hooks_back(takeover);
	if (!err)
		err = other_copy(takeover->other, first, &count);
	if (err)
		return err;
	hooks_unplace(takeover);
	err = kernel_grace();
	if (!err)
		err = other_copy(takeover->other, last_pass, &count);
	if (err)
		return err;
	for (size_t i = 0; i < takeover->count; i++)
		clsact_places_clear(takeover->devices[i].ifindex, takeover->owner);
	ret_takeover->moved = count.moved + count.known;
	ret_takeover->misfit = count.misfit;
	return next_clear(base_dir);
}

static int takeover_run(struct takeover *takeover, struct kernel_takeover *ret_takeover)
{
	struct kernel *kernel = takeover->kernel;
	struct sl_layout layout;
	uint64_t began = now_ms();
	int err = path_join(takeover->beside, sizeof(takeover->beside), kernel->base_dir, NEXT_DIR);

	takeover->from = is_beside(kernel) ? kernel->base_dir : takeover->beside;
	if (!err)
		err = layout_read(takeover->from, &layout);
	if (err)
		return err;
	ret_takeover->abi = layout.abi;
	err = is_beside(kernel) ? beside_takeover(takeover, ret_takeover)
				: back_takeover(takeover, ret_takeover);
	ret_takeover->devices = takeover->count;
	ret_takeover->ms = now_ms() - began;
	return err;
}

int kernel_takeover(struct kernel *kernel, struct diags *diags,
		    struct kernel_takeover *ret_takeover)
{
	struct takeover takeover = { .kernel = kernel, .diags = diags, .first = { -1, -1 } };
	int err;

	memset(ret_takeover, 0, sizeof(*ret_takeover));
	err = takeover_run(&takeover, ret_takeover);
	talloc_free(takeover.other);
	for (size_t i = 0; i < TC_HOOKS; i++)
		if (takeover.first[i] >= 0)
			close(takeover.first[i]);
	if (err)
		diag_add(diags, DIAG_ERROR, kernel->base_dir, 0, 0, NULL,
			 "the flows of the maps pinned there could not be taken over: %s; what ran "
			 "goes on, start again",
			 strerror(-err));
	return err;
}
