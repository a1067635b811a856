// SPDX-License-Identifier: Apache-2.0
/* The room user/kernel over a real kernel: pins, tables, revisions, room, members, audit. */
#include "tables.h"

#include "bpf/pick.h"

/* --- pins --- */

static void control_set(const struct bench *bench, uint32_t abi)
{
	struct sl_control control;
	uint32_t zero = 0;
	char path[128];

	snprintf(path, sizeof(path), "%s/control", bench->pins);
	_cleanup_close_ int fd = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &control), 0);
	control.abi = abi;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &control, BPF_ANY), 0);
}

static void pins_are_opened_and_gone_after_detach(void **state)
{
	struct bench *bench = *state;
	struct kernel *other;

	assert_int_equal(kernel_open(bench->pins, &other), 0);
	assert_int_equal(kernel_active(other), 0);
	kernel_close(other);
	bench_shut(bench);
	assert_int_equal(kernel_detach_all(bench->pins, bench->diags), 0);
	assert_int_equal(kernel_open(bench->pins, &other), -ENOENT);
	assert_int_not_equal(access(bench->pins, F_OK), 0);
	assert_int_equal(kernel_detach_all(bench->pins, bench->diags), 0);
}

static void a_second_create_adopts(void **state)
{
	struct bench *bench = *state;
	struct plan *plan = plan_pair(bench->diags, 1, 1);
	uint32_t entries = bench->kernel->map[MAP_ENDPOINTS].entries;
	uint64_t seed = control_of(bench->kernel)->seed[0];

	write_flip(bench, plan, 7);
	bench_shut(bench);
	bench_hush(bench);
	bench->settings.endpoints = 999;
	bench->settings.slots = 128;
	bench->settings.seed[0] = 1;
	bench_create(bench);
	assert_int_equal(kernel_active(bench->kernel), 7);
	assert_int_equal(bench->kernel->map[MAP_ENDPOINTS].entries, entries);
	assert_int_equal(kernel_slots(bench->kernel), 64);
	assert_true(control_of(bench->kernel)->seed[0] == seed);
	assert_true(bench_said(bench, "stays at 128 entries (999"));
	assert_true(bench_said(bench, "slot tables stay at 64"));
	assert_true(bench_said(bench, "the seed in the kernel"));
}

static void another_abi_is_refused(void **state)
{
	struct bench *bench = *state;
	struct kernel *other;

	bench_shut(bench);
	control_set(bench, 77);
	assert_int_equal(kernel_open(bench->pins, &other), -EPROTO);
	assert_int_equal(kernel_create(bench->pins, &bench->settings, bench->diags, &other),
			 -EPROTO);
	assert_true(bench_said(bench, "ABI 77"));
	assert_true(bench_said(bench, "speaks 2"));
}

/* All maps are there, and the ABI was never written. */
static void a_create_that_never_ended_is_none(void **state)
{
	struct bench *bench = *state;
	struct kernel *other;
	char path[128];

	bench_shut(bench);
	control_set(bench, 0);
	assert_int_equal(kernel_open(bench->pins, &other), -ENOENT);
	for (int i = MAP_FLOWS; i < MAP_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", bench->pins, map_names[i]);
		unlink(path);
	}
	assert_int_equal(kernel_open(bench->pins, &other), -ENOENT);
	bench_create(bench);
	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
}

/* --- explain says what the doors do --- */

static struct plan *plan_rich(void *parent)
{
	struct plan *plan = plan_new(parent);

	for (int family = 4; family <= 6; family += 2) {
		const char *vip = family == 4 ? "10.96.0.1" : "fd00:96::1";
		uint32_t v1 = plan_version_add(plan, family, "v1", 1, 5);
		uint32_t v2 = plan_version_add(plan, family, "v2", 11, 3);
		uint32_t none = plan_version_add(plan, family, "none", 0, 0);
		uint32_t half, client, spill, odd;
		size_t at = plan->service_count;

		half = plan_split_add(plan, v1, 50, v2, 50);
		client = plan_split_add(plan, v1, 1, v2, 2);
		plan->splits[client].by_client = true;
		spill = plan_split_add(plan, v1, 1, none, 3);
		plan->splits[spill].spill = true;
		odd = plan_split_add(plan, v2, 1, none, 3);
		plan_service_add(plan, vip, 80, PROTOCOL_TCP);
		plan_rule_add(plan, at, family == 4 ? "192.0.0.0/10" : "2001:db8::/33", client);
		plan_rule_add(plan, at, family == 4 ? "64.0.0.0/3" : "2001:db8:8000::/34", spill);
		plan_rule_add(plan, at, NULL, half);
		plan_service_add(plan, vip, 53, PROTOCOL_UDP);
		plan_rule_add(plan, at + 1, NULL, odd);
	}
	return plan;
}

static struct kernel_connection connection_random(int family)
{
	bool is_udp = random_below(3) == 0;
	struct kernel_connection c = {
		.source = { .family = family },
		.destination = addr_of(family == 4 ? "10.96.0.1" : "fd00:96::1"),
		.source_port = 1024 + random_below(60000),
		.destination_port = random_below(20) ? (is_udp ? 53 : 80) : 81,
		.protocol = is_udp ? PROTOCOL_UDP : PROTOCOL_TCP,
	};

	for (int i = 0; i < 16; i++)
		c.source.bytes[i] = family == 4 && i > 3 ? 0 : random_below(256);
	if (family == 4)
		c.source.bytes[0] = 1 + random_below(223);
	else
		memcpy(c.source.bytes, (uint8_t[]){ 0x20, 0x01, 0x0d, 0xb8 }, 4);
	if (c.source.bytes[0] == 127)
		c.source.bytes[0] = 126;
	return c;
}

static void explain_agrees(struct bench *bench, const struct kernel_connection *c)
{
	struct kernel_explain said, then;
	struct sl_counters before = counted(bench), after;
	struct sent sent;

	assert_int_equal(kernel_explain(bench->kernel, c, &said), 0);
	sent = packet_send(bench->door, c, SYN);
	after = counted(bench);
	assert_int_equal(kernel_explain(bench->kernel, c, &then), 0);
	assert_int_equal(then.has_flow, said.is_ours && !said.is_refused);
	assert_int_equal(after.pass_unmatched - before.pass_unmatched, !said.is_ours);
	assert_int_equal(after.refuse_empty - before.refuse_empty, said.is_refused);
	assert_int_equal(after.note_spilled - before.note_spilled, said.spilled);
	if (!then.has_flow)
		return;
	assert_int_equal(then.flow.version, said.version);
	assert_int_equal(then.flow.endpoint, said.endpoint);
	assert_true(is_endpoint(bench->kernel, said.endpoint, &sent.destination, sent.port));
}

static void explain_says_what_the_doors_do(void **state)
{
	struct bench *bench = *state;

	write_flip(bench, plan_rich(bench->diags), 1);
	for (int i = 0; i < 1000; i++) {
		struct kernel_connection c = connection_random(i % 2 ? 4 : 6);

		explain_agrees(bench, &c);
	}
}

static void a_hand_flip_is_explained_by_the_fallback(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c = connection_of("192.0.2.1", "10.96.0.1", 4000, 80);
	struct kernel_explain said;

	write_flip(bench, plan_pair(bench->diags, 1, 0), 3);
	*MAPPED(bench->kernel, MAP_ACTIVE, uint32_t) = 0xdead;
	assert_int_equal(kernel_explain(bench->kernel, &c, &said), 0);
	assert_int_equal(said.revision, 3);
	explain_agrees(bench, &c);
	assert_int_equal(counted(bench).note_active_unknown, 1);
}

/* --- revisions --- */

static bool is_hot_key(const struct kernel *kernel, const struct sl_service_key *key)
{
	return kernel_is_hot(kernel, key->revision);
}

static int key_check(void *context, void *key, void *value)
{
	return is_hot_key(context, key) ? 0 : -ESTALE;
}

static void hot_check(struct bench *bench, uint32_t active, uint32_t newest)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(bench->kernel, hot);
	uint32_t services = 0;

	assert_true(kernel_is_hot(bench->kernel, active));
	assert_true(count <= SL_HOT_MAX);
	for (size_t i = 0; i < count; i++)
		services += hot[i].services;
	assert_int_equal(services, map_count(bench, MAP_SERVICES));
	assert_int_equal(map_walk(&bench->kernel->map[MAP_SERVICES], key_check, bench->kernel), 0);
	for (uint32_t i = 0; i < SL_HOT_MIN - 1 && i < newest; i++)
		assert_true(kernel_is_hot(bench->kernel, newest - i));
}

static void two_hundred_revisions(void **state)
{
	struct bench *bench = *state;
	uint32_t cursor = 0;

	for (uint32_t revision = 1; revision <= 200; revision++) {
		_cleanup_talloc_ struct plan *plan = plan_pair(NULL, 1 + revision % 5, 5);

		write_flip(bench, plan, revision);
		hot_check(bench, revision, revision);
		if (revision == 10)
			cursor = control_of(bench->kernel)->slot_cursor;
		/* The same five tables over and over. */
		if (revision > 10)
			assert_int_equal(control_of(bench->kernel)->slot_cursor, cursor);
	}
}

/* The active one is old, and the fallback another: both stay when all else goes. */
static void the_active_one_and_the_fallback_stay(void **state)
{
	struct bench *bench = *state;
	struct plan *plan = plan_pair(bench->diags, 1, 1);

	write_flip(bench, plan, 1);
	write_flip(bench, plan, 2);
	*MAPPED(bench->kernel, MAP_ACTIVE, uint32_t) = 1; /* by hand: the fallback stays 2 */
	for (uint32_t revision = 3; revision <= 200; revision++) {
		assert_int_equal(kernel_write(bench->kernel, plan, revision, (uint8_t[32]){ 0 },
					      bench->diags),
				 0);
		assert_true(kernel_is_hot(bench->kernel, 1));
		assert_true(kernel_is_hot(bench->kernel, 2));
	}
	assert_int_equal(kernel_active(bench->kernel), 1);
}

/* What a write that was killed leaves has no entry in the directory: the next one takes it away. */
static void entries_of_no_revision_go(void **state)
{
	struct bench *bench = *state;
	struct plan *plan = plan_pair(bench->diags, 1, 1);

	write_flip(bench, plan, 1);
	for (uint32_t revision = 2; revision <= 100; revision++) {
		assert_int_equal(kernel_write(bench->kernel, plan, revision, (uint8_t[32]){ 0 },
					      bench->diags),
				 0);
		revision_place(bench->kernel, revision)->number = 0;
		assert_true(map_count(bench, MAP_SERVICES) <= 2);
	}
	assert_true(kernel_is_hot(bench->kernel, 1));
}

static void a_place_that_comes_round(void **state)
{
	struct bench *bench = *state;
	struct plan *plan = plan_pair(bench->diags, 1, 1);

	write_flip(bench, plan, 1);
	assert_int_equal(
		kernel_write(bench->kernel, plan, 1 + SL_PLACES, (uint8_t[32]){ 0 }, bench->diags),
		-EBUSY);
	assert_true(bench_said(bench, "place of revision 1"));
	hot_check(bench, 1, 1);
	write_flip(bench, plan, 2);
	write_flip(bench, plan, 1 + SL_PLACES);
	assert_false(kernel_is_hot(bench->kernel, 1));
	hot_check(bench, 1 + SL_PLACES, 0);
}

static uint32_t places_used(struct bench *bench)
{
	struct kernel_fill fill[KERNEL_FILLS];
	size_t count = kernel_fill(bench->kernel, false, fill);
	uint32_t used = 0;

	for (size_t i = 0; i < count; i++)
		if (!strcmp(fill[i].map, "versions") || !strcmp(fill[i].map, "endpoints") ||
		    !strcmp(fill[i].map, "rings"))
			used += fill[i].used;
	return used;
}

/* Changing weights through maps so small that a leak of a single place shows. */
static void a_thousand_writes_leak_no_place(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c = connection_of("192.0.2.1", "10.96.0.1", 4000, 80);
	uint32_t used = 0;

	for (uint32_t revision = 1; revision <= 1000; revision++) {
		_cleanup_talloc_ struct plan *plan =
			plan_pair(NULL, 1 + random_below(1000), 1 + random_below(1000));

		plan_rule_add(plan, 0, NULL, 0);
		assert_int_equal(prefix_parse("192.0.2.0/24", &plan->services[0].rules[0].source),
				 0);
		write_flip(bench, plan, revision);
		if (revision == 1)
			used = places_used(bench);
	}
	assert_int_equal(places_used(bench), used);
	explain_agrees(bench, &c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(pins_are_opened_and_gone_after_detach),
		TEST(a_second_create_adopts),
		TEST(another_abi_is_refused),
		TEST(a_create_that_never_ended_is_none),
		TEST(explain_says_what_the_doors_do),
		TEST(a_hand_flip_is_explained_by_the_fallback),
		TEST(two_hundred_revisions),
		TEST(the_active_one_and_the_fallback_stay),
		TEST(entries_of_no_revision_go),
		TEST(a_place_that_comes_round),
		TEST(a_thousand_writes_leak_no_place),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
