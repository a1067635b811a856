// SPDX-License-Identifier: Apache-2.0
/* The reader and the writer of plain YAML against libyaml: the same tree, the same bytes, or hands
 * off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "trees.h"
#include "user/base/cleanup.h"
#include "user/input/yaml_plain.h"

static const struct {
	const char *sentence, *text;
	bool is_taken;
} rows[] = {
	{ "nothing at all", "", true },
	{ "a comment alone", "# nothing\n", true },
	{ "a document of nothing", "---\n", true },
	{ "two documents of nothing, the last line without an end", "---\n---", true },
	{ "a map", "a: b\nc: 5\n", true },
	{ "a document after another", "---\na: b\n---\nc: d\n", true },
	{ "no line feed at the end", "a: b", true },
	{ "comments and blank lines everywhere", "# x\n\na: # y\n\n  b: c # z\n# w\n", true },
	{ "a list under its key, no further in", "a:\n- b\n- c\nd: e\n", true },
	{ "a list under its key, further in", "a:\n  - b\n  -   c\nd: e\n", true },
	{ "maps in lists", "a:\n- b: c\n  d: e\n-   f: g\n    h: i\n", true },
	{ "lists in lists", "a:\n- - b\n  - c\n- - d\n", true },
	{ "a dash alone, and its map below", "a:\n-\n  b: c\n", true },
	{ "flow collections", "a: {b: c, d: [e, f], g: {}}\nh: []\ni: [ j , k ]\n", true },
	{ "a flow list of addresses", "a: [10.0.0.1, 'fd00::1', fd00::1]\n", true },
	{ "quotes", "a: \"b c: #\"\n'd': ''\n\"e\": {'f': \"g\"}\n", true },
	{ "a text with signs inside", "a: b, c [d] {e} #f 'g' \"h\" & * ! | > %\n", true },
	{ "a colon inside", "a: http://b:80/c?d=e\n", true },
	{ "a negative number", "a: -5\nb: [-5]\n", true },
	{ "spaces at the end", "a: b  \nc:   d \n", true },
	{ "null", "a: ~\nb: null\n", true },
	{ "a value that is not there", "a:\nb: c\n", false },
	{ "a text over two lines", "a: b\n  c\n", false },
	{ "a text over two lines in a list", "a:\n- b\n  c\n", false },
	{ "a text over two lines, a blank one between", "a: b\n\n  c\n", false },
	{ "a flow list over two lines", "a: [b,\n  c]\n", false },
	{ "a key twice", "a: b\na: c\n", false },
	{ "a key twice in a flow map", "a: {b: c, b: d}\n", false },
	{ "a colon and a blank in a text", "a: b: c\n", false },
	{ "an anchor", "a: &x b\nc: *x\n", false },
	{ "a tag", "a: !!str b\n", false },
	{ "a merge key", "<<: a\n", false },
	{ "a block text", "a: |\n  b\n", false },
	{ "a folded text", "a: >-\n  b\n", false },
	{ "an escape", "a: \"b\\n\"\n", false },
	{ "a quote in quotes", "a: 'b''c'\n", false },
	{ "a quote that does not end", "a: 'b\n", false },
	{ "what follows a quoted text", "a: 'b' c\n", false },
	{ "what follows a flow list", "a: [b] c\n", false },
	{ "a comment without a blank", "a: 'b'#c\n", false },
	{ "a tab", "a:\tb\n", false },
	{ "a carriage return", "a: b\r\n", false },
	{ "letters beyond ASCII", "a: \xc3\xa9\n", false },
	{ "a NUL", "a: \x01\n", false },
	{ "a directive", "%YAML 1.1\n---\na: b\n", false },
	{ "a document's end", "a: b\n...\n", false },
	{ "something behind the dashes", "--- a\n", false },
	{ "a complex key", "? a\n: b\n", false },
	{ "a list of pairs", "a: [b: c]\n", false },
	{ "a comma at the end", "a: [b, ]\n", false },
	{ "a line that is further in than its brothers", "a: b\n c: d\n", false },
	{ "a line that is between two levels", "a:\n    b: c\n  d: e\n", false },
	{ "a dash among keys", "a: b\n- c\n", false },
	{ "a key among dashes", "- a\nb: c\n", false },
	{ "a text alone", "a\n", false },
	{ "JSON", "{\"a\": [1, 2]}\n", false },
};

static void test_rows(void **state)
{
	size_t failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_talloc_ void *memory = talloc_new(NULL);
		struct input_text text = { "row", rows[i].text, strlen(rows[i].text) };
		struct diags *diags = diags_new(memory);
		struct node *plain = NULL, *whole = NULL;
		const struct node *at = NULL;
		const char *what = NULL;
		bool is_taken;

		assert_int_equal(yaml_plain_parse(memory, &text, &is_taken, &plain), 0);
		if (is_taken != rows[i].is_taken)
			what = is_taken ? "it is taken" : "it is not taken";
		else if (is_taken && yaml_parse_whole(memory, &text, diags, &whole))
			what = "libyaml refuses it";
		else if (is_taken)
			what = trees_differ(plain, whole, &at);
		if (what)
			fprintf(stderr, "%s: %s, at %u:%u\n", rows[i].sentence, what,
				at ? at->line : 0, at ? at->column : 0);
		failed += what != NULL;
	}
	assert_int_equal(failed, 0);
}

static void test_limits(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	char *deep = talloc_strdup(memory, "a: "), *wide = talloc_strdup(memory, "");
	char *key = talloc_zero_size(memory, 2000);
	const char *const texts[] = { deep, wide, key };

	for (int i = 0; i < 100; i++)
		deep = talloc_strdup_append(deep, "[");
	for (int i = 0; i < 100; i++)
		deep = talloc_strdup_append(deep, "]");
	for (int i = 0; i < 100; i++)
		wide = talloc_asprintf_append(wide, "k%d: x\n", i);
	memset(key, 'k', 1500);
	strcat(key, ": x\n");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *data = i == 0 ? deep : i == 1 ? wide : key;
		struct input_text text = { "row", data, strlen(data) };
		struct node *documents;
		bool is_taken = true;

		assert_int_equal(yaml_plain_parse(memory, &text, &is_taken, &documents), 0);
		assert_false(is_taken);
	}
}

/* Names and labels that need quotes, and one that only libyaml writes. */
static const char *const labels[] = {
	"v1",  "on", "5",  "0x1f", "1e3", "a b",       "a: b",  "-",
	"a#b", "\"", "\\", "",     "~",   "a.b/c_d-e", "12:30", "\xc3\xa9",
};

static void labels_compare(const char *label, bool is_key)
{
	struct label list = { is_key ? label : "key", is_key ? "value" : label };
	struct subset subset = { .name = "v1", .labels = { &list, 1 } };
	struct service service = {
		.host = "a.b.svc.cluster.local",
		.name = "a",
		.namespace = "b",
		.subsets = &subset,
		.subset_count = 1,
		.destination_rule = "a",
		.destination_rule_namespace = "b",
		.virtual_service = "",
		.virtual_service_namespace = "",
	};
	const struct model model = { .services = &service, .service_count = 1 };
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	char *plain, *whole;

	assert_int_equal(model_export(memory, &model, &plain), 0);
	assert_int_equal(model_export_whole(memory, &model, &whole), 0);
	assert_string_equal(plain, whole);
	assert_non_null(strstr(plain, "subsets:"));
}

static void test_export(void **state)
{
	char longest[300] = "";

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		labels_compare(labels[i], false);
		labels_compare(labels[i], true);
	}
	for (size_t size = 100; size < 200; size += 7) {
		memset(longest, 'l', size);
		labels_compare(longest, true);
		labels_compare(longest, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
