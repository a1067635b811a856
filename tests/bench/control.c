// SPDX-License-Identifier: Apache-2.0
/*
 * Control: how long a change takes, from the one store in memory to whole processes, beside what
 * nftables and HAProxy need for the like. Every round measures every row once. Root; works in
 * network namespaces, pins and folders of its own.
 */
#include "control_rivals.h"

#include <getopt.h>

static struct {
	unsigned rounds;
	bool is_quick;
	const char *json, *prefix;
} options = { .rounds = 7, .json = "build/bench/control.json", .prefix = "" };

/* --- what is measured: each gives µs --- */

#define FLIPS 100000
#define TABLES 100

/* The two newest revisions that are hot, and the one that is active. */
struct turns {
	uint32_t number[2], active;
};

static struct turns turns_find(const struct bench_world *world)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(world->kernel, hot);

	if (count < 2)
		die("fewer than two revisions are hot");
	return (struct turns){ { hot[count - 2].number, hot[count - 1].number },
			       kernel_active(world->kernel) };
}

static double flip_store(struct bench_world *world)
{
	struct turns turns = turns_find(world);
	double began = now_us(), took;

	for (unsigned i = 0; i < FLIPS; i++)
		if (kernel_switch(world->kernel, turns.number[i & 1]))
			die("a revision is not hot any more");
	took = (now_us() - began) / FLIPS;
	kernel_switch(world->kernel, turns.active);
	return took;
}

static double flip_table(struct bench_world *world)
{
	struct turns turns = turns_find(world);
	double began = now_us(), took;

	for (unsigned i = 0; i < TABLES; i++) {
		uint32_t weights[2] = { 50 + i % 50, 50 };

		if (slots_fill(weights, 2, world->spare_slots, SL_SLOTS_DEFAULT) ||
		    kernel_switch(world->kernel, turns.number[i & 1]))
			die("the table cannot be filled");
	}
	took = (now_us() - began) / TABLES;
	kernel_switch(world->kernel, turns.active);
	return took;
}

static double flip_call(struct bench_world *world)
{
	struct turns turns = turns_find(world);
	uint32_t other = turns.number[turns.number[0] == turns.active];
	double began = now_us(), took;

	if (kernel_flip(world->kernel, other))
		die("a revision is not hot any more");
	took = now_us() - began;
	kernel_flip(world->kernel, turns.active);
	return took;
}

static unsigned world_turn(struct bench_world *world)
{
	return world->turn++ & 1;
}

/* What starting and ending any process takes here, which differs by more than three between
 * machines. */
static double empty_exit(struct bench_world *world)
{
	(void)world;
	return PROCESS_TIME("true");
}

static double weight_exit(struct bench_world *world)
{
	bool is_back = world_turn(world);

	return sluice_time(world, "weight", HOST_SHORT, is_back ? "v1=90" : "v1=10",
			   is_back ? "v2=10" : "v2=90", NULL);
}

static double weight_seen(struct bench_world *world)
{
	bool is_back = world_turn(world);

	return sluice_seen(world, is_back ? 1 : 2, "weight", HOST_SHORT,
			   is_back ? "v1=90" : "v1=10", is_back ? "v2=10" : "v2=90", NULL);
}

/* Back and forth between the last two revisions: `weight` has just made one. */
static double rollback_exit(struct bench_world *world)
{
	world_turn(world);
	return sluice_time(world, "rollback", NULL);
}

static double rollback_seen(struct bench_world *world)
{
	bool is_back = world_turn(world);

	return sluice_seen(world, is_back ? 1 : 2, "rollback", NULL);
}

/* Every service gets another split: as an atomic replacement of all rules does. */
static double apply_all(struct bench_world *world)
{
	bool is_back = world_turn(world);

	return sluice_time(world, "apply", "-f", world->input[is_back ? 0 : 1], NULL);
}

static double endpoint_add(struct bench_world *world)
{
	double took = sluice_time(world, "endpoint", "add", HOST_SHORT, "10.200.0.1", "--label",
				  "version=v1", NULL);

	sluice_time(world, "endpoint", "remove", HOST_SHORT, "10.200.0.1", NULL);
	return took;
}

static double start_adopt(struct bench_world *world)
{
	return agent_time(world);
}

static double nft_replace(struct bench_world *world)
{
	return nft_time(world, world->input[!world_turn(world)]);
}

static double nft_weight(struct bench_world *world)
{
	return nft_time(world, world->change[!(world->changes++ & 1)]);
}

static double haproxy_one(struct bench_world *world)
{
	return haproxy_weights(world, 1);
}

static double haproxy_all(struct bench_world *world)
{
	return haproxy_weights(world, world->services);
}

/* --- rows --- */

enum {
	SLOW = 1
};

static struct {
	enum world_kind kind;
	uint32_t services;
	unsigned flags; /* SLOW: not in the quick run */
	double (*measure)(struct bench_world *world);
	double unit_us;
	struct bench_row row;
} rows[] = {
#define US                                                                                         \
	1,                                                                                         \
	{                                                                                          \
		.unit = "us",
#define MS                                                                                         \
	1000,                                                                                      \
	{                                                                                          \
		.unit = "ms",
#define ROW(name, words)                                                                           \
	.id = (name), .sentence = (words)                                                          \
	}
	{ WORLD_SLUICE, 1, 0, flip_store,
	  US ROW("flip/store", "in process: the one store that makes another hot revision active, "
			       "and its check") },
	{ WORLD_SLUICE, 1, 0, flip_table,
	  US ROW("flip/table",
		 "in process: a table of 16,384 slots laid out, written, and a flip") },
	{ WORLD_SLUICE, 1, 0, flip_call,
	  US ROW("flip/call/1",
		 "in process: the flip, then the counters of each version noted, 1 service") },
	{ WORLD_SLUICE, 1000, 0, flip_call,
	  US ROW("flip/call/1000",
		 "in process: the flip, then the counters of each version noted, 1,000 services") },
#define EXIT_ROWS(count, text, when)                                                               \
	{ WORLD_SLUICE, count, when, weight_exit,                                                  \
	  MS ROW("weight/exit/" #count, "sluice weight on one of " text ", start to exit") },      \
	{                                                                                          \
		WORLD_SLUICE, count, when, rollback_exit,                                          \
			MS ROW("rollback/exit/" #count,                                            \
			       "sluice rollback, " text ", start to exit")                         \
	}
#define SEEN_ROWS(count, text, when)                                                               \
	{ WORLD_SLUICE, count, when, weight_seen,                                                  \
	  MS ROW("weight/seen/" #count,                                                            \
		 "sluice weight on one of " text ", start to new connections on the new split") }, \
	{                                                                                          \
		WORLD_SLUICE, count, when, rollback_seen,                                          \
			MS ROW("rollback/seen/" #count,                                            \
			       "sluice rollback, " text                                            \
			       ", start to new connections on the split of before")                \
	}
	{ WORLD_SLUICE, 1, 0, empty_exit,
	  MS ROW("empty/exit", "true, start to exit: what a process takes that does nothing") },
	EXIT_ROWS(1, "1 service", 0),
	SEEN_ROWS(1, "1 service", 0),
	EXIT_ROWS(1000, "1,000 services", 0),
	SEEN_ROWS(1000, "1,000 services", 0),
	EXIT_ROWS(10000, "10,000 services", SLOW),
	{ WORLD_SLUICE, 1000, 0, endpoint_add,
	  MS ROW("endpoint/1000", "sluice endpoint add to one of 1,000 services, start to exit") },
	{ WORLD_SLUICE, 1, 0, start_adopt,
	  MS ROW("start/adopt/1", "sluiced after kill -9, start to ready: programs loaded anew, "
				  "maps adopted, kernel "
				  "compared with disk, 1 service") },
	{ WORLD_SLUICE, 1000, 0, start_adopt,
	  MS ROW("start/adopt/1000", "sluiced after kill -9, start to ready, 1,000 services") },
#define REPLACE_ROWS(count, text, when)                                                            \
	{ WORLD_SLUICE, count, when, apply_all,                                                    \
	  MS ROW("apply/" #count,                                                                  \
		 "sluice apply of " text ", each with another split: 2 versions, 4 endpoints") },  \
		{ WORLD_NFT_DNAT, count, when, nft_replace,                                        \
		  MS ROW("nft/dnat/" #count,                                                       \
			 "nft -f, atomic replacement: a rule to one endpoint for each of " text    \
			 ", no split") },                                                          \
		{ WORLD_NFT_RULE, count, when, nft_replace,                                        \
		  MS ROW("nft/rule/" #count, "nft -f, atomic replacement of " text                 \
					     ": a rule an endpoint with its share") },             \
		{ WORLD_NFT_MAP, count, when, nft_replace,                                         \
		  MS ROW("nft/map/" #count, "nft -f, atomic replacement of " text                  \
					    ": a map to a chain a service with the split") },      \
		{ WORLD_NFT_MAP, count, when, nft_weight,                                          \
		  MS ROW("nft/weight/" #count,                                                     \
			 "nft -f, another split for one of " text " in the form with the map") },  \
		{ WORLD_HAPROXY, count, when, haproxy_one,                                         \
		  MS ROW("haproxy/weight/" #count,                                                 \
			 "HAProxy, set server weight by its socket, one of " text) },              \
	{                                                                                          \
		WORLD_HAPROXY, count, when, haproxy_all,                                           \
			MS ROW("haproxy/weights/" #count, "HAProxy, set server weight by its "     \
							  "socket, one server of each of " text)   \
	}
	REPLACE_ROWS(10, "10 services", 0),
	REPLACE_ROWS(1000, "1,000 services", 0),
	REPLACE_ROWS(10000, "10,000 services", SLOW),
	{ WORLD_HAPROXY, 1000, 0, haproxy_start,
	  MS ROW("haproxy/start/1000",
		 "HAProxy -D with 1,000 services, start to its parent's exit: it listens") },
	{ WORLD_HAPROXY, 1000, 0, haproxy_reload,
	  MS ROW("haproxy/reload/1000",
		 "HAProxy -D -sf with 1,000 services: a second one takes the sockets over") },
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static bool is_chosen(size_t row)
{
	return (!options.is_quick || !(rows[row].flags & SLOW)) &&
	       !strncmp(rows[row].row.id, options.prefix, strlen(options.prefix));
}

static void rounds_run(void)
{
	for (unsigned round = 0; round < options.rounds; round++) {
		if (isatty(2))
			fprintf(stderr, "round %u of %u\n", round + 1, options.rounds);
		for (size_t i = 0; i < ROWS; i++) {
			struct bench_world *world;
			double us;

			if (!is_chosen(i))
				continue;
			world = world_get(rows[i].kind, rows[i].services);
			if (!world)
				continue;
			us = rows[i].measure(world);
			rows[i].row.rounds[rows[i].row.count++] = us / rows[i].unit_us;
		}
	}
}

static void table_print(void)
{
	printf("%-22s %10s %10s %10s\n", "row", "median", "min", "max");
	for (size_t i = 0; i < ROWS; i++) {
		struct bench_row *row = &rows[i].row;
		struct spread spread;

		if (!row->count)
			continue;
		spread = row_spread(row);
		printf("%-22s %10.3f %10.3f %10.3f %-3s %s\n", row->id, spread.median, spread.min,
		       spread.max, row->unit, row->sentence);
	}
}

static json_t *skipped_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ROWS; i++) {
		const char *why =
			is_chosen(i) && !rows[i].row.count ? world_lacks(rows[i].kind) : NULL;

		if (why)
			json_array_append_new(
				list, json_pack("{s:s, s:s}", "id", rows[i].row.id, "why", why));
	}
	return list;
}

static void results_write(double began_us)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].row.count)
			json_array_append_new(list, row_json(&rows[i].row));
	if (report_write(options.json, "control", options.rounds, began_us, list, skipped_json()))
		die("%s: cannot be written", options.json);
}

static void usage_print(FILE *out)
{
	fprintf(out,
		"Usage: control [-n ROUNDS] [-o FILE] [-q|--quick] [-p PREFIX]\n"
		"How long a change takes: Sluice, nftables, HAProxy. Root.\n"
		"  -n  rounds, 1 to %d (7; quick: 3)\n"
		"  -o  where the JSON goes (build/bench/control.json)\n"
		"  -q  without the rows of 10,000 services\n"
		"  -p  only rows whose id begins so\n",
		ROUNDS_MAX);
}

static void options_parse(int argc, char **argv)
{
	static const struct option table[] = { { "quick", no_argument, NULL, 'q' },
					       { "help", no_argument, NULL, 'h' },
					       {} };
	int option, rounds = 0;

	while ((option = getopt_long(argc, argv, "n:o:p:qh", table, NULL)) != -1) {
		if (option == 'n')
			rounds = atoi(optarg);
		else if (option == 'o')
			options.json = optarg;
		else if (option == 'p')
			options.prefix = optarg;
		else if (option == 'q')
			options.is_quick = true;
		else {
			usage_print(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
		if (option == 'n' && (rounds < 1 || rounds > ROUNDS_MAX)) {
			usage_print(stderr);
			exit(2);
		}
	}
	options.rounds = rounds ? (unsigned)rounds : options.is_quick ? 3 : 7;
}

int main(int argc, char **argv)
{
	double began_us = now_us();

	options_parse(argc, argv);
	if (geteuid()) {
		fprintf(stderr, "control: needs root\n");
		return 1;
	}
	worlds_begin();
	rounds_run();
	table_print();
	results_write(began_us);
	return 0;
}
