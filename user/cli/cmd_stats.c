// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "get.h"
#include "measure.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static const char *const door_names[SL_DOOR_COUNT] = {
	[SL_DOOR_XDP] = "xdp",
	[SL_DOOR_TC] = "tc",
	[SL_DOOR_OUT] = "out",
};
static const char *const counter_names[SL_COUNTER_COUNT] = {
#define SL_X(name) #name,
	SL_VERDICTS(SL_X) SL_NOTES(SL_X)
#undef SL_X
};

/* What the counters said at one moment; of the version indices, those that are free have zeros. */
struct snapshot {
	struct timespec when;
	struct sl_counters doors[SL_DOOR_COUNT];
	struct sl_stats *versions;
	char (*keys)[SL_VERSION_KEY_MAX + 1]; /* as the kernel has them */
	uint32_t version_count;
};

static int snapshot_take(void *parent, const struct kernel *kernel, struct snapshot *ret_snapshot)
{
	uint32_t limit = kernel_version_limit(kernel);
	struct snapshot now = {
		.versions = talloc_zero_array(parent, struct sl_stats, limit),
		.keys = talloc_zero_size(parent, (size_t)limit * sizeof(*now.keys)),
		.version_count = limit,
	};
	int err;

	if (!now.versions || !now.keys)
		return -ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &now.when);
	err = kernel_counters(kernel, now.doors);
	for (uint32_t i = 0; !err && i < limit; i++) {
		if (!kernel_version(kernel, i)->used)
			continue;
		memcpy(now.keys[i], kernel_version(kernel, i)->key, SL_VERSION_KEY_MAX);
		err = kernel_stats(kernel, i, &now.versions[i]);
	}
	if (!err)
		*ret_snapshot = now;
	return err;
}

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static uint64_t counter_of(const struct snapshot *snapshot, int door, size_t counter)
{
	return ((const __u64 *)&snapshot->doors[door])[counter];
}

static void rate_set(json_t *row, const char *name, uint64_t before, uint64_t now, double seconds)
{
	/* A place that was given to another version counts from 0 again. */
	uint64_t more = now >= before ? now - before : now;

	json_object_set_new(row, name, json_real(seconds > 0 ? (double)more / seconds : 0));
}

static json_t *counters_tree(const struct snapshot *before, const struct snapshot *now,
			     bool has_all)
{
	json_t *list = json_array();

	for (size_t c = 0; c < SL_COUNTER_COUNT; c++) {
		uint64_t total = 0, total_before = 0;
		json_t *row = json_pack("{s:s, s:s}", "counter", counter_names[c], "kind",
					c < SL_VERDICT_COUNT ? "verdict" : "note");

		for (int door = 0; door < SL_DOOR_COUNT; door++) {
			uint64_t count = counter_of(now, door, c);

			total += count;
			total_before += before ? counter_of(before, door, c) : 0;
			json_object_set_new(row, door_names[door], json_integer((json_int_t)count));
		}
		if (before)
			rate_set(row, "per_second", total_before, total,
				 seconds_between(&before->when, &now->when));
		if (total || has_all)
			json_array_append(list, row);
		json_decref(row);
	}
	return list;
}

/* Between two moments, or since the beginning when there is no earlier one of this version. */
static void handshakes_set(json_t *row, const struct sl_stats *before, const struct sl_stats *now)
{
	__u64 buckets[SL_HANDSHAKE_BUCKETS];
	double p50, p99;

	for (unsigned i = 0; i < SL_HANDSHAKE_BUCKETS; i++) {
		__u64 old = before ? before->handshake_us[i] : 0;

		buckets[i] = now->handshake_us[i] >= old ? now->handshake_us[i] - old
							 : now->handshake_us[i];
	}
	p50 = handshake_quantile(buckets, 0.5);
	p99 = handshake_quantile(buckets, 0.99);
	json_object_set_new(row, "handshake_p50_us", p50 < 0 ? json_null() : json_real(p50));
	json_object_set_new(row, "handshake_p99_us", p99 < 0 ? json_null() : json_real(p99));
}

static json_t *version_tree(const struct sl_stats *stats, const char *key)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "key", key, "opened",
			 (json_int_t)stats->opened, "closed", (json_int_t)stats->closed, "refused",
			 (json_int_t)stats->refused, "reset", (json_int_t)stats->reset,
			 "packets_in", (json_int_t)stats->packets_in, "bytes_in",
			 (json_int_t)stats->bytes_in, "packets_out", (json_int_t)stats->packets_out,
			 "bytes_out", (json_int_t)stats->bytes_out);
}

/* What the active revision calls each version index; NULL where it is another revision's. */
static const struct plan_version **names_find(const struct view *view)
{
	const struct kernel *kernel = view->node->kernel;
	uint32_t limit = kernel_version_limit(kernel), index;
	const struct plan_version **names =
		talloc_zero_array(view->scratch, const struct plan_version *, limit);

	for (size_t i = 0; names && i < view->plan->version_count; i++) {
		const struct plan_version *version = &view->plan->versions[i];

		if (!kernel_version_find(kernel, version->key, &index))
			names[index] = version;
	}
	return names;
}

/*
 * The key is the plan's where there is one, since the kernel cuts long ones. Returns whether it is
 * of the host asked for.
 */
static bool names_set(const struct view *view, const struct plan_version *version, const char *cut,
		      json_t *row)
{
	struct version_key key = version_key_split(view->scratch, version ? version->key : cut);
	const char *service = version ? version->service
				      : cli_host_title(view->scratch, view->node->model, key.host);
	const char *name = version ? version->name : key.subset && *key.subset ? key.subset : "-";

	json_object_set_new(row, "service", json_text(service));
	json_object_set_new(row, "version", json_text(name));
	json_object_set_new(row, "port", json_text(key.port));
	json_object_set_new(row, "in_active_revision", json_boolean(version != NULL));
	return !view->host || (key.host && !strcmp(view->host, key.host));
}

static json_t *versions_tree(const struct view *view, const struct snapshot *before,
			     const struct snapshot *now)
{
	const struct plan_version **names = names_find(view);
	json_t *list = json_array();

	for (uint32_t i = 0; names && i < now->version_count; i++) {
		const struct sl_stats *stats = &now->versions[i], *old = NULL;
		json_t *row;

		if (!*now->keys[i])
			continue;
		row = version_tree(stats, now->keys[i]);
		if (before && i < before->version_count && !strcmp(before->keys[i], now->keys[i]))
			old = &before->versions[i];
		if (before)
			rate_set(row, "opened_per_second", old ? old->opened : 0, stats->opened,
				 seconds_between(&before->when, &now->when));
		handshakes_set(row, old, stats);
		if (names_set(view, names[i], now->keys[i], row))
			json_array_append(list, row);
		json_decref(row);
	}
	return list;
}

static const struct column counter_columns[] = {
	{ "COUNTER", "counter", COLUMN_PLAIN }, { "XDP", "xdp", COLUMN_PLAIN },
	{ "TC", "tc", COLUMN_PLAIN },           { "OUT", "out", COLUMN_PLAIN },
	{ "RATE", "per_second", COLUMN_RATE },
};
static const struct column version_columns[] = {
	{ "SERVICE", "service", COLUMN_PLAIN },   { "VERSION", "version", COLUMN_PLAIN },
	{ "PORT", "port", COLUMN_PLAIN },         { "OPENED", "opened", COLUMN_PLAIN },
	{ "CLOSED", "closed", COLUMN_PLAIN },     { "REFUSED", "refused", COLUMN_PLAIN },
	{ "RESET", "reset", COLUMN_PLAIN },       { "IN", "bytes_in", COLUMN_BYTES },
	{ "OUT", "bytes_out", COLUMN_BYTES },     { "P50", "handshake_p50_us", COLUMN_US },
	{ "P99", "handshake_p99_us", COLUMN_US }, { "RATE", "opened_per_second", COLUMN_RATE },
};

/* The rates are each table's last column: without an earlier moment it falls away. */
static int stats_show(struct cli *cli, const json_t *tree, bool has_rates)
{
	const struct section sections[] = {
		{ "counters", NULL, "no packet has been seen", counter_columns,
		  ARRAY_SIZE(counter_columns) - !has_rates },
		{ "versions", "versions", NULL, version_columns,
		  ARRAY_SIZE(version_columns) - !has_rates },
	};

	return output_print(cli, tree, sections, ARRAY_SIZE(sections));
}

struct stats {
	void *memory; /* of what is kept from one round to the next */
	struct snapshot before;
	bool has_before;
};

static int view_open(struct cli *cli, struct view *view)
{
	_cleanup_talloc_ struct diags *unheard = diags_new(NULL);
	size_t errors = cli->diags->errors;
	struct service *service;
	int exit = cli_open(cli, view->scratch, NODE_READ, &view->node), err;

	if (!exit && !view->node->kernel)
		exit = cli_fail(cli, CLI_FAILED, "no data plane on this node: nothing is counted");
	if (!exit && cli->args.word_count) {
		exit = cli_service(cli, view->node->model, cli->args.words[0], &service);
		view->host = exit ? NULL : service->host;
	}
	if (exit)
		return exit;
	err = node_plan(view->node, view->scratch, unheard, &view->plan);
	return err ? cli_failed(cli, err, errors, "cannot work out the plan") : CLI_DONE;
}

static int view_show(struct cli *cli, const struct view *view, const struct snapshot *before,
		     const struct snapshot *now, bool is_watching)
{
	bool has_all = args_has(&cli->args, "all");
	_cleanup_json_ json_t *tree = json_pack(
		"{s:I, s:o, s:o}", "revision", (json_int_t)view->node->active, "counters",
		counters_tree(before, now, has_all), "versions", versions_tree(view, before, now));

	if (is_watching && cli->is_terminal && output_is_table(cli))
		printf("\033[H\033[J");
	return stats_show(cli, tree, before != NULL);
}

/*
 * Opened anew each time: a watcher must see a changed configuration, and that the data plane is
 * gone.
 */
static int round_run(struct cli *cli, struct stats *stats, bool is_watching)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL), *memory = talloc_new(NULL);
	struct view view = { .cli = cli, .scratch = scratch };
	struct snapshot now;
	int exit = view_open(cli, &view), err;

	if (exit)
		return exit;
	err = snapshot_take(memory, view.node->kernel, &now);
	if (err)
		return cli_fail(cli, CLI_FAILED, "cannot read the counters: %s", strerror(-err));
	exit = view_show(cli, &view, stats->has_before ? &stats->before : NULL, &now, is_watching);
	talloc_free(stats->memory);
	*stats = (struct stats){ TAKE_PTR(memory), now, true };
	return exit;
}

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

static int watch(struct cli *cli, struct stats *stats, double seconds)
{
	const struct sigaction action = { .sa_handler = interrupt };
	const struct timespec pause = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};
	int exit = CLI_DONE;

	/* Without SA_RESTART, so that the sleep ends with it. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!is_interrupted && !exit) {
		exit = round_run(cli, stats, true);
		if (!exit && !is_interrupted)
			nanosleep(&pause, NULL);
		if (!cli->is_terminal && !is_interrupted && output_is_table(cli))
			printf("\n");
	}
	return exit;
}

static int stats_run(struct cli *cli)
{
	const char *text = args_value(&cli->args, "watch");
	struct stats stats = { 0 };
	double seconds = 1;
	char *end;
	int exit;

	if (text && *text) {
		seconds = strtod(text, &end);
		/* The comparisons are such that "nan" fails them. */
		if (*end || !(seconds >= 0.1 && seconds <= 86400))
			return cli_fail(cli, CLI_USAGE,
					"--watch \"%s\"; allowed are 0.1 to 86400 seconds", text);
	}
	exit = text ? watch(cli, &stats, seconds) : round_run(cli, &stats, false);
	talloc_free(stats.memory);
	return exit;
}

static const struct option options[] = {
	{ "watch", 'w', "[SECONDS]", "again and again with rates, until interrupted (default: 1)" },
	{ "all", 'a', NULL, "counters that are zero as well" },
};

const struct command command_stats = {
	.name = "stats",
	.usage = "[SERVICE] [--watch [SECONDS]] [--all]",
	.summary = "Print what the kernel counted: verdicts by door, connections by version",
	.text = "The doors are xdp and tc (packets that come in) and out (replies that\n"
		"leave). P50 and P99 are of the time that an endpoint takes to answer a\n"
		"SYN, out of a histogram with powers of two. With --watch they are of the\n"
		"last interval.",
	.example = "sluice stats\n"
		   "sluice stats reviews --watch 2\n"
		   "sluice stats --all -o json",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.words_max = 1,
	.flags = COMMAND_SERVICES,
	.run = stats_run,
};
