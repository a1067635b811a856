/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files below a folder's descriptor: read at once; written aside, synced, renamed. */
#pragma once
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The first `limit` bytes, or all when limit is 0; a NUL follows them. 0 or -errno. */
int file_read(void *parent, int dir, const char *name, size_t limit, char **ret_text,
	      size_t *ret_size, off_t *ret_file_size);

/* Replaces the file whole or leaves it as it was; on return the disk has it. 0 or -errno. */
int file_write(int dir, const char *name, const struct iovec *parts, int part_count);

/*
 * Its two halves, for who changes several files at once: all staged, then all placed, then each
 * folder synced costs half of the waiting. Staged content is on disk under another name;
 * placing is one rename.
 */
int file_stage(int dir, const char *name, const struct iovec *parts, int part_count);
int file_place(int dir, const char *name);
/* What was staged will not be placed. */
void file_unstage(int dir, const char *name);

/* Removes what a writer that died left behind. Only under the lock. */
void file_remove_leftovers(int dir);
