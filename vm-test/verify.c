// SPDX-License-Identifier: Apache-2.0
/*
 * What this kernel's verifier makes of the data plane: a line a program with the instructions that
 * it walked through, or the end of its log when it refuses. The log's own figure is used: the one
 * in a program's info came only with 5.16.
 *
 *   verify OBJECT...     0: all load; 1: one is refused; 2: usage
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define LOG_STATS 4 /* BPF_LOG_STATS: the sums alone, without every instruction */
#define LOG_SIZE (1u << 20)
#define LAST_LINES 25
#define MAP_ENTRIES 1024u /* sizes do not matter to the verifier, but memory is small */

static char *log_of(struct bpf_program *program)
{
	char *log = calloc(1, LOG_SIZE);

	if (!log)
		exit(1);
	bpf_program__set_log_level(program, LOG_STATS);
	bpf_program__set_log_buf(program, log, LOG_SIZE);
	return log;
}

/* libbpf asks again with the whole walk when the verifier says no: its end says why. */
static void end_print(const char *log)
{
	const char *at = log + strlen(log);

	for (int lines = 0; at > log; at--)
		if (at[-1] == '\n' && ++lines > LAST_LINES)
			break;
	fprintf(stderr, "%s\n", at);
}

static int says_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static bool refused(const char *path, const char *what, int err)
{
	struct utsname kernel;

	uname(&kernel);
	fprintf(stderr, "%s: kernel %s: %s: %s\n", path, kernel.release, what, strerror(-err));
	return false;
}

static bool object_verify(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	struct bpf_map *map;
	int err = object ? 0 : -errno;

	if (err)
		return refused(path, "cannot be opened", err);
	bpf_object__for_each_map(map, object) if (bpf_map__max_entries(map) > MAP_ENTRIES)
		bpf_map__set_max_entries(map, MAP_ENTRIES);
	bpf_object__for_each_program(program, object) log_of(program);
	err = bpf_object__load(object);
	bpf_object__for_each_program(program, object)
	{
		size_t size;
		const char *log = bpf_program__log_buf(program, &size);
		const char *sum = strstr(log, "processed ");

		if (!err && sum)
			printf("%s %lu\n", bpf_program__name(program), strtoul(sum + 10, NULL, 10));
		else if (err && *log && bpf_program__fd(program) < 0)
			end_print(log);
	}
	if (err)
		refused(path, "refused", err);
	bpf_object__close(object);
	return !err;
}

int main(int argc, char **argv)
{
	bool all = true;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		fprintf(stderr, "Usage: verify OBJECT...\n");
		return 2;
	}
	libbpf_set_print(says_nothing);
	for (int i = 1; i < argc; i++)
		all = object_verify(argv[i]) && all;
	return !all;
}
