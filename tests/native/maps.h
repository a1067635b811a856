/* SPDX-License-Identifier: Apache-2.0 */
/* Maps in memory, each known by the descriptor of a file that has an array's elements. */
#pragma once
#include "native.h"

struct store;

/* NULL, with errno. The caller drops it. */
struct store *store_new(const struct native_declared *declared, __u32 entries);
/* NULL, with errno: no map has the descriptor. */
struct store *store_of(int fd);
int store_fd(const struct store *store);
struct store *store_hold(struct store *store);
void store_drop(struct store *store);
