/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's one protocol, which agent and CLI share: take the state folder's lock, read what
 * is, change it on disk and then in the kernel, release. This room is where input, plan, store
 * and kernel meet; nothing below knows the others.
 */
#pragma once
#include "../base/diag.h"
#include "../kernel/kernel.h"
#include "../model/model.h"
#include "../plan/plan.h"
#include "../store/store.h"

#include <stdbool.h>

struct node {
	struct store *store;   /* locked when opened for writing */
	struct kernel *kernel; /* NULL: no data plane here (yet); changes go to disk alone */
	struct model *model;   /* of the active revision; empty when there is none */
	struct inventory *inventory;
	uint32_t active;   /* revision number; 0 when there is none */
	uint32_t previous; /* the one that was active before it; 0 when there is none */
	uint8_t digest[STORE_DIGEST_SIZE]; /* of the active revision's body */

	/* For this room alone. */
	const char *body;      /* the active revision's; NULL when it was not read */
	const char *endpoints; /* the inventory's text on disk; NULL when it was not read */
	const char *members;   /* the active revision's word for who may serve */
	struct {
		size_t at, size; /* of the body: all that `model` is of; size 0: of the whole */
	} part;
	bool is_lazy;            /* opened so: no body was read, the least is mapped */
	bool is_beside;          /* opened so: what these maps obey is not yet what the node does */
	bool has_no_endpoints;   /* there is no file */
	bool has_lost_endpoints; /* the file is damaged, or gone though it was there: what
				    `inventory` lacks may well be alive */
};

enum node_mode {
	NODE_READ,  /* no lock */
	NODE_WRITE, /* the lock, waited for up to timeout_ms; on -ETIMEDOUT diags name the holder */
};

struct node_options {
	const char *state_dir; /* STORE_DIR_DEFAULT when NULL */
	const char *pin_dir;   /* SL_PIN_DIR when NULL */
	unsigned timeout_ms;   /* 0: NODE_TIMEOUT_MS; 1 is as good as not waiting */
	const char *command;   /* shown to who waits for our lock; NULL: the program's name */
	bool steady; /* NODE_READ: no change meanwhile, if that takes no longer than timeout_ms */
	bool lazy;   /* model and inventory stay NULL until node_load: a fast rollback */
	bool beside; /* another release's doors obey the word, be it hot in these maps or not */
};
#define NODE_TIMEOUT_MS 5000u
#define NODE_STEADY_MS 1000u /* instead, for a reader: it goes on without the lock */

/*
 * Opens state and kernel and loads the active revision: the kernel's word when there is a
 * kernel (somebody may have flipped it by hand), else the disk's. talloc_free closes and
 * unlocks. A data plane that cannot be used (another ABI, no privilege) is an error for
 * writing, and for reading a warning, as if there were none.
 */
int node_open(void *parent, const struct node_options *options, enum node_mode mode,
	      struct diags *diags, struct node **ret_node);

/* Nothing more will be changed: what is only said may take its time, and others need not wait. */
void node_unlock(struct node *node);

/* Parses what a lazy open left; otherwise nothing to do. */
int node_load(struct node *node, struct diags *diags);

/*
 * After a lazy open, the service of that name alone: `model` has it, and maybe few others, and the
 * inventory stays NULL. Good for a node_commit of that model, changed, with no inventory, which
 * then costs about the same however many services there are. -EAGAIN: it takes node_load, which
 * reads the rest at any time; any other error: the active revision's text cannot be read.
 */
int node_load_part(struct node *node, const char *name, struct diags *diags);

struct node_change {
	const char *author;  /* NULL: the user's name */
	const char *reason;  /* NULL: "" */
	const char *command; /* "apply", "weight", ...: in the history when there is no reason */
	bool dry_run;        /* everything is checked and planned, nothing written */
	/* The inventory is all that the node has: where its own is lost, it is asked for. */
	bool is_whole;
};

struct node_result {
	uint32_t revision;    /* the active one after the change */
	bool is_new;          /* a revision was made; false: same intents */
	bool members_changed; /* endpoints were updated */
	/* What changed, one line a service: "~ reviews.default: v1 90, v3 10 (was v1 100)". */
	char *summary;
};

/*
 * Makes the given model and inventory the node's. A model that equals the active one makes no
 * revision (promise 3): only the inventory is written and the rings are updated. Neither may be
 * the node's own changed in place: copy first. Order: plan, check that it fits, disk, kernel,
 * flip, disk's active pointer. 0, or -errno with the reason in diags and nothing changed. After
 * node_load_part also -EAGAIN: nothing was changed, and it takes node_load and the whole model.
 */
int node_commit(struct node *node, const struct model *model, const struct inventory *inventory,
		const struct node_change *change, struct diags *diags, void *parent,
		struct node_result *ret_result);

/*
 * Makes an existing revision active: one store when it is hot, else rebuilt from disk first.
 * number 0: the one that was active before this one (twice toggles). The disk's pointer keeps who
 * did it, when and why (store_activation). -ENOENT with the reason in diags.
 */
int node_rollback(struct node *node, uint32_t number, const struct node_change *change,
		  struct diags *diags, void *parent, struct node_result *ret_result);

/*
 * The given service's rules, subsets and affinity as they were before they last changed (or in
 * revision `number`), as a new revision; addresses and ports stay as they are. When none of the
 * revisions that led here has others, the newest of all that has. -ENOENT when they never were
 * different.
 */
int node_rollback_service(struct node *node, const char *host, uint32_t number,
			  const struct node_change *change, struct diags *diags, void *parent,
			  struct node_result *ret_result);

/* The model of any revision on disk. */
int node_model_at(struct node *node, void *parent, uint32_t number, struct diags *diags,
		  struct model **ret_model);

/* The active plan (model and inventory of the node). */
int node_plan(struct node *node, void *parent, struct diags *diags, struct plan **ret_plan);

/*
 * Brings the kernel to what the disk says: at start (adopts hot revisions, writes the active
 * one when missing) and on every check. Returns the number of differences found (and with
 * `repair` put right), each a DIAG_WARNING, or -errno.
 */
int node_reconcile(struct node *node, bool repair, struct diags *diags);

/*
 * What differs between two revisions on disk, as model_diff says it. Only those services are read
 * whose text is not the same in both.
 */
int node_summary(struct node *node, void *parent, uint32_t from, uint32_t to, struct diags *diags,
		 char **ret_text);

/*
 * What differs between two models: one line a service, as in node_result.summary; "" when
 * nothing does.
 */
int model_diff(void *parent, const struct model *from, const struct model *to, char **ret_text);
