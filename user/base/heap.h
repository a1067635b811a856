/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/*
 * A short-lived process is about to need so much heap: it is asked for at once, and in large pages
 * where the kernel has them. A wish; what is not needed after all is address space alone.
 */
void heap_expect(size_t bytes);
