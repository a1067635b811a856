/* SPDX-License-Identifier: Apache-2.0 */
/* What the end-to-end benchmark's client counts, and how it tells it. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define SAMPLES_MAX (1u << 22) /* of all processes */

/* What one process counted, in memory that all share. */
struct counts {
	uint64_t done, by[256], failed, slowest_ns, samples;
	char why[96];
};

/* Of all CPUs and everybody on them, hypervisor's theft and idleness aside. Microseconds. */
static void cpu_read(uint64_t *ret_busy_us, uint64_t *ret_stolen_us)
{
	unsigned long long user, nice, system, idle, wait, irq, softirq, steal;
	uint64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "re");

	if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
			    &system, &idle, &wait, &irq, &softirq, &steal) != 8) {
		fprintf(stderr, "load: cannot read /proc/stat\n");
		exit(1);
	}
	fclose(file);
	*ret_busy_us = (user + nice + system + irq + softirq) * tick_us;
	*ret_stolen_us = steal * tick_us;
}

static int number_compare(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Brings the processes' samples together; returns how many there are, sorted. */
static uint64_t samples_sort(const struct counts *all, uint32_t processes, uint32_t *samples)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < processes; i++) {
		memmove(samples + count, samples + (uint64_t)i * (SAMPLES_MAX / processes),
			all[i].samples * sizeof(*samples));
		count += all[i].samples;
	}
	qsort(samples, count, sizeof(*samples), number_compare);
	return count;
}

/* The result as a line of JSON; 1 when something failed or nothing was done. */
static int result_print(const struct counts *all, uint32_t processes, uint32_t *samples,
			uint64_t length_ns, uint64_t busy_us, uint64_t stolen_us)
{
	struct counts sum = {};
	uint64_t count = samples_sort(all, processes, samples);
	const char *comma = "";

	for (uint32_t i = 0; i < processes; i++) {
		const struct counts *one = &all[i];

		sum.done += one->done;
		if (one->failed && !sum.failed)
			memcpy(sum.why, one->why, sizeof(sum.why));
		sum.failed += one->failed;
		if (one->slowest_ns > sum.slowest_ns)
			sum.slowest_ns = one->slowest_ns;
		for (int version = 0; version < 256; version++)
			sum.by[version] += one->by[version];
	}
	if (!sum.done && !sum.failed)
		strcpy(sum.why, "nothing was done in the measured time");
	printf("{\"done\":%llu,\"seconds\":%.6f,\"failed\":%llu,\"why\":\"%s\",\"slowest_us\":%.1f,"
	       "\"busy_us\":%llu,\"stolen_us\":%llu,\"by\":{",
	       (unsigned long long)sum.done, (double)length_ns / SECOND_NS,
	       (unsigned long long)sum.failed, sum.why, sum.slowest_ns / 1e3,
	       (unsigned long long)busy_us, (unsigned long long)stolen_us);
	for (int version = '0'; version <= '9'; version++) {
		if (!sum.by[version])
			continue;
		printf("%s\"%c\":%llu", comma, version, (unsigned long long)sum.by[version]);
		comma = ",";
	}
	printf("}");
	size_t half = count / 2, most = count * 99 / 100;

	if (count)
		printf(",\"p50_us\":%.3f,\"p99_us\":%.3f", samples[half] / 1e3,
		       samples[most] / 1e3);
	printf("}\n");
	return sum.failed || !sum.done ? 1 : 0;
}
