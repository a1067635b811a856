// SPDX-License-Identifier: Apache-2.0
/* The lock of the state folder: flock, so that it is gone with whoever held it. */
#include "store.h"

#include "../base/cleanup.h"
#include "file.h"
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define POLL_MS 4

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* flock has no time limit of its own, and an alarm would be the whole process's business. */
static int lock_wait(int fd, int kind, unsigned timeout_ms)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	uint64_t deadline = now_ms() + timeout_ms;

	while (flock(fd, kind | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (now_ms() >= deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* The holder wrote its text when it took the lock, so the file's time is since when. */
static void holder_tell(const struct store *store, enum diag_level level, const char *next,
			struct diags *diags)
{
	_cleanup_talloc_ char *text = NULL;
	char since[32] = "", *command = NULL;
	struct stat st;
	struct tm tm;
	size_t size;

	if (!file_read(NULL, store->dir, LOCK_FILE, 256, &text, &size, NULL)) {
		text[strcspn(text, "\n")] = '\0';
		command = strchr(text, ' ');
	}
	if (!command) {
		diag_add(diags, level, store->path, 0, 0, NULL,
			 "the state folder is locked by another process; %s", next);
		return;
	}
	*command++ = '\0';
	if (!fstatat(store->dir, LOCK_FILE, &st, 0) && gmtime_r(&st.st_mtime, &tm))
		strftime(since, sizeof(since), " since %FT%TZ", &tm);
	diag_add(diags, level, store->path, 0, 0, NULL,
		 "the state folder is locked by pid %s (%s)%s; %s", text, command, since, next);
}

static void holder_complain(const struct store *store, unsigned timeout_ms, struct diags *diags)
{
	char next[80];

	snprintf(next, sizeof(next), "waited %g s: try --timeout, or end it", timeout_ms / 1000.0);
	holder_tell(store, DIAG_ERROR, next, diags);
}

/* A text for people alone: the lock holds without it, on a full disk too. */
static void holder_write(int fd, const char *command)
{
	if (!ftruncate(fd, 0))
		dprintf(fd, "%ld %s\n", (long)getpid(), command);
}

int store_lock(struct store *store, unsigned timeout_ms, const char *command, struct diags *diags)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int err;

	if (store->lock >= 0)
		return 0;
	if (store->dir < 0)
		return -ENOENT;
	fd = openat(store->dir, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Made read-only by a failing disk, the folder can still be locked, and a rollback needs no
	 * more than that. */
	if (fd < 0 && errno == EROFS)
		fd = openat(store->dir, LOCK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return store_complain(store, diags, LOCK_FILE, -errno, "cannot lock");
	err = lock_wait(fd, LOCK_EX, timeout_ms);
	if (err == -ETIMEDOUT)
		holder_complain(store, timeout_ms, diags);
	if (err)
		return err == -ETIMEDOUT
			       ? err
			       : store_complain(store, diags, LOCK_FILE, err, "cannot lock");
	/* Whoever held it last was killed, and may not have come to its syncs, nor to its end. */
	store->has_new_names = fstat(fd, &st) || st.st_size;
	store->is_unsettled = store->has_new_names;
	holder_write(fd, command ? command : "sluice");
	store->lock = TAKE_FD(fd);
	file_remove_leftovers(store->dir);
	file_remove_leftovers(store->revisions);
	return 0;
}

int store_lock_shared(struct store *store, unsigned timeout_ms, struct diags *diags)
{
	_cleanup_close_ int fd = -1;
	int err;

	if (store->lock >= 0 || store->shared >= 0 || store->dir < 0)
		return 0;
	fd = openat(store->dir, LOCK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0; /* nobody has written here yet */
	if (fd < 0)
		return store_complain(store, diags, LOCK_FILE, -errno, "cannot lock");
	err = lock_wait(fd, LOCK_SH, timeout_ms);
	if (err == -ETIMEDOUT) {
		holder_tell(store, DIAG_WARNING, "what follows may be of two moments", diags);
		return 0;
	}
	if (err)
		return store_complain(store, diags, LOCK_FILE, err, "cannot lock");
	store->shared = TAKE_FD(fd);
	return 0;
}
