// SPDX-License-Identifier: Apache-2.0
/* The state folder: what is written comes back, what was altered is found, one holder at a time. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/store/file.h"
#include "user/store/seal.h"
#include "user/store/store.h"

struct fixture {
	char dir[64];
	struct diags *diags;
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = talloc_zero(NULL, struct fixture);

	strcpy(f->dir, "/tmp/sluice-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->diags = diags_new(f);
	assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	talloc_free(f);
	return system(command);
}

static const char *last_text(const struct fixture *f)
{
	return f->diags->count ? f->diags->list[f->diags->count - 1].text : "";
}

static uint32_t save(struct fixture *f, const char *body, const char *reason, const char *summary)
{
	struct store_revision revision = {
		.parent = 7,
		.time = 1767225599,
		.author = "ann",
		.reason = reason,
		.summary = summary,
		.body = body,
	};

	assert_int_equal(store_save(f->store, &revision, f->diags), 0);
	return revision.number;
}

static void path_of(const struct fixture *f, const char *name, char path[static 256])
{
	snprintf(path, 256, "%s/%s", f->dir, name);
}

static char *slurp(const struct fixture *f, const char *name)
{
	char path[256], *text = talloc_zero_size(f, 65536);
	_cleanup_fclose_ FILE *file = NULL;

	path_of(f, name, path);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, 65535, file) > 0);
	return text;
}

static void spill(const struct fixture *f, const char *name, const char *text, size_t size)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[256];

	path_of(f, name, path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
}

/* Alters one byte where the text stands. */
static void damage(const struct fixture *f, const char *name, const char *where)
{
	char *text = slurp(f, name), *at = strstr(text, where);

	assert_non_null(at);
	*at ^= 1;
	spill(f, name, text, strlen(text));
}

static bool is_there(const struct fixture *f, const char *name)
{
	char path[256];

	path_of(f, name, path);
	return !access(path, F_OK);
}

/* A file as another release may write it: the digest fits, whatever the head is. */
static void seal(const struct fixture *f, const char *name, const char *head, const char *body)
{
	_cleanup_close_ int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t digest[STORE_DIGEST_SIZE];

	assert_int_equal(seal_stage(dir, name, head, body, digest), 0);
	assert_int_equal(file_place(dir, name), 0);
}

static void digest_is_sha256(void **state)
{
	static const uint8_t start[] = { 0xba, 0x78, 0x16, 0xbf };
	uint8_t digest[STORE_DIGEST_SIZE];

	store_digest("abc", 3, digest);
	assert_memory_equal(digest, start, sizeof(start));
}

static void revision_comes_back(void **state)
{
	static const struct {
		const char *body, *reason, *summary;
	} rows[] = {
		{ "kind: Service\n", "canary to 10%", "~ reviews.default: v1 90 (was v1 100)" },
		{ "", "", "" },
		{ "# digest of a body\n# body 3\n", "two\nlines \\n \t \x01 \x7f end\\",
		  "+ a\n- b\n~ c" },
		{ "no newline at the end", "# digest 00\n# changed x", "\\x41" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t number = save(f, rows[i].body, rows[i].reason, rows[i].summary);
		uint8_t digest[STORE_DIGEST_SIZE];
		struct store_revision got;

		assert_int_equal(number, i + 1);
		assert_int_equal(store_load(f->store, f, number, f->diags, &got), 0);
		assert_int_equal(got.number, number);
		assert_int_equal(got.parent, 7);
		assert_int_equal(got.time, 1767225599);
		assert_string_equal(got.author, "ann");
		assert_string_equal(got.reason, rows[i].reason);
		assert_string_equal(got.summary, rows[i].summary);
		assert_string_equal(got.body, rows[i].body);
		store_digest(rows[i].body, strlen(rows[i].body), digest);
		assert_memory_equal(got.digest, digest, sizeof(digest));
	}
	assert_int_equal(f->diags->count, 0);
}

#define HEAD_OF(more)                                                                              \
	"# sluice revision 1\n" more "# parent 0\n" more "# time 2025-12-31T23:59:59Z\n" more      \
	"# author ann\n" more "# reason why\n" more "# members 12\n" more "# changed ~ a\n" more   \
	"# changed ~ b\n" more

/* A newer release may have more to say: that is no damage, and not lost by being read here. */
static void unknown_header_lines_are_passed_over(void **state)
{
	static const char *const heads[] = {
		HEAD_OF(""),
		HEAD_OF("# later a word\n"),
		HEAD_OF("# later \n# changed-by hand\n# parents 7\n"),
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct store_revision got, *list;
		size_t count;
		char *text;

		seal(f, "revisions/0000000001.yaml", heads[i], "kind: Service\n");
		text = slurp(f, "revisions/0000000001.yaml");
		assert_int_equal(store_load(f->store, f, 1, f->diags, &got), 0);
		assert_string_equal(got.author, "ann");
		assert_string_equal(got.members, "12");
		assert_string_equal(got.summary, "~ a\n~ b");
		assert_string_equal(got.body, "kind: Service\n");
		assert_int_equal(store_list(f->store, f, f->diags, &list, &count), 0);
		assert_int_equal(count, 1);
		assert_string_equal(list[0].reason, "why");
		assert_string_equal(slurp(f, "revisions/0000000001.yaml"), text);
	}
	assert_int_equal(f->diags->count, 0);
	/* They are under the digest as all others are. */
	seal(f, "revisions/0000000001.yaml", heads[1], "");
	damage(f, "revisions/0000000001.yaml", "a word");
	assert_int_equal(store_load(f->store, f, 1, f->diags, &(struct store_revision){ 0 }),
			 -EBADMSG);
	assert_false(is_there(f, "revisions/0000000001.yaml"));
}

/* What another release wrote, and meant, is neither damage nor ours to move. */
static void another_form_is_left_alone(void **state)
{
	static const char *const heads[] = {
		HEAD_OF("") "# format 2\n",
		"# sluice revision 1\n# parent 0\n",
		"# sluice revision one\n",
		HEAD_OF("#no word\n"),
		HEAD_OF("# word\n"),
		"# sluice history 1\n",
		("# sluice revision 1\n# parent 0\n# time 2025-12-31T23:59:59Z\n# author \\t\n"
		 "# reason \n# members \n"),
		"",
	};
	const char *name = "revisions/0000000001.yaml";
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct store_revision got = { .number = 77 }, *list;
		size_t count;
		char *text;

		seal(f, name, heads[i], "kind: Later\n");
		text = slurp(f, name);
		assert_int_equal(store_load(f->store, f, 1, f->diags, &got), -EPROTO);
		assert_int_equal(got.number, 77);
		assert_non_null(strstr(last_text(f), "another release of Sluice wrote it"));
		assert_int_equal(store_list(f->store, f, f->diags, &list, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(list[0].number, 1);
		assert_string_equal(slurp(f, name), text);
		assert_false(is_there(f, "damaged"));
	}
	/* Nor is its number given again. */
	assert_int_equal(save(f, "a", "", ""), 2);
	seal(f, name, heads[0], "kind: Later\n");
	damage(f, name, "Later");
	assert_int_equal(store_load(f->store, f, 1, f->diags, &(struct store_revision){ 0 }),
			 -EBADMSG);
	assert_false(is_there(f, name));
}

static void list_is_newest_first(void **state)
{
	struct fixture *f = *state;
	struct store_revision *list;
	char *many = talloc_strdup(f, "");
	size_t count;

	/* A head longer than what a listing reads at first */
	for (int i = 0; i < 500; i++)
		many = talloc_asprintf_append(many, "~ service%d.default: v1 90, v3 10\n", i);
	save(f, "a", "first", "x");
	save(f, "b", "second", many);
	save(f, "c", "third", "z");
	assert_int_equal(store_list(f->store, f, f->diags, &list, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(list[0].number, 3);
	assert_string_equal(list[2].reason, "first");
	assert_int_equal(strlen(list[1].summary), strlen(many) - 1);
	assert_null(list[0].body);
}

/*
 * Every byte of a file counts: whatever is altered, the revision is set aside and the others
 * stay.
 */
static void altered_byte_is_found(void **state)
{
	struct fixture *f = *state;
	const char *name = "revisions/0000000001.yaml";
	struct store_revision got;
	char *text;
	size_t size;

	save(f, "kind: Service\nweight: 90\n", "reason", "~ a\n~ b");
	save(f, "other", "", "");
	text = slurp(f, name);
	size = strlen(text);
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 1;
		spill(f, name, text, size);
		assert_int_equal(store_load(f->store, f, 1, f->diags, &got), -EBADMSG);
		assert_false(is_there(f, name));
		text[i] ^= 1;
	}
	spill(f, name, text, size);
	assert_int_equal(store_load(f->store, f, 1, f->diags, &got), 0);
	assert_int_equal(store_load(f->store, f, 2, f->diags, &got), 0);
	assert_int_equal(f->diags->errors, 0);
}

static void torn_file_is_found(void **state)
{
	struct fixture *f = *state;
	const char *name = "revisions/0000000001.yaml";
	struct store_revision got, *list;
	size_t size, count;
	char *text;

	save(f, "kind: Service\n", "reason", "~ a");
	save(f, "other", "", "");
	text = slurp(f, name);
	size = strlen(text);
	for (size_t i = 0; i < size; i++) {
		spill(f, name, text, i);
		assert_int_equal(store_load(f->store, f, 1, f->diags, &got), -EBADMSG);
		spill(f, name, text, i);
		assert_int_equal(store_list(f->store, f, f->diags, &list, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(list[0].number, 2);
		assert_false(is_there(f, name));
	}
	assert_non_null(strstr(last_text(f), "set aside as damaged/0000000001.yaml."));
}

/* A good file under another number would make history lie. */
static void renamed_file_is_found(void **state)
{
	struct fixture *f = *state;
	struct store_revision got;
	char *text;

	save(f, "kind: Service\n", "", "");
	text = slurp(f, "revisions/0000000001.yaml");
	spill(f, "revisions/0000000005.yaml", text, strlen(text));
	assert_int_equal(store_load(f->store, f, 5, f->diags, &got), -EBADMSG);
	assert_int_equal(store_load(f->store, f, 9, f->diags, &got), -ENOENT);
}

static void reader_sets_nothing_aside(void **state)
{
	struct fixture *f = *state;
	struct store_revision got;
	struct store *reader;

	save(f, "kind: Service\n", "", "");
	spill(f, "revisions/0000000001.yaml", "torn", 4);
	assert_int_equal(store_open(f, f->dir, false, f->diags, &reader), 0);
	assert_int_equal(store_load(reader, f, 1, f->diags, &got), -EBADMSG);
	assert_true(is_there(f, "revisions/0000000001.yaml"));
	assert_non_null(strstr(last_text(f), "passed over"));
	assert_int_equal(store_set_active(reader, 1, 0), -ENOLCK);
	assert_int_equal(store_save(reader, &got, f->diags), -ENOLCK);
}

/* A number that the kernel may still hold must not come to mean something else. */
static void numbers_are_not_used_again(void **state)
{
	struct store_revision revision = { .number = 40, .body = "x" }, got;
	struct fixture *f = *state;

	save(f, "a", "", "");
	save(f, "b", "", "");
	spill(f, "revisions/0000000002.yaml", "torn", 4);
	assert_int_equal(store_load(f->store, f, 2, f->diags, &got), -EBADMSG);
	assert_int_equal(save(f, "c", "", ""), 3);
	assert_int_equal(store_set_active(f->store, 9, 3), 0);
	assert_int_equal(save(f, "d", "", ""), 10);
	assert_int_equal(store_save(f->store, &revision, f->diags), 0);
	assert_int_equal(revision.number, 40);
	assert_int_equal(store_remove(f->store, 40), 0);
	assert_int_equal(store_remove(f->store, 40), -ENOENT);
}

static void oldest_are_removed(void **state)
{
	struct fixture *f = *state;
	struct store_revision *list;
	size_t count;

	save(f, "a", "", "");
	save(f, "b", "", "");
	assert_int_equal(store_set_active(f->store, 1, 0), 0);
	for (int i = 2; i < STORE_KEEP + 2; i++)
		save(f, "c", "", "");
	assert_int_equal(store_list(f->store, f, f->diags, &list, &count), 0);
	assert_int_equal(list[0].number, STORE_KEEP + 2);
	/* The active one stays on top of those */
	assert_int_equal(count, STORE_KEEP + 1);
	assert_int_equal(list[count - 1].number, 1);
	assert_int_equal(list[count - 2].number, 3);
}

static void active_comes_back(void **state)
{
	static const char *const bad[] = { "",
					   "active 1",
					   "active x previous 2\n",
					   "active 1 previous 2",
					   "active 1 previous 2\nmore",
					   "active 1 previous 2\n# time",
					   "active 4294967297 previous 0\n",
					   "active 1 previous 18446744073709551617\n",
					   "active -1 previous 0\n",
					   "active  1 previous 0\n" };
	struct fixture *f = *state;
	uint32_t active = 77, previous = 77;

	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_true(active == 0 && previous == 0);
	assert_int_equal(store_set_active(f->store, 42, 41), 0);
	assert_string_equal(slurp(f, "active"), "active 42 previous 41\n");
	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_true(active == 42 && previous == 41);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		spill(f, "active", bad[i], strlen(bad[i]));
		assert_int_equal(store_active(f->store, &active, &previous), -EBADMSG);
		assert_true(active == 42 && previous == 41);
	}
}

/* No digest covers the pointer: what an editor or a bad disk left there must not be believed. */
static void activation_that_is_altered_is_found(void **state)
{
	static const char *const reasons[] = { "\\",     "\\x",   "\\x4", "\\xg0",
					       "a\\x+f", "\\x 1", "\\q" };
	struct fixture *f = *state;
	struct store_activation got;

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		_cleanup_talloc_ char *text = talloc_asprintf(
			NULL,
			"active 1 previous 2\n# time 2025-12-31T23:59:59Z\n# author ann\n"
			"# reason %s\n",
			reasons[i]);

		spill(f, "active", text, strlen(text));
		assert_int_equal(store_activation(f->store, f, &got), -EBADMSG);
	}
}

static void activation_comes_back(void **state)
{
	const struct store_activation wanted = { 1767225599, "ann", "a\nb\\c", 0, 0 };
	struct store_activation got = { 0 };
	struct fixture *f = *state;
	uint32_t active = 0, previous = 0;

	assert_int_equal(store_activation(f->store, f, &got), -ENOENT);
	assert_int_equal(store_note_activation(f->store, &wanted), 0);
	assert_int_equal(store_set_active(f->store, 1, 2), 0);
	assert_string_equal(slurp(f, "active"),
			    "active 1 previous 2\n# time 2025-12-31T23:59:59Z\n# author ann\n"
			    "# reason a\\nb\\\\c\n");
	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_true(active == 1 && previous == 2);
	assert_int_equal(store_activation(f->store, f, &got), 0);
	assert_true(got.time == wanted.time && got.active == 1 && got.previous == 2);
	assert_string_equal(got.author, "ann");
	assert_string_equal(got.reason, "a\nb\\c");
	/* It was about that one flip. */
	assert_int_equal(store_set_active(f->store, 2, 1), 0);
	assert_string_equal(slurp(f, "active"), "active 2 previous 1\n");
	assert_int_equal(store_activation(f->store, f, &got), -ENOENT);
	/* What cannot be read of it leaves the pointer what it is. */
	spill(f, "active", "active 3 previous 2\n# time x\n", 29);
	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_int_equal(active, 3);
	assert_int_equal(store_activation(f->store, f, &got), -EBADMSG);
}

/* The pointer and the seed, to which another release has added lines. */
static void unknown_lines_of_small_files_are_passed_over(void **state)
{
	static const char pointer[] =
		"active 3 previous 2\n# later a\n# time 2025-12-31T23:59:59Z\n"
		"# later b\n# author ann\n# reason why\n# later c\n";
	static const char seed[] = "00000000000000ff0000000000000010\nlater\n";
	struct store_activation got;
	struct fixture *f = *state;
	uint32_t active = 0, previous = 0;
	uint64_t words[2];

	spill(f, "active", pointer, strlen(pointer));
	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_true(active == 3 && previous == 2);
	assert_int_equal(store_activation(f->store, f, &got), 0);
	assert_string_equal(got.author, "ann");
	assert_string_equal(got.reason, "why");
	spill(f, "seed", seed, strlen(seed));
	assert_int_equal(store_seed(f->store, NULL, f->diags, words), 0);
	assert_true(words[0] == 0xff && words[1] == 0x10);
	/* Given once more, it is the same one: no reason to write the file anew. */
	assert_int_equal(store_seed(f->store, "00000000000000ff0000000000000010", f->diags, words),
			 0);
	assert_string_equal(slurp(f, "seed"), seed);
	assert_int_equal(f->diags->count, 0);
}

static void endpoints_of_another_release(void **state)
{
	static const char *const forms[] = { "# sluice endpoints\n# format 2\n",
					     "# sluice members\n" };
	struct fixture *f = *state;
	char *text, *before;

	seal(f, "endpoints.yaml", "# sluice endpoints\n# later a word\n", "kind: Endpoint\n");
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), 0);
	assert_string_equal(text, "kind: Endpoint\n");
	assert_int_equal(f->diags->count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		seal(f, "endpoints.yaml", forms[i], "kind: Later\n");
		before = slurp(f, "endpoints.yaml");
		assert_int_equal(store_endpoints(f->store, f, f->diags, &text), -EPROTO);
		assert_non_null(strstr(last_text(f), "another release of Sluice wrote it"));
		assert_int_equal(store_set_endpoints(f->store, "new\n", f->diags), -EPROTO);
		assert_non_null(strstr(last_text(f), "run that release, or move the file away"));
		assert_string_equal(slurp(f, "endpoints.yaml"), before);
		assert_false(is_there(f, "damaged"));
	}
	/* Moved away, it is nobody's. */
	seal(f, "endpoints.yaml", "# sluice endpoints\n", "kind: Endpoint\n");
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), 0);
	assert_int_equal(store_set_endpoints(f->store, "new\n", f->diags), 0);
	assert_false(is_there(f, "damaged"));
	/* One that the reader could make nothing of is kept. */
	store_doubt_endpoints(f->store);
	assert_int_equal(store_set_endpoints(f->store, "newer\n", f->diags), 0);
	assert_non_null(strstr(last_text(f), "set aside as damaged/endpoints.yaml."));
}

static void endpoints_come_back(void **state)
{
	struct fixture *f = *state;
	char aside[256];
	char *damaged, *text;

	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), -ENOENT);
	assert_int_equal(store_set_endpoints(f->store, "kind: Endpoint\n", f->diags), 0);
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), 0);
	assert_string_equal(text, "kind: Endpoint\n");
	assert_int_equal(f->diags->count, 0);

	damaged = slurp(f, "endpoints.yaml");
	damaged[strlen(damaged) - 2] ^= 1;
	spill(f, "endpoints.yaml", damaged, strlen(damaged));
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), -EBADMSG);
	assert_int_equal(f->diags->warnings, 1);
	assert_true(is_there(f, "endpoints.yaml"));
	/* And when the good one cannot be written: without a file there would be no endpoints. */
	snprintf(aside, sizeof(aside), "%s/endpoints.yaml.tmp", f->dir);
	assert_int_equal(mkdir(aside, 0700), 0);
	assert_true(store_set_endpoints(f->store, "new\n", f->diags) < 0);
	assert_int_equal(rmdir(aside), 0);
	assert_string_equal(slurp(f, "endpoints.yaml"), damaged);
	assert_false(is_there(f, "damaged"));
	/* The damaged one is kept for whoever wants to look at it. */
	assert_int_equal(store_set_endpoints(f->store, "new\n", f->diags), 0);
	assert_non_null(strstr(last_text(f), "set aside as damaged/endpoints.yaml."));
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), 0);
	assert_string_equal(text, "new\n");
}

static void seed_is_made_once(void **state)
{
	struct fixture *f = *state;
	uint64_t first[2], again[2];

	assert_int_equal(store_seed(f->store, NULL, f->diags, first), 0);
	assert_int_equal(store_seed(f->store, NULL, f->diags, again), 0);
	assert_memory_equal(first, again, sizeof(first));
	assert_int_equal(store_seed(f->store, "zz", f->diags, again), -EINVAL);
	assert_int_equal(store_seed(f->store, "00000000000000ff0000000000000010", f->diags, again),
			 0);
	assert_true(again[0] == 0xff && again[1] == 0x10);
	assert_int_equal(store_seed(f->store, NULL, f->diags, first), 0);
	assert_memory_equal(first, again, sizeof(first));
	spill(f, "seed", "gone", 4);
	assert_int_equal(store_seed(f->store, NULL, f->diags, first), -EBADMSG);
	assert_memory_equal(first, again, sizeof(first));
}

/* A child that holds the lock until it is told to go, by a pipe. */
static pid_t holder_start(const struct fixture *f, int *ret_go)
{
	int ready[2], go[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct diags *diags = diags_new(NULL);
		struct store *store;
		int failed = store_open(diags, f->dir, true, diags, &store) ||
			     store_lock(store, 1000, "sluice apply", diags);

		close(go[1]);
		failed |= write(ready[1], "x", 1) != 1;
		failed |= read(go[0], &byte, 1) != 0;
		_exit(failed);
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_go = go[1];
	return pid;
}

static void lock_names_its_holder(void **state)
{
	struct fixture *f = *state;
	char pid_text[64];
	int go, status;
	pid_t pid;

	talloc_free(f->store);
	pid = holder_start(f, &go);
	assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
	assert_int_equal(store_lock(f->store, 50, "test", f->diags), -ETIMEDOUT);
	snprintf(pid_text, sizeof(pid_text), "locked by pid %d (sluice apply) since 20", (int)pid);
	assert_non_null(strstr(last_text(f), pid_text));
	assert_non_null(strstr(last_text(f), "waited 0.05 s: try --timeout"));
	close(go);
	/* Waits for the holder's end, whenever in that time it comes. */
	assert_int_equal(store_lock(f->store, 5000, "test", f->diags), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Readers share it and keep a writer out; one that it keeps out says so, and goes on. */
static void readers_share_the_lock(void **state)
{
	struct fixture *f = *state;
	struct store *reader, *another;
	int go, status;
	pid_t pid;

	talloc_free(f->store);
	assert_int_equal(store_open(f, f->dir, false, f->diags, &reader), 0);
	assert_int_equal(store_lock_shared(reader, 0, f->diags), 0);
	assert_int_equal(store_open(f, f->dir, false, f->diags, &another), 0);
	assert_int_equal(store_lock_shared(another, 0, f->diags), 0);
	assert_int_equal(f->diags->count, 0);
	assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), -ETIMEDOUT);
	talloc_free(reader);
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), -ETIMEDOUT);
	assert_int_equal(store_set_active(f->store, 1, 0), -ENOLCK);
	talloc_free(another);
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), 0);
	talloc_free(f->store);

	pid = holder_start(f, &go);
	assert_int_equal(store_open(f, f->dir, false, f->diags, &f->store), 0);
	assert_int_equal(store_lock_shared(f->store, 20, f->diags), 0);
	assert_non_null(strstr(last_text(f), "(sluice apply)"));
	assert_non_null(strstr(last_text(f), "what follows may be of two moments"));
	close(go);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define LOCKERS 8
#define ROUNDS 20

static int rounds_run(const char *dir)
{
	for (int i = 0; i < ROUNDS; i++) {
		_cleanup_talloc_ struct diags *diags = diags_new(NULL);
		uint32_t active, previous;
		struct store *store;

		if (store_open(diags, dir, true, diags, &store) ||
		    store_lock(store, 20000, "round", diags) ||
		    store_active(store, &active, &previous) ||
		    store_set_active(store, active + 1, active))
			return 1;
	}
	return 0;
}

/*
 * Reading, adding one and writing by several processes loses nothing, if and only if the lock
 * excludes.
 */
static void lockers_exclude_each_other(void **state)
{
	struct fixture *f = *state;
	uint32_t active, previous;

	talloc_free(f->store);
	for (int i = 0; i < LOCKERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(rounds_run(f->dir));
	}
	for (int i = 0; i < LOCKERS; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(store_open(f, f->dir, false, f->diags, &f->store), 0);
	assert_int_equal(store_active(f->store, &active, &previous), 0);
	assert_int_equal(active, LOCKERS * ROUNDS);
}

static void descriptors_are_not_inherited(void **state)
{
	for (int fd = 3; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);
		char link[64], target[128] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (flags < 0 || readlink(link, target, sizeof(target) - 1) < 0 ||
		    !strstr(target, "sluice-store-"))
			continue;
		assert_true(flags & FD_CLOEXEC);
	}
}

static void leftovers_are_removed(void **state)
{
	struct fixture *f = *state;

	spill(f, "active.tmp", "x", 1);
	spill(f, "revisions/0000000001.yaml.tmp", "x", 1);
	talloc_free(f->store);
	assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
	assert_true(is_there(f, "active.tmp"));
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), 0);
	assert_false(is_there(f, "active.tmp"));
	assert_false(is_there(f, "revisions/0000000001.yaml.tmp"));
	assert_int_equal(save(f, "a", "", ""), 1);
}

static void missing_folder_is_told(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL, *empty;
	struct store_revision *list;
	uint32_t active, previous;
	size_t count;
	char *text;

	assert_int_equal(store_open(f, "/nowhere/at/all", true, f->diags, &store), -ENOENT);
	assert_null(store);
	assert_string_equal(f->diags->list[0].file, "/nowhere/at/all");
	/* To read it is to find nothing. */
	assert_int_equal(store_open(f, "/nowhere/at/all", false, f->diags, &empty), 0);
	assert_int_equal(store_list(empty, f, f->diags, &list, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_active(empty, &active, &previous), 0);
	assert_int_equal(active, 0);
	assert_int_equal(store_endpoints(empty, f, f->diags, &text), -ENOENT);
	assert_int_equal(f->diags->errors, 1);
}

/* A write that fails half-way leaves the old file whole; the limit stands for a full disk. */
static int full_disk_run(const struct fixture *f)
{
	struct store_revision revision = { .author = "ann" }, *list;
	char *big = talloc_zero_size(f, 1 << 20);
	const char *wanted = "cannot save a revision; nothing was changed: ";
	size_t count;

	memset(big, 'x', (1 << 20) - 1);
	revision.body = big;
	if (store_save(f->store, &revision, f->diags) != -ENOSPC || revision.number ||
	    strncmp(last_text(f), wanted, strlen(wanted)))
		return 1;
	if (store_set_endpoints(f->store, big, f->diags) != -ENOSPC)
		return 2;
	return store_list(f->store, f->diags, f->diags, &list, &count) || count != 1;
}

static void full_disk_leaves_nothing_half_written(void **state)
{
	struct fixture *f = *state;
	char command[200];
	char *text;
	int status;

	talloc_free(f->store);
	snprintf(command, sizeof(command), "mount -t tmpfs -o size=256k sluice-test %s 2>/dev/null",
		 f->dir);
	if (system(command)) {
		assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
		print_message("cannot mount a small tmpfs here: the full disk is not tested\n");
		skip();
	}
	assert_int_equal(store_open(f, f->dir, true, f->diags, &f->store), 0);
	assert_int_equal(store_lock(f->store, 0, "test", f->diags), 0);
	save(f, "a", "", "");
	assert_int_equal(store_set_endpoints(f->store, "old", f->diags), 0);
	status = full_disk_run(f);
	assert_int_equal(store_endpoints(f->store, f, f->diags, &text), 0);
	talloc_free(f->store);
	snprintf(command, sizeof(command), "umount %s", f->dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(status, 0);
	assert_string_equal(text, "old");
}

/* In a child without root's right to write everywhere. */
static int read_only_run(const struct fixture *f)
{
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	struct store_revision got;
	struct store *store;

	if (!geteuid() && (setgid(65534) || setuid(65534)))
		return 77;
	/* Who would write to another's folder is told; who looks may look as far as its mode lets.
	 */
	if (store_open(diags, f->dir, true, diags, &store) != -EPERM ||
	    !strstr(diags->list[0].text, "belongs to user 0, this is user 65534"))
		return 5;
	if (store_open(diags, f->dir, false, diags, &store))
		return 1;
	if (store_load(store, diags, 1, diags, &got) != -EACCES)
		return 2;
	if (store_lock(store, 0, "test", diags) != -EACCES || diags->errors != 3)
		return 3;
	return strcmp(diags->list[2].text, "cannot lock: Permission denied") ? 4 : 0;
}

static void read_only_folder_is_told(void **state)
{
	struct fixture *f = *state;
	char path[256];
	int status;
	pid_t pid;

	if (geteuid()) {
		print_message("needs root to become another user: not tested\n");
		skip();
	}
	save(f, "a", "", "");
	path_of(f, "revisions", path);
	assert_int_equal(chmod(f->dir, 0755) | chmod(path, 0755), 0);
	pid = fork();
	if (!pid)
		_exit(read_only_run(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static unsigned mode_of(const struct fixture *f)
{
	struct stat status;

	assert_int_equal(stat(f->dir, &status), 0);
	return status.st_mode & 07777;
}

static void folder_is_closed_to_others(void **state)
{
	struct fixture *f = *state;
	struct store *again;

	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(store_open(f, f->dir, false, f->diags, &again), 0);
	assert_int_equal(mode_of(f), 0755);
	assert_int_equal(f->diags->count, 0);
	assert_int_equal(store_open(f, f->dir, true, f->diags, &again), 0);
	assert_int_equal(mode_of(f), 0700);
	assert_int_equal(f->diags->warnings, 1);
	assert_non_null(strstr(last_text(f), "was open to others (mode 0755)"));
	assert_int_equal(store_open(f, f->dir, true, f->diags, &again), 0);
	assert_int_equal(f->diags->count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(digest_is_sha256),
		TEST(revision_comes_back),
		TEST(list_is_newest_first),
		TEST(altered_byte_is_found),
		TEST(torn_file_is_found),
		TEST(renamed_file_is_found),
		TEST(reader_sets_nothing_aside),
		TEST(numbers_are_not_used_again),
		TEST(oldest_are_removed),
		TEST(active_comes_back),
		TEST(activation_comes_back),
		TEST(activation_that_is_altered_is_found),
		TEST(endpoints_come_back),
		TEST(seed_is_made_once),
		TEST(unknown_header_lines_are_passed_over),
		TEST(another_form_is_left_alone),
		TEST(unknown_lines_of_small_files_are_passed_over),
		TEST(endpoints_of_another_release),
		TEST(lock_names_its_holder),
		TEST(readers_share_the_lock),
		TEST(lockers_exclude_each_other),
		TEST(descriptors_are_not_inherited),
		TEST(leftovers_are_removed),
		TEST(missing_folder_is_told),
		TEST(folder_is_closed_to_others),
		TEST(full_disk_leaves_nothing_half_written),
		TEST(read_only_folder_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
