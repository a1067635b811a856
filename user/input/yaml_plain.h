/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of yaml_parse for the plain part of YAML: see there what that is. */
#pragma once
#include "node.h"

/*
 * The documents of a text, as yaml_parse gives them, when all of it is plain. Else `*ret_is_taken`
 * is false, and nothing is said of what the text is. 0 or -ENOMEM.
 */
int yaml_plain_parse(void *parent, const struct input_text *text, bool *ret_is_taken,
		     struct node **ret_documents);
