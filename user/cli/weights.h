/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `v1=90 v3=10` on a service's rules. PURE: models in, a changed model out. What is named gets its
 * weight, every other version of the rule gets 0, and what the rule does not list yet is added to
 * it.
 */
#pragma once
#include "../base/diag.h"
#include "../model/model.h"

struct weight_word {
	const char *name; /* "v1", "host/v1", "host" */
	uint32_t weight;
};

/*
 * "v1=90". 0; -EINVAL when it is no NAME=WEIGHT; -ERANGE when the weight is too large; the reason
 * in diags.
 */
int weight_parse(void *parent, const char *text, struct diags *diags, struct weight_word *ret_word);

/*
 * The rules that a change without --rule means (a rule of each kind without a match counts as one),
 * or the one that --rule names by name or place. A service without any gets them. Indices into
 * service->rules; `ret_rules` has room for two. 0, -ENOMEM, or -ENOENT / -ENOTUNIQ with the reason
 * in diags.
 */
int weights_choose(struct model *model, struct service *service, const char *rule,
		   struct diags *diags, size_t ret_rules[2], size_t *ret_count);

/*
 * Sets the weights of one rule of a service of `model`. 0, -ENOMEM, or -ENOENT with the reason in
 * diags: a name is no version of the service; -EINVAL: a version is named twice.
 */
int weights_set(struct model *model, struct service *service, struct rule *rule,
		const struct weight_word *words, size_t count, struct diags *diags);
