/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed file is comment lines and a body:
 *
 *   # ...                      the head, as the caller made it
 *   # body SIZE HEX            bytes and SHA-256 of what follows the last comment line
 *   # digest HEX               SHA-256 of all bytes before this line
 *   body
 *
 * So the last line covers the whole file, through the digest of the body; and a listing can
 * check the head and the file's size without reading bodies.
 */
#pragma once
#include "store.h"

#include <sys/types.h>

struct seal {
	char *head; /* the caller's lines, each with its newline */
	char *body; /* NULL when only the head was asked for */
	size_t body_size;
	uint8_t digest[STORE_DIGEST_SIZE]; /* of the body */
};

/* As file_stage; file_place puts it in its place. Each line of the head must begin with '#'. */
int seal_stage(int dir, const char *name, const char *head, const char *body,
	       uint8_t ret_digest[STORE_DIGEST_SIZE]);

/* 0, -EBADMSG when a digest or the size does not fit, else -errno. Texts hang from `parent`. */
int seal_read(void *parent, int dir, const char *name, bool with_body, struct seal *ret_seal);
