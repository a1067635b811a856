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

#include "../base/cleanup.h"

#define TEXT_SIZE_MAX ((256u << 20) - 1) /* the most that talloc gives in one piece */
#define CHUNK (64u << 10)

struct texts {
	struct input_text *list;
	size_t count;
	struct diags *diags;
};

static int read_error(struct texts *texts, const char *name, int r)
{
	diag_add(texts->diags, DIAG_ERROR, name, 0, 0, NULL, "cannot be read: %s", strerror(-r));
	return r;
}

static int data_grow(struct texts *texts, const char *name, char **data, size_t *capacity)
{
	size_t wanted = *capacity ? *capacity * 2 : CHUNK;

	if (*capacity == TEXT_SIZE_MAX) {
		diag_add(texts->diags, DIAG_ERROR, name, 0, 0, NULL,
			 "is too large; less than 256 MiB are allowed");
		return -EFBIG;
	}
	wanted = wanted < TEXT_SIZE_MAX ? wanted : TEXT_SIZE_MAX;
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
	size_t size = 0, capacity = 0;

	for (;;) {
		int r = size == capacity ? data_grow(texts, name, &data, &capacity) : 0;
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
	struct input_text *list = talloc_realloc(NULL, texts->list, struct input_text,
						 texts->count + 1);
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
	return 0;
}

static int file_add(struct texts *texts, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? read_error(texts, path, -errno) : text_add(texts, fd, path);
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

/* By bytes: alphasort would follow the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int entries_add(struct texts *texts, const char *folder, struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++) {
		_cleanup_talloc_ char *path = talloc_asprintf(NULL, "%s/%s", folder,
							      entries[i]->d_name);
		struct stat status;

		if (!path)
			return read_error(texts, folder, -ENOMEM);
		if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
			diag_add(texts->diags, DIAG_WARNING, path, 0, 0, NULL,
				 "is passed over: folders inside folders are not read");
			continue;
		}
		int r = is_text_name(entries[i]->d_name) ? file_add(texts, path) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int folder_add(struct texts *texts, const char *path)
{
	_cleanup_free_ struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_shown, by_name);
	size_t before = texts->count;

	if (count < 0)
		return read_error(texts, path, -errno);

	int r = entries_add(texts, path, entries, count);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	if (r == 0 && texts->count == before)
		diag_add(texts->diags, DIAG_WARNING, path, 0, 0, NULL,
			 "the folder has no *.yaml, *.yml or *.json");
	return r;
}

static int path_add(struct texts *texts, const char *path)
{
	struct stat status;

	if (!strcmp(path, "-"))
		return text_add(texts, STDIN_FILENO, "<stdin>");
	if (stat(path, &status) < 0)
		return read_error(texts, path, -errno);
	return S_ISDIR(status.st_mode) ? folder_add(texts, path) : file_add(texts, path);
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
