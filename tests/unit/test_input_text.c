// SPDX-License-Identifier: Apache-2.0
/* The text itself: YAML and JSON that is broken, ambiguous, or made to hurt. */
#include "input_rows.h"

#include <errno.h>

#define HEAD "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
#define RESULT "a.default.svc.cluster.local kube 10.0.0.1\n"

static const struct row rows[] = {
	{ "broken YAML is refused at its place", "a: [b\nc: d\n",
	  .wanted = "2:2: error: not YAML or JSON: did not find expected ',' or ']'" },
	{ "broken JSON is refused at its place", "{\"a\": 1,, }",
	  .wanted = "1:9: error: not YAML or JSON" },
	{ "a tab as indentation is refused", "a:\n\tb: c\n",
	  .wanted = "2:1: error: not YAML or JSON: found character" },
	{ "a key twice is refused with the first one's line", "a: 1\nb: 2\na: 3\n",
	  .wanted = "3:1: error: a: the key \"a\" a second time, the first is at line 1" },
	{ "a key twice on one line is refused at the second", "{a: 1, b: 2, a: 3}",
	  .wanted = "1:14: error: a: the key \"a\" a second time" },
	{ "a key twice deep down has its path", HEAD "spec:\n  ports: [{port: 1, port: 2}]\n",
	  .wanted = "5:21: error: spec.ports[0].port: the key \"port\" a second time" },
	{ "the other texts of a document set are still looked at",
	  "apiVersion: v1\nkind: List\nitems: [a]\n---\n\"\\0\"\n",
	  .wanted = "5:1: error: a NUL character" },
	{ "bytes that are no UTF-8 are refused at their place", "a: b\nc: \xff\xfe\n",
	  .wanted = "2:4: error: not UTF-8" },
	{ "a control character is refused", "a: \x01\n",
	  .wanted = "1:4: error: not UTF-8: control characters" },
	{ "UTF-16 is refused, not guessed",
	  "\xff\xfe"
	  "a",
	  .wanted = "1:1: error: not UTF-8" },
	{ "a list as a key is refused", "? [a]\n: b\n",
	  .wanted = "1:3: error: a list or a map as a key" },
	{ "merge keys are refused", "a: &x {b: c}\nd: {<<: *x}\n",
	  .wanted = "2:5: error: merge key" },
	{ "other tags are refused", HEAD "spec: !!set {a}\n", .wanted = "4:7: error: found a tag" },
	{ "the text tag makes text", HEAD "spec: {type: !!str 5}\n",
	  .result = "a.default.svc.cluster.local kube\n" },
	{ "binary is refused", HEAD "spec: {type: !!binary aaaa}\n",
	  .wanted = "4:14: error: a tag other than !!str" },
	{ "an alias stands for its anchor",
	  "apiVersion: v1\nkind: Service\nmetadata: {name: &n a}\n"
	  "spec: {clusterIP: &ip 10.0.0.1, clusterIPs: [*ip], selector: {app: *n}}\n",
	  .result = RESULT },
	{ "an alias of nothing is refused", HEAD "spec: *x\n",
	  .wanted = "4:7: error: alias of an anchor that is not above" },
	{ "an anchor of another document is nothing", "a: &x b\n---\n" HEAD "spec: *x\n",
	  .wanted = "6:7: error: alias of an anchor" },
	{ "an alias inside its anchor is refused", HEAD "spec: &x {a: *x}\n",
	  .wanted = "4:14: error: inside its own anchor" },
	{ "aliases that grow without end are refused",
	  "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	  "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
	  "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
	  .wanted = "5:29: error: aliases add too many fields" },
	{ "a path quotes keys that are no simple words", HEAD "spec: {selector: {a.b/c: 5}}\n",
	  .wanted = "4:26: error: spec.selector[\"a.b/c\"]: found the number 5" },
	{ "a byte order mark is no matter", "\xef\xbb\xbf" HEAD "spec: {clusterIP: 10.0.0.1}\n",
	  .result = RESULT },
	{ "Windows's line ends are no matter",
	  "apiVersion: v1\r\nkind: Service\r\nmetadata: {name: a}\r\nspec: {clusterIP: "
	  "10.0.0.1}\r\n",
	  .result = RESULT },
	{ "JSON's pairs of escapes are one character",
	  "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\", "
	  "\"annotations\": {\"a\": \"\\ud83d\\ude00 \\\\ud83d\"}},\n\"spec\": {\"clusterIP\": "
	  "\"10.0.0.1\"}}",
	  .result = RESULT },
	{ "half a pair is refused", "{\"a\": \"\\ud83d x\"}",
	  .wanted = "1:10: error: not YAML or JSON" },
	{ "columns count characters", HEAD "spec: {\"\xc3\xa9\": 1, clusterIP: x}\n",
	  .wanted = "4:8: warning: spec[\"é\"]: ServiceSpec, ignored\n"
		    "4:27: error: spec.clusterIP: \"x\"" },
};

static void test_rows(void **state)
{
	ROWS_RUN(rows);
}

static const char *finding_of(void *memory, const char *data, size_t size, int *ret_r)
{
	struct diags *diags = diags_new(memory);
	struct input_text text = { "row", data, size };
	struct input_result result;

	*ret_r = input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags, &result);
	return diags->count ? diags->list[0].text : "";
}

static void test_depth(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	char deep[5000];
	int r;

	memset(deep, '[', sizeof(deep));
	assert_non_null(
		strstr(finding_of(memory, deep, sizeof(deep), &r), "nested too deep; at most 100"));
	assert_int_equal(r, -EINVAL);
}

static void test_nul(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	int r;

	assert_non_null(strstr(finding_of(memory, "a: b\0c\n", 7, &r), "control characters"));
	assert_int_equal(r, -EINVAL);
	assert_string_equal(finding_of(memory, NULL, 0, &r), "");
	assert_int_equal(r, 0);
}

/* However much is wrong, a person reads a hundred lines of it. */
static void test_errors_are_bounded(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	char *data = talloc_strdup(memory, "");
	struct input_result result;

	for (int i = 0; i < 1000; i++)
		data = talloc_asprintf_append(
			data,
			"---\napiVersion: networking.istio.io/v1\n"
			"kind: VirtualService\nmetadata: {name: a%d}\nspec: {}\n",
			i);
	struct input_text text = { "row", data, strlen(data) };
	assert_int_equal(input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags, &result),
			 -EINVAL);
	assert_int_equal(diags->count, 101);
	assert_non_null(strstr(diags->list[100].text, "more than 100 errors"));
}

static void test_anchors_are_bounded(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	char *data = talloc_strdup(memory, "");
	int r;

	for (int i = 0; i < 10001; i++)
		data = talloc_asprintf_append_buffer(data, "- &a%d x\n", i);
	assert_non_null(strstr(finding_of(memory, data, strlen(data), &r), "too many anchors"));
	assert_int_equal(r, -EINVAL);
}

/* A hundred thousand keys in one map: by the square it would take minutes. */
static void test_wide_map(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;
	FILE *out = open_memstream(&data, &size);

	fprintf(out, "apiVersion: v1\nkind: Secret\ndata:\n");
	for (int i = 0; i < 100000; i++)
		fprintf(out, "  k%d: x\n", i);
	fclose(out);
	assert_non_null(strstr(finding_of(memory, data, strlen(data), &r), "passed over"));
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_errors_are_bounded),
		cmocka_unit_test(test_anchors_are_bounded),
		cmocka_unit_test(test_wide_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
