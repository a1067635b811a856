// SPDX-License-Identifier: Apache-2.0
/* Files, folders and standard input. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "user/base/cleanup.h"
#include "user/input/input.h"

#define DATA "tests/data/input/"

static int read_one(void *memory, const char *path, struct diags *diags,
		    struct input_text **ret_texts, size_t *ret_count)
{
	return input_read(memory, &path, 1, diags, ret_texts, ret_count);
}

static void test_folder_is_sorted_and_picks_by_name(void **state)
{
	static const char *const names[] = { DATA "folder/a.yml", DATA "folder/b.yaml",
					     DATA "folder/c.json" };
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_result result;
	struct input_text *texts;
	size_t count;

	assert_int_equal(read_one(memory, DATA "folder", diags, &texts, &count), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(texts[i].name, names[i]);
	assert_int_equal(input_apply(memory, texts, count, INPUT_MERGE, NULL, NULL, diags, &result),
			 0);
	assert_int_equal(result.taken, 3);
	assert_int_equal(diags->count, 0);
}

static void test_several_paths_keep_their_order(void **state)
{
	static const char *const paths[] = { DATA "host.yaml", DATA "folder", DATA "edge.yaml" };
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct input_text *texts;
	size_t count;

	assert_int_equal(input_read(memory, paths, 3, diags_new(memory), &texts, &count), 0);
	assert_int_equal(count, 5);
	assert_string_equal(texts[0].name, paths[0]);
	assert_string_equal(texts[4].name, paths[2]);
}

static void test_what_cannot_be_read_is_named_with_the_reason(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_text *texts = NULL;
	size_t count = 7;

	assert_int_equal(read_one(memory, DATA "none.yaml", diags, &texts, &count), -ENOENT);
	assert_int_equal(diags->errors, 1);
	assert_string_equal(diags->list[0].file, DATA "none.yaml");
	assert_string_equal(diags->list[0].text, "cannot be read: No such file or directory");
	assert_null(texts);
	assert_int_equal(count, 7);
}

static void test_standard_input(void **state)
{
	static const char data[] =
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: x}\n";
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_result result;
	struct input_text *texts;
	int ends[2], old = dup(STDIN_FILENO);
	size_t count;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], data, sizeof(data) - 1), sizeof(data) - 1);
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	int r = read_one(memory, "-", diags, &texts, &count);
	dup2(old, STDIN_FILENO);
	close(old);
	assert_int_equal(r, 0);
	assert_int_equal(count, 1);
	assert_int_equal(input_apply(memory, texts, 1, INPUT_MERGE, NULL, NULL, diags, &result),
			 -EINVAL);
	assert_string_equal(diags->list[0].file, "<stdin>");
	assert_int_equal(diags->list[0].line, 4);
}

/* A hole costs no disk, and a file that is too large is not read at all. */
static void limit_try(off_t size, size_t times, int wanted)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	char path[] = "/tmp/test_input_read_XXXXXX";
	const char *paths[] = { path, path };
	int fd = mkstemp(path);
	struct input_text *texts;
	size_t count;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	int r = input_read(memory, paths, times, diags, &texts, &count);
	unlink(path);
	assert_int_equal(r, wanted);
	if (wanted)
		assert_non_null(strstr(diags->list[0].text, "less than 128 MiB"));
}

static void test_an_input_has_a_limit(void **state)
{
	limit_try(1L << 40, 1, -EFBIG);
	limit_try(128L << 20, 1, -EFBIG);
	limit_try((128L << 20) - 1, 1, 0);
	limit_try(64L << 20, 1, 0);
	/* All files together. */
	limit_try(64L << 20, 2, -EFBIG);
}

/* Nobody knows how much will come out of a pipe. */
static void test_a_pipe_has_a_limit(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_text *texts;
	size_t count;

	assert_int_equal(read_one(memory, "/dev/zero", diags, &texts, &count), -EFBIG);
	assert_non_null(strstr(diags->list[0].text, "less than 128 MiB"));
}

static void test_a_folder_without_texts_is_a_warning(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	char path[] = "/tmp/test_input_read_XXXXXX";
	struct input_text *texts;
	size_t count;

	assert_non_null(mkdtemp(path));
	int r = read_one(memory, path, diags, &texts, &count);
	rmdir(path);
	assert_int_equal(r, 0);
	assert_int_equal(count, 0);
	assert_int_equal(diags->warnings, 1);
}

static void test_a_folder_inside_a_folder_is_a_warning(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_text *texts;
	size_t count;

	assert_int_equal(read_one(memory, "tests/data/input", diags, &texts, &count), 0);
	assert_int_equal(diags->count, 1);
	assert_int_equal(diags->warnings, 1);
	assert_string_equal(diags->list[0].file, DATA "folder");
	assert_non_null(strstr(diags->list[0].text, "folders inside folders are not read"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder_is_sorted_and_picks_by_name),
		cmocka_unit_test(test_several_paths_keep_their_order),
		cmocka_unit_test(test_what_cannot_be_read_is_named_with_the_reason),
		cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_an_input_has_a_limit),
		cmocka_unit_test(test_a_pipe_has_a_limit),
		cmocka_unit_test(test_a_folder_without_texts_is_a_warning),
		cmocka_unit_test(test_a_folder_inside_a_folder_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
