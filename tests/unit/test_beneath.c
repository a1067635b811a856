// SPDX-License-Identifier: Apache-2.0
/* Links in a folder: those that stay in it are followed, no other; by the kernel, and by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/base/beneath.h"
#include "user/base/cleanup.h"
#include "user/input/input.h"

static bool kernel_asked;

bool has_openat2(void)
{
	return kernel_asked;
}

static const struct row {
	const char *says, *target; /* of the link `link.yaml`; NULL: there is none */
	int wanted;                /* 0: the file inside is read */
} rows[] = {
	{ "a file beside it", "inside.yaml", 0 },
	{ "a file in a folder inside", "..data/a.yaml", 0 },
	{ "by a link to a folder, as a ConfigMap has it", "..now/a.yaml", 0 },
	{ "down, up again, and to a file", "..data/../inside.yaml", 0 },
	{ "up in the middle and down again", "./..data/./../..data/a.yaml", 0 },
	{ "a link to a link", "again.yaml", 0 },
	{ "nothing", "missing.yaml", -ENOENT },
	{ "an absolute path", "/etc/hostname", -EXDEV },
	{ "an absolute path to the folder itself", "@/inside.yaml", -EXDEV },
	{ "a file above", "../outside.yaml", -EXDEV },
	{ "a file above, by way of a folder inside", "..data/../../outside.yaml", -EXDEV },
	{ "out and in again", "../folder/inside.yaml", -EXDEV },
	{ "out, by a link to a folder", "out/outside.yaml", -EXDEV },
	{ "a file as a folder", "inside.yaml/x", -ENOTDIR },
	{ "itself", "link.yaml", -ELOOP },
	{ "what is given to the process", "/proc/self/fd/0", -EXDEV },
};

struct scene {
	char above[40], folder[64];
	int fd;
};

static void file_make(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	strcpy(scene->above, "/tmp/test_beneath_XXXXXX");
	assert_non_null(mkdtemp(scene->above));
	snprintf(scene->folder, sizeof(scene->folder), "%s/folder", scene->above);
	assert_int_equal(mkdir(scene->folder, 0700), 0);
	scene->fd = open(scene->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(scene->fd, "..data", 0700), 0);
	file_make(scene->fd, "inside.yaml", "in");
	file_make(scene->fd, "..data/a.yaml", "in");
	file_make(scene->fd, "../outside.yaml", "out");
	assert_int_equal(symlinkat("..data", scene->fd, "..now"), 0);
	assert_int_equal(symlinkat("inside.yaml", scene->fd, "again.yaml"), 0);
	assert_int_equal(symlinkat("..", scene->fd, "out"), 0);
	*state = scene;
	return 0;
}

static int scene_end(void **state)
{
	static const char *const files[] = { "..data/a.yaml", "inside.yaml", "../outside.yaml",
					     "..now",         "again.yaml",  "out",
					     "link.yaml",     "pipe.yaml" };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(scene->fd, files[i], 0);
	unlinkat(scene->fd, "..data", AT_REMOVEDIR);
	close(scene->fd);
	rmdir(scene->folder);
	assert_int_equal(rmdir(scene->above), 0);
	free(scene);
	return 0;
}

static void link_make(const struct scene *scene, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", *target == '@' ? scene->folder : "",
		 target + (*target == '@'));
	unlinkat(scene->fd, "link.yaml", 0);
	assert_int_equal(symlinkat(path, scene->fd, "link.yaml"), 0);
}

static void rows_try(const struct scene *scene)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[8] = "";

		link_make(scene, rows[i].target);

		_cleanup_close_ int fd = open_beneath(scene->fd, "link.yaml", O_RDONLY | O_CLOEXEC);

		if ((fd < 0 ? fd : 0) != rows[i].wanted)
			fail_msg("a link to %s (%s): wanted %d, got %d", rows[i].says,
				 kernel_asked ? "openat2" : "by hand", rows[i].wanted, fd);
		if (fd < 0)
			continue;
		assert_int_equal(read(fd, text, sizeof(text)), 2);
		assert_memory_equal(text, "in", 2);
	}
	assert_int_equal(open_beneath(scene->fd, "/etc/hostname", O_RDONLY), -EXDEV);
	assert_int_equal(open_beneath(scene->fd, "../outside.yaml", O_RDONLY), -EXDEV);
}

static void links_by_the_kernel(void **state)
{
	_cleanup_close_ int fd = -1;

	if (syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) && errno == ENOSYS) {
		print_message("SKIP: no openat2 (before Linux 5.6, or qemu's user mode)\n");
		skip();
	}
	kernel_asked = true;
	fd = open_beneath(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	rows_try(*state);
}

static void links_by_hand(void **state)
{
	kernel_asked = false;
	rows_try(*state);
}

static void chains_and_depths_have_an_end(void **state)
{
	struct scene *scene = *state;
	char target[480] = "";

	kernel_asked = false;
	for (int i = 0; i < 45; i++)
		strcat(target, "..now/../");
	strcat(target, "a");
	link_make(scene, target);
	assert_int_equal(open_beneath(scene->fd, "link.yaml", O_RDONLY), -ELOOP);
	kernel_asked = true;
	assert_int_equal(open_beneath(scene->fd, "link.yaml", O_RDONLY), -ELOOP);
}

/* What the reader of folders makes of it. */
static void folder_try(struct scene *scene, const char *wanted)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	const char *path = scene->folder;
	struct input_text *texts = NULL;
	size_t count = 0;
	int r = input_read(memory, &path, 1, diags, &texts, &count);

	assert_int_equal(r == 0, !wanted);
	if (wanted && !strstr(diags->list[diags->count - 1].text, wanted))
		fail_msg("wanted \"%s\", got \"%s\"", wanted, diags->list[diags->count - 1].text);
	if (wanted)
		assert_int_equal(count, 0);
	else
		assert_int_equal(count, 3);
}

static void a_folder_says_what_it_does_not_follow(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 2; i++) {
		kernel_asked = i;
		link_make(scene, "..now/a.yaml");
		folder_try(scene, NULL);
		link_make(scene, "../outside.yaml");
		folder_try(scene, "leads out of the folder");
		link_make(scene, "link.yaml");
		folder_try(scene, "Too many levels of symbolic links");
		link_make(scene, "inside.yaml");
		assert_int_equal(mkfifoat(scene->fd, "pipe.yaml", 0600), 0);
		folder_try(scene, "is no file");
		unlinkat(scene->fd, "pipe.yaml", 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_by_the_kernel, scene_make, scene_end),
		cmocka_unit_test_setup_teardown(links_by_hand, scene_make, scene_end),
		cmocka_unit_test_setup_teardown(chains_and_depths_have_an_end, scene_make,
						scene_end),
		cmocka_unit_test_setup_teardown(a_folder_says_what_it_does_not_follow, scene_make,
						scene_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
