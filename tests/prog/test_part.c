// SPDX-License-Identifier: Apache-2.0
/* One service's weights changed without reading the others: what comes out is what the whole way
 * gives, on disk and in the kernel. */
#include "tables.h"

#include "user/input/input.h"
#include "user/kernel/stage.h"
#include "user/node/node.h"

#define SERVICES 12
#define CHANGES 600 /* more different tables than there is room for */

struct fixture {
	struct bench bench;
	char dir[64];
	struct node *node;
	struct node_result result;
};

static const struct node_change change = { .author = "ann", .command = "weight" };

/* Service 3 sends to service 4's host too; 5 has rules by source; the names of 10 and 11 begin
 * alike. */
static char *text_make(void *parent)
{
	char *text = talloc_strdup(parent, "");

	for (int i = 0; i < SERVICES; i++)
		text = talloc_asprintf_append_buffer(
			text,
			"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
			"metadata: {name: s%d, namespace: default}\nspec:\n  hosts: [s%d.%s]\n"
			"  addresses: [10.96.0.%d]\n"
			"  ports: [{number: 80, name: tcp, protocol: TCP}]\n  resolution: STATIC\n"
			"  endpoints:\n  - {address: 10.1.%d.10, labels: {version: v1}}\n"
			"  - {address: 10.1.%d.30, labels: {version: v3}}\n"
			"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			"metadata: {name: s%d, namespace: default}\nspec:\n  host: s%d.%s\n"
			"  subsets:\n  - {name: v1, labels: {version: v1}}\n"
			"  - {name: v3, labels: {version: v3}}\n"
			"  - {name: v9, labels: {version: v9}}\n"
			"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			"metadata: {name: s%d, namespace: default}\nspec:\n  hosts: [s%d.%s]\n"
			"  tcp:\n%s  - route:\n"
			"    - {destination: {host: s%d.%s, subset: v1}, weight: 90}\n"
			"    - {destination: {host: s%d.%s, subset: v3}, weight: 10}\n",
			i, i, "example", i + 1, i, i, i, i, "example", i, i, "example",
			i == 5 ? "  - match: [{sourceSubnet: 10.9.0.0/16}]\n    route:\n"
				 "    - {destination: {host: s5.example, subset: v3}}\n"
			       : "",
			i, "example", i == 3 ? 4 : i, "example");
	return text;
}

static void node_reopen(struct fixture *f, bool lazy)
{
	struct node_options options = {
		.state_dir = f->dir, .pin_dir = f->bench.pins, .command = "test", .lazy = lazy
	};
	int err;

	talloc_free(f->node);
	f->node = NULL;
	bench_hush(&f->bench);
	err = node_open(NULL, &options, NODE_WRITE, f->bench.diags, &f->node);
	if (err)
		diags_print(f->bench.diags, stderr, false);
	assert_int_equal(err, 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct input_text input = { .name = "test.yaml", .data = text_make(NULL) };
	struct input_result read;

	strcpy(f->dir, "/tmp/sluice-part-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	bench_name(&f->bench);
	f->bench.settings.services = 128;
	bench_create(&f->bench);
	node_reopen(f, false);
	input.size = strlen(input.data);
	assert_int_equal(
		input_apply(f->node, &input, 1, INPUT_REPLACE, NULL, NULL, f->bench.diags, &read),
		0);
	assert_int_equal(node_commit(f->node, read.model, read.inventory, &change, f->bench.diags,
				     f->node, &f->result),
			 0);
	talloc_free((void *)input.data);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	talloc_free(f->node);
	bench_shut(&f->bench);
	kernel_detach_all(f->bench.pins, f->bench.diags);
	talloc_free(f->bench.diags);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

/* The last rule's weights. */
static void weights_put(struct model *model, const char *name, uint32_t v1, uint32_t v3)
{
	struct service *service;
	struct rule *rule;

	assert_int_equal(model_service_resolve(model, name, &service), 0);
	rule = &service->rules[service->rule_count - 1];
	rule->destinations[0].weight = v1;
	rule->destinations[1].weight = v3;
}

static int part_try(struct fixture *f, const char *name, uint32_t v1, uint32_t v3)
{
	struct model *model;
	int err;

	node_reopen(f, true);
	err = node_load_part(f->node, name, f->bench.diags);
	if (err)
		return err;
	assert_null(f->node->inventory);
	assert_true(f->node->model->service_count < SERVICES);
	model = model_copy(f->node, f->node->model);
	weights_put(model, name, v1, v3);
	return node_commit(f->node, model, NULL, &change, f->bench.diags, f->node, &f->result);
}

static void whole_change(struct fixture *f, const char *name, uint32_t v1, uint32_t v3)
{
	struct model *model;

	assert_int_equal(node_load(f->node, f->bench.diags), 0);
	model = model_copy(f->node, f->node->model);
	weights_put(model, name, v1, v3);
	assert_int_equal(node_commit(f->node, model, f->node->inventory, &change, f->bench.diags,
				     f->node, &f->result),
			 0);
}

/* Kernel and disk agree, and the text is what the whole model gives. */
static void is_whole(struct fixture *f)
{
	uint8_t digest[STORE_DIGEST_SIZE];
	uint32_t active = f->result.revision;
	char *text;
	int found;

	node_reopen(f, false);
	assert_int_equal(f->bench.diags->count, 0);
	assert_int_equal(f->node->active, active);
	assert_int_equal(f->node->model->service_count, SERVICES);
	assert_int_equal(model_export(f->node, f->node->model, &text), 0);
	store_digest(text, strlen(text), digest);
	assert_memory_equal(digest, f->node->digest, sizeof(digest));
	found = node_reconcile(f->node, false, f->bench.diags);
	if (found)
		diags_print(f->bench.diags, stderr, false);
	assert_int_equal(found, 0);
}

static unsigned sent_to(const struct fixture *f, int service, const char *from, uint16_t port)
{
	_cleanup_talloc_ char *vip = talloc_asprintf(NULL, "10.96.0.%d", service + 1);
	struct kernel_connection c = connection_of(from, vip, port, 80);
	struct sent sent = packet_send(f->bench.door, &c, SYN);

	assert_int_equal(sent.destination.bytes[2], service);
	return sent.destination.bytes[3];
}

static void a_part_is_as_good_as_the_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(part_try(f, "s1", 0, 5), 0);
	assert_int_equal(f->result.revision, 2);
	assert_string_equal(f->result.summary, "~ s1.default: v1 0, v3 5 (was v1 90, v3 10)");
	is_whole(f);
	for (uint16_t port = 5000; port < 5020; port++)
		assert_int_equal(sent_to(f, 1, "192.0.2.1", port), 30);
	assert_int_equal(part_try(f, "s5.default", 1, 0), 0);
	is_whole(f);
	assert_int_equal(sent_to(f, 5, "192.0.2.1", 5000), 10);
	assert_int_equal(sent_to(f, 5, "10.9.2.1", 5000), 30);
	assert_int_equal(sent_to(f, 1, "192.0.2.1", 5000), 30);
	assert_int_equal(node_rollback(f->node, 1, &change, f->bench.diags, f->node, &f->result),
			 0);
	is_whole(f);
	assert_int_equal(part_try(f, "s10.example", 7, 0), 0);
	assert_int_equal(f->result.revision, 4);
	is_whole(f);
	assert_int_equal(sent_to(f, 10, "192.0.2.1", 5000), 10);
}

static void equal_weights_are_no_revision(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(part_try(f, "s2", 90, 10), 0);
	assert_false(f->result.is_new);
	assert_int_equal(f->result.revision, 1);
	is_whole(f);
}

/* Weights that come back have their old table; how many are in use is seen at the cursor. */
static void tables_serve_again(void **state)
{
	struct fixture *f = *state;
	uint32_t cursor;

	assert_int_equal(part_try(f, "s2", 30, 70), 0);
	cursor = control_of(f->node->kernel)->slot_cursor;
	for (int i = 0; i < 6; i++) {
		assert_int_equal(part_try(f, "s2", i & 1 ? 30 : 90, i & 1 ? 70 : 10), 0);
		assert_int_equal(control_of(f->node->kernel)->slot_cursor, cursor);
	}
	is_whole(f);
}

static void run_is_free(const struct arena *arena, uint64_t size)
{
	uint64_t left = arena->size - arena->cursor;

	assert_null(memchr(arena->used + arena->cursor, 1, left < size ? left : size));
}

/* As who reads every hot revision finds it. */
static void noted_room_is_free(struct fixture *f)
{
	struct kernel *kernel = f->node->kernel;
	uint32_t shares = room_shares(kernel);
	struct plan nothing = { 0 };
	struct stage *stage;

	assert_int_equal(kernel_map(kernel), 0);
	assert_int_equal(stage_open(NULL, kernel, &nothing, f->bench.diags, STAGE_ALL, &stage), 0);
	assert_false(stage->has_orphans);
	run_is_free(&stage->slots,
		    (uint64_t)shares * SHARE_TABLES * kernel_slots(kernel) / SL_SLOTS_PER_GROUP);
	run_is_free(&stage->members, (uint64_t)shares * SHARE_PLACES);
	run_is_free(&stage->rules, (uint64_t)shares * SHARE_PLACES);
	talloc_free(stage);
}

/* Until the room runs out and the directory is full: each change by whichever way can. */
static void many_changes_stay_whole(void **state)
{
	struct fixture *f = *state;
	unsigned parts = 0;

	for (uint32_t i = 1; i <= CHANGES; i++) {
		_cleanup_talloc_ char *name = talloc_asprintf(NULL, "s%u", 6 + i % 6);
		int err = part_try(f, name, i, 999);

		assert_true(!err || err == -EAGAIN);
		parts += !err;
		if (err)
			whole_change(f, name, i, 999);
		assert_int_equal(f->result.revision, i + 1);
		noted_room_is_free(f);
		if (i % 50 == 0)
			is_whole(f);
	}
	is_whole(f);
	assert_true(parts > CHANGES / 2);
}

static void what_a_part_cannot_know_takes_the_whole(void **state)
{
	static const char *const names[] = {
		"default", /* a word of every service */
		"s3",      /* sends to another's host, */
		"s4",      /* and that host is in two texts */
		"nobody",  "s", "",
	};
	struct fixture *f = *state;
	char path[96], away[96];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(part_try(f, names[i], 1, 1), -EAGAIN);
		assert_int_equal(node_load(f->node, f->bench.diags), 0);
		assert_int_equal(f->node->model->service_count, SERVICES);
	}
	/* Somebody has moved a cursor who leaves no note. */
	control_of(f->node->kernel)->member_cursor++;
	assert_int_equal(part_try(f, "s1", 1, 1), -EAGAIN);
	control_of(f->node->kernel)->member_cursor--;
	assert_int_equal(part_try(f, "s1", 1, 1), 0);
	/* Whether its file of endpoints is lost, or never was, is for the whole to say. */
	snprintf(path, sizeof(path), "%s/endpoints.yaml", f->dir);
	snprintf(away, sizeof(away), "%s/away", f->dir);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(part_try(f, "s1", 1, 3), -EAGAIN);
	assert_int_equal(node_load(f->node, f->bench.diags), 0);
	assert_true(f->node->has_lost_endpoints);
	assert_int_equal(rename(away, path), 0);
	/* Somebody was killed in the middle. */
	control_of(f->node->kernel)->room = 0;
	assert_int_equal(part_try(f, "s1", 1, 2), -EAGAIN);
}

/* Whoever holds the node's lock. */
static void holder_kill(struct fixture *f)
{
	char path[128];
	FILE *lock;

	talloc_free(f->node);
	f->node = NULL;
	snprintf(path, sizeof(path), "%s/lock", f->dir);
	lock = fopen(path, "w");
	assert_non_null(lock);
	fputs("4711 sluice endpoint\n", lock);
	fclose(lock);
}

/* Rings may be behind then: a part brings none up to date, and nor does a rollback. */
static void after_one_who_was_killed_the_whole_comes_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(part_try(f, "s1", 1, 1), 0);
	holder_kill(f);
	assert_int_equal(part_try(f, "s1", 1, 2), -EAGAIN);
	assert_int_equal(node_rollback(f->node, 0, &change, f->bench.diags, f->node, &f->result),
			 0);
	assert_int_equal(part_try(f, "s1", 1, 2), -EAGAIN);
	whole_change(f, "s1", 1, 2);
	assert_int_equal(part_try(f, "s1", 1, 3), 0);
	is_whole(f);
}

/* Also of a version that older revisions alone name: a part may name it next. */
static void the_whole_leaves_no_ring_behind(void **state)
{
	struct fixture *f = *state;
	struct model *model = model_copy(f->node, f->node->model);
	struct sl_version *version = MAPPED(f->bench.kernel, MAP_VERSIONS, struct sl_version);
	struct service *service;

	assert_int_equal(model_service_resolve(model, "s1", &service), 0);
	service->rules[0].destination_count = 1;
	assert_int_equal(node_commit(f->node, model, f->node->inventory, &change, f->bench.diags,
				     f->node, &f->result),
			 0);
	while (strncmp(version->key, "s1.example|v3|", 14))
		version++;
	assert_true(version->ring >> 32);
	version->ring = 0;
	holder_kill(f);
	node_reopen(f, false);
	whole_change(f, "s2", 1, 2);
	assert_true(version->ring >> 32);
	assert_int_equal(part_try(f, "s2", 1, 3), 0);
}

/* A version that the kernel has never heard of, or that nobody serves, is the whole's to warn of.
 */
static void an_unknown_version_takes_the_whole(void **state)
{
	struct fixture *f = *state;
	struct model *model;
	struct rule *rule;

	node_reopen(f, true);
	assert_int_equal(node_load_part(f->node, "s1", f->bench.diags), 0);
	model = model_copy(f->node, f->node->model);
	rule = &model->services[0].rules[0];
	rule->destinations[0].subset = "v9";
	assert_int_equal(
		node_commit(f->node, model, NULL, &change, f->bench.diags, f->node, &f->result),
		-EAGAIN);
	f->result.revision = 1;
	is_whole(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_part_is_as_good_as_the_whole),
		TEST(equal_weights_are_no_revision),
		TEST(tables_serve_again),
		TEST(many_changes_stay_whole),
		TEST(what_a_part_cannot_know_takes_the_whole),
		TEST(after_one_who_was_killed_the_whole_comes_first),
		TEST(the_whole_leaves_no_ring_behind),
		TEST(an_unknown_version_takes_the_whole),
	};

	return cmocka_run_group_tests_name("a part of the node", tests, NULL, NULL);
}
