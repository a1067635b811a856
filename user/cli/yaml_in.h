/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML that we write ourselves, as JSON. Other people's YAML is the input room's business. */
#pragma once
#include <jansson.h>

/* Every document of a text as one list; NULL when it is no YAML, or memory runs out. */
json_t *yaml_documents(const char *text);
