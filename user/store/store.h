/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revisions on disk, and the lock. The state folder:
 *
 *   lock                       flock; holds "pid command" of the holder
 *   seed                       the hash seed, 32 hex digits; made once, or given
 *   active                     "active N previous M\n", renamed into place; after a rollback
 *                              also the lines "# time", "# author" and "# reason" of it
 *   revisions/0000000042.yaml  one revision: comment lines, then the model as model_export gives it
 *   endpoints.yaml             the inventory as inventory_export gives it, with a digest header
 *   damaged/                   files set aside because their digest did not fit, and endpoints
 *                              that could not be read when new ones took their place
 *
 * Every file is written aside, synced and renamed; the folder is synced after. Knows texts and
 * numbers, no model. Reading needs no lock; writing without it is -ENOLCK. Only a holder of the
 * lock sets files aside, others pass them over.
 *
 * Two digests seal a revision and the endpoints: the line "# body SIZE HEX" is over the body, and
 * "# digest HEX", the last comment line, over every byte before itself, so over the body by way
 * of its digest: a change anywhere in the file is found.
 *
 * Releases share the folder, newer and older: comment lines that this one does not know are passed
 * over (head.h), and a file that is whole but in a form of its own (-EPROTO) stays where it is,
 * neither set aside nor replaced.
 */
#pragma once
#include "../base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_DIR_DEFAULT "/var/lib/sluice"
#define STORE_DIGEST_SIZE 32

struct store;

struct store_revision {
	uint32_t number;
	uint32_t parent; /* the revision that was active when it was made */
	int64_t time;    /* seconds since the epoch, UTC */
	const char *author, *reason;
	const char *summary; /* what changed, lines */
	const char *members; /* the node's word for who may serve: equal ones need equal rings */
	uint8_t digest[STORE_DIGEST_SIZE]; /* SHA-256 of the body */
	const char *body;                  /* NULL in listings */
};

/*
 * Opens (and with `create` makes, its parent must be there) the folder. With `create` it must be
 * ours (-EPERM), and is closed to others when it is not (mode 0700, a warning). Without
 * `create` a folder that is not there reads as empty, with a note. -EACCES, ... with the reason in
 * diags.
 */
int store_open(void *parent, const char *dir, bool create, struct diags *diags,
	       struct store **ret_store);
/*
 * Takes the lock; 0 ms tries once. `command` is shown to who waits for us. -ETIMEDOUT with the
 * holder's pid and command in diags; -ENOENT where there is no folder. Released by store_unlock, or
 * talloc_free of the store.
 */
int store_lock(struct store *store, unsigned timeout_ms, const char *command, struct diags *diags);
void store_unlock(struct store *store);
/* -ENOLCK without it: nothing may be changed, here nor in the kernel. */
int store_check_locked(const struct store *store);
/*
 * Keeps writers out while somebody reads folder and kernel as one, until talloc_free of the store.
 * When one of them keeps us out for that long, a warning names it, and nothing is locked: 0.
 */
int store_lock_shared(struct store *store, unsigned timeout_ms, struct diags *diags);
/*
 * Whether what this folder describes is as the last holder of the lock wanted it: not when it was
 * killed, until somebody has brought everything up to date and says so.
 */
bool store_is_settled(const struct store *store);
void store_settle(struct store *store);

/*
 * Which revision is active, and which was before; 0 when none. -EBADMSG when the file is not
 * one of ours.
 */
int store_active(struct store *store, uint32_t *ret_active, uint32_t *ret_previous);
int store_set_active(struct store *store, uint32_t active, uint32_t previous);
/* The number that store_save gives a revision whose own is `least`. */
int store_number_next(struct store *store, uint32_t least, uint32_t *ret_number);

/*
 * Who made a revision active that was there already: a flip makes no revision that could say so.
 * What the next store_set_active writes with its numbers; NULL: nothing. In memory until then, so
 * that no flip waits for the disk.
 */
struct store_activation {
	int64_t time; /* seconds since the epoch, UTC */
	const char *author, *reason;
	uint32_t active, previous; /* filled in on reading */
};
int store_note_activation(struct store *store, const struct store_activation *activation);
/* -ENOENT: the active revision became so when it was made, or by an older release. */
int store_activation(struct store *store, void *parent, struct store_activation *ret_activation);

/*
 * Newest first, bodies not read (their size is checked, their digest only by store_load). A
 * damaged file is set aside, named in diags as a warning, and left out; of one in another release's
 * form there is the number alone, and such a warning. All hangs from the list, which hangs from
 * `parent`.
 */
int store_list(struct store *store, void *parent, struct diags *diags,
	       struct store_revision **ret_list, size_t *ret_count);
/*
 * -ENOENT; -EBADMSG when the digest does not fit: the file is then set aside and named in diags;
 * -EPROTO when it does, but another release wrote it in a form of its own: named, and left.
 */
int store_load(struct store *store, void *parent, uint32_t number, struct diags *diags,
	       struct store_revision *ret_revision);
/* The same without the body, as a listing has it: only its size is checked. */
int store_load_head(struct store *store, void *parent, uint32_t number, struct diags *diags,
		    struct store_revision *ret_revision);
/*
 * Digest and number are filled in: one more than the highest that was ever seen here, and at
 * least the number given (the kernel may know higher ones than the disk). Keeps the newest
 * `STORE_KEEP` files, and the active and the previous one. The content is on disk on return; its
 * name is by the time that store_set_active returns.
 */
#define STORE_KEEP 1000
int store_save(struct store *store, struct store_revision *revision, struct diags *diags);
/* Takes a revision back that never became active. */
int store_remove(struct store *store, uint32_t number);

/*
 * The inventory's text. -ENOENT: there is none. -EBADMSG: damaged, named in diags as a warning. The
 * file stays until store_set_endpoints, so that nobody takes lost endpoints for none. -EPROTO:
 * another release's, named, and store_set_endpoints will refuse to replace it.
 */
int store_endpoints(struct store *store, void *parent, struct diags *diags, char **ret_text);
/* What was read is of no use to the caller: the next store_set_endpoints keeps it aside. */
void store_doubt_endpoints(struct store *store);
int store_set_endpoints(struct store *store, const char *text, struct diags *diags);

/* The seed, made from the kernel's randomness the first time; `hex` (32 digits) sets it. */
int store_seed(struct store *store, const char *hex, struct diags *diags, uint64_t ret_seed[2]);

/* SHA-256 of a text. */
void store_digest(const char *text, size_t size, uint8_t ret_digest[STORE_DIGEST_SIZE]);
