/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, their rounds, and the one JSON file that a part of the benchmark leaves behind. */
#pragma once
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 99

struct spread {
	double median, min, max;
};

struct bench_row {
	const char *id, *sentence, *unit;
	double rounds[ROUNDS_MAX];
	unsigned count;
};

static inline double now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static inline int double_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

static inline struct spread row_spread(const struct bench_row *row)
{
	double sorted[ROUNDS_MAX];
	unsigned count = row->count;

	memcpy(sorted, row->rounds, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), double_compare);
	return (struct spread){
		.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
		.min = sorted[0],
		.max = sorted[count - 1],
	};
}

static inline double digits_cut(double value)
{
	return round(value * 10000) / 10000;
}

static inline json_t *row_json(const struct bench_row *row)
{
	struct spread spread = row_spread(row);
	json_t *rounds = json_array();

	for (unsigned i = 0; i < row->count; i++)
		json_array_append_new(rounds, json_real(digits_cut(row->rounds[i])));
	return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:o}", "id", row->id, "sentence",
			 row->sentence, "unit", row->unit, "median", digits_cut(spread.median),
			 "min", digits_cut(spread.min), "max", digits_cut(spread.max), "rounds",
			 rounds);
}

static inline void cpu_name(char *ret_name, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret_name, size, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(ret_name, size, "%s", value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static inline json_t *machine_json(void)
{
	struct utsname kernel;
	char cpu[128];
	double load = -1;

	cpu_name(cpu, sizeof(cpu));
	uname(&kernel);
	getloadavg(&load, 1);
	return json_pack("{s:s, s:i, s:f, s:s, s:s, s:s, s:s}", "cpu", cpu, "cores",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "load", load, "kernel", kernel.release,
			 "architecture", kernel.machine, "compiler",
			 getenv("BENCH_COMPILER") ?: "unknown", "source",
			 getenv("BENCH_SOURCE") ?: "unknown");
}

/* Takes `rows` and `skipped` over. 0, or -1 when the file cannot be written. */
static inline int report_write(const char *path, const char *part, unsigned rounds, double began_us,
			       json_t *rows, json_t *skipped)
{
	time_t now = time(NULL);
	char date[32];
	json_t *json;
	int err;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	json = json_pack("{s:s, s:s, s:o, s:i, s:f, s:o, s:o}", "benchmark", part, "date", date,
			 "machine", machine_json(), "rounds", (int)rounds, "seconds",
			 digits_cut((now_us() - began_us) / 1e6), "rows", rows, "skipped", skipped);
	err = !json || json_dump_file(json, path, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
	json_decref(json);
	return err ? -1 : 0;
}
