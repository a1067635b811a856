// SPDX-License-Identifier: Apache-2.0
/*
 * Maps that are full, seen by who has to do something about it: with the size that the refusal
 * names, what was refused fits. And a configuration
 * that does not fit leaves no trace, in the kernel or on disk.
 */
#include "tables.h"

#include "user/input/input.h"
#include "user/node/node.h"

#include <dirent.h>

/* --- what the refusal names is enough --- */

static void plan_services(struct plan *plan)
{
	char vip[32];

	for (int i = 0; i < 1500; i++) {
		snprintf(vip, sizeof(vip), "10.97.%d.%d", i / 250, i % 250 + 1);
		plan_service_add(plan, vip, 80, PROTOCOL_TCP);
	}
}

static void plan_versions(struct plan *plan)
{
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		plan_version_add(plan, 4, name, 20, 1);
	}
}

static void plan_endpoints(struct plan *plan)
{
	plan_version_add(plan, 4, "many", 20, 700);
}

static void plan_rings(struct plan *plan)
{
	char name[16];

	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "r%d", i);
		plan_version_add(plan, 4, name, 20, 3);
		plan->versions[plan->version_count - 1].endpoints[0].weight = 999983;
	}
}

static void plan_rules(struct plan *plan)
{
	char text[48];

	for (int i = 0; i < 260; i++) {
		snprintf(text, sizeof(text), "10.98.%d.%d", i / 250, i % 250 + 1);
		plan_service_add(plan, text, 80, PROTOCOL_TCP);
		for (int k = 0; k < 64; k++) {
			snprintf(text, sizeof(text), "10.%d.%d.0/24", i % 250, k + i / 250 * 64);
			plan_rule_add(plan, plan->service_count - 1, text, 0);
		}
	}
}

static void plan_members(struct plan *plan)
{
	uint32_t versions[250], weights[250];

	for (int i = 0; i < 250; i++)
		versions[i] = i % 2, weights[i] = i < 3;
	for (int i = 0; i < 600; i++)
		plan_split_make(plan, versions, weights, 250);
}

static void plan_slots(struct plan *plan)
{
	uint32_t versions[3] = { 0, 1, 0 };

	for (uint32_t a = 1; a < 31; a++)
		for (uint32_t b = 1; b < 31; b++)
			plan_split_make(plan, versions, (uint32_t[]){ a, b, 64 - a - b }, 3);
}

static const struct room {
	const char *map; /* as the refusal names it first; "VIPs" for services */
	void (*grow)(struct plan *plan);
} rooms[] = {
	{ "VIPs", plan_services },         { "'versions'", plan_versions },
	{ "'endpoints'", plan_endpoints }, { "'rings'", plan_rings },
	{ "'rules'", plan_rules },         { "'members'", plan_members },
	{ "'slots'", plan_slots },
};

static uint32_t *setting_of(struct kernel_settings *settings, const char *option)
{
	if (!strncmp(option, "--services ", 11))
		return &settings->services;
	if (!strncmp(option, "--versions ", 11))
		return &settings->versions;
	if (!strncmp(option, "--endpoints ", 12))
		return &settings->endpoints;
	fail_msg("no setting of that name: %s", option);
	return NULL;
}

/* Does what the refusal says, as an operator would: detach, and start with the size that it names.
 */
static void advice_follow(struct bench *bench)
{
	const char *text = bench->diags->list[bench->diags->count - 1].text;
	const char *option = strstr(text, "--");
	uint32_t *setting, before, size;

	if (!option)
		fail_msg("names no setting: %s", text);
	setting = setting_of(&bench->settings, option);
	before = *setting;
	assert_int_equal(sscanf(strchr(option, ' '), "%u", &size), 1);
	if (size <= before)
		fail_msg("names a size that is there already (%u): %s", before, text);
	*setting = size;
	bench_shut(bench);
	bench_hush(bench);
	assert_int_equal(kernel_detach_all(bench->pins, bench->diags), 0);
	bench_create(bench);
}

static int room_write(struct bench *bench, const struct room *room)
{
	struct plan *plan = plan_pair(bench->diags, 1, 1);

	room->grow(plan);
	return kernel_write(bench->kernel, plan, 1, (uint8_t[32]){ 1 }, bench->diags);
}

static void room_follow(struct bench *bench, const struct room *room)
{
	bool is_named = false; /* what comes with it may need room before */
	int err = room_write(bench, room);

	while (err == -ENOSPC) {
		char *said = talloc_strdup(NULL, bench->diags->list[bench->diags->count - 1].text);

		is_named |= bench_said(bench, room->map);
		advice_follow(bench);
		err = room_write(bench, room);
		*strchr(said, ':') = 0;
		if (err == -ENOSPC && bench_said(bench, said))
			fail_msg("%s again, with the size that it named", said);
		talloc_free(said);
	}
	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
	if (!is_named)
		fail_msg("%s: was never full", room->map);
	assert_int_equal(kernel_flip(bench->kernel, 1), 0);
}

static void the_size_that_is_named_is_enough(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		bench_setup(state);
		room_follow(*state, &rooms[i]);
		bench_teardown(state);
	}
}

/* --- a look needs no room --- */

/* Three quarters of the places. */
static void plan_most_members(struct plan *plan)
{
	uint32_t versions[250], weights[250];
	char text[32];

	for (int i = 0; i < 250; i++)
		versions[i] = i % 2, weights[i] = i < 3;
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "10.98.0.%d", i / 50 + 1);
		if (i % 50 == 0)
			plan_service_add(plan, text, 80, PROTOCOL_TCP);
		snprintf(text, sizeof(text), "10.%d.0.0/16", i % 50);
		plan_split_make(plan, versions, weights, 250);
		plan_rule_add(plan, plan->service_count - 1, text, plan->split_count - 1);
	}
}

/* A second of that size does not fit beside it; what is there is compared all the same. */
static void a_map_without_room_is_compared(void **state)
{
	struct bench bench;
	struct plan *plan;

	bench_name(&bench);
	bench.settings.services = 16;
	bench_create(&bench);
	plan = plan_pair(bench.diags, 1, 1);
	plan_most_members(plan);
	write_flip(&bench, plan, 1);
	assert_int_equal(kernel_write(bench.kernel, plan, 2, (uint8_t[32]){ 2 }, bench.diags),
			 -ENOSPC);
	assert_true(bench_said(&bench, "'members'"));
	assert_int_equal(kernel_audit(bench.kernel, plan, 1, false, bench.diags), 0);
	assert_int_equal(kernel_audit(bench.kernel, plan, 1, true, bench.diags), 0);
	bench_shut(&bench);
	assert_int_equal(kernel_detach_all(bench.pins, bench.diags), 0);
	talloc_free(bench.diags);
}

/* --- a configuration that does not fit --- */

struct site {
	struct bench *bench;
	char dir[64];
	struct node *node;
};

static char *config_text(void *parent, int services, int versions, int endpoints)
{
	char *text = talloc_strdup(parent, "");

	for (int s = 0; s < services; s++) {
		text = talloc_asprintf_append_buffer(
			text,
			"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
			"metadata: {name: s%d}\nspec:\n  hosts: [s%d.test]\n  resolution: STATIC\n"
			"  addresses: [10.96.%d.%d]\n"
			"  ports: [{number: 80, name: t, protocol: TCP}]\n  endpoints:\n",
			s, s, s / 250, s % 250 + 1);
		for (int e = 0; e < endpoints; e++)
			text = talloc_asprintf_append_buffer(
				text, "  - {address: 10.%d.%d.%d, labels: {version: v%d}}\n",
				100 + s % 100, s / 100 * 10 + e / 250, e % 250 + 1, e % versions);
		text = talloc_asprintf_append_buffer(
			text,
			"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			"metadata: {name: s%d}\nspec:\n  host: s%d.test\n  subsets:\n",
			s, s);
		for (int v = 0; v < versions; v++)
			text = talloc_asprintf_append_buffer(
				text, "  - {name: v%d, labels: {version: v%d}}\n", v, v);
		text = talloc_asprintf_append_buffer(
			text,
			"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			"metadata: {name: s%d}\nspec:\n  hosts: [s%d.test]\n  tcp:\n  - route:\n",
			s, s);
		for (int v = 0; v < versions; v++)
			text = talloc_asprintf_append_buffer(
				text,
				"    - {destination: {host: s%d.test, subset: v%d}, weight: 1}\n",
				s, v);
	}
	return text;
}

static int config_commit(struct site *site, int services, int versions, int endpoints)
{
	static const struct node_change change = { .author = "ann", .command = "apply" };
	struct node_options options = { .state_dir = site->dir, .pin_dir = site->bench->pins };
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	char *text = config_text(memory, services, versions, endpoints);
	struct input_text input = { "test.yaml", text, strlen(text) };
	struct node_result result;
	struct input_result read;
	int err;

	bench_hush(site->bench);
	talloc_free(site->node);
	site->node = NULL;
	assert_int_equal(node_open(NULL, &options, NODE_WRITE, site->bench->diags, &site->node), 0);
	err = input_apply(memory, &input, 1, INPUT_REPLACE, site->node->model,
			  site->node->inventory, site->bench->diags, &read);
	if (err)
		diags_print(site->bench->diags, stderr, false);
	assert_int_equal(err, 0);
	err = node_commit(site->node, read.model, read.inventory, &change, site->bench->diags,
			  memory, &result);
	if (err && err != -ENOSPC)
		diags_print(site->bench->diags, stderr, false);
	talloc_free(site->node);
	site->node = NULL;
	return err;
}

/* Names and contents of what a command may change in the state folder. */
static char *disk_text(void *parent, const struct site *site)
{
	char *text = talloc_strdup(parent, ""), line[4096], command[256];
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "cd %s && find . -type f ! -name lock | sort | xargs sha256sum", site->dir);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe))
		text = talloc_strdup_append(text, line);
	assert_int_equal(pclose(pipe), 0);
	return text;
}

static const struct {
	const char *says, *advice;
	int services, versions, endpoints;
} too_much[] = {
	{ "VIPs", "--services ", 300, 1, 1 },
	{ "'versions'", "--versions ", 1, 200, 200 },
	{ "'endpoints'", "--endpoints ", 1, 1, 900 },
};

static void what_does_not_fit_leaves_no_trace(void **state)
{
	_cleanup_talloc_ void *memory = talloc_new(NULL);
	struct site site = { .dir = "/tmp/sluice-full-XXXXXX" };
	char command[128];

	bench_setup(state);
	site.bench = *state;
	assert_non_null(mkdtemp(site.dir));
	assert_int_equal(config_commit(&site, 1, 2, 4), 0);
	for (size_t i = 0; i < ARRAY_SIZE(too_much); i++) {
		const char *before = disk_text(memory, &site);
		uint32_t active = kernel_active(site.bench->kernel);
		int err = config_commit(&site, too_much[i].services, too_much[i].versions,
					too_much[i].endpoints);

		if (err != -ENOSPC || !bench_said(site.bench, too_much[i].says) ||
		    !bench_said(site.bench, too_much[i].advice)) {
			diags_print(site.bench->diags, stderr, false);
			fail_msg("%s: got %d", too_much[i].says, err);
		}
		assert_string_equal(disk_text(memory, &site), before);
		assert_int_equal(kernel_active(site.bench->kernel), active);
	}
	/* And the next one that fits is taken. */
	assert_int_equal(config_commit(&site, 2, 2, 4), 0);
	snprintf(command, sizeof(command), "rm -r %s", site.dir);
	assert_int_equal(system(command), 0);
	bench_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_size_that_is_named_is_enough),
		cmocka_unit_test(a_map_without_room_is_compared),
		cmocka_unit_test(what_does_not_fit_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
