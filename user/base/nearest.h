/* SPDX-License-Identifier: Apache-2.0 */
/* Misspelled names: what the writer may have meant. */
#pragma once
#include <stddef.h>

/* Edit distance, case ignored; SIZE_MAX when either is too long to be a name of ours. */
size_t name_distance(const char *a, const char *b);

/* The name nearest to what was typed, by edit distance; NULL when none is near. */
const char *name_nearest(const char *typed, const char *const *names, size_t count);
