// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps the pinned tables in a file and puts them back, and says where connections would go:
 * thousands of times, for what takes seconds with the programs that people use.
 *
 *   tables PINS save FILE
 *   tables PINS restore FILE
 *   tables PINS answers [VIP:PORT]...
 *   tables PINS check      every hot revision has its services, and the versions that they name
 */
#include "../../user/kernel/internal.h"

#include "clients.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hash tables that a command changes. Devices are left out: attaching is no table. */
static const enum map_id hashes[] = { MAP_SERVICES };

static int entry_save(void *context, void *key, void *value)
{
	const struct map *map = ((void **)context)[1];
	FILE *file = ((void **)context)[0];

	fputc(1, file);
	fwrite(key, map->key_size, 1, file);
	fwrite(value, map->value_size, 1, file);
	return ferror(file) ? -EIO : 0;
}

static int save(const struct kernel *kernel, FILE *file)
{
	for (int i = 0; i < MAP_COUNT; i++)
		if (kernel->map[i].data)
			fwrite(kernel->map[i].data, kernel->map[i].size, 1, file);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++) {
		const struct map *map = &kernel->map[hashes[i]];
		void *context[] = { file, (void *)map };
		int err = map_walk(map, entry_save, context);

		if (err)
			return err;
		fputc(0, file);
	}
	return ferror(file) ? -EIO : 0;
}

static int map_empty(const struct map *map)
{
	char key[256];

	while (!bpf_map_get_next_key(map->fd, NULL, key))
		if (bpf_map_delete_elem(map->fd, key))
			return -errno;
	return 0;
}

/* Pages that are as they were are left alone: most are. */
static int table_restore(struct map *map, FILE *file)
{
	char page[4096];

	for (size_t at = 0; at < map->size; at += sizeof(page)) {
		if (fread(page, sizeof(page), 1, file) != 1)
			return -EBADMSG;
		if (memcmp((char *)map->data + at, page, sizeof(page)))
			memcpy((char *)map->data + at, page, sizeof(page));
	}
	return 0;
}

static int hash_restore(const struct map *map, FILE *file)
{
	char key[256], value[4096];
	int err = map_empty(map);

	while (!err && fgetc(file) == 1) {
		if (fread(key, map->key_size, 1, file) != 1 ||
		    fread(value, map->value_size, 1, file) != 1)
			return -EBADMSG;
		err = bpf_map_update_elem(map->fd, key, value, BPF_ANY) ? -errno : 0;
	}
	return err;
}

static int restore(struct kernel *kernel, FILE *file)
{
	int err = 0;

	for (int i = 0; i < MAP_COUNT && !err; i++)
		if (kernel->map[i].data)
			err = table_restore(&kernel->map[i], file);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes) && !err; i++)
		err = hash_restore(&kernel->map[hashes[i]], file);
	return err;
}

/* --- are hot revisions whole? --- */

struct check {
	const struct kernel *kernel;
	uint32_t services[SL_PLACES]; /* found, by place */
	int faults;
};

static int service_check(void *context, void *key, void *value)
{
	const struct sl_service_key *service_key = key;
	const struct sl_split *split = &((struct sl_service *)value)->otherwise;
	struct check *check = context;
	const uint32_t *members = MAPPED(check->kernel, MAP_MEMBERS, uint32_t);

	/* What is left of others is removed by the next write; nobody reads it. */
	if (!kernel_is_hot(check->kernel, service_key->revision))
		return 0;
	check->services[service_key->revision % SL_PLACES]++;
	for (uint32_t i = 0; !(split->flags & SL_SPLIT_NONE) && i < split->member_count; i++) {
		uint32_t at = members[split->member_base + i] & ~SL_MEMBER_NO_WEIGHT;
		const struct sl_version *version = kernel_version(check->kernel, at);

		if (version && version->used && *version->key)
			continue;
		check->faults++;
		printf("revision %u: a service leads to version %u, which is not there\n",
		       service_key->revision, at);
	}
	return 0;
}

static int hot_check(const struct kernel *kernel)
{
	struct check check = { .kernel = kernel };
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(kernel, hot);
	int err = map_walk(&kernel->map[MAP_SERVICES], service_check, &check);

	for (size_t i = 0; !err && i < count; i++) {
		uint32_t found = check.services[hot[i].number % SL_PLACES];

		if (found == hot[i].services)
			continue;
		check.faults++;
		printf("revision %u: %u services, %u of them are there\n", hot[i].number,
		       hot[i].services, found);
	}
	return err ? err : check.faults ? -EBADMSG : 0;
}

/* --- where do connections go? --- */

static void answer_print(const struct kernel *kernel, const struct kernel_explain *found)
{
	const struct sl_endpoint *endpoint;
	char text[INET6_ADDRSTRLEN] = "?";

	if (!found->is_ours) {
		puts("passes");
		return;
	}
	if (found->is_refused) {
		puts("refused");
		return;
	}
	endpoint = kernel_endpoint(kernel, found->endpoint);
	if (endpoint)
		inet_ntop(AF_INET6, endpoint->addr, text, sizeof(text));
	printf("%s %s\n", kernel_version(kernel, found->version)->key, text);
}

static int answers(const struct kernel *kernel, char **vips)
{
	for (; *vips; vips++) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct kernel_connection connection;
			struct kernel_explain found;
			int err = client_connection(*vips, i, &connection);

			if (err)
				return err;
			if (kernel_explain(kernel, &connection, &found))
				puts("cannot tell");
			else
				answer_print(kernel, &found);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct kernel *kernel = NULL;
	FILE *file = NULL;
	int err;

	if (argc < 3)
		return 2;
	err = kernel_open(argv[1], &kernel);
	if (err == -ENOENT && !strcmp(argv[2], "answers")) {
		puts("no data plane");
		return 0;
	}
	if (!err && argc == 4 && strcmp(argv[2], "answers")) {
		file = fopen(argv[3], strcmp(argv[2], "save") ? "re" : "we");
		err = file ? 0 : -errno;
	}
	if (!err && !strcmp(argv[2], "save"))
		err = save(kernel, file);
	else if (!err && !strcmp(argv[2], "restore"))
		err = restore(kernel, file);
	else if (!err && !strcmp(argv[2], "check"))
		err = hot_check(kernel);
	else if (!err)
		err = answers(kernel, argv + 3);
	if (file && fclose(file) && !err)
		err = -errno;
	kernel_close(kernel);
	if (err)
		fprintf(stderr, "tables: %s: %s\n", argv[2], strerror(-err));
	return err ? 1 : 0;
}
