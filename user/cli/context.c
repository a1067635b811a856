// SPDX-License-Identifier: Apache-2.0
/* The steps that most commands begin with, and the ways in which they go wrong. */
#include "cli.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

int cli_fail(struct cli *cli, int exit, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	diag_add(cli->diags, DIAG_ERROR, NULL, 0, 0, NULL, "%s", text ? text : "out of memory");
	return exit;
}

int cli_failed(struct cli *cli, int err, size_t errors_before, const char *what)
{
	if (cli->diags->errors == errors_before)
		return cli_fail(cli, CLI_FAILED, "%s: %s", what, strerror(-err));
	return CLI_FAILED;
}

int cli_refused(struct cli *cli, int err, size_t errors_before, const char *what)
{
	cli_failed(cli, err, errors_before, what);
	return err == -EINVAL ? CLI_REFUSED : CLI_FAILED;
}

int cli_open(struct cli *cli, void *parent, enum node_mode mode, struct node **ret_node)
{
	size_t errors = cli->diags->errors;
	int err = node_open(parent, &cli->node, mode, cli->diags, ret_node);

	if (err)
		return cli_failed(cli, err, errors, "cannot read the state of this node");
	return CLI_DONE;
}

int cli_open_to_change(struct cli *cli, void *parent, struct node **ret_node)
{
	return cli_open(cli, parent, cli->is_dry_run ? NODE_READ : NODE_WRITE, ret_node);
}

struct node_change cli_change(const struct cli *cli)
{
	return (struct node_change){
		.author = cli->author,
		.reason = cli->reason,
		.command = cli->command->name,
		.dry_run = cli->is_dry_run,
	};
}

void cli_about(struct cli *cli, const char *summary, const char *title)
{
	cli->about = talloc_strdup(cli, summary ? summary : "");
	cli->about_title = talloc_strdup(cli, title ? title : "");
}

/* Is the name a word of the text, as "reviews" is of "~ reviews.default: reviews/v1"? */
static bool has_word(const char *text, const char *name, size_t size)
{
	for (const char *at = text; size && (at = memmem(at, strlen(at), name, size)); at++) {
		char before = at == text ? ' ' : at[-1];

		if (strchr(" \n", before) && strchr(" ./:,\n", at[size]))
			return true;
	}
	return false;
}

bool cli_is_about(const struct cli *cli, const struct diag *diag)
{
	size_t title, name;

	/* Only a plan's warnings begin with a service: they have an empty path and no place. */
	if (!cli->about || diag->level == DIAG_ERROR || diag->file || !diag->path || *diag->path)
		return true;
	if (!diag->text)
		return true;
	title = strcspn(diag->text, ":");
	name = strcspn(diag->text, ".:");
	if (strlen(cli->about_title) == title && !strncmp(cli->about_title, diag->text, title))
		return true;
	return has_word(cli->about, diag->text, name);
}

const char *cli_title(void *parent, const struct service *service)
{
	if (!*service->name)
		return talloc_strdup(parent, service->host);
	if (!*service->namespace)
		return talloc_strdup(parent, service->name);
	return talloc_asprintf(parent, "%s.%s", service->name, service->namespace);
}

const char *cli_host_title(void *parent, const struct model *model, const char *host)
{
	const struct service *service = model_service_find(model, host);

	return service ? cli_title(parent, service) : talloc_strdup(parent, host);
}

/* As the model room reads a name: the object's name, or a host that goes on after a dot. */
static bool is_candidate(const struct service *service, const char *typed)
{
	size_t size = strlen(typed);

	return !strcmp(service->name, typed) ||
	       (!strncmp(service->host, typed, size) && service->host[size] == '.');
}

static int service_ambiguous(struct cli *cli, const struct model *model, const char *typed)
{
	_cleanup_talloc_ char *list = talloc_strdup(NULL, "");

	for (size_t i = 0; list && i < model->service_count; i++) {
		const struct service *service = &model->services[i];

		if (is_candidate(service, typed))
			list = talloc_asprintf_append(list, "%s%s", *list ? ", " : "",
						      service->host);
	}
	return cli_fail(cli, CLI_REFUSED, "\"%s\" fits several services: %s; say which", typed,
			list ? list : "");
}

static int service_unknown(struct cli *cli, const struct model *model, const char *typed)
{
	_cleanup_talloc_ const char **names =
		talloc_array(NULL, const char *, 2 * (unsigned)model->service_count + 1);
	const char *nearest = NULL;
	size_t count = 0;

	for (size_t i = 0; names && i < model->service_count; i++) {
		names[count++] = model->services[i].name;
		names[count++] = model->services[i].host;
	}
	if (names)
		nearest = name_nearest(typed, names, count);
	if (nearest)
		return cli_fail(cli, CLI_REFUSED,
				"there is no service \"%s\"; the nearest is \"%s\"", typed,
				nearest);
	return cli_fail(cli, CLI_REFUSED,
			"there is no service \"%s\"; `sluice get services` lists what there is",
			typed);
}

int cli_service(struct cli *cli, const struct model *model, const char *typed,
		struct service **ret_service)
{
	int err = model_service_resolve(model, typed, ret_service);

	if (err == -ENOTUNIQ)
		return service_ambiguous(cli, model, typed);
	return err ? service_unknown(cli, model, typed) : CLI_DONE;
}
