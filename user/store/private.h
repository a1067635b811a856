/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the open state folder. */
#pragma once
#include "store.h"

#define REVISIONS_DIR "revisions"
#define DAMAGED_DIR "damaged"
#define LOCK_FILE "lock"
#define REVISION_NAME_MAX 32

struct store {
	char *path;    /* for messages alone: all work goes through the descriptors */
	int dir;       /* the state folder */
	int revisions; /* its folder of revisions */
	int lock;      /* -1: not locked */
	int shared;    /* with other readers; -1: not */
	uint32_t staged_active, staged_previous; /* what the pointer's staged file says; 0: none */
	char *activation;   /* the lines that go below the next pointer; NULL: none */
	bool is_unsettled;  /* see store_is_settled */
	bool has_new_names; /* below `revisions`: they may be gone after a power cut */
	/* Found by reading, why it is of no use; set aside when a good one takes its place. */
	const char *bad_endpoints;
	bool has_foreign_endpoints; /* found by reading: another release's, not to be replaced */
};

/* Every writer asks first: a change without the lock would race another process. 0 or -ENOLCK. */

/* Writes the pointer aside: store_set_active with the same numbers then only puts it in place. */
int store_stage_active(struct store *store, uint32_t active, uint32_t previous);
/* Takes it back, when it names that revision. */
void store_unstage_active(struct store *store, uint32_t active);

/* Says in diags why a file of the folder could not be read or written; gives `err` back. */
int store_complain(const struct store *store, struct diags *diags, const char *name, int err,
		   const char *what);

/*
 * Says as a warning that another release wrote the file, in a form that this one cannot read. It
 * stays as it is, for that release.
 */
void store_leave(const struct store *store, const char *folder, const char *name,
		 struct diags *diags);

/*
 * Moves a file to damaged/ and says so, and why, as a warning. Without the lock it stays, because
 * a writer may just now be putting a good one in its place.
 */
#define WHY_DAMAGED "damaged: the content does not fit its digest"
void store_set_aside(struct store *store, int dir, const char *folder, const char *name,
		     const char *why, struct diags *diags);
