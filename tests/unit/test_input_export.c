// SPDX-License-Identifier: Apache-2.0
/* What goes out comes back: an equal model, and from it the same bytes. */
#include "input_rows.h"

#define SEEDS 400

static uint64_t random_state;

/* xorshift64: the same models on every machine. */
static unsigned random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % limit;
}

/* Words that YAML would take for something else are the interesting ones. */
static const char *random_text(void)
{
	static const char *const words[] = {
		"",
		"v1",
		"true",
		"null",
		"1.0",
		"010",
		"~",
		"yes",
		"a b",
		"#x",
		"- a",
		"x: y",
		"\"q\"",
		"'q'",
		"\xc3\xa9",
		"*a",
		"&a",
		"!x",
		"%d",
		"@a",
		"a\nb",
		"\t",
		" a ",
		"<<",
		"=",
		"{a: b}",
		"[a]",
		"0x1f",
		"1_000",
		"\x01",
		"\xf0\x9f\x98\x80",
		"---",
		"...",
		"?",
		"a#b",
		"2001-01-01",
		"\xe2\x80\xa8",
	};

	return words[random_below(ARRAY_SIZE(words))];
}

static const char *random_label(void)
{
	static const char *const words[] = { "v1", "true",    "1.0",  "",   "n",
					     "5",  "a.b-c_d", "0x1f", "1e5" };

	return words[random_below(ARRAY_SIZE(words))];
}

static const char *random_host(void)
{
	static const char *const hosts[] = {
		"a.default.svc.cluster.local",
		"b.prod.svc.cluster.local",
		"example.com",
		"db.example.com",
		"single",
		"x.y.svc",
		"c.default.svc.cluster.local",
	};

	return hosts[random_below(ARRAY_SIZE(hosts))];
}

static struct addr random_addr(void)
{
	struct addr addr = { .family = random_below(2) ? 4 : 6 };

	for (int i = 0; i < (addr.family == 4 ? 4 : 16); i++)
		addr.bytes[i] = random_below(3) ? random_below(256) : 0;
	return addr;
}

static struct prefix random_prefix(void)
{
	struct prefix prefix = { .addr = { .family = random_below(2) ? 4 : 6 } };

	prefix.len = random_below(prefix.addr.family == 4 ? 33 : 129);
	for (unsigned bit = 0; bit < prefix.len; bit++)
		prefix.addr.bytes[bit / 8] |= random_below(2) << (7 - bit % 8);
	return prefix;
}

static struct label_list random_labels(void *memory)
{
	static const char *const keys[] = { "app", "example.com/x", "true", "version" };
	struct label_list labels = { talloc_array(memory, struct label, ARRAY_SIZE(keys)), 0 };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (random_below(2))
			labels.list[labels.count++] = (struct label){ keys[i], random_label() };
	return labels;
}

static struct rule random_rule(void *memory, enum rule_kind kind)
{
	struct rule rule = { .kind = kind, .name = kind == RULE_HTTP ? random_text() : "" };

	rule.matches = talloc_zero_array(memory, struct match, 2);
	rule.match_count = random_below(3);
	for (size_t i = 0; i < rule.match_count; i++) {
		struct match *match = &rule.matches[i];

		match->port = random_below(2) ? random_below(65535) + 1 : 0;
		if (kind == RULE_HTTP)
			continue;
		if (random_below(2))
			match->source = random_prefix();
		match->destinations = talloc_array(memory, struct prefix, 2);
		match->destination_count = random_below(3);
		for (size_t j = 0; j < match->destination_count; j++)
			match->destinations[j] = random_prefix();
	}
	rule.destination_count = 1 + random_below(3);
	rule.destinations = talloc_zero_array(memory, struct destination, rule.destination_count);
	for (size_t i = 0; i < rule.destination_count; i++)
		rule.destinations[i] =
			(struct destination){ .host = random_host(),
					      .subset = random_below(2) ? "v1" : "",
					      .port = random_below(2) ? 80 : 0,
					      .weight = i ? random_below(WEIGHT_MAX + 1) : 1 };
	return rule;
}

static struct service_port random_port(enum service_origin origin, size_t i)
{
	enum protocol protocol = random_below(3) ? PROTOCOL_TCP : PROTOCOL_UDP;
	struct service_port port = {
		.name = random_below(2) ? random_text() : "http",
		.number = 80 + i,
		.target_name = "",
		.protocol = protocol,
		.app = protocol == PROTOCOL_UDP ? APP_TCP : random_below(3),
	};

	if (random_below(2))
		port.target_number = 8080 + i;
	else if (origin == SERVICE_KUBE && random_below(2))
		port.target_name = random_below(2) ? "web" : "8080";
	return port;
}

static void random_service_body(void *memory, struct service *service)
{
	service->vips = talloc_array(memory, struct addr, 3);
	service->vip_count = random_below(4);
	for (size_t i = 0; i < service->vip_count; i++) {
		service->vips[i] = random_addr();
		service->vips[i].bytes[0] = i + 1; /* each once */
	}
	service->ports = talloc_array(memory, struct service_port, 3);
	service->port_count = random_below(4);
	for (size_t i = 0; i < service->port_count; i++)
		service->ports[i] = random_port(service->origin, i);
	service->entry_empty = random_below(2);
	if (service->origin != SERVICE_KUBE)
		return;
	service->selector = random_labels(memory);
	service->entry_affinity = random_below(2);
}

static void random_rules(void *memory, struct service *service)
{
	if (random_below(2) || service->origin == SERVICE_UNDEFINED) {
		service->rules = talloc_array(memory, struct rule, 4);
		service->rule_count = 1 + random_below(4);
		for (size_t i = 0; i < service->rule_count; i++)
			service->rules[i] = random_rule(memory, i < 2 ? RULE_HTTP : RULE_TCP);
		service->virtual_service = "shared";
		service->virtual_service_namespace = random_below(2) ? "default" : "true";
	}
	if (random_below(2))
		return;
	service->destination_rule = talloc_asprintf(memory, "dr-%s", service->host);
	service->destination_rule_namespace = service->namespace;
	service->rule_affinity = random_below(2);
	service->rule_empty = random_below(2);
	service->subsets = talloc_zero_array(memory, struct subset, 2);
	service->subset_count = random_below(3);
	for (size_t i = 0; i < service->subset_count; i++)
		service->subsets[i] = (struct subset){ .name = i ? "true" : "v1",
						       .labels = random_labels(memory),
						       .affinity = random_below(2) };
}

static struct service random_service(void *memory, const char *host)
{
	const char *dot = strchr(host, '.');
	bool is_kube = dot && strstr(dot + 1, ".svc.cluster.local");
	struct service service = {
		.host = host,
		.name = host,
		.namespace = "default",
		.virtual_service = "",
		.virtual_service_namespace = "",
		.destination_rule = "",
		.destination_rule_namespace = "",
	};

	if (is_kube) {
		service.name = talloc_strndup(memory, host, dot - host);
		service.namespace = talloc_strndup(memory, dot + 1, strcspn(dot + 1, "."));
		service.origin = random_below(2) ? SERVICE_KUBE : SERVICE_UNDEFINED;
	} else if (random_below(2)) {
		service.origin = SERVICE_ENTRY;
	}
	if (service.origin != SERVICE_UNDEFINED)
		random_service_body(memory, &service);
	random_rules(memory, &service);
	service.affinity = service.entry_affinity || service.rule_affinity;
	service.empty = service.entry_empty || service.rule_empty;
	return service;
}

static struct model *random_model(void *memory)
{
	struct model *model = talloc_zero(memory, struct model);

	for (unsigned i = random_below(6); i; i--) {
		struct service service = random_service(memory, random_host());

		assert_int_equal(model_service_put(model, &service), 0);
	}
	return model;
}

static struct endpoint random_endpoint(void *memory)
{
	struct endpoint endpoint = {
		.addr = random_addr(),
		.workload = random_text(),
		.labels = random_labels(memory),
		.port_count = random_below(3),
		.weight = random_below(WEIGHT_MAX + 1),
		.state = random_below(3),
	};

	endpoint.ports = talloc_zero_array(memory, struct endpoint_port, 2);
	for (size_t i = 0; i < endpoint.port_count; i++)
		endpoint.ports[i] = (struct endpoint_port){ random_text(), 1 + random_below(65535),
							    i ? PROTOCOL_UDP : PROTOCOL_TCP };
	return endpoint;
}

static struct inventory *random_inventory(void *memory)
{
	static const char *const keys[] = { "EndpointSlice/a/b", "ServiceEntry/a/b", "cli/x y",
					    "true" };
	struct inventory *inventory = talloc_zero(memory, struct inventory);

	inventory->groups = talloc_zero_array(inventory, struct endpoint_group, 4);
	for (inventory->group_count = 0; inventory->group_count < random_below(5);) {
		struct endpoint_group *group = &inventory->groups[inventory->group_count];

		*group = (struct endpoint_group){ .key = keys[inventory->group_count],
						  .host = random_host() };
		group->endpoints = talloc_array(inventory, struct endpoint, 3);
		group->endpoint_count = random_below(4);
		for (size_t i = 0; i < group->endpoint_count; i++)
			group->endpoints[i] = random_endpoint(inventory);
		inventory->group_count++;
	}
	inventory->workloads = talloc_zero_array(inventory, struct workload, 2);
	inventory->workload_count = random_below(3);
	for (size_t i = 0; i < inventory->workload_count; i++)
		inventory->workloads[i] =
			(struct workload){ i ? "default/true" : "default/1", random_addr(),
					   random_labels(inventory) };
	for (size_t i = 0; i < inventory->workload_count; i++)
		inventory->workloads[i].addr.bytes[0] = 1;
	inventory->drains = talloc_zero_array(inventory, struct drain, 1);
	inventory->drain_count = random_below(2);
	inventory->drains[0] = (struct drain){ random_host(), random_addr(), random_below(2) * 80 };
	return inventory;
}

/* cmocka cuts long texts short: the first line that differs is what one wants to see. */
static void assert_same_text(const char *wanted, const char *got)
{
	while (*wanted && *wanted == *got) {
		wanted++;
		got++;
	}
	if (*wanted != *got)
		fprintf(stderr, "wanted: ...%.300s\ngot: ...%.300s\n", wanted, got);
	assert_int_equal(*wanted, *got);
}

static void round_trip(void *memory, const struct input_result *first, uint64_t seed)
{
	struct diags *diags = diags_new(memory);
	struct input_result second;
	char *model, *inventory, *model_again, *inventory_again;

	assert_int_equal(model_export(memory, first->model, &model), 0);
	assert_int_equal(inventory_export(memory, first->inventory, &inventory), 0);
	struct input_text texts[] = { { "model", model, strlen(model) },
				      { "inventory", inventory, strlen(inventory) } };
	int r = input_apply(memory, texts, 2, INPUT_REPLACE, NULL, NULL, diags, &second);
	if (diags->count) {
		fprintf(stderr, "seed %lu:\n%s%s", (unsigned long)seed, model, inventory);
		diags_print(diags, stderr, false);
	}
	assert_int_equal(r, 0);
	assert_int_equal(diags->count, 0);
	assert_same_text(summary(memory, first), summary(memory, &second));
	assert_int_equal(model_export(memory, second.model, &model_again), 0);
	assert_int_equal(inventory_export(memory, second.inventory, &inventory_again), 0);
	assert_same_text(model, model_again);
	assert_same_text(inventory, inventory_again);
}

/* Onto what it came from it changes nothing, and says nothing. */
static void merge_onto_itself(void *memory, const struct input_result *first)
{
	struct diags *diags = diags_new(memory);
	struct input_result second;
	char *model;

	assert_int_equal(model_export(memory, first->model, &model), 0);
	struct input_text text = { "model", model, strlen(model) };
	int r = input_apply(memory, &text, 1, INPUT_MERGE, first->model, first->inventory, diags,
			    &second);
	if (diags->count)
		diags_print(diags, stderr, false);
	assert_int_equal(r, 0);
	assert_int_equal(diags->count, 0);
	assert_same_text(summary(memory, first), summary(memory, &second));
}

static void test_random_models(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		_cleanup_talloc_ void *memory = talloc_new(NULL);

		random_state = seed * 0x9e3779b97f4a7c15u;
		struct input_result result = { .model = random_model(memory),
					       .inventory = random_inventory(memory) };
		round_trip(memory, &result, seed);
		merge_onto_itself(memory, &result);
	}
}

static void test_bytes(void **state)
{
	static const char data[] =
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: "
		"{sluice.dev/empty-version: spill}}\n"
		"spec: {clusterIP: 10.0.0.1, ports: [{port: 80, name: http, targetPort: web}], "
		"sessionAffinity: ClientIP}\n"
		"---\n" ISTIO("VirtualService", "r",
			      "  hosts: [a]\n  http: [{match: [{port: 80}], route: [{destination: "
			      "{host: a, subset: v1}}]}]\n");
	static const char wanted[] =
		"---\napiVersion: v1\nkind: Service\nmetadata:\n  annotations:\n"
		"    sluice.dev/empty-version: spill\n  name: a\n  namespace: default\nspec:\n"
		"  clusterIP: 10.0.0.1\n  clusterIPs:\n  - 10.0.0.1\n  ports:\n  - name: http\n    "
		"port: 80\n"
		"    protocol: TCP\n    targetPort: web\n  sessionAffinity: ClientIP\n  type: "
		"ClusterIP\n"
		"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: "
		"r\n"
		"  namespace: default\nspec:\n  hosts:\n  - a.default.svc.cluster.local\n  http:\n"
		"  - match:\n    - port: 80\n    route:\n    - destination:\n"
		"        host: a.default.svc.cluster.local\n        subset: v1\n      weight: "
		"100\n";
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct input_text text = { "row", data, strlen(data) };
	struct input_result result;
	char *model, *service;

	assert_int_equal(
		input_apply(memory, &text, 1, INPUT_MERGE, NULL, NULL, diags_new(memory), &result),
		0);
	assert_int_equal(model_export(memory, result.model, &model), 0);
	assert_string_equal(model, wanted);
	assert_int_equal(service_export(memory, &result.model->services[0], &service), 0);
	assert_string_equal(service, wanted);
}

static void test_empty(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct model model = {};
	struct inventory inventory = {};
	char *text;

	assert_int_equal(model_export(memory, &model, &text), 0);
	assert_string_equal(text, "");
	assert_int_equal(inventory_export(memory, &inventory, &text), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
