// SPDX-License-Identifier: Apache-2.0
/*
 * Paths to texts. A folder gives its files in the order of their names, so that messages come in
 * one order too.
 */
#include "input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/beneath.h"
#include "../base/cleanup.h"

#define TEXT_SIZE_MAX (128u << 20) /* of one input's texts together */
#define CHUNK (64u << 10)

struct texts {
	struct input_text *list;
	size_t count;
	size_t size; /* of all */
	struct diags *diags;
};

static int read_error(struct texts *texts, const char *name, int r)
{
	diag_add(texts->diags, DIAG_ERROR, name, 0, 0, NULL, "cannot be read: %s", strerror(-r));
	return r;
}

static int size_error(struct texts *texts, const char *name)
{
	diag_add(texts->diags, DIAG_ERROR, name, 0, 0, NULL,
		 "is too large; less than 128 MiB are allowed, all files of an input together");
	return -EFBIG;
}

/* How much may come, as far as it can be told before: a file's size, so that none is read in vain.
 */
static int size_expect(struct texts *texts, int fd, const char *name, size_t *ret_size)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return read_error(texts, name, -errno);
	if (!S_ISREG(status.st_mode)) {
		*ret_size = CHUNK;
		return 0;
	}
	if (status.st_size >= (off_t)(TEXT_SIZE_MAX - texts->size))
		return size_error(texts, name);
	*ret_size = (size_t)status.st_size + 1; /* one more finds the end without growing */
	return 0;
}

static int data_grow(struct texts *texts, const char *name, size_t wanted, char **data,
		     size_t *capacity)
{
	size_t most = TEXT_SIZE_MAX - texts->size;

	if (*capacity == most)
		return size_error(texts, name);
	wanted = wanted < most ? wanted : most;
	char *more = talloc_realloc(texts->list, *data, char, wanted);
	if (!more)
		return read_error(texts, name, -ENOMEM);
	*data = more;
	*capacity = wanted;
	return 0;
}

static int fd_read(struct texts *texts, int fd, const char *name, char **ret_data, size_t *ret_size)
{
	char *data = NULL;
	size_t size = 0, capacity = 0, wanted = 0;
	int r = size_expect(texts, fd, name, &wanted);

	for (;;) {
		if (r == 0 && size == capacity)
			r = data_grow(texts, name, capacity ? capacity * 2 : wanted, &data,
				      &capacity);
		if (r < 0)
			return r;
		ssize_t got = read(fd, data + size, capacity - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return read_error(texts, name, -errno);
		if (got == 0)
			break;
		size += (size_t)got;
	}
	*ret_data = data;
	*ret_size = size;
	return 0;
}

static int text_add(struct texts *texts, int fd, const char *name)
{
	struct input_text *list =
		talloc_realloc(NULL, texts->list, struct input_text, texts->count + 1);
	char *data = NULL;
	size_t size = 0;

	if (!list)
		return read_error(texts, name, -ENOMEM);
	texts->list = list;
	int r = fd_read(texts, fd, name, &data, &size);
	if (r < 0)
		return r;
	const char *kept = talloc_strdup(list, name);
	if (!kept)
		return read_error(texts, name, -ENOMEM);
	list[texts->count++] = (struct input_text){ kept, data, size };
	texts->size += size;
	return 0;
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool is_text_name(const char *name)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t end = strlen(ends[i]);

		if (length > end && !strcmp(name + length - end, ends[i]))
			return true;
	}
	return false;
}

static void subfolder_warn(struct texts *texts, const char *path)
{
	diag_add(texts->diags, DIAG_WARNING, path, 0, 0, NULL,
		 "is passed over: folders inside folders are not read");
}

/* By bytes: alphasort would follow the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* In a folder there are files; one that is given by name may be a pipe. */
static int entry_open(struct texts *texts, int folder, const char *entry, const char *path)
{
	/* NONBLOCK: a FIFO in the place of a file must not hang the agent. */
	int fd = open_beneath(folder, entry, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -EXDEV)
		diag_add(texts->diags, DIAG_ERROR, path, 0, 0, NULL,
			 "is a link that leads out of the folder, and is not followed; put the "
			 "file itself there, or a relative link to one inside");
	else if (fd < 0)
		return read_error(texts, path, fd);
	return fd;
}

static int entry_add(struct texts *texts, int folder, const char *entry, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (!is_text_name(entry)) {
		if (!fstatat(folder, entry, &status, 0) && S_ISDIR(status.st_mode))
			subfolder_warn(texts, path);
		return 0;
	}
	fd = entry_open(texts, folder, entry, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return read_error(texts, path, -errno);
	if (S_ISDIR(status.st_mode)) {
		subfolder_warn(texts, path);
		return 0;
	}
	if (!S_ISREG(status.st_mode)) {
		diag_add(texts->diags, DIAG_ERROR, path, 0, 0, NULL,
			 "is no file: a folder's *.yaml, *.yml and *.json must be files");
		return -EINVAL;
	}
	return text_add(texts, fd, path);
}

static int entries_add(struct texts *texts, int folder, const char *name, struct dirent **entries,
		       int count)
{
	for (int i = 0; i < count; i++) {
		_cleanup_talloc_ char *path =
			talloc_asprintf(NULL, "%s/%s", name, entries[i]->d_name);
		int r = path ? entry_add(texts, folder, entries[i]->d_name, path)
			     : read_error(texts, name, -ENOMEM);

		if (r < 0)
			return r;
	}
	return 0;
}

static int folder_add(struct texts *texts, int folder, const char *name)
{
	_cleanup_free_ struct dirent **entries = NULL;
	int count = scandirat(folder, ".", &entries, is_shown, by_name);
	size_t before = texts->count;

	if (count < 0)
		return read_error(texts, name, -errno);

	int r = entries_add(texts, folder, name, entries, count);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	if (r == 0 && texts->count == before)
		diag_add(texts->diags, DIAG_WARNING, name, 0, 0, NULL,
			 "the folder has no *.yaml, *.yml or *.json");
	return r;
}

static int path_add(struct texts *texts, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (!strcmp(path, "-"))
		return text_add(texts, STDIN_FILENO, "<stdin>");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return read_error(texts, path, -errno);
	return S_ISDIR(status.st_mode) ? folder_add(texts, fd, path) : text_add(texts, fd, path);
}

int input_read(void *parent, const char *const *paths, size_t path_count, struct diags *diags,
	       struct input_text **ret_texts, size_t *ret_count)
{
	struct texts texts = { .diags = diags };

	for (size_t i = 0; i < path_count; i++) {
		int r = path_add(&texts, paths[i]);

		if (r < 0) {
			talloc_free(texts.list);
			return r;
		}
	}
	*ret_texts = talloc_steal(parent, texts.list);
	*ret_count = texts.count;
	return 0;
}
