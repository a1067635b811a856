// SPDX-License-Identifier: Apache-2.0
/*
 * Packet cost: what one packet costs in Sluice's programs and in the floors, in ns of CPU time, by
 * BPF_PROG_RUN. Every round measures every row once, so that a machine that drifts drifts for all;
 * a ratio is taken within a round.
 */
#include "packet_rows.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <sys/utsname.h>
#include <time.h>

#define ROUNDS_MAX 99
#define WARM_PACKETS 10000
#define GOOD_SHARE 0.999 /* of a row's packets must get its verdict, or the row is void */

static struct options {
	__u32 rounds, repeat, pause_s; /* between rounds, for those who share the machine */
	const char *prefix, *json;
} options = { .rounds = 7, .repeat = 1000000, .prefix = "", .json = "build/bench/packet.json" };

struct result {
	double gross[ROUNDS_MAX], net[ROUNDS_MAX], ratio[ROUNDS_MAX];
	bool is_chosen;
};
static struct result results[ROWS];

struct spread {
	double median, min, max;
};

/* --- one run --- */

static int target_fd(const struct row *row, __u32 target)
{
	const struct packet_floor *floor = floors[target < T_SLUICE ? row->scene : SCENE_FLOOR];
	const struct bpf_program *programs[][2] = {
		[T_EMPTY] = { floor->progs.empty_xdp, floor->progs.empty_tc },
		[T_SEND] = { floor->progs.send_xdp, floor->progs.send_tc },
		[T_SERVICE] = { floor->progs.service_xdp, floor->progs.service_tc },
		[T_FLOW] = { floor->progs.flow_xdp, floor->progs.flow_tc },
		[T_BOTH] = { floor->progs.both_xdp, floor->progs.both_tc },
		[T_INSERT] = { floor->progs.insert_xdp, floor->progs.insert_tc },
		[T_FILL] = { floor->progs.fill_xdp, floor->progs.fill_tc },
	};

	if (target < T_SLUICE)
		return bpf_program__fd(programs[target][row->door == TC]);
	return door_fd(&worlds[row->scene], target == T_SLUICE_OUT ? SL_DOOR_OUT : row->door);
}

/* What the kernel makes of the last packet is enough: every packet's verdict is counted besides. */
static void run_check(const struct row *row, __u32 target, __u32 code)
{
	bool is_xdp = row->door == XDP;
	__u32 back = is_xdp ? XDP_TX : TC_ACT_REDIRECT, pass = is_xdp ? XDP_PASS : TC_ACT_OK;
	__u32 wanted = target == T_EMPTY   ? pass
		       : target < T_SLUICE ? back
					   : verdict_code(row->door, row->verdict);

	__u64 missed = target < T_SLUICE ? floors[row->scene]->bss->missed : 0;

	if (code == wanted && !missed)
		return;
	fprintf(stderr, "%s: returned %d, not %d, and the floors missed %llu\n", row->id, (int)code,
		(int)wanted, (unsigned long long)missed);
	exit(1);
}

/* CPU time of this thread alone, so that what else runs is not counted; ns a packet. */
static double run_timed(int door_type, struct bpf_test_run_opts *opts)
{
	int fd = bpf_program__fd(door_type == XDP ? gen->progs.make_xdp : gen->progs.make_tc);
	struct timespec before, after;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	if (bpf_prog_test_run_opts(fd, opts))
		world_die("run a program");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	return ((after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec)) /
	       opts->repeat;
}

/* So many packets of a row's stream, in `direction`, through `target`. */
static double run_stream(const struct row *row, __u32 target, enum direction direction,
			 bool is_mixed, __u32 repeat)
{
	__u32 link = direction == FROM_LONE ? LINK_ENDPOINT : LINK_CLIENT;
	__u32 ifindex = if_nametoindex(node_links[link].name), zero = 0;
	struct xdp_md xdp = { .ingress_ifindex = ifindex, .data_end = PACKET_SIZE };
	struct __sk_buff skb = { .ifindex = ifindex };
	int fd = target_fd(row, target);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = gen->bss->stream.frame,
		    .data_size_in = PACKET_SIZE, .repeat = repeat);
	double ns;

	stream_set(&gen->bss->stream, row->family, row->protocol, direction, row->flows);
	gen->bss->stream.is_mixed = is_mixed;
	if (bpf_map_update_elem(
		    bpf_map__fd(row->door == XDP ? gen->maps.xdp_target : gen->maps.tc_target),
		    &zero, &fd, BPF_ANY))
		world_die("set the program under test");
	opts.ctx_in = row->door == XDP ? (void *)&xdp : (void *)&skb;
	opts.ctx_size_in = row->door == XDP ? sizeof(xdp) : sizeof(skb);
	ns = run_timed(row->door, &opts);
	if (is_mixed)
		run_check(row, target, opts.retval);
	return ns;
}

/* --- one row --- */

/* Insertions are measured into a table full of their like, where each has to push another out: in a
 * flood it is never otherwise. */
static void table_fill(const struct row *row)
{
	static int filled_with[SCENE_COUNT];
	struct kernel_settings settings = KERNEL_SETTINGS_DEFAULT;
	__u32 entries = settings.flows;

	if (filled_with[row->scene] == row->protocol)
		return;
	filled_with[row->scene] = row->protocol;
	if (row->scene >= SCENE_STACK) {
		world_flows_clear(&worlds[row->scene]);
		entries *= 2; /* twice as much room, and two ways a connection */
	}
	run_stream(row, row->target, row->direction, true, entries + entries / 8);
}

/* Established flows have been answered, and so outlive those that have not. */
static void flows_answer(const struct world *world)
{
	for (__u64 i = 0; i < (world->settings.flow_mask + 1ull) * SL_WAYS; i++)
		if (world->ways[i].tag > SL_WAY_TAKEN)
			world->ways[i].word |= SL_FLOW_ANSWERED;
}

/* Every flow in the table, as one that has been answered; twice, for those that gave way before. */
static void flows_warm(const struct row *row, __u32 target, enum direction direction, __u32 count)
{
	for (int i = 0; i < 2; i++) {
		run_stream(row, target, direction, false, count);
		if (row->scene < SCENE_STACK)
			return;
		flows_answer(&worlds[row->scene]);
	}
}

/*
 * Unmeasured, before each measured run: every flow is in the table and was seen within the second.
 * Replies need their connections opened first.
 */
static void row_warm(const struct row *row, __u32 round)
{
	__u32 count = row->flows > WARM_PACKETS ? row->flows : WARM_PACKETS;

	if (!row->flows) {
		table_fill(row);
		run_stream(row, row->target, row->direction, true, WARM_PACKETS);
		return;
	}
	if (row->scene < SCENE_STACK && !round)
		run_stream(row, T_FILL, row->direction, false, count);
	if (row->scene >= SCENE_STACK) /* a row meets its own flows alone */
		world_flows_clear(&worlds[row->scene]);
	if (row->direction == FROM_LONE)
		flows_warm(row, T_SLUICE, TO_LONE, count);
	flows_warm(row, row->target, row->direction, count);
}

static __u32 row_counters(const struct row *row)
{
	return row->target == T_SLUICE_OUT ? SL_DOOR_OUT : row->door;
}

static void verdicts_check(const struct row *row, const __u64 *before, const __u64 *after)
{
	__u64 got = after[row->verdict] - before[row->verdict];

	if (got >= options.repeat * GOOD_SHARE)
		return;
	fprintf(stderr, "%s: of %u packets only %llu were counted as %s, but:\n", row->id,
		options.repeat, (unsigned long long)got, counter_names[row->verdict]);
	for (int i = 0; i < SL_COUNTER_COUNT; i++)
		if (after[i] != before[i])
			fprintf(stderr, "  %s %llu\n", counter_names[i],
				(unsigned long long)(after[i] - before[i]));
	exit(1);
}

static double row_measure(const struct row *row, __u32 round)
{
	__u64 before[SL_COUNTER_COUNT], after[SL_COUNTER_COUNT];
	double ns;

	row_warm(row, round);
	if (row->verdict == RETURNS)
		return run_stream(row, row->target, row->direction, true, options.repeat);
	counters_read(&worlds[row->scene], row_counters(row), before);
	ns = run_stream(row, row->target, row->direction, true, options.repeat);
	counters_read(&worlds[row->scene], row_counters(row), after);
	verdicts_check(row, before, after);
	return ns;
}

/* --- all --- */

static size_t row_index(const char *id)
{
	for (size_t i = 0; i < ROWS; i++)
		if (!strcmp(rows[i].id, id))
			return i;
	fprintf(stderr, "no row is called %s\n", id);
	exit(1);
}

static size_t empty_of(const struct row *row)
{
	return row_index(row->door == XDP ? "xdp/empty" : "tc/empty");
}

/* A row brings what it is compared with. */
static void row_choose(size_t at)
{
	results[at].is_chosen = true;
	results[empty_of(&rows[at])].is_chosen = true;
	if (rows[at].against && !results[row_index(rows[at].against)].is_chosen)
		row_choose(row_index(rows[at].against));
}

static void round_run(__u32 round)
{
	for (size_t i = 0; i < ROWS; i++)
		if (results[i].is_chosen)
			results[i].gross[round] = row_measure(&rows[i], round);
	for (size_t i = 0; i < ROWS; i++)
		results[i].net[round] =
			results[i].gross[round] - results[empty_of(&rows[i])].gross[round];
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].against)
			results[i].ratio[round] = results[i].net[round] /
						  results[row_index(rows[i].against)].net[round];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread spread_of(const double *values)
{
	double sorted[ROUNDS_MAX];
	__u32 n = options.rounds;

	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct spread){ (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0],
				sorted[n - 1] };
}

/* --- telling --- */

static const char *scene_title(enum scene scene)
{
	return scene < SCENE_STACK      ? "floors"
	       : scene < SCENE_REDIRECT ? "up the stack"
					: "redirect";
}

static void row_print(const struct row *row, const struct result *result)
{
	bool is_empty = row->target == T_EMPTY;
	struct spread ns = spread_of(is_empty ? result->gross : result->net);

	printf("%-16s %-48s %7.1f %7.1f %7.1f", row->id, row->sentence, ns.median, ns.min, ns.max);
	if (row->against)
		printf("  %5.2f x %-14s", spread_of(result->ratio).median, row->against);
	if (row->wanted > 0)
		printf(" <= %.2f %s", row->wanted,
		       spread_of(result->ratio).median <= row->wanted ? "held" : "MISSED");
	printf("%s\n",
	       is_empty ? "  (gross: generator, tail call and test run; taken off below)" : "");
}

static void table_print(void)
{
	const char *title = "";

	printf("ns a packet, net; %u rounds of %u packets\n\n%-16s %-48s %7s %7s %7s  %-22s %s\n",
	       options.rounds, options.repeat, "", "", "median", "min", "max", "ratio", "wanted");
	for (size_t i = 0; i < ROWS; i++) {
		char here[64];

		if (!results[i].is_chosen)
			continue;
		if (strcmp(title, scene_title(rows[i].scene)) || rows[i].target == T_EMPTY) {
			title = scene_title(rows[i].scene);
			snprintf(here, sizeof(here), "%s, %s", rows[i].door == XDP ? "XDP" : "tc",
				 title);
			printf("\n%s\n", here);
		}
		row_print(&rows[i], &results[i]);
	}
}

static json_t *json_spread(const double *values)
{
	struct spread spread = spread_of(values);
	json_t *each = json_array();

	for (__u32 i = 0; i < options.rounds; i++)
		json_array_append_new(each, json_real(round(values[i] * 1000) / 1000));
	return json_pack("{s:f, s:f, s:f, s:o}", "median", spread.median, "min", spread.min, "max",
			 spread.max, "rounds", each);
}

static json_t *json_row(const struct row *row, const struct result *result)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:s, s:o, s:o, s:o}", "id", row->id, "sentence",
		row->sentence, "program", row->door == XDP ? "xdp" : "tc", "way",
		scene_title(row->scene), "family", row->family, "protocol",
		row->protocol == IPPROTO_TCP ? "tcp" : "udp", "flows",
		row->flows ? json_integer(row->flows) : json_string("always new"), "gross_ns",
		json_spread(result->gross), "net_ns", json_spread(result->net));

	if (row->verdict != RETURNS)
		json_object_set_new(json, "verdict", json_string(counter_names[row->verdict]));
	if (row->against)
		json_object_set_new(
			json, "ratio",
			json_pack("{s:s, s:o, s:o}", "against", row->against, "times",
				  json_spread(result->ratio), "wanted",
				  row->wanted > 0 ? json_real(row->wanted) : json_null()));
	return json;
}

/* The value of a "name : value" line of a file of /proc. */
static void proc_value(const char *path, const char *name, char *ret_value, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[512], *value;

	snprintf(ret_value, size, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) || !(value = strchr(line, ':')))
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(ret_value, size, "%s", value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static json_t *json_machine(void)
{
	char cpu[128], date[32], retpolines[256] = "unknown";
	struct utsname kernel;
	time_t now = time(NULL);
	double load = -1;
	FILE *file = fopen("/sys/devices/system/cpu/vulnerabilities/spectre_v2", "re");

	if (file && fgets(retpolines, sizeof(retpolines), file))
		retpolines[strcspn(retpolines, "\n")] = 0;
	if (file)
		fclose(file);
	proc_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	uname(&kernel);
	getloadavg(&load, 1);
	return json_pack("{s:s, s:i, s:f, s:s, s:s, s:s, s:s, s:s, s:s}", "cpu", cpu, "cores",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "load", load, "spectre_v2", retpolines,
			 "kernel", kernel.release, "architecture", kernel.machine, "compiler",
			 getenv("BENCH_COMPILER") ?: "unknown", "source",
			 getenv("BENCH_SOURCE") ?: "unknown", "date", date);
}

static void json_write(void)
{
	json_t *list = json_array();
	json_t *json = json_pack("{s:s, s:i, s:i, s:o, s:o}", "benchmark", "packet cost", "rounds",
				 options.rounds, "packets", options.repeat, "machine",
				 json_machine(), "rows", list);

	for (size_t i = 0; i < ROWS; i++)
		if (results[i].is_chosen)
			json_array_append_new(list, json_row(&rows[i], &results[i]));
	if (!json || json_dump_file(json, options.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		world_die("write the JSON file");
	json_decref(json);
}

/* Per-CPU tables and the generator's counter want one CPU; the last has the fewest interrupts as a
 * rule. */
static void pin_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		world_die("stay on one CPU");
}

static void options_parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:r:p:o:w:")) != -1) {
		if (option == 'n')
			options.rounds = atoi(optarg);
		else if (option == 'r')
			options.repeat = atoi(optarg);
		else if (option == 'w')
			options.pause_s = atoi(optarg);
		else if (option == 'p')
			options.prefix = optarg;
		else if (option == 'o')
			options.json = optarg;
		else
			exit(2);
	}
	if (!options.rounds || options.rounds > ROUNDS_MAX || !options.repeat) {
		fprintf(stderr,
			"packet [-n ROUNDS, 1..%d] [-r PACKETS] [-p ROWS' PREFIX] "
			"[-w SECONDS BETWEEN ROUNDS] [-o JSON FILE]\n",
			ROUNDS_MAX);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	options_parse(argc, argv);
	for (size_t i = 0; i < ROWS; i++)
		if (!strncmp(rows[i].id, options.prefix, strlen(options.prefix)))
			row_choose(i);
	pin_cpu();
	scenes_open();
	for (__u32 round = 0; round < options.rounds; round++) {
		if (round)
			sleep(options.pause_s);
		round_run(round);
	}
	table_print();
	json_write();
	printf("\n%s\n", options.json);
	return 0;
}
