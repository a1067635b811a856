/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `get` and `stats` look at; and what `get` lists: one collector a kind, each filling a list
 * of rows.
 */
#pragma once
#include "address.h"
#include "output.h"

struct view {
	struct cli *cli;
	void *scratch;
	struct node *node;
	struct plan *plan;
	const char *host; /* NULL: every service */
	unsigned seconds; /* to measure splits; 0: since the last flip */
};

int services_collect(const struct view *view, json_t *list);
int versions_collect(const struct view *view, json_t *list);
int endpoints_collect(const struct view *view, json_t *list);
int splits_collect(const struct view *view, json_t *list);
