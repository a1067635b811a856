// SPDX-License-Identifier: Apache-2.0
/* Revision files: which there are, reading, listing, saving, removing. */
#include "store.h"

#include "../base/cleanup.h"
#include "digits.h"
#include "file.h"
#include "head.h"
#include "private.h"
#include "seal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct numbers {
	uint32_t *list;
	size_t count;
};

static void revision_name(uint32_t number, char ret_name[static REVISION_NAME_MAX])
{
	snprintf(ret_name, REVISION_NAME_MAX, "%010" PRIu32 ".yaml", number);
}

/*
 * 0 when the name is none of a revision. What follows ".yaml" is asked for only among the
 * damaged ones.
 */
static uint32_t revision_number(const char *name, bool with_suffix)
{
	char wanted[REVISION_NAME_MAX];
	const char *digits = name;
	uint64_t number;

	if (digits_take(&digits, 10, 10, UINT32_MAX, &number))
		return 0;
	revision_name((uint32_t)number, wanted);
	return strncmp(name, wanted, strlen(wanted)) || (!with_suffix && name[strlen(wanted)])
		       ? 0
		       : (uint32_t)number;
}

static int newest_first(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? 1 : a > b ? -1 : 0;
}

static int numbers_add(void *parent, struct numbers *numbers, uint32_t number)
{
	size_t count = numbers->count;
	uint32_t *list = numbers->list;

	if ((count & (count - 1)) == 0)
		list = talloc_realloc(parent, list, uint32_t, count ? count * 2 : 1);
	if (!list)
		return -ENOMEM;
	list[count] = number;
	numbers->list = list;
	numbers->count++;
	return 0;
}

/* The numbers of the files in a folder, newest first. No such folder: none. */
static int numbers_read(void *parent, int dir, const char *path, bool with_suffix,
			struct numbers *ret_numbers)
{
	struct numbers numbers = { 0 };
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int err = stream || dir < 0 || errno == ENOENT ? 0 : -errno;

	while (stream && !err && (entry = readdir(stream))) {
		uint32_t number = revision_number(entry->d_name, with_suffix);

		if (number)
			err = numbers_add(parent, &numbers, number);
	}
	if (stream)
		closedir(stream);
	else
		cleanup_close_p(&fd);
	if (err)
		return err;
	if (numbers.count)
		qsort(numbers.list, numbers.count, sizeof(*numbers.list), newest_first);
	*ret_numbers = numbers;
	return 0;
}

/* 0, -ENOENT, -EBADMSG (set aside, named), -EPROTO (left, named) or -errno (named). */
static int revision_read(struct store *store, void *parent, uint32_t number, bool with_body,
			 struct diags *diags, struct store_revision *ret_revision)
{
	struct store_revision revision = { 0 };
	char name[REVISION_NAME_MAX];
	struct seal seal = { 0 };
	int err;

	revision_name(number, name);
	err = seal_read(parent, store->revisions, name, with_body, &seal);
	if (!err)
		err = head_parse(seal.head, &revision);
	if (!err && revision.number != number)
		err = -EBADMSG;
	if (err == -EBADMSG)
		store_set_aside(store, store->revisions, REVISIONS_DIR "/", name, WHY_DAMAGED,
				diags);
	else if (err == -EPROTO)
		store_leave(store, REVISIONS_DIR "/", name, diags);
	else if (err && err != -ENOENT)
		store_complain(store, diags, name, err, "cannot read");
	if (err)
		return err;
	memcpy(revision.digest, seal.digest, sizeof(revision.digest));
	revision.body = seal.body;
	*ret_revision = revision;
	return 0;
}

int store_load(struct store *store, void *parent, uint32_t number, struct diags *diags,
	       struct store_revision *ret_revision)
{
	return revision_read(store, parent, number, true, diags, ret_revision);
}

int store_load_head(struct store *store, void *parent, uint32_t number, struct diags *diags,
		    struct store_revision *ret_revision)
{
	return revision_read(store, parent, number, false, diags, ret_revision);
}

/* All that is known of one that another release wrote. */
static struct store_revision revision_foreign(uint32_t number)
{
	return (struct store_revision){
		.number = number,
		.author = "",
		.reason = "(another release wrote it)",
		.summary = "",
		.members = "",
	};
}

int store_list(struct store *store, void *parent, struct diags *diags,
	       struct store_revision **ret_list, size_t *ret_count)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct store_revision *list = NULL;
	struct numbers numbers = { 0 };
	size_t count = 0;
	int err = numbers_read(scratch, store->revisions, ".", false, &numbers);

	if (err)
		return store_complain(store, diags, REVISIONS_DIR, err, "cannot list");
	list = talloc_zero_array(parent, struct store_revision, (unsigned)numbers.count + 1);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < numbers.count; i++) {
		err = revision_read(store, list, numbers.list[i], false, diags, &list[count]);
		/* Gone meanwhile, or damaged: the rest is worth listing all the same. */
		if (err == -ENOENT || err == -EBADMSG)
			continue;
		if (err && err != -EPROTO)
			return err;
		if (err)
			list[count] = revision_foreign(numbers.list[i]);
		count++;
	}
	*ret_list = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

static uint32_t max_number(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/*
 * The next number. Those set aside and those that `active` names count as well: the kernel may
 * still hold a revision by such a number, and one number must never mean two things.
 */
static int number_next(struct store *store, const struct numbers *kept, uint32_t least,
		       uint32_t *ret_number)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct numbers damaged = { 0 };
	uint32_t highest = kept->count ? kept->list[0] : 0, active = 0, previous = 0;
	int err = numbers_read(scratch, store->dir, DAMAGED_DIR, true, &damaged);

	if (err)
		return err;
	err = store_active(store, &active, &previous);
	if (err && err != -EBADMSG)
		return err;
	highest = max_number(highest, damaged.count ? damaged.list[0] : 0);
	highest = max_number(highest, max_number(active, previous));
	if (highest == UINT32_MAX)
		return -EOVERFLOW;
	*ret_number = max_number(highest + 1, least);
	return 0;
}

int store_number_next(struct store *store, uint32_t least, uint32_t *ret_number)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct numbers kept = { 0 };
	int err = scratch ? numbers_read(scratch, store->revisions, ".", false, &kept) : -ENOMEM;

	return err ? err : number_next(store, &kept, least, ret_number);
}

/* One more has just been saved. Failing to remove an old one is no reason to refuse a new one. */
static void numbers_prune(struct store *store, const struct numbers *before)
{
	uint32_t active = 0, previous = 0;

	if (before->count < STORE_KEEP || store_active(store, &active, &previous))
		return;
	for (size_t i = STORE_KEEP - 1; i < before->count; i++) {
		char name[REVISION_NAME_MAX];

		if (before->list[i] == active || before->list[i] == previous)
			continue;
		revision_name(before->list[i], name);
		unlinkat(store->revisions, name, 0);
	}
}

int store_save(struct store *store, struct store_revision *revision, struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct store_revision made = *revision;
	struct numbers numbers = { 0 };
	char name[REVISION_NAME_MAX];
	char *head = NULL;
	int err = scratch ? store_check_locked(store) : -ENOMEM;

	if (!err)
		err = numbers_read(scratch, store->revisions, ".", false, &numbers);
	if (!err)
		err = number_next(store, &numbers, revision->number, &made.number);
	if (!err)
		err = head_format(scratch, &made, &head);
	if (err)
		return store_complain(store, diags, REVISIONS_DIR, err, "cannot save a revision");
	revision_name(made.number, name);
	err = seal_stage(store->revisions, name, head, made.body, made.digest);
	/* The pointer to it comes next as a rule: with its sync now the disk is waited for once. */
	if (!err)
		store_stage_active(store, made.number, made.parent);
	store->has_new_names = true;
	if (!err)
		err = file_place(store->revisions, name);
	if (err)
		return store_complain(store, diags, REVISIONS_DIR, err,
				      "cannot save a revision; nothing was changed");
	*revision = made;
	numbers_prune(store, &numbers);
	return 0;
}

int store_remove(struct store *store, uint32_t number)
{
	char name[REVISION_NAME_MAX];
	int err = store_check_locked(store);

	if (err)
		return err;
	/* The pointer to it was written aside together with it. */
	store_unstage_active(store, number);
	revision_name(number, name);
	if (unlinkat(store->revisions, name, 0) || fsync(store->revisions))
		return -errno;
	store->has_new_names = false;
	return 0;
}
