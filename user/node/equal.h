/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a service, compared one by one, so that a summary can name those that changed. */
#pragma once
#include "../model/model.h"

bool rule_matches_equal(const struct rule *a, const struct rule *b);
bool rule_splits_equal(const struct rule *a, const struct rule *b);
bool service_rules_equal(const struct service *a, const struct service *b);

struct service_part {
	const char *name;
	bool (*is_equal)(const struct service *a, const struct service *b);
};

/* All but the rules and the host; "objects" are the names of the objects that it came from. */
#define SERVICE_PARTS 7
extern const struct service_part service_parts[SERVICE_PARTS];
