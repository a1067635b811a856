// SPDX-License-Identifier: Apache-2.0
#include "beneath.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEPTH_MAX 64
#define LINKS_MAX 40 /* as many as the kernel follows */
#define TRIES 16     /* a rename somewhere above makes the kernel ask to begin again */

__attribute__((weak)) bool has_openat2(void)
{
	return true;
}

static int ask_kernel(int dir, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (unsigned)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	if (!has_openat2())
		return -ENOSYS;
	for (int i = 0; i < TRIES && fd < 0; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return fd < 0 ? -errno : fd;
}

/*
 * The same by hand, for kernels without openat2 and for filters that do not know it. The folders on
 * the way are kept open, so that ".." is the one we came from, whatever was renamed since.
 */
struct walk {
	int folders[DEPTH_MAX]; /* [0] is the caller's */
	int depth, links;
	char rest[PATH_MAX];
};

static void walk_cleanup(struct walk *walk)
{
	while (walk->depth > 0)
		close(walk->folders[walk->depth--]);
}

/* Takes the first name off the rest; false when there is none. */
static bool name_take(struct walk *walk, char ret_name[NAME_MAX + 2])
{
	size_t start = strspn(walk->rest, "/"), size = strcspn(walk->rest + start, "/");

	if (!size)
		return false;
	snprintf(ret_name, NAME_MAX + 2, "%.*s", (int)size, walk->rest + start);
	memmove(walk->rest, walk->rest + start + size, strlen(walk->rest + start + size) + 1);
	return true;
}

static int link_follow(struct walk *walk, int link)
{
	char target[PATH_MAX];
	size_t left;
	ssize_t size = readlinkat(link, "", target, sizeof(target) - 1);

	if (size < 0)
		return -errno;
	target[size] = '\0';
	if (target[0] == '/')
		return -EXDEV;
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	left = strlen(walk->rest);
	if ((size_t)size + left + 2 > sizeof(walk->rest))
		return -ENAMETOOLONG;
	memmove(walk->rest + size + 1, walk->rest, left + 1);
	memcpy(walk->rest, target, (size_t)size);
	walk->rest[size] = '/';
	return 0;
}

static int name_enter(struct walk *walk, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		if (!walk->depth)
			return -EXDEV;
		close(walk->folders[walk->depth--]);
		return 0;
	}
	fd = openat(walk->folders[walk->depth], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (S_ISLNK(status.st_mode))
		return link_follow(walk, fd);
	if (walk->depth + 1 == DEPTH_MAX)
		return -ELOOP;
	walk->folders[++walk->depth] = TAKE_FD(fd);
	return 0;
}

/* What was reached may be a file: it is opened again by its own descriptor's name. */
static int walked_open(const struct walk *walk, int flags)
{
	char self[32];
	int fd;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", walk->folders[walk->depth]);
	fd = open(self, flags);
	return fd < 0 ? -errno : fd;
}

static int walk_by_hand(int dir, const char *path, int flags)
{
	__attribute__((cleanup(walk_cleanup))) struct walk walk = { .folders = { dir } };
	char name[NAME_MAX + 2];
	int err = 0;

	if (path[0] == '/')
		return -EXDEV;
	if (strlen(path) >= sizeof(walk.rest))
		return -ENAMETOOLONG;
	snprintf(walk.rest, sizeof(walk.rest), "%s", path);
	while (!err && name_take(&walk, name))
		err = name_enter(&walk, name);
	return err ? err : walked_open(&walk, flags);
}

int open_beneath(int dir, const char *path, int flags)
{
	int fd = ask_kernel(dir, path, flags);

	return fd == -ENOSYS || fd == -EPERM ? walk_by_hand(dir, path, flags) : fd;
}
