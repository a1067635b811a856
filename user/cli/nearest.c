// SPDX-License-Identifier: Apache-2.0
/*
 * A room of its own, since the tree that the input room calls a node is not the machine that we
 * call one.
 */
#include "../input/node.h"

const char *cli_nearest(const char *typed, const char *const *names, size_t count);

const char *cli_nearest(const char *typed, const char *const *names, size_t count)
{
	return name_nearest(typed, names, count);
}
