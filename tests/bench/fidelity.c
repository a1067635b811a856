// SPDX-License-Identifier: Apache-2.0
/*
 * Fidelity: how near a slot table is to the weights, and how many slots a change of weights moves,
 * beside weighted Maglev and rendezvous hashing on tables of the same size; and how many
 * keys an endpoint that leaves or joins moves in a ring. Pure code and fixed seeds: the same rows
 * on every machine, so one round is enough.
 */
#include "bpf/pick.h"
#include "fidelity_rivals.h"
#include "user/base/cleanup.h"
#include "user/plan/ring.h"
#include "user/plan/slots.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>

#define SLOTS RIVAL_SLOTS /* what the agent makes by default */
#define VERSIONS RIVAL_VERSIONS
#define WEIGHT_LIMIT 100
#define CHANGES_MAX 100000
#define SALT_CHANGES 50 /* the rivals' hashes are drawn anew after so many */
#define KEYS (1u << 18)
#define MEMBERS_MAX 512
#define RING_MAX 65521

static struct options {
	uint32_t changes, sets;
	const char *json;
} options = { .changes = 1000, .sets = 100, .json = "build/bench/fidelity.json" };

enum design {
	SLUICE,
	MAGLEV,
	RENDEZVOUS,
	DESIGNS
};
static const char *const design_ids[] = { "sluice", "maglev", "rendezvous" };
static const char *const design_names[] = { "Sluice", "weighted Maglev", "weighted rendezvous" };

static void die(const char *what)
{
	fprintf(stderr, "fidelity: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		die("allocate memory");
	return memory;
}

/* Xorshift (Marsaglia, 2003): the same changes in every run. */
static uint32_t random_below(uint64_t *state, uint32_t limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)((*state >> 11) % limit);
}

static uint32_t weights_sum(const uint32_t *weights, size_t count)
{
	uint32_t sum = 0;

	for (size_t v = 0; v < count; v++)
		sum += weights[v];
	return sum;
}

static void weights_draw(uint64_t *random, uint32_t *weights, size_t count)
{
	do {
		for (size_t v = 0; v < count; v++)
			weights[v] = random_below(random, WEIGHT_LIMIT + 1);
	} while (!weights_sum(weights, count));
}

static void table_fill(enum design design, const struct rivals *rivals, const uint32_t *weights,
		       size_t count, uint8_t *ret_slots)
{
	if (design == MAGLEV) {
		maglev_fill(rivals, weights, count, ret_slots);
	} else if (design == RENDEZVOUS) {
		rendezvous_fill(rivals, weights, count, ret_slots);
	} else if (slots_fill(weights, count, ret_slots, SLOTS)) {
		fprintf(stderr, "fidelity: slots_fill refused weights\n");
		exit(1);
	}
}

/* --- the changes of weights: each draws one, from and to --- */

/* Weight goes from one to the other, or back; what the two have together stays. */
static void shift(uint64_t *random, uint32_t *to, size_t a, size_t b)
{
	uint32_t both = to[a] + to[b];

	to[b] = random_below(random, both + 1);
	to[a] = both - to[b];
}

static void change_any(uint64_t *random, uint32_t *from, uint32_t *to, size_t count)
{
	weights_draw(random, from, count);
	weights_draw(random, to, count);
}

static void change_stable_one(uint64_t *random, uint32_t *from, uint32_t *to, size_t count)
{
	weights_draw(random, from, count);
	memcpy(to, from, count * sizeof(*to));
	shift(random, to, 0, 1 + random_below(random, (uint32_t)count - 1));
}

static void change_any_two(uint64_t *random, uint32_t *from, uint32_t *to, size_t count)
{
	size_t a = random_below(random, (uint32_t)count);
	size_t b = (a + 1 + random_below(random, (uint32_t)count - 1)) % count;

	weights_draw(random, from, count);
	memcpy(to, from, count * sizeof(*to));
	shift(random, to, a, b);
}

static void change_one_grows(uint64_t *random, uint32_t *from, uint32_t *to, size_t count)
{
	size_t growing = random_below(random, (uint32_t)count);

	weights_draw(random, from, count);
	memcpy(to, from, count * sizeof(*to));
	to[growing] += random_below(random, WEIGHT_LIMIT + 1 - to[growing]);
}

/*
 * Per cent, as people write a canary release: none but the stable one has more than an even part
 * of the whole, so that each fits in its block.
 */
static void change_canary(uint64_t *random, uint32_t *from, uint32_t *to, size_t count)
{
	uint32_t part = 100 / ((uint32_t)count - 1);
	size_t moving = 1 + random_below(random, (uint32_t)count - 1);

	from[0] = to[0] = 100;
	for (size_t v = 1; v < count; v++) {
		from[v] = random_below(random, part + 1);
		to[v] = v == moving ? random_below(random, part + 1) : from[v];
		from[0] -= from[v];
		to[0] -= to[v];
	}
}

static const struct change {
	const char *id, *sentence;
	void (*draw)(uint64_t *random, uint32_t *from, uint32_t *to, size_t count);
} kinds[] = {
	{ "canary", "stable and one other, a canary's weights", change_canary },
	{ "stable-one", "stable and one other, any weights", change_stable_one },
	{ "any-two", "any two", change_any_two },
	{ "one-grows", "one grows, the others' weights stay", change_one_grows },
	{ "any", "all weights drawn anew", change_any },
};
#define KINDS ARRAY_SIZE(kinds)

/* --- samples to rows --- */

struct spread {
	double median, min, max, mean;
	double over; /* share of the samples above 2 */
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the samples. */
static struct spread spread_of(double *samples, size_t n)
{
	struct spread spread = { 0 };

	qsort(samples, n, sizeof(*samples), compare);
	for (size_t i = 0; i < n; i++) {
		spread.mean += samples[i] / (double)n;
		spread.over += samples[i] > 2 ? 1.0 / (double)n : 0;
	}
	spread.median = (samples[(n - 1) / 2] + samples[n / 2]) / 2;
	spread.min = samples[0];
	spread.max = samples[n - 1];
	return spread;
}

static json_t *row_new(const char *id, const char *sentence, const char *unit, struct spread spread,
		       size_t n)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:i}", "id", id, "sentence",
				sentence, "unit", unit, "median", spread.median, "min", spread.min,
				"max", spread.max, "mean", spread.mean, "samples", (int)n);

	if (!row)
		die("make a row");
	return row;
}

/* --- movement of a change of weights --- */

struct job {
	const struct change *kind;
	size_t count;
	double *ratios[DESIGNS];
};

/* What the numbers of slots that the weights ask for make necessary, whoever fills the table. */
static uint32_t minimum(const uint32_t *from, const uint32_t *to, size_t count)
{
	uint32_t a[VERSIONS], b[VERSIONS], gained = 0;

	if (slots_quota(from, count, a, SLOTS) || slots_quota(to, count, b, SLOTS)) {
		fprintf(stderr, "fidelity: slots_quota refused weights\n");
		exit(1);
	}
	for (size_t v = 0; v < count; v++)
		gained += b[v] > a[v] ? b[v] - a[v] : 0;
	return gained;
}

static uint32_t slots_moved(enum design design, const struct rivals *rivals, const uint32_t *from,
			    const uint32_t *to, size_t count)
{
	uint8_t a[SLOTS], b[SLOTS];
	uint32_t moved = 0;

	table_fill(design, rivals, from, count, a);
	table_fill(design, rivals, to, count, b);
	for (size_t s = 0; s < SLOTS; s++)
		moved += a[s] != b[s];
	return moved;
}

/* The same seed whoever runs it and in whatever order: threads do not show in the rows. */
static void job_run(const struct job *job)
{
	_cleanup_free_ struct rivals *rivals = allocate(sizeof(*rivals));
	uint64_t random = rival_hash((uint64_t)(job->kind - kinds) * VERSIONS + job->count);
	uint32_t from[VERSIONS], to[VERSIONS];

	for (uint32_t i = 0; i < options.changes;) {
		uint32_t least;

		job->kind->draw(&random, from, to, job->count);
		least = minimum(from, to, job->count);
		if (!least)
			continue;
		if (i % SALT_CHANGES == 0)
			rivals_salt(rivals, i / SALT_CHANGES);
		for (int d = 0; d < DESIGNS; d++)
			job->ratios[d][i] =
				(double)slots_moved(d, rivals, from, to, job->count) / least;
		i++;
	}
}

static struct job jobs[KINDS * (VERSIONS - 1)];
static uint32_t jobs_taken;

static void *worker(void *nothing)
{
	uint32_t at;

	/* Those with more versions take longer: they go first. */
	while ((at = __atomic_fetch_add(&jobs_taken, 1, __ATOMIC_RELAXED)) < ARRAY_SIZE(jobs))
		job_run(&jobs[ARRAY_SIZE(jobs) - 1 - at]);
	return NULL;
}

static void jobs_run(void)
{
	pthread_t other;

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = (struct job){ .kind = &kinds[i % KINDS], .count = 2 + i / KINDS };
		for (int d = 0; d < DESIGNS; d++)
			jobs[i].ratios[d] = allocate(options.changes * sizeof(double));
	}
	errno = pthread_create(&other, NULL, worker, NULL);
	if (errno)
		die("start a thread");
	worker(NULL);
	pthread_join(other, NULL);
}

static void movement_row(json_t *rows, struct job *job, enum design design)
{
	struct spread spread = spread_of(job->ratios[design], options.changes);
	char id[64], sentence[128];
	json_t *row;

	free(job->ratios[design]);
	snprintf(id, sizeof(id), "movement/%s/%zu/%s", job->kind->id, job->count,
		 design_ids[design]);
	snprintf(sentence, sizeof(sentence), "%s: %zu versions, %s", design_names[design],
		 job->count, job->kind->sentence);
	row = row_new(id, sentence, "x minimum", spread, options.changes);
	json_object_set_new(row, "over_twice", json_real(spread.over));
	json_array_append_new(rows, row);
}

static void movement_rows(json_t *rows)
{
	jobs_run();
	for (size_t k = 0; k < KINDS; k++)
		for (size_t n = 0; n < VERSIONS - 1; n++)
			for (int d = 0; d < DESIGNS; d++)
				movement_row(rows, &jobs[n * KINDS + k], d);
}

/* --- error of the shares --- */

/* The version that is furthest from its exact share, in slots. */
static double share_error(const uint8_t *slots, const uint32_t *weights, size_t count)
{
	uint32_t have[VERSIONS] = { 0 };
	double worst = 0;

	for (size_t s = 0; s < SLOTS; s++)
		have[slots[s]]++;
	for (size_t v = 0; v < count; v++) {
		double wanted = (double)weights[v] * SLOTS / weights_sum(weights, count);

		worst = fmax(worst, fabs(have[v] - wanted));
		if (!weights[v] && have[v])
			worst = INFINITY; /* no rounding excuses a slot for weight 0 */
	}
	return worst;
}

/* 1/99 to 50/50, or any weights. */
static void weights_sample(uint64_t *random, uint32_t *weights, size_t count, uint32_t i)
{
	if (count > 2) {
		weights_draw(random, weights, count);
		return;
	}
	weights[0] = 99 - i;
	weights[1] = 1 + i;
}

static void share_rows(json_t *rows, size_t count, const char *sentence)
{
	_cleanup_free_ struct rivals *rivals = allocate(sizeof(*rivals));
	uint32_t samples = count > 2 ? options.changes : 50, weights[VERSIONS];
	_cleanup_free_ double *errors = allocate(samples * sizeof(*errors));
	uint8_t slots[SLOTS];

	for (int d = 0; d < DESIGNS; d++) {
		uint64_t random = count;
		char id[64], whose[128];

		for (uint32_t i = 0; i < samples; i++) {
			if (i % SALT_CHANGES == 0)
				rivals_salt(rivals, i / SALT_CHANGES);
			weights_sample(&random, weights, count, i);
			table_fill(d, rivals, weights, count, slots);
			errors[i] = share_error(slots, weights, count);
		}
		snprintf(id, sizeof(id), "share/%zu/%s", count, design_ids[d]);
		snprintf(whose, sizeof(whose), "%s: %s", design_names[d], sentence);
		json_array_append_new(
			rows, row_new(id, whose, "slots", spread_of(errors, samples), samples));
	}
}

/* --- an endpoint leaves or joins --- */

/* Set number so and so: 10.x.y.z behind port 8080, no two alike. */
static void members_make(struct ring_member *members, uint32_t set, size_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		/* An odd factor is a bijection on 24 bits. */
		uint32_t host = ((set * MEMBERS_MAX + i) * 0x9e3779b1u) & 0xffffff;

		members[i] = (struct ring_member){
			.addr = { .family = 4,
				  .bytes = { 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8),
					     (uint8_t)host } },
			.port = 8080,
			.weight = 1,
			.value = i,
		};
	}
}

static uint32_t ring_make(const struct ring_member *members, size_t count, uint32_t *ret_ring)
{
	uint32_t size = ring_size(members, count);

	if (size > RING_MAX || ring_fill(members, count, ret_ring, size)) {
		fprintf(stderr, "fidelity: no ring of %zu endpoints\n", count);
		exit(1);
	}
	return size;
}

/* Keys whose endpoint is another than before, of evenly spaced hashes; rings may differ in size. */
static uint32_t keys_moved(const uint32_t *a, uint32_t a_size, const uint32_t *b, uint32_t b_size)
{
	uint32_t moved = 0;

	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t hash = (key << 32 | 1u << 31) / KEYS << 32;

		moved += a[pick_place(hash, a_size, 0)] != b[pick_place(hash, b_size, 0)];
	}
	return moved;
}

/* The last of `many` endpoints leaves; that it joins is the same two rings the other way round. */
static void ring_row(json_t *rows, uint32_t many)
{
	_cleanup_free_ uint32_t *with = allocate(RING_MAX * sizeof(*with));
	_cleanup_free_ uint32_t *without = allocate(RING_MAX * sizeof(*without));
	_cleanup_free_ double *ratios = allocate(options.sets * sizeof(*ratios));
	struct ring_member members[MEMBERS_MAX];
	uint32_t size = 0, size_without = 0;
	char id[64], sentence[128];

	for (uint32_t set = 0; set < options.sets; set++) {
		members_make(members, set, many);
		size = ring_make(members, many, with);
		size_without = ring_make(members, many - 1, without);
		/* Its fair share of the keys has to move, either way. */
		ratios[set] = (double)keys_moved(with, size, without, size_without) * many / KEYS;
	}
	snprintf(id, sizeof(id), "ring/%u", many);
	if (size == size_without)
		snprintf(sentence, sizeof(sentence),
			 "%u endpoints and one fewer; both rings have %u places", many, size);
	else
		snprintf(sentence, sizeof(sentence),
			 "%u endpoints and one fewer; rings of %u and %u places", many, size,
			 size_without);
	json_array_append_new(rows, row_new(id, sentence, "x minimum",
					    spread_of(ratios, options.sets), options.sets));
}

static void ring_rows(json_t *rows)
{
	/* Within a size, then those where the size changes. */
	static const uint32_t counts[] = { 2, 5, 10, 20, 40, 100, 163, 3, 11, 41, 164 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		ring_row(rows, counts[i]);
}

/* --- telling --- */

static void rows_print(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("%-32s %-72s %8s %8s %8s\n", "", "", "mean", "median", "worst");
	json_array_foreach(rows, i, row) printf("%-32s %-72s %8.3f %8.3f %8.3f %s\n",
						json_string_value(json_object_get(row, "id")),
						json_string_value(json_object_get(row, "sentence")),
						json_number_value(json_object_get(row, "mean")),
						json_number_value(json_object_get(row, "median")),
						json_number_value(json_object_get(row, "max")),
						json_string_value(json_object_get(row, "unit")));
}

/* The value of a "name : value" line of /proc/cpuinfo. */
static void cpu_name(char *ret_value, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512], *value;

	snprintf(ret_value, size, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "model name", 10) || !(value = strchr(line, ':')))
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(ret_value, size, "%s", value + 2);
		return;
	}
}

static json_t *json_machine(void)
{
	struct utsname kernel;
	double load = -1;
	char cpu[128];

	cpu_name(cpu, sizeof(cpu));
	uname(&kernel);
	getloadavg(&load, 1);
	return json_pack("{s:s, s:i, s:f, s:s, s:s, s:s, s:s}", "cpu", cpu, "cores",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "load", load, "kernel", kernel.release,
			 "architecture", kernel.machine, "compiler", "gcc " __VERSION__, "source",
			 getenv("BENCH_SOURCE") ?: "unknown");
}

static void die_writing(void)
{
	fprintf(stderr, "fidelity: cannot write %s: %s; -o names another file\n", options.json,
		strerror(errno));
	exit(1);
}

static void json_write(json_t *rows, double seconds)
{
	time_t now = time(NULL);
	char date[32];
	json_t *json;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	json = json_pack("{s:s, s:s, s:o, s:i, s:f, s:i, s:O}", "benchmark", "fidelity", "date",
			 date, "machine", json_machine(), "rounds", 1, "seconds", seconds, "slots",
			 SLOTS, "rows", rows);
	if (!json || json_dump_file(json, options.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		die_writing();
	json_decref(json);
}

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: fidelity [-c CHANGES] [-o FILE] [-q]\n"
		"How near slot tables are to the weights, and how little a change moves. The rows\n"
		"are the same in every run: there are no rounds.\n\n"
		"  -c, --changes N  random changes of weights a row (%u)\n"
		"  -o, --out FILE   where the JSON goes (%s)\n"
		"  -q, --quick      a tenth of the changes\n"
		"  -h, --help       this\n",
		options.changes, options.json);
}

/* 0 for what is no number or too many; nobody wants 0 either. */
static uint32_t number_parse(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return *end || number > CHANGES_MAX ? 0 : (uint32_t)number;
}

static void options_parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "changes", required_argument, NULL, 'c' },
		{ "out", required_argument, NULL, 'o' },
		{ "quick", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:o:qh", longs, NULL)) != -1) {
		if (option == 'c') {
			options.changes = number_parse(optarg);
		} else if (option == 'q') {
			options.changes = 100;
			options.sets = 10;
		} else if (option == 'o') {
			options.json = optarg;
		} else {
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (optind == argc && options.changes)
		return;
	fprintf(stderr, "fidelity: CHANGES is a number from 1 to %d, and nothing follows options\n",
		CHANGES_MAX);
	exit(2);
}

int main(int argc, char **argv)
{
	json_t *rows = json_array();
	struct timespec before, after;

	options_parse(argc, argv);
	clock_gettime(CLOCK_MONOTONIC, &before);
	share_rows(rows, 2, "1/99 to 50/50, every per cent");
	share_rows(rows, 3, "three versions, any weights");
	share_rows(rows, 8, "eight versions, any weights");
	movement_rows(rows);
	ring_rows(rows);
	clock_gettime(CLOCK_MONOTONIC, &after);
	rows_print(rows);
	json_write(rows, (double)(after.tv_sec - before.tv_sec) +
				 (double)(after.tv_nsec - before.tv_nsec) * 1e-9);
	json_decref(rows);
	printf("\n%s\n", options.json);
	return 0;
}
