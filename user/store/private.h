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
	char *activation;       /* the lines that go below the next pointer; NULL: none */
	bool is_unsettled;      /* see store_is_settled */
	bool has_new_names;     /* below `revisions`: they may be gone after a power cut */
	bool has_bad_endpoints; /* found by reading; set aside when a good one takes their place */
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
 * Moves a file whose digest does not fit to damaged/ and says so as a warning. Without the lock
 * it stays, because a writer may just now be putting a good one in its place.
 */
void store_set_aside(struct store *store, int dir, const char *folder, const char *name,
		     struct diags *diags);
