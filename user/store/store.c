// SPDX-License-Identifier: Apache-2.0
/* The state folder itself: opening, and its small files (active, seed, endpoints). */
#include "store.h"

#include "../base/cleanup.h"
#include "digits.h"
#include "file.h"
#include "head.h"
#include "private.h"
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define ACTIVE_FILE "active"
#define SEED_FILE "seed"
#define ENDPOINTS_FILE "endpoints.yaml"
#define ENDPOINTS_TITLE "# sluice endpoints\n"
#define SEED_DIGITS 32

int store_complain(const struct store *store, struct diags *diags, const char *name, int err,
		   const char *what)
{
	_cleanup_talloc_ char *path =
		talloc_asprintf(NULL, "%s%s%s", store->path, *name ? "/" : "", name);

	diag_add(diags, DIAG_ERROR, path, 0, 0, NULL, "%s: %s", what, strerror(-err));
	return err;
}

int store_check_locked(const struct store *store)
{
	return store->lock < 0 ? -ENOLCK : 0;
}

void store_unlock(struct store *store)
{
	/*
	 * Emptied first: whoever takes the lock next must not be shown as us while it writes
	 * its own name. Our text stays when something is left to sync or to repair: see store_lock.
	 */
	if (store->lock >= 0 && !store->has_new_names && !store->is_unsettled &&
	    ftruncate(store->lock, 0))
		lseek(store->lock, 0, SEEK_SET); /* it stays: the lock is what counts */
	cleanup_close_p(&store->lock);
	store->lock = -1;
}

static int store_release(struct store *store)
{
	store_unlock(store);
	cleanup_close_p(&store->shared);
	cleanup_close_p(&store->revisions);
	cleanup_close_p(&store->dir);
	return 0;
}

/* `is_made`: the new name is not safe before the folder that holds it is synced too. */
static int folder_open(int parent, const char *path, bool create, int *ret_fd)
{
	bool is_made = create && !mkdirat(parent, path, 0700);
	_cleanup_close_ int above = -1;
	int fd;

	if (create && !is_made && errno != EEXIST)
		return -errno;
	fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_made)
		above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0)
		fsync(above);
	*ret_fd = fd;
	return 0;
}

/*
 * Everything in it is believed, so nobody else may write to it, and the seed is a secret. A mode is
 * put right; another's folder is not ours to change, and not to be believed.
 */
static int folder_guard(const struct store *store, struct diags *diags)
{
	struct stat status;

	if (fstat(store->dir, &status))
		return -errno;
	if (status.st_uid != geteuid()) {
		diag_add(diags, DIAG_ERROR, store->path, 0, 0, NULL,
			 "the state folder belongs to user %u, this is user %u: chown it, or give "
			 "another --state",
			 status.st_uid, geteuid());
		return -EPERM;
	}
	if (!(status.st_mode & 077))
		return 0;
	diag_add(diags, DIAG_WARNING, store->path, 0, 0, NULL,
		 "the state folder was open to others (mode %04o); %s", status.st_mode & 07777,
		 fchmod(store->dir, status.st_mode & 0700) ? "it cannot be closed to them"
							   : "now only its owner may enter it");
	return 0;
}

int store_open(void *parent, const char *dir, bool create, struct diags *diags,
	       struct store **ret_store)
{
	_cleanup_talloc_ struct store *store = talloc_zero(parent, struct store);
	int err;

	if (!store)
		return -ENOMEM;
	store->dir = store->revisions = store->lock = store->shared = -1;
	talloc_set_destructor(store, store_release);
	store->path = talloc_strdup(store, dir ? dir : STORE_DIR_DEFAULT);
	if (!store->path)
		return -ENOMEM;
	err = folder_open(AT_FDCWD, store->path, create, &store->dir);
	if (!err && create) {
		err = folder_guard(store, diags);
		if (err)
			return err;
	}
	if (!err)
		err = folder_open(store->dir, REVISIONS_DIR, create, &store->revisions);
	if (err == -ENOENT && !create) {
		/*
		 * Both descriptors stay closed or the folder has no revisions: either reads as
		 * empty.
		 */
		diag_add(diags, DIAG_NOTE, store->path, 0, 0, NULL,
			 "no state folder: nothing was applied on this node yet");
	} else if (err) {
		return store_complain(store, diags, store->dir < 0 ? "" : REVISIONS_DIR, err,
				      create ? "cannot make or open the state folder"
					     : "cannot open the state folder");
	}
	*ret_store = TAKE_PTR(store);
	return 0;
}

bool store_is_settled(const struct store *store)
{
	return !store->is_unsettled;
}

void store_settle(struct store *store)
{
	store->is_unsettled = false;
}

static void aside(struct store *store, int dir, const char *folder, const char *name,
		  const char *why, bool stays, struct diags *diags)
{
	_cleanup_talloc_ char *path = talloc_asprintf(NULL, "%s/%s%s", store->path, folder, name);
	_cleanup_talloc_ char *target =
		talloc_asprintf(NULL, DAMAGED_DIR "/%s.%lld", name, (long long)time(NULL));
	bool is_moved = false;

	if (!path || !target)
		return;
	if (store->lock >= 0) {
		mkdirat(store->dir, DAMAGED_DIR, 0700);
		is_moved = !(stays ? linkat(dir, name, store->dir, target, 0)
				   : renameat(dir, name, store->dir, target));
		fsync(dir);
		fsync(store->dir);
	}
	diag_add(diags, DIAG_WARNING, path, 0, 0, NULL, "%s; %s%s", why,
		 is_moved ? "set aside as " : "passed over", is_moved ? target : "");
}

void store_set_aside(struct store *store, int dir, const char *folder, const char *name,
		     const char *why, struct diags *diags)
{
	aside(store, dir, folder, name, why, false, diags);
}

void store_leave(const struct store *store, const char *folder, const char *name,
		 struct diags *diags)
{
	_cleanup_talloc_ char *path = talloc_asprintf(NULL, "%s/%s%s", store->path, folder, name);

	diag_add(diags, DIAG_WARNING, path, 0, 0, NULL,
		 "is whole, but another release of Sluice wrote it, in a form that this release "
		 "cannot read: left as it is");
}

static int number_after(const char **text, const char *word, uint64_t *ret_number)
{
	if (strncmp(*text, word, strlen(word)))
		return -EBADMSG;
	*text += strlen(word);
	return digits_take(text, 10, 10, UINT32_MAX, ret_number);
}

/* The first line; what follows it are whole comment lines, which begin at `*ret_rest`. */
static int active_parse(char *text, uint32_t *ret_active, uint32_t *ret_previous, char **ret_rest)
{
	uint64_t active, previous;
	const char *at = text, *line;

	if (number_after(&at, "active ", &active) || number_after(&at, " previous ", &previous) ||
	    *at != '\n')
		return -EBADMSG;
	for (line = at + 1; *line; line++) {
		if (*line != '#' || !(line = strchr(line, '\n')))
			return -EBADMSG;
	}
	*ret_active = (uint32_t)active;
	*ret_previous = (uint32_t)previous;
	*ret_rest = text + (at + 1 - text);
	return 0;
}

int store_active(struct store *store, uint32_t *ret_active, uint32_t *ret_previous)
{
	_cleanup_talloc_ char *text = NULL;
	uint32_t active = 0, previous = 0;
	char *rest;
	size_t size;
	int err;

	err = file_read(NULL, store->dir, ACTIVE_FILE, 0, &text, &size, NULL);
	if (!err)
		err = active_parse(text, &active, &previous, &rest);
	if (err && err != -ENOENT)
		return err;
	*ret_active = active;
	*ret_previous = previous;
	return 0;
}

int store_activation(struct store *store, void *parent, struct store_activation *ret_activation)
{
	struct store_activation activation;
	uint32_t active, previous;
	char *text, *rest;
	size_t size;
	int err;

	err = file_read(parent, store->dir, ACTIVE_FILE, 0, &text, &size, NULL);
	if (!err)
		err = active_parse(text, &active, &previous, &rest);
	if (!err)
		err = activation_parse(rest, &activation);
	if (err)
		return err;
	activation.active = active;
	activation.previous = previous;
	*ret_activation = activation;
	return 0;
}

int store_note_activation(struct store *store, const struct store_activation *activation)
{
	talloc_free(store->activation);
	store->activation = NULL;
	/* What is staged was written without it, or with another one. */
	store->staged_active = 0;
	return activation ? activation_format(store, activation, &store->activation) : 0;
}

int store_stage_active(struct store *store, uint32_t active, uint32_t previous)
{
	const char *lines = store->activation ? store->activation : "";
	char text[64];
	struct iovec parts[] = {
		{ .iov_base = text },
		{ .iov_base = (char *)lines, .iov_len = strlen(lines) },
	};
	int err;

	snprintf(text, sizeof(text), "active %" PRIu32 " previous %" PRIu32 "\n", active, previous);
	parts[0].iov_len = strlen(text);
	err = file_stage(store->dir, ACTIVE_FILE, parts, ARRAY_SIZE(parts));
	store->staged_active = err ? 0 : active;
	store->staged_previous = previous;
	return err;
}

void store_unstage_active(struct store *store, uint32_t active)
{
	if (store->staged_active != active)
		return;
	file_unstage(store->dir, ACTIVE_FILE);
	store->staged_active = 0;
}

int store_set_active(struct store *store, uint32_t active, uint32_t previous)
{
	bool is_staged =
		active && store->staged_active == active && store->staged_previous == previous;
	int err = store_check_locked(store);

	if (!err && !is_staged)
		err = store_stage_active(store, active, previous);
	store->staged_active = 0;
	if (!err)
		err = file_place(store->dir, ACTIVE_FILE);
	store_note_activation(store, NULL);
	/* The revision's name first, so that the pointer never names what is not there. */
	if (!err && store->has_new_names && fsync(store->revisions))
		err = -errno;
	if (!err)
		store->has_new_names = false;
	return !err && fsync(store->dir) ? -errno : err;
}

int store_endpoints(struct store *store, void *parent, struct diags *diags, char **ret_text)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct seal seal = { 0 };
	char *text;
	int err = seal_read(scratch, store->dir, ENDPOINTS_FILE, true, &seal);

	if (!err)
		err = head_check(seal.head, ENDPOINTS_TITLE);
	store->has_foreign_endpoints = err == -EPROTO;
	if (err == -EPROTO)
		store_leave(store, "", ENDPOINTS_FILE, diags);
	if (err == -EBADMSG) {
		store->bad_endpoints = WHY_DAMAGED;
		diag_add(diags, DIAG_WARNING, store->path, 0, 0, NULL,
			 "the file " ENDPOINTS_FILE " is damaged: its content does not fit its "
			 "digest");
		return -EBADMSG;
	}
	if (err && err != -ENOENT && err != -EPROTO)
		store_complain(store, diags, ENDPOINTS_FILE, err, "cannot read");
	if (err)
		return err;
	text = talloc_strdup(parent, seal.body);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

void store_doubt_endpoints(struct store *store)
{
	store->bad_endpoints = "whole, but this release cannot read it";
}

static int foreign_complain(const struct store *store, struct diags *diags)
{
	diag_add(diags, DIAG_ERROR, store->path, 0, 0, NULL,
		 "the file " ENDPOINTS_FILE " is another release's and is not replaced: run that "
		 "release, or move the file away and apply the whole configuration with its "
		 "endpoints");
	return -EPROTO;
}

int store_set_endpoints(struct store *store, const char *text, struct diags *diags)
{
	uint8_t digest[STORE_DIGEST_SIZE];
	int err = store_check_locked(store);

	if (!err && store->has_foreign_endpoints)
		return foreign_complain(store, diags);
	if (!err)
		err = seal_stage(store->dir, ENDPOINTS_FILE, ENDPOINTS_TITLE, text, digest);
	/* A bad one stays in its place until the good one is: without any, there would be none. */
	if (!err && store->bad_endpoints) {
		aside(store, store->dir, "", ENDPOINTS_FILE, store->bad_endpoints, true, diags);
		store->bad_endpoints = NULL;
	}
	if (!err)
		err = file_place(store->dir, ENDPOINTS_FILE);
	if (!err && fsync(store->dir))
		err = -errno;
	return err ? store_complain(store, diags, ENDPOINTS_FILE, err, "cannot write") : 0;
}

static int seed_parse(const char *hex, uint64_t ret_seed[2])
{
	uint64_t high, low;

	if (strlen(hex) != SEED_DIGITS || strspn(hex, "0123456789abcdefABCDEF") != SEED_DIGITS ||
	    digits_take(&hex, 16, SEED_DIGITS / 2, UINT64_MAX, &high) ||
	    digits_take(&hex, 16, SEED_DIGITS / 2, UINT64_MAX, &low))
		return -EINVAL;
	ret_seed[0] = high;
	ret_seed[1] = low;
	return 0;
}

static int seed_write(struct store *store, const uint64_t seed[2], struct diags *diags)
{
	char text[SEED_DIGITS + 2];
	struct iovec part = { .iov_base = text, .iov_len = SEED_DIGITS + 1 };
	int err = store_check_locked(store);

	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64 "\n", seed[0], seed[1]);
	if (!err)
		err = file_write(store->dir, SEED_FILE, &part, 1);
	return err ? store_complain(store, diags, SEED_FILE, err, "cannot write") : 0;
}

/*
 * -ENOENT when there is none. A bad one is not replaced: another seed would send every key
 * elsewhere.
 */
static int seed_read(struct store *store, struct diags *diags, uint64_t ret_seed[2])
{
	_cleanup_talloc_ char *text = NULL;
	size_t size;
	int err = file_read(NULL, store->dir, SEED_FILE, 0, &text, &size, NULL);

	if (err == -ENOENT)
		return err;
	if (err)
		return store_complain(store, diags, SEED_FILE, err, "cannot read");
	text[strcspn(text, "\n")] = '\0';
	if (!seed_parse(text, ret_seed))
		return 0;
	diag_add(diags, DIAG_ERROR, store->path, 0, 0, NULL,
		 "the file " SEED_FILE " is not 32 hex digits: put the seed back, or remove the "
		 "file to have a new one made");
	return -EBADMSG;
}

int store_seed(struct store *store, const char *hex, struct diags *diags, uint64_t ret_seed[2])
{
	uint64_t wanted[2], found[2];
	int err;

	if (hex && seed_parse(hex, wanted)) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the seed \"%.40s\" is not 32 hex digits", hex);
		return -EINVAL;
	}
	if (!hex) {
		err = seed_read(store, diags, ret_seed);
		if (err != -ENOENT)
			return err;
		if (getrandom(wanted, sizeof(wanted), 0) != sizeof(wanted))
			return store_complain(store, diags, SEED_FILE, -EIO, "no randomness");
	} else {
		_cleanup_talloc_ struct diags *quiet = diags_new(NULL);

		if (quiet && !seed_read(store, quiet, found) &&
		    !memcmp(found, wanted, sizeof(found))) {
			memcpy(ret_seed, wanted, sizeof(wanted));
			return 0;
		}
	}
	err = seed_write(store, wanted, diags);
	if (!err)
		memcpy(ret_seed, wanted, sizeof(wanted));
	return err;
}
