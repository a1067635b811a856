/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#pragma once
#include "node.h"

/*
 * A revision from the disk, whose texts are below the node, as the node's active one; not yet
 * parsed.
 */
void node_take(struct node *node, const struct store_revision *revision, uint32_t previous);

/* There is no such revision, or none that is of use: it is no end of the history. */
bool is_hole(int err);

/*
 * The model in a revision's body. Findings of old input are not repeated: only that it cannot
 * be read is an error.
 */
int revision_parse(void *parent, const struct store_revision *revision, struct diags *diags,
		   struct model **ret_model);

/*
 * Does a service begin there? Bodies are canonical: a document of the kind that defines one, in the
 * same spelling always. One that nothing defines counts as part of the service before it.
 */
bool is_service(const char *at, const char *end);

/* The model in a piece of a revision's body. */
int text_parse(void *parent, const struct store_revision *revision, const char *text, size_t size,
	       struct diags *diags, struct model **ret_model);

/* --- part.c --- */
/*
 * The body with another model in the place of the part that was loaded. -EAGAIN when more than the
 * part has to be known: who may serve is another.
 */
int part_export(struct node *node, void *parent, const struct model *model, char **ret_body);

/* The active revision's text, read when nobody has yet. */
int body_load(struct node *node, struct diags *diags, struct store_revision *ret_revision);
/* Who serves, as the disk has it, not yet parsed. */
int endpoints_find(struct node *node, struct diags *diags);

/* The inventory's half of node_load: who serves, without the rules. The kernel is mapped whole. */
int node_load_inventory(struct node *node, struct diags *diags);

/* Loads a revision and says so in diags when it is not there or damaged. */
int node_revision(struct node *node, void *parent, uint32_t number, struct diags *diags,
		  struct store_revision *ret_revision);

/* Loads, parses and plans a revision with the inventory, without repeating the plan's warnings. */
int node_plan_at(struct node *node, void *parent, const struct store_revision *revision,
		 const struct inventory *inventory, struct diags *diags, struct plan **ret_plan);

/*
 * Brings the rings up to date of versions that only other hot revisions use, then once more
 * those of the current plan: where both name a version, the current one has the last word. What
 * fails is a warning.
 */
void node_members_refresh(struct node *node, const struct inventory *inventory,
			  const struct plan *current, struct diags *diags);

/*
 * THE flip, then the disk's pointer: in that order, since whoever opens the node next takes the
 * kernel's word.
 */
int node_activate(struct node *node, uint32_t number, struct diags *diags);

/* Who makes the change, and why, as the history says it. */
const char *node_author(void *parent, const struct node_change *change);
const char *node_reason(const struct node_change *change);

/*
 * A digest over all that a model says about who may serve a version. Two models of one digest
 * need the same rings.
 */
int model_members(void *parent, const struct model *model, char **ret_text);

/* The words for a service's rules: "v1 90, v3 10"; several rules are named. */
int service_words(void *parent, const struct service *service, char **ret_text);
/* "reviews.default" */
const char *service_title_words(void *parent, const struct service *service);
char *rule_words(void *parent, const struct service *service, const struct rule *rule);
char *rule_title_words(void *parent, const struct service *service, const struct rule *rule);
