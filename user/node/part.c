// SPDX-License-Identifier: Apache-2.0
/*
 * One service out of thousands: found in the active revision's text, parsed alone, and put back.
 * Bodies are canonical and in services' order, so a body with one piece replaced is what an export
 * of the whole model gives.
 */
#include "node.h"

#include "../base/cleanup.h"
#include "../input/input.h"
#include "private.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* The next place after `at` where the word stands alone; NULL when there is none. */
static const char *word_find(const char *text, const char *at, const char *end, const char *word,
			     size_t size)
{
	while ((at = memmem(at, (size_t)(end - at), word, size))) {
		bool is_begun = at == text || !is_word_char(at[-1]);

		if (is_begun && (at + size == end || !is_word_char(at[size])))
			return at;
		at += size;
	}
	return NULL;
}

/* Where the service begins that `at` is in. */
static const char *service_begin(const char *text, const char *at, const char *end)
{
	while (at > text && !((at[-1] == '\n') && is_service(at, end)))
		at--;
	return at;
}

static const char *service_end(const char *at, const char *end)
{
	while ((at = memmem(at, (size_t)(end - at), "\n---\n", 5))) {
		at++;
		if (is_service(at, end))
			return at;
	}
	return end;
}

/*
 * A service that the name may mean has the name's first label in its text. So where all of these
 * stand in one service's text no other is meant.
 */
static int part_find(struct node *node, const char *name)
{
	size_t size = strcspn(name, "./");
	const char *text = node->body, *end = text + strlen(text), *first, *begin, *after;

	first = size ? word_find(text, text, end, name, size) : NULL;
	if (!first)
		return -EAGAIN;
	begin = service_begin(text, first, end);
	after = service_end(first, end);
	if (word_find(text, after, end, name, size))
		return -EAGAIN;
	node->part.at = (size_t)(begin - text);
	node->part.size = (size_t)(after - begin);
	return 0;
}

/* Nothing of it leads to services that are not in the part. */
static bool is_closed(const struct model *model)
{
	for (size_t s = 0; s < model->service_count; s++) {
		const struct service *service = &model->services[s];

		for (size_t r = 0; r < service->rule_count; r++) {
			const struct rule *rule = &service->rules[r];

			for (size_t d = 0; d < rule->destination_count; d++)
				if (!model_service_find(model, rule->destinations[d].host))
					return false;
		}
	}
	return true;
}

static int part_parse(struct node *node)
{
	_cleanup_talloc_ struct diags *quiet = diags_new(NULL);
	_cleanup_talloc_ char *text = NULL;
	const struct store_revision revision = { .number = node->active };
	const char *at = node->body + node->part.at;
	struct model *model;
	int err = quiet ? text_parse(node, &revision, at, node->part.size, quiet, &model) : -ENOMEM;

	if (!err)
		err = model_export(NULL, model, &text);
	if (err)
		return err;
	/* A text that is not ours to repeat, or whose pieces lean on each other. */
	if (strlen(text) != node->part.size || memcmp(text, at, node->part.size) ||
	    !is_closed(model))
		return -EAGAIN;
	node->model = model;
	return 0;
}

int node_load_part(struct node *node, const char *name, struct diags *diags)
{
	struct store_revision revision;
	int err;

	if (!node->is_lazy || node->model || !node->active || !node->kernel ||
	    !kernel_has_room_beside(node->kernel, node->active))
		return -EAGAIN;
	err = body_load(node, diags, &revision);
	if (!err)
		err = endpoints_find(node, diags);
	if (err)
		return err;
	/* Without who serves there is more to say than this can know, or to repair. */
	if (node->has_lost_endpoints || node->has_no_endpoints || !store_is_settled(node->store) ||
	    kernel_active(node->kernel) != node->active || kernel_map_splits(node->kernel) ||
	    part_find(node, name) || part_parse(node)) {
		node->part.size = 0;
		return -EAGAIN;
	}
	return 0;
}

static int members_compare(const struct model *before, const struct model *after)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	char *was, *is;
	int err = scratch ? model_members(scratch, before, &was) : -ENOMEM;

	if (!err)
		err = model_members(scratch, after, &is);
	return !err && strcmp(was, is) ? -EAGAIN : err;
}

/*
 * Is a service ours that was not, or no longer? Then another's addresses may be too, which is for
 * the whole to say.
 */
static bool is_taken_anew(const struct model *before, const struct model *after)
{
	for (size_t s = 0; s < after->service_count; s++) {
		const struct service *is = &after->services[s],
				     *was = model_service_find(before, is->host);

		if (!was || !was->rule_count != !is->rule_count)
			return true;
	}
	return false;
}

int part_export(struct node *node, void *parent, const struct model *model, char **ret_body)
{
	const char *after = node->body + node->part.at + node->part.size;
	int err = members_compare(node->model, model);
	size_t size, rest = strlen(after) + 1;
	char *text, *body;

	if (!err && (model->service_count != node->model->service_count || !is_closed(model) ||
		     is_taken_anew(node->model, model)))
		err = -EAGAIN;
	if (!err)
		err = model_export(parent, model, &text);
	if (err)
		return err;
	size = strlen(text);
	body = talloc_size(parent, node->part.at + size + rest);
	if (!body)
		return -ENOMEM;
	memcpy(body, node->body, node->part.at);
	memcpy(body + node->part.at, text, size);
	memcpy(body + node->part.at + size, after, rest);
	*ret_body = body;
	return 0;
}
