// SPDX-License-Identifier: Apache-2.0
#include "user/base/cleanup.h"
#include "user/model/model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void text_to_addr_and_back(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *wanted; /* NULL: as it was written */
	} rows[] = {
		{ "10.0.0.1", 0, NULL },
		{ "255.255.255.255", 0, NULL },
		{ "::", 0, NULL },
		{ "fd00::1", 0, NULL },
		{ "FD00:0:0::0001", 0, "fd00::1" },
		{ "", -EINVAL, NULL },
		{ "10.0.0", -EINVAL, NULL },
		{ "10.0.0.256", -EINVAL, NULL },
		{ "010.0.0.1", -EINVAL, NULL },
		{ "10.0.0.1 ", -EINVAL, NULL },
		{ "fd00:::1", -EINVAL, NULL },
		{ "reviews", -EINVAL, NULL },
		{ "fe80::1%eth0", -EINVAL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct addr addr = { .family = 99 };
		char text[ADDR_TEXT_MAX];

		print_message("  %s\n", rows[i].text);
		assert_int_equal(addr_parse(rows[i].text, &addr), rows[i].err);
		if (rows[i].err)
			assert_int_equal(addr.family, 99);
		else
			assert_string_equal(addr_format(&addr, text),
					    rows[i].wanted ? rows[i].wanted : rows[i].text);
	}
}

static void text_to_prefix_and_back(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *wanted;
	} rows[] = {
		{ "10.0.0.0/8", 0, "10.0.0.0/8" },
		{ "10.0.0.1", 0, "10.0.0.1/32" },
		{ "0.0.0.0/0", 0, "0.0.0.0/0" },
		{ "10.128.0.0/9", 0, "10.128.0.0/9" },
		{ "fd00::/64", 0, "fd00::/64" },
		{ "fd00::1", 0, "fd00::1/128" },
		{ "10.0.0.1/8", -ERANGE, NULL },
		{ "10.128.0.0/8", -ERANGE, NULL },
		{ "fd00::1/64", -ERANGE, NULL },
		{ "10.0.0.0/33", -EINVAL, NULL },
		{ "fd00::/129", -EINVAL, NULL },
		{ "10.0.0.0/", -EINVAL, NULL },
		{ "10.0.0.0/-1", -EINVAL, NULL },
		{ "10.0.0.0/ 8", -EINVAL, NULL },
		{ "10.0.0.0/08", -EINVAL, NULL },
		{ "10.0.0.0/8/8", -EINVAL, NULL },
		{ "/8", -EINVAL, NULL },
		{ "", -EINVAL, NULL },
		{ "10.0.0.0/99999999999999999999", -EINVAL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct prefix prefix = { .len = 99 };
		char text[PREFIX_TEXT_MAX];

		print_message("  %s\n", rows[i].text);
		assert_int_equal(prefix_parse(rows[i].text, &prefix), rows[i].err);
		if (rows[i].err)
			assert_int_equal(prefix.len, 99);
		else
			assert_string_equal(prefix_format(&prefix, text), rows[i].wanted);
	}
}

static void longest_texts_fit(void **state)
{
	struct prefix prefix = { .len = 128, .addr.family = 6 };
	char text[PREFIX_TEXT_MAX];

	memset(prefix.addr.bytes, 0xff, sizeof(prefix.addr.bytes));
	assert_string_equal(prefix_format(&prefix, text),
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	assert_string_equal(prefix_format(&(struct prefix){ 0 }, text), "any");
}

static void prefix_contains_rows(void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool wanted;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "10.128.0.0/9", "10.127.255.255", false },
		{ "10.128.0.0/9", "10.128.0.0", true },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "fd00::1", false },
		{ "::/0", "1.2.3.4", false },
		{ "fd00::/63", "fd00:0:0:1::1", true },
		{ "fd00::/64", "fd00:0:0:1::1", false },
		{ "fd00::1", "fd00::1", true },
		{ "fd00::1", "fd00::2", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct prefix prefix;
		struct addr addr;

		print_message("  %s in %s\n", rows[i].addr, rows[i].prefix);
		assert_int_equal(prefix_parse(rows[i].prefix, &prefix), 0);
		assert_int_equal(addr_parse(rows[i].addr, &addr), 0);
		assert_int_equal(prefix_contains(&prefix, &addr), rows[i].wanted);
	}
}

static void labels_contain_rows(void **state)
{
	static struct label have[] = { { "app", "reviews" }, { "tier", "" }, { "version", "v1" } };
	static struct label same[] = { { "app", "reviews" }, { "version", "v1" } };
	static struct label other[] = { { "app", "reviews" }, { "version", "v2" } };
	static struct label missing[] = { { "zone", "a" } };
	static struct label empty_value[] = { { "tier", "" } };
	static struct label before[] = { { "aaa", "reviews" } };
	static const struct {
		struct label_list wanted;
		bool contained;
	} rows[] = {
		{ { NULL, 0 }, true },        { { same, 2 }, true },    { { other, 2 }, false },
		{ { missing, 1 }, false },    { { before, 1 }, false }, { { have, 3 }, true },
		{ { empty_value, 1 }, true },
	};
	const struct label_list labels = { have, 3 }, none = { NULL, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(labels_contain(&labels, &rows[i].wanted), rows[i].contained);
		assert_int_equal(labels_contain(&none, &rows[i].wanted), !rows[i].wanted.count);
	}
}

static struct service named(const char *host, const char *name, const char *namespace)
{
	return (struct service){ .host = host, .name = name, .namespace = namespace };
}

static void services_stay_sorted_and_unique(void **state)
{
	_cleanup_talloc_ struct model *model = talloc_zero(NULL, struct model);
	char host[32];

	for (int i = 0; i < 300; i++) {
		struct service service = named(host, "x", "y");

		snprintf(host, sizeof(host), "host-%03d", i * 37 % 100);
		service.affinity = i >= 200 ? AFFINITY_CLIENT_IP : AFFINITY_NONE;
		assert_int_equal(model_service_put(model, &service), 0);
	}
	assert_int_equal(model->service_count, 100);
	for (size_t i = 0; i < 100; i++) {
		snprintf(host, sizeof(host), "host-%03zu", i);
		assert_string_equal(model->services[i].host, host);
		assert_int_equal(model->services[i].affinity, AFFINITY_CLIENT_IP);
		assert_ptr_equal(model_service_find(model, host), &model->services[i]);
	}
	assert_null(model_service_find(model, "host"));
	assert_null(model_service_find(model, "host-1000"));

	/* One of its own: what it points at must not go while it is copied */
	assert_int_equal(model_service_put(model, &model->services[50]), 0);
	assert_string_equal(model->services[50].host, "host-050");
}

static void what_people_type_resolves(void **state)
{
	static const struct {
		const char *typed;
		int err;
		const char *host;
	} rows[] = {
		{ "reviews.default.svc.cluster.local", 0, "reviews.default.svc.cluster.local" },
		{ "reviews.default", 0, "reviews.default.svc.cluster.local" },
		{ "reviews.default.svc", 0, "reviews.default.svc.cluster.local" },
		{ "reviews.prod", 0, "reviews.prod.svc.cluster.local" },
		{ "reviews", -ENOTUNIQ, NULL },
		{ "ratings", 0, "ratings.default.svc.cluster.local" },
		{ "rating", -ENOENT, NULL },
		{ "reviews.", -ENOENT, NULL },
		{ "reviews.defaul", -ENOENT, NULL },
		{ "db", 0, "db.example.com" },
		{ "db.example", 0, "db.example.com" },
		{ "", -ENOENT, NULL },
	};
	_cleanup_talloc_ struct model *model = talloc_zero(NULL, struct model);
	struct service services[] = {
		named("reviews.default.svc.cluster.local", "reviews", "default"),
		named("reviews.prod.svc.cluster.local", "reviews", "prod"),
		named("ratings.default.svc.cluster.local", "ratings", "default"),
		named("db.example.com", "db", "default"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		assert_int_equal(model_service_put(model, &services[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct service *found = NULL;

		print_message("  \"%s\"\n", rows[i].typed);
		assert_int_equal(model_service_resolve(model, rows[i].typed, &found), rows[i].err);
		if (rows[i].host)
			assert_string_equal(found->host, rows[i].host);
		else
			assert_null(found);
	}
}

/* Strings in memory that is overwritten afterwards: a copy that shares anything shows it. */
static void copies_share_nothing(void **state)
{
	char text[] = "text";
	struct label label = { text, text };
	struct service_port port = { .name = text, .target_name = text, .number = 80 };
	struct subset subset = { .name = text, .labels = { &label, 1 } };
	struct prefix prefix = { .len = 7 };
	struct match match = { .destinations = &prefix, .destination_count = 1 };
	struct destination destination = { .host = text, .subset = text, .weight = 5 };
	struct rule rule = { .name = text,
			     .matches = &match,
			     .match_count = 1,
			     .destinations = &destination,
			     .destination_count = 1 };
	struct addr vip = { .family = 4 };
	struct service service = {
		.host = text,
		.name = text,
		.namespace = text,
		.vips = &vip,
		.vip_count = 1,
		.ports = &port,
		.port_count = 1,
		.selector = { &label, 1 },
		.subsets = &subset,
		.subset_count = 1,
		.destination_rule = text,
		.rules = &rule,
		.rule_count = 1,
		.virtual_service = text,
		.virtual_service_namespace = text,
	};
	struct model model = { &service, 1 };
	_cleanup_talloc_ struct model *copy = model_copy(NULL, &model);
	struct service *s = copy->services;

	memset(text, 'x', 4);
	label = (struct label){ 0 };
	prefix.len = 0;
	destination.weight = 0;
	vip.family = 0;
	assert_string_equal(s->host, "text");
	assert_string_equal(s->ports[0].target_name, "text");
	assert_string_equal(s->selector.list[0].value, "text");
	assert_string_equal(s->subsets[0].labels.list[0].key, "text");
	assert_int_equal(s->rules[0].matches[0].destinations[0].len, 7);
	assert_int_equal(s->rules[0].destinations[0].weight, 5);
	assert_string_equal(s->rules[0].destinations[0].subset, "text");
	assert_int_equal(s->vips[0].family, 4);
	assert_string_equal(s->virtual_service_namespace, "text");
	assert_string_equal(s->destination_rule, "text");
}

static void inventories_are_copied_deep(void **state)
{
	char text[] = "text";
	struct label label = { text, text };
	struct endpoint_port port = { .name = text, .number = 80, .protocol = PROTOCOL_TCP };
	struct endpoint endpoint = { .workload = text,
				     .labels = { &label, 1 },
				     .ports = &port,
				     .port_count = 1,
				     .weight = 3 };
	struct endpoint_group group = { text, text, &endpoint, 1 };
	struct workload workload = { .name = text, .labels = { &label, 1 } };
	struct drain drain = { .host = text, .port = 80 };
	struct inventory inventory = { &group, 1, &workload, 1, &drain, 1 };
	_cleanup_talloc_ struct inventory *copy = inventory_copy(NULL, &inventory);

	memset(text, 'x', 4);
	label = (struct label){ 0 };
	port.number = 0;
	assert_string_equal(copy->groups[0].key, "text");
	assert_string_equal(copy->groups[0].endpoints[0].workload, "text");
	assert_string_equal(copy->groups[0].endpoints[0].labels.list[0].key, "text");
	assert_int_equal(copy->groups[0].endpoints[0].ports[0].number, 80);
	assert_string_equal(copy->workloads[0].labels.list[0].value, "text");
	assert_string_equal(copy->drains[0].host, "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_to_addr_and_back),
		cmocka_unit_test(text_to_prefix_and_back),
		cmocka_unit_test(longest_texts_fit),
		cmocka_unit_test(prefix_contains_rows),
		cmocka_unit_test(labels_contain_rows),
		cmocka_unit_test(services_stay_sorted_and_unique),
		cmocka_unit_test(what_people_type_resolves),
		cmocka_unit_test(copies_share_nothing),
		cmocka_unit_test(inventories_are_copied_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
