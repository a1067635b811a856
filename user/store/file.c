// SPDX-License-Identifier: Apache-2.0
#include "file.h"

#include "../base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define ASIDE_SUFFIX ".tmp"

static int read_fully(int fd, char *text, size_t size, size_t *ret_done)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_done = done;
	return 0;
}

int file_read(void *parent, int dir, const char *name, size_t limit, char **ret_text,
	      size_t *ret_size, off_t *ret_file_size)
{
	/*
	 * NONBLOCK: a FIFO in the place of a file must not hang the caller; a file does not
	 * care.
	 */
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_talloc_ char *text = NULL;
	struct stat st;
	size_t size, done = 0;
	int err;

	if (dir < 0)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size >= INT_MAX)
		return -EBADMSG;
	size = (size_t)st.st_size;
	if (limit && limit < size)
		size = limit;
	text = talloc_size(parent, size + 1);
	if (!text)
		return -ENOMEM;
	err = read_fully(fd, text, size, &done);
	if (err)
		return err;
	text[done] = '\0';
	*ret_text = TAKE_PTR(text);
	*ret_size = done;
	if (ret_file_size)
		*ret_file_size = st.st_size;
	return 0;
}

static int write_fully(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int aside_name(const char *name, char ret_aside[static NAME_MAX + 1])
{
	int length = snprintf(ret_aside, NAME_MAX + 1, "%s" ASIDE_SUFFIX, name);

	return length > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int write_synced(int dir, const char *name, const struct iovec *parts, int part_count)
{
	_cleanup_close_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = 0;

	if (fd < 0)
		return -errno;
	for (int i = 0; !err && i < part_count; i++)
		err = write_fully(fd, parts[i].iov_base, parts[i].iov_len);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

int file_stage(int dir, const char *name, const struct iovec *parts, int part_count)
{
	char aside[NAME_MAX + 1];
	int err = aside_name(name, aside);

	if (err)
		return err;
	err = write_synced(dir, aside, parts, part_count);
	if (err)
		unlinkat(dir, aside, 0);
	return err;
}

int file_place(int dir, const char *name)
{
	char aside[NAME_MAX + 1];
	int err = aside_name(name, aside);

	if (err)
		return err;
	if (!renameat(dir, aside, dir, name))
		return 0;
	err = -errno;
	unlinkat(dir, aside, 0);
	return err;
}

void file_unstage(int dir, const char *name)
{
	char aside[NAME_MAX + 1];

	if (!aside_name(name, aside))
		unlinkat(dir, aside, 0);
}

int file_write(int dir, const char *name, const struct iovec *parts, int part_count)
{
	int err = file_stage(dir, name, parts, part_count);

	if (!err)
		err = file_place(dir, name);
	/*
	 * Without this the new name may be gone after a power cut, although its content is
	 * there.
	 */
	return !err && fsync(dir) ? -errno : err;
}

void file_remove_leftovers(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream) {
		cleanup_close_p(&copy);
		return;
	}
	while ((entry = readdir(stream))) {
		size_t length = strlen(entry->d_name), suffix = strlen(ASIDE_SUFFIX);

		if (length > suffix && !strcmp(entry->d_name + length - suffix, ASIDE_SUFFIX))
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(stream);
}
