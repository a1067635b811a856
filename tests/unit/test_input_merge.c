// SPDX-License-Identifier: Apache-2.0
/* What an input does to what was there before. */
#include "input_rows.h"

#define RULE(name, hosts, to)                                                                      \
	ISTIO("VirtualService", name,                                                              \
	      "  hosts: [" hosts "]\n  tcp: [{route: [{destination: {host: " to "}}]}]\n")
#define TO(to) " tcp:=>" to ".default.svc.cluster.local/:0*100\n"
#define HOST(name) name ".default.svc.cluster.local undefined"
#define SERVICE(name, spec)                                                                        \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {" spec "}\n"

static const struct row rows[] = {
	{ "a rule of the same object replaces the older", RULE("r", "a", "w"),
	  .base = RULE("r", "a", "x"), .result = HOST("a") TO("w") },
	{ "the rest stays", RULE("s", "b", "w"), .base = RULE("r", "a", "x"),
	  .result = HOST("a") TO("x") HOST("b") TO("w") },
	{ "as the whole configuration, what it does not name goes", RULE("s", "b", "w"),
	  .base = RULE("r", "a", "x"), .is_replace = true, .result = HOST("b") TO("w") },
	{ "an object of another name takes a host's rules over, with a warning",
	  RULE("s", "a", "w"), .base = RULE("r", "a", "x"),
	  .wanted = "5:11: warning: spec.hosts[0]: the rules of a.default.svc.cluster.local were "
		    "those of the "
		    "VirtualService default/r until now",
	  .result = HOST("a") TO("w") },
	{ "a host that its object names no more loses its rules", RULE("r", "b", "x"),
	  .base = RULE("r", "a, b", "x"), .result = HOST("b") TO("x") },
	{ "and stays as a service when it is one", RULE("r", "b", "x"),
	  .base = RULE("r", "a, b", "x") "---\n" SERVICE("a", "clusterIP: 10.0.0.1"),
	  .result = "a.default.svc.cluster.local kube 10.0.0.1\n" HOST("b") TO("x") },
	{ "an object in two parts for different hosts is read as one",
	  RULE("r", "a", "x") "---\n" RULE("r", "b", "w"), .base = RULE("r", "a, b, c", "z"),
	  .result = HOST("a") TO("x") HOST("b") TO("w") },
	{ "rules wait for their service, and stay when it comes",
	  SERVICE("a", "clusterIP: 10.0.0.1"), .base = RULE("r", "a", "x"),
	  .result = "a.default.svc.cluster.local kube 10.0.0.1" TO("x") },
	{ "a DestinationRule that turns to another host leaves the old one",
	  DR("  host: b\n  subsets: [{name: v1}]\n"),
	  .base = DR("  host: a\n  subsets: [{name: v1}]\n"), .result = HOST("b") " v1{}\n" },
	{ "subsets of another object are taken over with a warning",
	  ISTIO("DestinationRule", "other", "  host: a\n"),
	  .base = DR("  host: a\n  subsets: [{name: v1}]\n"),
	  .wanted = "5:9: warning: spec.host: the subsets of a.default.svc.cluster.local were "
		    "those of the "
		    "DestinationRule default/reviews until now",
	  .result = HOST("a") "\n" },
	{ "a Service read anew does not undo the DestinationRule's affinity",
	  SERVICE("a", "sessionAffinity: None"),
	  .base = SERVICE("a", "sessionAffinity: ClientIP") "---\n" DR(
		  "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: "
		  "true}}}\n"),
	  .result = "a.default.svc.cluster.local kube by-client\n" },
	{ "a DestinationRule read anew does not undo the Service's affinity", DR("  host: a\n"),
	  .base = SERVICE("a", "sessionAffinity: ClientIP") "---\n" DR(
		  "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: "
		  "true}}}\n"),
	  .result = "a.default.svc.cluster.local kube by-client\n" },
	{ "and without either it is gone", DR("  host: a\n"),
	  .base = DR("  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: "
		     "true}}}\n"),
	  .result = HOST("a") "\n" },
	{ "one wrong object refuses the whole input, the right ones in it too",
	  RULE("r", "a", "w") "---\n" RULE("s", "\"*\"", "z"), .base = RULE("r", "a", "x"),
	  .wanted = "12:11: error: spec.hosts[0]: wildcard" },
	{ "a Service and a ServiceEntry of one host in one input name both places",
	  SERVICE("a", "") "---\n" SE("  hosts: [a]\n  resolution: STATIC\n"),
	  .wanted = "10:11: error: spec.hosts[0]: ServiceEntry default/db is a second one ... "
		    "Service default/a at row:1:1" },
	{ "a whole configuration without slices leaves the live ones alone", SERVICE("a", ""),
	  .is_replace = true,
	  .base = "apiVersion: sluice.dev/v1\nkind: Drain\nspec: {host: a.b.c, address: "
		  "10.0.0.1}\n---\n"
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.1}\n",
	  .result = "a.default.svc.cluster.local kube\npod default/p 10.0.0.1{}\ndrain a.b.c "
		    "10.0.0.1 0\n" },
};

static void test_rows(void **state)
{
	ROWS_RUN(rows);
}

/* The base is compared by its export: a refused and a taken input both leave it as it was. */
static void test_base_untouched(void **state)
{
	static const char *const texts[] = { RULE("r", "a", "w"), RULE("r", "\"*\"", "y"),
					     DR("  host: a\n") };
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct diags *diags = diags_new(memory);
	struct input_text text = { "base", RULE("r", "a", "x"), strlen(RULE("r", "a", "x")) };
	struct input_result base, result;
	char *before, *after;

	assert_int_equal(input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags, &base), 0);
	assert_int_equal(model_export(memory, base.model, &before), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		text = (struct input_text){ "next", texts[i], strlen(texts[i]) };
		input_apply(memory, &text, 1, INPUT_MERGE, base.model, base.inventory, diags,
			    &result);
		assert_int_equal(model_export(memory, base.model, &after), 0);
		assert_string_equal(before, after);
	}
}

static void test_counts(void **state)
{
	static const char data[] =
		RULE("r", "a", "x") "---\napiVersion: v1\nkind: Secret\n---\n" DR("  host: a\n");
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct input_text text = { "row", data, strlen(data) };
	struct input_result result;

	assert_int_equal(
		input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags_new(memory), &result),
		0);
	assert_int_equal(result.taken, 2);
	assert_int_equal(result.passed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_base_untouched),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
