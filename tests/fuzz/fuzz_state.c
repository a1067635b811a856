// SPDX-License-Identifier: Apache-2.0
/*
 * Files of the state folder, whatever stands in them. The first byte chooses the file. Raw bytes
 * hardly ever fit their digest, so a revision and the endpoints come sealed as well: then it is the
 * head and the body that are believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "user/store/file.h"
#include "user/store/head.h"
#include "user/store/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REVISION "revisions/0000000001.yaml"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static char folder[] = "/dev/shm/fuzz_state_XXXXXX";
static int folder_fd = -1;

static void folder_remove(void)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		abort();
}

static void folder_make(void)
{
	char path[64];

	check(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/revisions", folder);
	check(!mkdir(path, 0700));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(folder_fd >= 0);
	atexit(folder_remove);
}

static void file_put(const char *name, const void *data, size_t size)
{
	struct iovec part = { (void *)data, size };

	check(!file_stage(folder_fd, name, &part, 1) && !file_place(folder_fd, name));
}

/* Each line of a head begins with '#', as its writer has to see to. */
static char *head_of(void *memory, const char *text)
{
	char *head = talloc_strdup(memory, "");

	while (*text) {
		size_t size = strcspn(text, "\n");

		head = talloc_asprintf_append_buffer(head, "%s%.*s\n", *text == '#' ? "" : "#",
						     (int)size, text);
		text += size + (text[size] == '\n');
	}
	return head;
}

static void sealed_put(void *memory, const char *name, const char *text)
{
	uint8_t digest[STORE_DIGEST_SIZE];
	const char *cut = strstr(text, "\n\n");
	char *head =
		head_of(memory, cut ? talloc_strndup(memory, text, (size_t)(cut - text)) : text);

	check(!seal_stage(folder_fd, name, head, cut ? cut + 2 : "", digest));
	check(!file_place(folder_fd, name));
}

static void head_round_trip(void *memory, const struct store_revision *first)
{
	struct store_revision second = {};
	char *written = NULL;

	check(!head_format(memory, first, &written) && !head_parse(written, &second));
	/* Empty lines at the end of the summary are not kept. */
	check(second.number == first->number && second.parent == first->parent &&
	      second.time == first->time && !strcmp(second.author, first->author) &&
	      !strcmp(second.reason, first->reason));
}

static void revision_try(void *memory, struct store *store, struct diags *diags)
{
	struct store_revision *list = NULL, revision = {};
	size_t count = 0;
	int err = store_load(store, memory, 1, diags, &revision);

	check(err == 0 || err == -EBADMSG || err == -EPROTO);
	check(!store_list(store, memory, diags, &list, &count) && count <= 1);
	if (err)
		return;
	check(count == 1 && revision.number == 1 && revision.body);
	head_round_trip(memory, &revision);
}

static void files_try(void *memory, struct store *store, struct diags *diags)
{
	struct store_activation activation;
	uint32_t active, previous;
	uint64_t seed[2];
	char *text = NULL;
	int err = store_active(store, &active, &previous);

	check(err == 0 || err == -EBADMSG);
	err = store_activation(store, memory, &activation);
	check(err == 0 || err == -EBADMSG || err == -ENOENT);
	err = store_endpoints(store, memory, diags, &text);
	check(err == -EBADMSG || err == -EPROTO || err == -ENOENT || (err == 0 && text));
	err = store_seed(store, NULL, diags, seed);
	/* -ENOLCK: there is none, and who has no lock makes none. */
	check(err == 0 || err == -EBADMSG || err == -ENOLCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { REVISION, "active", "endpoints.yaml", "seed" };
	void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	char *text = size ? talloc_strndup(memory, (const char *)data + 1, size - 1) : NULL;
	struct store_revision revision = {};
	struct store *store = NULL;

	if (folder_fd < 0)
		folder_make();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(folder_fd, names[i], 0);
	file_put(REVISION, "", 0);
	if (text && data[0] % 8 < 4)
		file_put(names[data[0] % 8], data + 1, size - 1);
	else if (text && data[0] % 8 < 6)
		sealed_put(memory, data[0] % 2 ? REVISION : "endpoints.yaml", text);
	else if (text && !head_parse(text, &revision))
		head_round_trip(memory, &revision);
	check(!store_open(memory, folder, false, diags, &store));
	revision_try(memory, store, diags);
	files_try(memory, store, diags);
	talloc_free(memory);
	return 0;
}
