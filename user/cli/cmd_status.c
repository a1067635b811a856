// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <string.h>
#include <sys/utsname.h>

struct status {
	void *scratch;
	struct node *node;
	json_t *tree, *warnings;
	bool is_healthy;
};

static void warn(struct status *status, bool is_ill, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void warn(struct status *status, bool is_ill, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = talloc_vasprintf(status->scratch, format, args);
	va_end(args);
	json_array_append_new(status->warnings, json_text(text));
	if (is_ill)
		status->is_healthy = false;
}

static json_t *word_or_null(const char *word)
{
	return *word ? json_text(word) : json_null();
}

/* What this kernel has of what the data plane would like, and what is done in its place. */
static void features_collect(struct status *status)
{
	struct kernel_feature list[KERNEL_FEATURES];
	size_t count = kernel_features(list);
	json_t *features = json_array();
	struct utsname kernel = {};

	uname(&kernel);
	json_object_set_new(status->tree, "kernel", json_text(kernel.release));
	for (size_t i = 0; i < count; i++)
		json_array_append_new(features, json_pack("{s:s, s:s, s:b, s:o}", "feature",
							  list[i].name, "since", list[i].since,
							  "there", list[i].is_there, "fallback",
							  list[i].is_there || !list[i].without
								  ? json_null()
								  : json_text(list[i].without)));
	json_object_set_new(status->tree, "features", features);
}

static void devices_collect(struct status *status)
{
	struct kernel_device *list = NULL;
	json_t *devices = json_array();
	size_t count = 0;

	if (kernel_devices(status->scratch, status->node->kernel, &list, &count))
		warn(status, false, "cannot list the devices");
	for (size_t i = 0; i < count; i++) {
		const struct kernel_device *device = &list[i];

		json_array_append_new(
			devices,
			json_pack("{s:o, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:b}", "device",
				  json_text(device->name), "ifindex", (json_int_t)device->ifindex,
				  "door", device->door, "tc_hook", device->tc_hook, "tc_by",
				  device->tc_by, "xdp_mode", word_or_null(device->xdp_mode),
				  "xdp_place", word_or_null(device->xdp_place), "xdp_by",
				  word_or_null(device->xdp_by), "xdp_target", device->xdp_target,
				  "to_peer", device->to_peer));
	}
	if (!count)
		warn(status, false, "no device has a door: no packet is split");
	json_object_set_new(status->tree, "devices", devices);
}

/* Whether the doors remember routes, and what keeps them from it. */
static void routes_collect(struct status *status)
{
	const char *off = kernel_routes_off(status->node->kernel);

	json_object_set_new(status->tree, "route_cache", json_boolean(!off));
	json_object_set_new(status->tree, "route_cache_off_by", off ? json_text(off) : json_null());
}

static void fill_collect(struct status *status)
{
	struct kernel_fill fills[KERNEL_FILLS] = { 0 };
	size_t count = kernel_fill(status->node->kernel, true, fills);
	json_t *maps = json_array();

	for (size_t i = 0; i < count && i < KERNEL_FILLS; i++) {
		double part = fills[i].size ? (double)fills[i].used / fills[i].size : 0;

		json_array_append_new(maps, json_pack("{s:s, s:I, s:I, s:f}", "map", fills[i].map,
						      "used", (json_int_t)fills[i].used, "size",
						      (json_int_t)fills[i].size, "fill", part));
		/*
		 * The directory of revisions is always full, sooner or later: the oldest makes
		 * room.
		 */
		if (part >= 0.9 && strcmp(fills[i].map, "revisions"))
			warn(status, false, "the map %s is %.0f %% full", fills[i].map, 100 * part);
	}
	json_object_set_new(status->tree, "maps", maps);
}

static void revisions_collect(struct status *status, const uint8_t **ret_digest)
{
	static struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(status->node->kernel, hot);
	json_t *list = json_array();

	*ret_digest = NULL;
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, json_integer(hot[i].number));
		if (hot[i].number == kernel_obeyed(status->node->kernel))
			*ret_digest = hot[i].digest;
	}
	json_object_set_new(status->tree, "hot_revisions", list);
}

static void pointers_compare(struct status *status)
{
	const struct kernel *kernel = status->node->kernel;
	uint32_t active = kernel_active(kernel), obeyed = kernel_obeyed(kernel);
	uint32_t disk = 0, previous = 0;

	store_active(status->node->store, &disk, &previous);
	json_object_set_new(status->tree, "active_revision", json_integer(active));
	json_object_set_new(status->tree, "obeyed_revision", json_integer(obeyed));
	json_object_set_new(status->tree, "disk_revision", json_integer(disk));
	json_object_set_new(status->tree, "previous_revision", json_integer(previous));
	if (active != obeyed)
		warn(status, true,
		     "the active word says %u, which is not hot: the doors obey revision %u",
		     active, obeyed);
	else if (disk != active)
		warn(status, false,
		     "the kernel obeys revision %u, the disk says %u: flipped by hand; the "
		     "kernel counts, and the next change or the agent writes it down",
		     active, disk);
}

static void digest_compare(struct status *status, const uint8_t *digest)
{
	struct store_revision revision;
	_cleanup_talloc_ struct diags *unheard = diags_new(NULL);

	if (digest)
		json_object_set_new(status->tree, "digest", json_digest(digest));
	if (!status->node->active || !digest)
		return;
	if (store_load(status->node->store, status->scratch, status->node->active, unheard,
		       &revision))
		warn(status, true, "revision %u is not on disk, or damaged there",
		     status->node->active);
	else if (memcmp(revision.digest, digest, STORE_DIGEST_SIZE))
		warn(status, true, "revision %u has another digest on disk than in the kernel",
		     status->node->active);
}

/* Whether the tables are what the active revision and the endpoints want. */
static void drift_collect(struct status *status)
{
	struct node *node = status->node;
	_cleanup_talloc_ struct diags *found = diags_new(NULL), *unheard = diags_new(NULL);
	json_t *drift = json_array();
	struct plan *plan;
	int count = 0;

	json_object_set_new(status->tree, "drift", drift);
	if (!node->active || !found || !unheard)
		return;
	if (node->has_lost_endpoints) {
		warn(status, true,
		     "the endpoints of this node are lost; the data plane goes on with those that "
		     "it has, and changes are refused until the whole configuration is applied "
		     "(sluice apply --replace -f ...) or endpoints.yaml is back");
		return;
	}
	count = node_plan(node, status->scratch, unheard, &plan);
	if (!count)
		count = kernel_audit(node->kernel, plan, node->active, false, found);
	if (count < 0)
		warn(status, true, "cannot compare the tables: %s", strerror(-count));
	for (size_t i = 0; i < found->count && count > 0; i++)
		json_array_append_new(drift, json_text(found->list[i].text));
	if (count > 0)
		warn(status, true,
		     "%d table%s differ%s from what they should be (drift); sluiced repairs them",
		     count, count == 1 ? "" : "s", count == 1 ? "s" : "");
}

static void collect(struct cli *cli, struct status *status)
{
	const uint8_t *digest;

	json_object_set_new(
		status->tree, "state_dir",
		json_text(cli->node.state_dir ? cli->node.state_dir : STORE_DIR_DEFAULT));
	json_object_set_new(status->tree, "pin_dir",
			    json_text(cli->node.pin_dir ? cli->node.pin_dir : SL_PIN_DIR));
	json_object_set_new(status->tree, "data_plane", json_boolean(status->node->kernel != NULL));
	json_object_set_new(status->tree, "services",
			    json_integer((json_int_t)status->node->model->service_count));
	features_collect(status);
	if (!status->node->kernel) {
		json_object_set_new(status->tree, "disk_revision",
				    json_integer(status->node->active));
		warn(status, true,
		     "no data plane on this node: start sluiced, or look with --pins");
		return;
	}
	pointers_compare(status);
	revisions_collect(status, &digest);
	digest_compare(status, digest);
	devices_collect(status);
	routes_collect(status);
	fill_collect(status);
	drift_collect(status);
}

static int show(struct cli *cli, const struct status *status)
{
	static const struct column fields[] = {
		{ "healthy", "healthy", COLUMN_STATE },
		{ "data plane", "data_plane", COLUMN_STATE },
		{ "active revision", "active_revision", COLUMN_PLAIN },
		{ "on disk", "disk_revision", COLUMN_PLAIN },
		{ "previous", "previous_revision", COLUMN_PLAIN },
		{ "digest", "digest", COLUMN_SHORT },
		{ "hot revisions", "hot_revisions", COLUMN_PLAIN },
		{ "services", "services", COLUMN_PLAIN },
		{ "route cache", "route_cache", COLUMN_PLAIN },
		{ "route cache off by", "route_cache_off_by", COLUMN_PLAIN },
		{ "state folder", "state_dir", COLUMN_PLAIN },
		{ "pins", "pin_dir", COLUMN_PLAIN },
		{ "kernel", "kernel", COLUMN_PLAIN },
	};
	static const struct column devices[] = {
		{ "DEVICE", "device", COLUMN_PLAIN },
		{ "DOOR", "door", COLUMN_PLAIN },
		{ "TC", "tc_hook", COLUMN_PLAIN },
		{ "BY", "tc_by", COLUMN_PLAIN },
		{ "XDP", "xdp_mode", COLUMN_PLAIN },
		{ "PLACE", "xdp_place", COLUMN_PLAIN },
		{ "BY", "xdp_by", COLUMN_PLAIN },
		{ "XDP TARGET", "xdp_target", COLUMN_PLAIN },
		{ "TO PEER", "to_peer", COLUMN_PLAIN },
	};
	static const struct column features[] = {
		{ "FEATURE", "feature", COLUMN_PLAIN },
		{ "SINCE LINUX", "since", COLUMN_PLAIN },
		{ "HERE", "there", COLUMN_STATE },
		{ "INSTEAD", "fallback", COLUMN_PLAIN },
	};
	static const struct column maps[] = {
		{ "MAP", "map", COLUMN_PLAIN },
		{ "USED", "used", COLUMN_PLAIN },
		{ "SIZE", "size", COLUMN_PLAIN },
		{ "FILL", "fill", COLUMN_PERCENT },
	};
	static const struct section sections[] = {
		SECTION(NULL, NULL, NULL, fields),
		SECTION("devices", "devices", NULL, devices),
		SECTION("features", "kernel", NULL, features),
		SECTION("maps", "maps", NULL, maps),
	};
	size_t i;
	json_t *line;

	json_array_foreach(status->warnings, i, line)
	{
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL, "%s", json_string_value(line));
	}
	json_array_foreach(json_object_get(status->tree, "drift"), i, line)
	{
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL, "%s", json_string_value(line));
	}
	return output_print(cli, status->tree, sections, ARRAY_SIZE(sections));
}

static int status_run(struct cli *cli)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_json_ json_t *tree = json_object();
	struct status status = {
		.scratch = scratch,
		.tree = tree,
		.warnings = json_array(),
		.is_healthy = true,
	};
	int exit;

	cli->node.steady = true; /* what is compared here is written one after the other */
	exit = cli_open(cli, scratch, NODE_READ, &status.node);

	json_object_set_new(tree, "healthy", json_true());
	json_object_set_new(tree, "warnings", status.warnings);
	if (exit)
		return exit;
	collect(cli, &status);
	json_object_set_new(tree, "healthy", json_boolean(status.is_healthy));
	exit = show(cli, &status);
	return exit || status.is_healthy ? exit : CLI_FAILED;
}

const struct command command_status = {
	.name = "status",
	.usage = "[-o table|json|yaml]",
	.summary = "Say how the data plane of this node is",
	.text = "Devices and their doors, the active revision, whether routes are remembered,\n"
		"how full the maps are, and whether the tables are what they should be. A\n"
		"change under way is waited for, a second at most (--timeout). Exit code 0:\n"
		"healthy; 1: no data plane, or drift.",
	.example = "sluice status\n"
		   "sluice status -o json | jq .active_revision",
	.run = status_run,
};
