// SPDX-License-Identifier: Apache-2.0
#include "seal.h"

#include "../base/cleanup.h"
#include "digits.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <string.h>

#define HEAD_READ 4096u /* first try of a listing; a head with many changed lines takes more */
#define BODY_LINE "# body "
#define DIGEST_LINE "# digest "
#define HEX_SIZE ((size_t)2 * STORE_DIGEST_SIZE)
#define DIGEST_LINE_SIZE ((ptrdiff_t)strlen(DIGEST_LINE) + HEX_SIZE) /* without its newline */

_Static_assert(SHA256_DIGEST_SIZE == STORE_DIGEST_SIZE, "store.h speaks of SHA-256");

void store_digest(const char *text, size_t size, uint8_t ret_digest[STORE_DIGEST_SIZE])
{
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, size, (const uint8_t *)text);
	sha256_digest(&context, STORE_DIGEST_SIZE, ret_digest);
}

static void hex_format(const uint8_t digest[STORE_DIGEST_SIZE], char ret_hex[HEX_SIZE + 1])
{
	for (size_t i = 0; i < STORE_DIGEST_SIZE; i++)
		sprintf(ret_hex + 2 * i, "%02x", digest[i]);
}

/* Compared as text: our own writing of a digest is the only one that fits. */
static bool is_digest_of(const char *hex, const char *text, size_t size)
{
	uint8_t digest[STORE_DIGEST_SIZE];
	char wanted[HEX_SIZE + 1];

	store_digest(text, size, digest);
	hex_format(digest, wanted);
	return !memcmp(hex, wanted, HEX_SIZE);
}

int seal_stage(int dir, const char *name, const char *head, const char *body,
	       uint8_t ret_digest[STORE_DIGEST_SIZE])
{
	uint8_t of_body[STORE_DIGEST_SIZE], of_head[STORE_DIGEST_SIZE];
	_cleanup_talloc_ char *covered = NULL;
	char hex[HEX_SIZE + 1], last[sizeof(DIGEST_LINE) + HEX_SIZE + 1];
	size_t body_size = strlen(body);
	int err;

	store_digest(body, body_size, of_body);
	hex_format(of_body, hex);
	covered = talloc_asprintf(NULL, "%s" BODY_LINE "%zu %s\n", head, body_size, hex);
	if (!covered)
		return -ENOMEM;
	store_digest(covered, strlen(covered), of_head);
	hex_format(of_head, hex);
	snprintf(last, sizeof(last), DIGEST_LINE "%s\n", hex);

	struct iovec parts[] = {
		{ .iov_base = covered, .iov_len = strlen(covered) },
		{ .iov_base = last, .iov_len = strlen(last) },
		{ .iov_base = (char *)body, .iov_len = body_size },
	};

	err = file_stage(dir, name, parts, ARRAY_SIZE(parts));
	if (!err)
		memcpy(ret_digest, of_body, STORE_DIGEST_SIZE);
	return err;
}

/* The place of the digest line; NULL when the text has none that is whole. */
static char *digest_line_find(char *text, size_t size)
{
	char *line = text, *end = text + size;

	while (line < end && *line == '#') {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		if (!newline)
			return NULL;
		if (!strncmp(line, DIGEST_LINE, strlen(DIGEST_LINE)))
			return newline - line == DIGEST_LINE_SIZE ? line : NULL;
		line = newline + 1;
	}
	return NULL;
}

static int hex_parse(const char *hex, uint8_t ret_digest[STORE_DIGEST_SIZE])
{
	uint8_t digest[STORE_DIGEST_SIZE];

	for (size_t i = 0; i < STORE_DIGEST_SIZE; i++) {
		uint64_t byte;

		if (digits_take(&hex, 16, 2, UINT8_MAX, &byte))
			return -EBADMSG;
		digest[i] = (uint8_t)byte;
	}
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

/* Ends the head before its body line, which says what must follow. */
static int body_line_take(char *text, const char *digest_line, struct seal *seal)
{
	char *line = text + (digest_line - text) - 1;
	const char *at;
	uint64_t body_size;

	if (digest_line == text)
		return -EBADMSG;
	while (line > text && line[-1] != '\n')
		line--;
	if (strncmp(line, BODY_LINE, strlen(BODY_LINE)))
		return -EBADMSG;
	at = line + strlen(BODY_LINE);
	if (digits_take(&at, 10, 19, INT64_MAX, &body_size) || *at++ != ' ' ||
	    hex_parse(at, seal->digest) || at[HEX_SIZE] != '\n')
		return -EBADMSG;
	seal->body_size = body_size;
	*line = '\0';
	seal->head = text;
	return 0;
}

static int seal_check(char *text, size_t size, off_t file_size, bool with_body, struct seal *seal)
{
	char *line = digest_line_find(text, size), *body;
	char hex[HEX_SIZE + 1];

	if (!line || !is_digest_of(line + strlen(DIGEST_LINE), text, (size_t)(line - text)) ||
	    body_line_take(text, line, seal))
		return -EBADMSG;
	body = line + strlen(DIGEST_LINE) + HEX_SIZE + 1;
	if ((off_t)(body - text) + (off_t)seal->body_size != file_size)
		return -EBADMSG;
	if (!with_body)
		return 0;
	hex_format(seal->digest, hex);
	if ((size_t)(text + size - body) != seal->body_size ||
	    !is_digest_of(hex, body, seal->body_size))
		return -EBADMSG;
	seal->body = body;
	return 0;
}

int seal_read(void *parent, int dir, const char *name, bool with_body, struct seal *ret_seal)
{
	_cleanup_talloc_ char *text = NULL;
	struct seal seal = { 0 };
	size_t size, limit = with_body ? 0 : HEAD_READ;
	off_t file_size;
	int err;

	err = file_read(parent, dir, name, limit, &text, &size, &file_size);
	if (!err && (off_t)size < file_size && !digest_line_find(text, size)) {
		talloc_free(TAKE_PTR(text));
		err = file_read(parent, dir, name, 0, &text, &size, &file_size);
	}
	if (!err)
		err = seal_check(text, size, file_size, with_body, &seal);
	if (err)
		return err;
	TAKE_PTR(text);
	*ret_seal = seal;
	return 0;
}
