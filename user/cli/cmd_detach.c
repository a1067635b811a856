// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static inline void cleanup_kernel_p(struct kernel **kernel)
{
	if (*kernel)
		kernel_close(*kernel);
}

static inline void cleanup_closedir_p(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static const char *pin_dir(const struct cli *cli)
{
	return cli->node.pin_dir ? cli->node.pin_dir : SL_PIN_DIR;
}

/*
 * Names below the pins' folder, without somebody else's; what is pinned there needs not be
 * openable. All that is in a folder of ours is ours.
 */
static int pins_list(struct cli *cli, const char *path, bool is_ours, json_t *list)
{
	__attribute__((cleanup(cleanup_closedir_p))) DIR *dir = opendir(path);
	struct dirent *entry;
	int exit = CLI_DONE;

	if (!dir && errno == ENOENT)
		return CLI_DONE;
	if (!dir)
		return cli_fail(cli, CLI_FAILED, "cannot look below %s: %s", path, strerror(errno));
	while (!exit && (entry = readdir(dir))) {
		_cleanup_talloc_ char *child = talloc_asprintf(NULL, "%s/%s", path, entry->d_name);
		struct stat status;

		if (!child || entry->d_name[0] == '.' ||
		    (!is_ours && !kernel_is_pin(path, entry->d_name)))
			continue;
		if (lstat(child, &status))
			exit = errno == ENOENT ? CLI_DONE
					       : cli_fail(cli, CLI_FAILED, "cannot look at %s: %s",
							  child, strerror(errno));
		else if (S_ISDIR(status.st_mode))
			exit = pins_list(cli, child, true, list);
		else
			json_array_append_new(list, json_text(child));
	}
	return exit;
}

static json_t *devices_tree(const char *pins)
{
	__attribute__((cleanup(cleanup_kernel_p))) struct kernel *kernel = NULL;
	_cleanup_talloc_ struct kernel_device *list = NULL;
	json_t *devices = json_array();
	size_t count = 0;

	if (kernel_open(pins, &kernel) || kernel_devices(NULL, kernel, &list, &count))
		count = 0;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(devices, json_text(list[i].name));
	return devices;
}

static int lock(struct cli *cli, void *scratch)
{
	_cleanup_talloc_ struct diags *unheard = diags_new(NULL);
	size_t errors = cli->diags->errors;
	unsigned timeout_ms = cli->node.timeout_ms ? cli->node.timeout_ms : NODE_TIMEOUT_MS;
	struct store *store;
	int err = store_open(scratch, cli->node.state_dir, false, unheard, &store);

	err = err ? err : store_lock(store, timeout_ms, "detach", cli->diags);
	/* No state folder, nobody to wait for. */
	if (err == -ENOENT)
		return CLI_DONE;
	return err ? cli_failed(cli, err, errors, "cannot take the lock") : CLI_DONE;
}

static void show(const struct cli *cli, const json_t *tree)
{
	const json_t *devices = json_object_get(tree, "devices");
	const json_t *pins = json_object_get(tree, "pins"), *name;
	const char *verb = cli->is_dry_run ? "would be " : "";
	size_t i;

	json_array_foreach((json_t *)devices, i, name)
	{
		printf("%sdetached: %s\n", verb, json_string_value(name));
	}
	for (i = 0; cli->is_dry_run && i < json_array_size(pins); i++)
		printf("%sremoved: %s\n", verb, json_string_value(json_array_get(pins, i)));
	if (!json_array_size(pins))
		printf("there was no data plane below %s\n", pin_dir(cli));
	else if (!cli->is_dry_run)
		printf("%zu pins removed; packets pass as if Sluice had never been\n",
		       json_array_size(pins));
}

static int detach_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_json_ json_t *tree = NULL;
	json_t *pins = json_array();
	size_t errors;
	int exit = cli->is_dry_run ? CLI_DONE : lock(cli, scratch), err = 0;

	/* What cannot be seen is not nothing: who lacks a privilege would take it for done. */
	if (!exit)
		exit = pins_list(cli, pin_dir(cli), false, pins);
	tree = json_pack("{s:b, s:o, s:o}", "dry_run", cli->is_dry_run, "devices",
			 devices_tree(pin_dir(cli)), "pins", pins);
	if (exit)
		return exit;
	errors = cli->diags->errors;
	if (!cli->is_dry_run)
		err = kernel_detach_all(cli->node.pin_dir, cli->diags);
	if (err)
		return cli_failed(cli, err, errors, "cannot detach");
	if (!output_is_table(cli))
		return output_tree(cli, tree);
	show(cli, tree);
	return CLI_DONE;
}

const struct command command_detach = {
	.name = "detach",
	.usage = "[--dry-run]",
	.summary = "Take the data plane off this node: detach every door, remove every pin",
	.text = "Asks nothing. Revisions and endpoints stay on disk; a sluiced that starts\n"
		"later brings them back. Connections that are split at this moment lose\n"
		"their way: packets pass untouched.",
	.example = "sluice detach --dry-run   # what would go\n"
		   "sluice detach",
	.flags = COMMAND_CHANGES,
	.run = detach_run,
};
