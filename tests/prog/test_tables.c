// SPDX-License-Identifier: Apache-2.0
/* Room, membership, the sweep and the audit: what the tables do when they are full, churned or
 * damaged. */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* --- dumps --- */

struct snapshot {
	uint8_t *mapped[MAP_COUNT];
	uint8_t *services;
	size_t count;
};

static int dump_service(void *context, void *key, void *value)
{
	struct snapshot *dump = context;
	size_t size = sizeof(struct sl_service_key) + sizeof(struct sl_service);

	dump->services = realloc(dump->services, (dump->count + 1) * size);
	memcpy(dump->services + dump->count * size, key, sizeof(struct sl_service_key));
	memcpy(dump->services + dump->count++ * size + sizeof(struct sl_service_key), value,
	       sizeof(struct sl_service));
	return 0;
}

static struct snapshot dump_take(const struct kernel *kernel)
{
	struct snapshot dump = { 0 };

	for (int i = 0; i < MAP_COUNT; i++) {
		if (!kernel->map[i].data)
			continue;
		dump.mapped[i] = malloc(kernel->map[i].size);
		memcpy(dump.mapped[i], kernel->map[i].data, kernel->map[i].size);
	}
	map_walk(&kernel->map[MAP_SERVICES], dump_service, &dump);
	return dump;
}

static void dump_free(struct snapshot *dump)
{
	for (int i = 0; i < MAP_COUNT; i++)
		free(dump->mapped[i]);
	free(dump->services);
}

/* Names the first map that differs, those in `but` left out; NULL when all are equal. */
static const char *dump_differs(const struct kernel *kernel, const struct snapshot *a, uint32_t but)
{
	struct snapshot b = dump_take(kernel);
	const char *name = NULL;
	size_t size = sizeof(struct sl_service_key) + sizeof(struct sl_service);

	for (int i = 0; i < MAP_COUNT && !name; i++)
		if (b.mapped[i] && !(but & 1u << i) &&
		    memcmp(a->mapped[i], b.mapped[i], kernel->map[i].size))
			name = map_names[i];
	if (a->count != b.count || memcmp(a->services, b.services, b.count * size))
		name = "services";
	dump_free(&b);
	return name;
}

/* --- room --- */

static void plan_services(struct plan *plan)
{
	char vip[32];

	for (int i = 0; i < 200; i++) {
		snprintf(vip, sizeof(vip), "10.97.0.%d", i + 1);
		plan_service_add(plan, vip, 80, PROTOCOL_TCP);
	}
}

static void plan_versions(struct plan *plan)
{
	char name[16];

	for (int i = 0; i < 70; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		plan_version_add(plan, 4, name, 20, 1);
	}
}

static void plan_endpoints(struct plan *plan)
{
	plan_version_add(plan, 4, "many", 20, 140);
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

	for (int i = 0; i < 59; i++) {
		snprintf(text, sizeof(text), "10.97.0.%d", i + 1);
		plan_service_add(plan, text, 80, PROTOCOL_TCP);
		for (int k = 0; k < 64; k++) {
			snprintf(text, sizeof(text), "10.%d.%d.0/24", i, k);
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
	const char *map, *advice;
	void (*grow)(struct plan *plan);
	int times; /* written so often before it is full */
} rooms[] = {
	{ "services", "--services 201", plan_services, 0 },
	{ "versions", "--versions 128", plan_versions, 0 },
	{ "endpoints", "--endpoints 256", plan_endpoints, 0 },
	{ "rings", "--versions 8192", plan_rings, 0 },
	{ "rules", "--services 8192", plan_rules, 4 },
	{ "members", "--services 8192", plan_members, 0 },
	{ "slots", "--services 32768", plan_slots, 0 },
};

static void room_try(struct bench *bench, const struct room *room)
{
	struct plan *plan = plan_pair(bench->diags, 1, 1);
	struct snapshot dump;
	int err;

	write_flip(bench, plan, 1);
	room->grow(plan);
	for (int i = 0; i < room->times; i++)
		write_flip(bench, plan, 2 + i);
	bench_hush(bench);
	plan = plan_pair(bench->diags, 1, 1);
	room->grow(plan);
	dump = dump_take(bench->kernel);
	err = kernel_write(bench->kernel, plan, 100, (uint8_t[32]){ 0 }, bench->diags);
	if (err != -ENOSPC || !bench_said(bench, room->advice))
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, -ENOSPC);
	assert_true(bench_said(bench, room->map) || bench_said(bench, "VIPs"));
	assert_true(bench_said(bench, room->advice));
	assert_int_equal(bench->diags->errors, 1);
	if (dump_differs(bench->kernel, &dump, 0))
		fail_msg("%s: the map '%s' has changed", room->map,
			 dump_differs(bench->kernel, &dump, 0));
	dump_free(&dump);
}

static void a_full_map_says_so_and_nothing_changes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		bench_setup(state);
		room_try(*state, &rooms[i]);
		bench_teardown(state);
	}
}

/* --- membership --- */

#define RINGS_ONLY                                                                                 \
	(1u << MAP_RINGS | 1u << MAP_VERSIONS | 1u << MAP_ENDPOINTS | 1u << MAP_KNOWN |            \
	 1u << MAP_CONTROL)

static struct plan *plan_with(void *parent, unsigned first, unsigned count)
{
	struct plan *plan = plan_pair(parent, 1, 1);

	plan->versions[0].endpoint_count = 0;
	plan->versions[0].endpoints = talloc_zero_array(plan, struct plan_endpoint, count);
	for (unsigned i = 0; i < count; i++)
		plan->versions[0].endpoints[plan->versions[0].endpoint_count++] =
			(struct plan_endpoint){ endpoint_addr(4, first + i), 8080, 1 };
	return plan;
}

static void members_write(struct bench *bench, struct plan *plan)
{
	int err = kernel_members(bench->kernel, plan, bench->diags);

	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
}

static void endpoints_move_rings_alone(void **state)
{
	struct bench *bench = *state;
	struct snapshot dump;

	write_flip(bench, plan_with(bench->diags, 1, 3), 1);
	dump = dump_take(bench->kernel);
	members_write(bench, plan_with(bench->diags, 1, 4));
	assert_null(dump_differs(bench->kernel, &dump, RINGS_ONLY));
	assert_string_equal(dump_differs(bench->kernel, &dump, 0), "control"); /* the cursor */
	members_write(bench, plan_with(bench->diags, 2, 2));
	assert_null(dump_differs(bench->kernel, &dump, RINGS_ONLY));
	dump_free(&dump);
}

static void no_endpoint_left_refuses(void **state)
{
	struct bench *bench = *state;
	struct plan *plan = plan_with(bench->diags, 1, 3);
	struct kernel_connection c = connection_of("192.0.2.1", "10.96.0.1", 4000, 80);

	write_flip(bench, plan, 1);
	plan->versions[0].endpoint_count = plan->versions[1].endpoint_count = 0;
	members_write(bench, plan);
	packet_send(bench->door, &c, SYN);
	assert_int_equal(counted(bench).refuse_empty, 1);
	assert_int_equal(counted(bench).drop_table, 0);
}

/* A connection that version `version` gets; returns its flow. */
static struct kernel_flow connection_open(struct bench *bench, uint32_t version,
					  struct kernel_connection *c)
{
	struct kernel_explain said;

	for (uint16_t port = 2000; port < 3000; port++) {
		*c = connection_of("192.0.2.1", "10.96.0.1", port, 80);
		assert_int_equal(kernel_explain(bench->kernel, c, &said), 0);
		if (said.version == version)
			break;
	}
	packet_send(bench->door, c, SYN);
	assert_int_equal(kernel_explain(bench->kernel, c, &said), 0);
	assert_true(said.has_flow);
	assert_int_equal(said.flow.version, version);
	return said.flow;
}

static void flows_flag(struct bench *bench, uint8_t flag)
{
	struct ways ways;

	assert_int_equal(ways_map(bench->kernel, &ways), 0);
	for (size_t i = 0; i < ways.count; i++)
		if (ways.at[i].tag > SL_WAY_TAKEN)
			ways.at[i].word |= flag;
	ways_unmap(&ways);
}

/* Every flow was last seen two minutes earlier than it was. */
static void flows_age(struct bench *bench)
{
	const struct sl_control *control = control_of(bench->kernel);
	struct ways ways;
	uint16_t units = 120000000000ull / ((uint64_t)control->tick_ns << control->seen_shift) + 1;

	assert_int_equal(ways_map(bench->kernel, &ways), 0);
	for (size_t i = 0; i < ways.count; i++)
		if (ways.at[i].tag > SL_WAY_TAKEN)
			ways.at[i].word =
				way_seen_set(ways.at[i].word, way_seen(ways.at[i].word) - units);
	ways_unmap(&ways);
}

static void sweep(struct bench *bench)
{
	assert_int_equal(kernel_flows_sweep(bench->kernel, KERNEL_TCP_IDLE_S), 0);
}

static void an_endpoint_keeps_its_index_while_a_flow_names_it(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c;
	struct addr late = endpoint_addr(4, 50), later = endpoint_addr(4, 60);
	struct kernel_flow flow;
	struct sent sent;

	write_flip(bench, plan_with(bench->diags, 1, 1), 1);
	flow = connection_open(bench, 0, &c);
	members_write(bench, plan_with(bench->diags, 50, 1));
	sweep(bench);
	assert_int_not_equal(endpoint_index(bench->kernel, &late), flow.endpoint);
	sent = packet_send(bench->door, &c, ACK);
	assert_true(is_endpoint(bench->kernel, flow.endpoint, &sent.destination, sent.port));
	packet_send(bench->door, &c, RST);
	sweep(bench); /* a FIN may still be repeated */
	assert_int_equal(ways_used(bench->kernel), 2);
	flows_age(bench);
	sweep(bench);
	assert_int_equal(ways_used(bench->kernel), 0);
	assert_int_equal(kernel_endpoint(bench->kernel, flow.endpoint)->used, 0);
	members_write(bench, plan_with(bench->diags, 60, 1));
	assert_int_equal(endpoint_index(bench->kernel, &later), flow.endpoint);
}

/* What nobody answers is no connection for a day. */
static void an_unanswered_connection_goes(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c;

	write_flip(bench, plan_with(bench->diags, 1, 1), 1);
	connection_open(bench, 0, &c);
	sweep(bench);
	assert_int_equal(ways_used(bench->kernel), 2);
	flows_age(bench);
	sweep(bench);
	assert_int_equal(ways_used(bench->kernel), 0);
}

/* The reply's entry of a live but silent connection is not over because it knows less. */
static void a_silent_connection_stays(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c;

	write_flip(bench, plan_with(bench->diags, 1, 1), 1);
	connection_open(bench, 0, &c);
	flows_flag(bench, SL_FLOW_ANSWERED);
	flows_age(bench);
	sweep(bench);
	assert_int_equal(ways_used(bench->kernel), 2);
	assert_int_equal(kernel_flows_sweep(bench->kernel, 60), 0);
	assert_int_equal(ways_used(bench->kernel), 0);
}

/* Revisions after `from` that have v1 and a version named `name`, until none of the older is hot.
 */
static void revisions_pass(struct bench *bench, uint32_t from, const char *name)
{
	for (uint32_t revision = from; revision < from + SL_HOT_MAX + 1; revision++) {
		_cleanup_talloc_ struct plan *plan = plan_pair(NULL, 1, 1);

		plan->versions[1].key = name;
		write_flip(bench, plan, revision);
	}
}

static void a_version_keeps_its_index_while_a_flow_names_it(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c;
	struct sl_stats stats;
	struct kernel_flow flow;
	uint32_t index;

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	assert_int_equal(kernel_version_find(bench->kernel, "reviews|v2|80/tcp", &index), 0);
	flow = connection_open(bench, index, &c);
	revisions_pass(bench, 2, "reviews|v3|80/tcp");
	sweep(bench);
	assert_int_equal(kernel_version_find(bench->kernel, "reviews|v2|80/tcp", &index), 0);
	packet_send(bench->door, &c, RST);
	flows_age(bench);
	sweep(bench);
	assert_int_equal(kernel_version_find(bench->kernel, "reviews|v2|80/tcp", &index), -ENOENT);
	revisions_pass(bench, 100, "reviews|v4|80/tcp");
	assert_int_equal(kernel_version_find(bench->kernel, "reviews|v4|80/tcp", &index), 0);
	assert_int_equal(index, flow.version);
	assert_int_equal(kernel_stats(bench->kernel, index, &stats), 0);
	assert_int_equal(stats.opened + stats.packets_in + stats.closed, 0);
	assert_true(kernel_version(bench->kernel, index)->opened_before == 0);
}

/* Nobody sweeps while the agent is dead: places of endpoints that have gone are found all the same.
 */
static void churn_without_a_sweep_finds_room(void **state)
{
	struct bench *bench = *state;

	write_flip(bench, plan_with(bench->diags, 100, 1), 1);
	for (unsigned i = 0; i < 400; i++) {
		_cleanup_talloc_ struct plan *plan = plan_with(NULL, 200 + i, 1);

		members_write(bench, plan);
	}
}

/* Shares are measured from the last flip on; endpoints that come and go flip nothing. */
static void a_flip_to_the_same_leaves_the_marks(void **state)
{
	struct bench *bench = *state;
	struct kernel_connection c;

	write_flip(bench, plan_with(bench->diags, 1, 1), 1);
	connection_open(bench, 0, &c);
	assert_int_equal(kernel_flip(bench->kernel, 1), 0);
	assert_true(kernel_version(bench->kernel, 0)->opened_before == 0);
	write_flip(bench, plan_with(bench->diags, 1, 1), 2);
	assert_true(kernel_version(bench->kernel, 0)->opened_before == 1);
}

/* --- audit --- */

static struct plan *plan_audited(void *parent)
{
	struct plan *plan = plan_pair(parent, 3, 5);
	uint32_t a = plan_version_add(plan, 4, "steady", 30, 2);
	uint32_t b = plan_version_add(plan, 4, "other", 40, 2);

	plan_service_add(plan, "10.96.0.2", 80, PROTOCOL_TCP);
	plan_rule_add(plan, 1, NULL, plan_split_add(plan, a, 1, b, 6));
	plan_service_add(plan, "10.96.0.1", 81, PROTOCOL_TCP);
	plan_rule_add(plan, 2, "192.0.2.0/24", plan_split_add(plan, 0, 7, 1, 1));
	return plan;
}

static struct sl_service service_at(struct bench *bench, uint16_t port,
				    struct sl_service_key *ret_key)
{
	struct addr vip = addr_of("10.96.0.1");
	struct sl_service service;

	*ret_key = (struct sl_service_key){ .revision = 1, .port = htons(port), .protocol = 6 };
	addr_to_words(&vip, ret_key->vip);
	assert_int_equal(
		bpf_map_lookup_elem(bench->kernel->map[MAP_SERVICES].fd, ret_key, &service), 0);
	return service;
}

static void slot_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_split split = service_at(bench, 80, &key).otherwise;

	MAPPED(bench->kernel, MAP_SLOTS, uint8_t)[split.slot_base * SL_SLOTS_PER_GROUP + 5] ^= 1;
}

static void member_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_split split = service_at(bench, 80, &key).otherwise;

	MAPPED(bench->kernel, MAP_MEMBERS, uint32_t)[split.member_base] = 3;
}

static struct sl_version *version_of(struct bench *bench, const char *key)
{
	uint32_t index;

	assert_int_equal(kernel_version_find(bench->kernel, key, &index), 0);
	return MAPPED(bench->kernel, MAP_VERSIONS, struct sl_version) + index;
}

static void word_damage(struct bench *bench)
{
	struct sl_version *version = version_of(bench, "reviews|v1|80/tcp");

	MAPPED(bench->kernel, MAP_RINGS, uint32_t)[(uint32_t)version->ring + 7] = 77;
}

static void ring_damage(struct bench *bench)
{
	version_of(bench, "reviews|v1|80/tcp")->ring += 1ull << 32 | 2;
}

static void ring_wild_damage(struct bench *bench)
{
	version_of(bench, "reviews|v1|80/tcp")->ring = UINT64_MAX;
}

static void missing_damage(struct bench *bench)
{
	struct sl_service_key key;

	service_at(bench, 80, &key);
	bpf_map_delete_elem(bench->kernel->map[MAP_SERVICES].fd, &key);
}

static void extra_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_service service = service_at(bench, 80, &key);

	key.port = htons(8888);
	bpf_map_update_elem(bench->kernel->map[MAP_SERVICES].fd, &key, &service, BPF_ANY);
}

static void split_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_service service = service_at(bench, 80, &key);

	memset(&service.otherwise, 0xff, sizeof(service.otherwise));
	service.rule_base = service.rule_count = UINT32_MAX;
	bpf_map_update_elem(bench->kernel->map[MAP_SERVICES].fd, &key, &service, BPF_ANY);
}

static void rule_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_service service = service_at(bench, 81, &key);

	MAPPED(bench->kernel, MAP_RULES, struct sl_rule)[service.rule_base].mask[3] = 0;
}

static void address_damage(struct bench *bench)
{
	struct addr addr = endpoint_addr(4, 1);
	uint32_t index = endpoint_index(bench->kernel, &addr);

	MAPPED(bench->kernel, MAP_ENDPOINTS, struct sl_endpoint)[index].addr[3] ^= 0x01010101;
}

static void vip_damage(struct bench *bench)
{
	struct sl_service_key key;
	struct sl_service service = service_at(bench, 80, &key);

	MAPPED(bench->kernel, MAP_VIPS, struct sl_vip)[service.vip].addr[3] ^= 0x01010101;
}

/* The bit of one VIP alone: another service's packets must not notice. */
static void known_damage(struct bench *bench)
{
	struct map *map = &bench->kernel->map[MAP_KNOWN];
	uint32_t bit, addr = htonl(0x0a600001); /* 10.96.0.1 */

	bit = way_known_bit(&addr, htons(80), 4) & (map->entries * 64 - 1);
	((uint64_t *)map->data)[bit / 64] &= ~(1ull << bit % 64);
}

static void key_damage(struct bench *bench)
{
	strcpy(version_of(bench, "reviews|v1|80/tcp")->key, "junk");
}

static void used_damage(struct bench *bench)
{
	version_of(bench, "reviews|v1|80/tcp")->used = 0;
}

static const struct damage {
	const char *name, *said;
	void (*make)(struct bench *bench);
} damages[] = {
	{ "slot ordinal", "has another split", slot_damage },
	{ "member", "has another split", member_damage },
	{ "ring word", "reviews|v1|80/tcp: has other endpoints", word_damage },
	{ "ring reference", "reviews|v1|80/tcp: has other endpoints", ring_damage },
	{ "ring reference beyond all", "reviews|v1|80/tcp: has other endpoints", ring_wild_damage },
	{ "missing service", "reviews.default: is not in the kernel", missing_damage },
	{ "extra service", "has services that its rules do not name", extra_damage },
	{ "split", "has another split", split_damage },
	{ "rule prefix", "has another split", rule_damage },
	{ "endpoint address", "reviews|v1|80/tcp: has other endpoints", address_damage },
	{ "VIP", "reviews.default: has another VIP", vip_damage },
	{ "known addresses", "reviews.default: its VIP is not known", known_damage },
	{ "version key", "reviews|v1|80/tcp: is not in the kernel", key_damage },
	{ "version in use", "reviews|v1|80/tcp: is not in the kernel", used_damage },
};

struct traffic {
	pthread_t thread;
	const struct bench *bench;
	atomic_bool done;
	unsigned wrong, sent;
};

/* The service beside the damaged one: its connections must not feel the repair. */
static void *traffic_run(void *arg)
{
	struct traffic *traffic = arg;

	for (uint16_t port = 1024; !atomic_load(&traffic->done); port++) {
		struct kernel_connection c =
			connection_of("192.0.2.9", "10.96.0.2", port | 1024, 80);
		struct sent sent = packet_send(traffic->bench->door, &c, SYN);
		uint8_t last = sent.destination.bytes[3];

		traffic->sent++;
		traffic->wrong += sent.code != (uint32_t)TC_ACT_UNSPEC || sent.port != 8080 ||
				  (last != 31 && last != 32 && last != 41 && last != 42);
	}
	return NULL;
}

static void damage_try(struct bench *bench, const struct damage *damage)
{
	struct plan *plan = plan_audited(bench->diags);
	struct traffic traffic = { .bench = bench };
	int found;

	bench_hush(bench);
	plan = plan_audited(bench->diags);
	damage->make(bench);
	pthread_create(&traffic.thread, NULL, traffic_run, &traffic);
	found = kernel_audit(bench->kernel, plan, 1, true, bench->diags);
	atomic_store(&traffic.done, true);
	pthread_join(traffic.thread, NULL);
	if (found < 1 || !bench_said(bench, damage->said)) {
		diags_print(bench->diags, stderr, false);
		fail_msg("%s: %d found", damage->name, found);
	}
	if (traffic.wrong)
		fail_msg("%s: %u of %u packets went wrong", damage->name, traffic.wrong,
			 traffic.sent);
	found = kernel_audit(bench->kernel, plan, 1, false, bench->diags);
	if (found)
		fail_msg("%s: %d left after the repair", damage->name, found);
}

static void every_damage_is_found_named_and_repaired(void **state)
{
	struct bench *bench = *state;

	write_flip(bench, plan_audited(bench->diags), 1);
	assert_int_equal(
		kernel_audit(bench->kernel, plan_audited(bench->diags), 1, true, bench->diags), 0);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++)
		damage_try(bench, &damages[i]);
	sweep(bench);
	assert_int_equal(
		kernel_audit(bench->kernel, plan_audited(bench->diags), 1, false, bench->diags), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_map_says_so_and_nothing_changes),
		TEST(endpoints_move_rings_alone),
		TEST(no_endpoint_left_refuses),
		TEST(an_endpoint_keeps_its_index_while_a_flow_names_it),
		TEST(a_silent_connection_stays),
		TEST(an_unanswered_connection_goes),
		TEST(a_version_keeps_its_index_while_a_flow_names_it),
		TEST(churn_without_a_sweep_finds_room),
		TEST(a_flip_to_the_same_leaves_the_marks),
		TEST(every_damage_is_found_named_and_repaired),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
