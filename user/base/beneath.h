/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what lies in a folder, and nothing that a link in it points to elsewhere. */
#pragma once
#include <stdbool.h>

/*
 * Opens `path` below the folder `dir`. Links are followed as long as they stay in the folder, over
 * as many steps as they take; an absolute one, or one that climbs out, is -EXDEV. A descriptor, or
 * -errno.
 */
int open_beneath(int dir, const char *path, int flags);

/* Whether the kernel may be asked to do it (openat2, 5.6); tests say no. */
bool has_openat2(void);
