// SPDX-License-Identifier: Apache-2.0
/* What the kernel is asked for, and what is said of a kernel that refuses. */
#include "tables.h"

#include <linux/filter.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/utsname.h>

static bool may_have_tcx = true, may_have_netdev = true;

/* The weak one of the library gives way: a kernel before 6.6. */
bool kernel_may_have_tcx(void)
{
	return may_have_tcx;
}

/* And before 6.3. */
bool kernel_may_have_netdev(void)
{
	return may_have_netdev;
}

static const struct kernel_feature *feature(const char *word)
{
	static struct kernel_feature list[KERNEL_FEATURES];
	size_t count = kernel_features(list);

	for (size_t i = 0; i < count; i++)
		if (strstr(list[i].name, word))
			return &list[i];
	fail_msg("no feature is named %s", word);
	return NULL;
}

static char said[1 << 20];

/* A program of many instructions, the last of which reads what was never written. */
static int bad_program_load(void)
{
	static struct bpf_insn code[3000];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = said, .log_size = sizeof(said),
		    .log_level = 2);
	const size_t count = ARRAY_SIZE(code);

	for (size_t i = 0; i < count; i++)
		code[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (int)i };
	code[count - 2] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .src_reg = 9 };
	code[count - 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bad", "GPL", code, count, &opts);
}

/* As libbpf hands a log over. */
static void log_hand(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refusal_keep(LIBBPF_WARN, format, args);
	va_end(args);
}

/* --- rows --- */

/* These tests run where the doors do. */
static void what_is_needed_is_there(void **state)
{
	struct kernel_feature list[KERNEL_FEATURES];
	size_t count = kernel_features(list);

	for (size_t i = 0; i < count; i++) {
		assert_true(list[i].is_there || !list[i].is_needed);
		assert_true(list[i].is_needed == !list[i].without);
		assert_true(atof(list[i].since) >= 5);
	}
}

static void what_is_asked_is_the_kernel_not_its_version(void **state)
{
	uint32_t ids[8], count = ARRAY_SIZE(ids), flags;
	bool has_tcx = !bpf_prog_query(1, 46 /* BPF_TCX_INGRESS */, 0, &flags, ids, &count);

	may_have_tcx = true;
	assert_true(feature("tcx")->is_there == has_tcx);
	may_have_tcx = false;
	assert_false(feature("tcx")->is_there);
	assert_non_null(strstr(feature("tcx")->without, "clsact"));
}

static void a_kernel_whose_drivers_say_nothing_is_named(void **state)
{
	may_have_netdev = false;
	assert_false(feature("own word on XDP")->is_there);
	assert_false(feature("own word on XDP")->is_needed);
	assert_non_null(strstr(feature("own word on XDP")->without, "when it runs our XDP"));
	may_have_netdev = true;
}

static void probing_leaves_nothing(void **state)
{
	uint32_t before = 0, after = 0, id = 0;

	while (!bpf_map_get_next_id(id, &id))
		before++;
	feature("tcx");
	for (id = 0; !bpf_map_get_next_id(id, &id);)
		after++;
	assert_true(after <= before + 1); /* the kernel frees by and by */
}

static void a_refusal_shows_the_end_of_the_log_and_the_kernel(void **state)
{
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	struct utsname kernel;
	const char *text;

	uname(&kernel);
	refusal_forget();
	log_hand("libbpf: prog 'x': BPF program load failed: Permission denied\n");
	assert_true(bad_program_load() < 0);
	assert_true(strlen(said) > 100000);
	log_hand("libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n%s-- END PROG LOAD LOG --\n", said);
	log_hand("libbpf: failed to load object 'x'\n");
	refusal_say(diags, -EACCES);
	text = diags->list[0].text;
	assert_non_null(strstr(text, "!read_ok"));
	assert_non_null(strstr(text, "failed to load object"));
	assert_non_null(strstr(text, kernel.release));
	assert_null(strstr(text, "BEGIN PROG"));
	assert_true(strlen(text) < 4500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_is_there),
		cmocka_unit_test(what_is_asked_is_the_kernel_not_its_version),
		cmocka_unit_test(a_kernel_whose_drivers_say_nothing_is_named),
		cmocka_unit_test(probing_leaves_nothing),
		cmocka_unit_test(a_refusal_shows_the_end_of_the_log_and_the_kernel),
	};

	libbpf_set_print(NULL);
	return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
