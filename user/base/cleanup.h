/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound release: a variable marked so is released when its scope ends, on every path. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_talloc_p(void *p)
{
	talloc_free(*(void **)p);
}

#define _cleanup_free_ __attribute__((cleanup(cleanup_free_p)))
#define _cleanup_close_ __attribute__((cleanup(cleanup_close_p)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose_p)))
#define _cleanup_talloc_ __attribute__((cleanup(cleanup_talloc_p)))

/* Hands a value out of its scope: the variable keeps nothing to release. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) p_ = (p);                                                            \
		(p) = NULL;                                                                        \
		p_;                                                                                \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int fd_ = (fd);                                                                    \
		(fd) = -1;                                                                         \
		fd_;                                                                               \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
