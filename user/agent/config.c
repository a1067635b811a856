// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "../base/cleanup.h"
#include "../input/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DIGEST_FILE "config.digest"

/* Names and contents of the folder's files, in the order in which they are read. */
static void texts_digest(const struct input_text *texts, size_t count, char ret_hex[65])
{
	_cleanup_talloc_ char *all = talloc_strdup(NULL, "");
	uint8_t digest[STORE_DIGEST_SIZE];

	for (size_t i = 0; i < count && all; i++) {
		all = talloc_asprintf_append_buffer(all, "%s\n%zu\n", texts[i].name, texts[i].size);
		all = all ? talloc_strndup_append_buffer(all, texts[i].data, texts[i].size) : NULL;
	}
	store_digest(all ? all : "", all ? strlen(all) : 0, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static bool digest_is(const char *state_dir, const char *hex)
{
	char path[512], line[80] = "";

	snprintf(path, sizeof(path), "%s/" DIGEST_FILE, state_dir);

	_cleanup_fclose_ FILE *file = fopen(path, "re");

	return file && fgets(line, sizeof(line), file) && !strncmp(line, hex, 64);
}

/*
 * Written aside and renamed. Lost in a crash, the folder is applied once more by the next start,
 * over whatever else was changed meanwhile; this agent knows it without the disk.
 */
static void digest_write(const char *state_dir, const char *hex)
{
	char path[512], aside[520];

	snprintf(path, sizeof(path), "%s/" DIGEST_FILE, state_dir);
	snprintf(aside, sizeof(aside), "%s.tmp", path);

	int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool is_written =
		file && fprintf(file, "%s\n", hex) > 0 && !fflush(file) && !fsync(fileno(file));

	if (file)
		fclose(file);
	if (!is_written || rename(aside, path))
		log_line(LOG_LEVEL_WARNING, "%s: cannot write: %s", path, strerror(errno));
}

static int config_commit(struct agent *agent, struct node *node, struct diags *diags)
{
	const struct node_change change = { .author = "sluiced",
					    .reason = "configuration folder",
					    .command = "config",
					    .is_whole = true };
	struct input_text *texts = NULL;
	struct input_result input = {};
	struct node_result result = {};
	char hex[65];
	bool is_known;
	size_t count = 0;
	int err = input_read(diags, &agent->options->config_dir, 1, diags, &texts, &count);

	if (err)
		return err;
	texts_digest(texts, count, hex);
	is_known = !strcmp(agent->config_digest, hex) ||
		   (!*agent->config_digest && digest_is(agent->options->state_dir, hex));
	if (is_known && !node->has_lost_endpoints) {
		log_line(LOG_LEVEL_DEBUG, "%s: as it was applied last", agent->options->config_dir);
		return 0;
	}
	err = input_apply(diags, texts, count, INPUT_REPLACE, NULL, node->inventory, diags, &input);
	if (!err && !input.taken) {
		diag_add(diags, DIAG_ERROR, agent->options->config_dir, 0, 0, NULL,
			 "holds no object: an empty folder is taken for a mistake");
		err = -EINVAL;
	}
	/* Only who serves is asked for, where that is lost: what was changed since stays. */
	if (!err)
		err = node_commit(node, is_known ? node->model : input.model, input.inventory,
				  &change, diags, diags, &result);
	if (err) {
		log_line(LOG_LEVEL_ERROR, "%s: refused; revision %u stays active",
			 agent->options->config_dir, node->active);
		return err;
	}
	log_line(LOG_LEVEL_NOTE, "%s: %s, revision %u is active", agent->options->config_dir,
		 result.is_new ? "applied" : "no new rules", result.revision);
	memcpy(agent->config_digest, hex, sizeof(hex));
	digest_write(agent->options->state_dir, hex);
	return 0;
}

int config_apply(struct agent *agent)
{
	return agent_locked(agent, "sluiced config", config_commit);
}

/*
 * Files that are complete: closed after writing, or renamed into place. One that is only created is
 * not, and applying half a file would be worse than waiting for the next check.
 */
#define WATCHED                                                                                    \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |               \
	 IN_MOVE_SELF | IN_ONLYDIR)

int config_watch(const char *dir)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 || inotify_add_watch(fd, dir, WATCHED) < 0)
		return -errno;
	return TAKE_FD(fd);
}

void config_watch_again(int watch, const char *dir)
{
	if (inotify_add_watch(watch, dir, WATCHED) < 0)
		log_line(LOG_LEVEL_WARNING, "%s: cannot be watched: %s; what was applied holds",
			 dir, strerror(errno));
}

void config_news(int watch)
{
	char buffer[8192];

	while (read(watch, buffer, sizeof(buffer)) > 0)
		;
}
