// SPDX-License-Identifier: Apache-2.0
#include "heap.h"

#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_PAGE ((uintptr_t)2 << 20)
#define SMALL_PAD (128 << 10)
#define MAPPED_MIN (32 << 20)

void heap_expect(size_t bytes)
{
	uintptr_t from = ((uintptr_t)sbrk(0) + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1), to;
	void *probe;

	if (bytes < 2 * LARGE_PAGE || bytes > INT_MAX / 2)
		return;
	/* What is freed stays for what comes next, and larger pieces are of the heap too. */
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_TOP_PAD, (int)bytes);
	/* Larger than what is there, so the heap grows, and by the pad too. */
	probe = malloc(MAPPED_MIN / 2 < bytes ? MAPPED_MIN / 2 : bytes);
	to = (uintptr_t)sbrk(0) & ~(LARGE_PAGE - 1);
	if (to > from)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
	mallopt(M_TOP_PAD, SMALL_PAD);
	if (probe)
		*(volatile char *)probe = 0; /* or the compiler sees that nobody needs it */
	free(probe);
}
