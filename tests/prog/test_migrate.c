// SPDX-License-Identifier: Apache-2.0
/*
 * Maps of another release, taken over: what is pinned gets another ABI's number, and in its record
 * what that release would do otherwise. tests/net/test_migrate.sh does it with another layout and
 * real packets.
 */
#include "tables.h"

#include "user/input/input.h"
#include "user/node/node.h"

#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CONNECTIONS 600
#define THEIR_ABI 77u

static bool may_have_tcx = true;

/* The weak one of the library gives way: a kernel before 6.6. */
bool kernel_may_have_tcx(void)
{
	return may_have_tcx;
}

static void map_change(const struct bench *bench, enum map_id id,
		       void (*change)(void *value, uint64_t with), uint64_t with)
{
	uint8_t value[1024];
	uint32_t zero = 0;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", bench->pins, map_names[id]);
	_cleanup_close_ int fd = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, value), 0);
	change(value, with);
	assert_int_equal(bpf_map_update_elem(fd, &zero, value, BPF_ANY), 0);
}

static void control_abi(void *value, uint64_t abi)
{
	((struct sl_control *)value)->abi = abi;
}

static void layout_abi(void *value, uint64_t abi)
{
	((struct sl_layout *)value)->abi = abi;
}

static void layout_homes(void *value, uint64_t with)
{
	((struct sl_layout *)value)->probe_home ^= with;
	((struct sl_layout *)value)->home[0] ^= with;
}

static void layout_tags(void *value, uint64_t with)
{
	((struct sl_layout *)value)->probe_tag ^= with;
}

static void layout_endpoints(void *value, uint64_t at)
{
	((struct sl_layout *)value)->endpoints.addr = at;
}

/* More ways than numbers of 32 bits can tell the bytes of. */
static void layout_ways(void *value, uint64_t ways)
{
	((struct sl_layout *)value)->ways = ways;
	((struct sl_layout *)value)->way_size = ways == SL_WAYS ? sizeof(struct sl_way) : 0xfff8;
}

/* The data plane of before is another release's from here on. */
static void release_change(struct bench *bench)
{
	bench_shut(bench);
	map_change(bench, MAP_CONTROL, control_abi, THEIR_ABI);
	map_change(bench, MAP_LAYOUT, layout_abi, THEIR_ABI);
}

static struct kernel_connection connection_at(unsigned i)
{
	char source[32];

	snprintf(source, sizeof(source), "192.0.2.%u", 1 + i % 250);
	return connection_of(source, "10.96.0.1", 2000 + i, 80);
}

static void connections_open(struct bench *bench, struct sent sent[CONNECTIONS])
{
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct kernel_connection c = connection_at(i);

		sent[i] = packet_send(bench->door, &c, SYN);
		assert_int_equal(sent[i].port, 8080);
	}
}

/* Each packet goes where the connection's first one went. */
static void connections_hold(struct bench *bench, const struct sent sent[CONNECTIONS])
{
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct kernel_connection c = connection_at(i);
		struct sent now = packet_send(bench->door, &c, ACK);
		struct kernel_flow flow;

		assert_memory_equal(now.destination.bytes, sent[i].destination.bytes, 4);
		assert_int_equal(now.port, 8080);
		assert_int_equal(kernel_flow(bench->kernel, &c, &flow), 0);
		assert_true(is_endpoint(bench->kernel, flow.endpoint, &sent[i].destination, 8080));
		assert_false(flow.flags & SL_FLOW_ADOPTED);
	}
}

static struct plan *plan_newer(void *parent)
{
	struct plan *plan = plan_new(parent);
	uint32_t v3 = plan_version_add(plan, 4, "v3", 21, 3),
		 v4 = plan_version_add(plan, 4, "v4", 31, 1);

	plan_service_add(plan, "10.96.0.1", 80, PROTOCOL_TCP);
	plan_rule_add(plan, 0, NULL, plan_split_add(plan, v3, 1, v4, 0));
	return plan;
}

static int take_over(struct bench *bench, struct kernel_takeover *ret_takeover)
{
	assert_true(kernel_has_other(bench->kernel));
	write_flip(bench, plan_newer(bench->diags), 2);
	return kernel_takeover(bench->kernel, bench->diags, ret_takeover);
}

static void next_create(struct bench *bench)
{
	int err = kernel_create(bench->pins, &bench->settings, bench->diags, &bench->kernel);

	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
}

static void taken_over(struct bench *bench, const struct sent sent[CONNECTIONS])
{
	struct kernel_takeover takeover;
	struct kernel *opened;

	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(takeover.abi, THEIR_ABI);
	assert_int_equal(takeover.moved, CONNECTIONS);
	assert_int_equal(takeover.misfit, 0);
	assert_false(kernel_has_other(bench->kernel));
	assert_string_equal(kernel_pins(bench->kernel), bench->pins);
	assert_int_equal(kernel_open(bench->pins, &opened), 0);
	kernel_close(opened);
	/* Before a packet puts back what is missing. */
	assert_int_equal(ways_used(bench->kernel), 2 * CONNECTIONS);
	door_open(bench);
	connections_hold(bench, sent);
}

/* The versions of the flows are in no revision any more. */
static void flows_keep_endpoints_that_nobody_else_names(void **state)
{
	struct bench *bench = *state;
	struct sent sent[CONNECTIONS], now;
	struct kernel_connection c;
	uint32_t version;

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	connections_open(bench, sent);
	release_change(bench);
	taken_over(bench, sent);
	assert_int_equal(kernel_version_find(bench->kernel, "reviews|v1|80/tcp", &version), 0);
	/* A SYN decides anew. */
	for (unsigned i = 0; i < 50; i++) {
		c = connection_at(i);
		now = packet_send(bench->door, &c, SYN);
		assert_int_equal(now.destination.bytes[3] / 10, 2);
	}
}

static void flows_are_found_where_buckets_are_others(void **state)
{
	struct bench *bench = *state;
	struct sent sent[CONNECTIONS];

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	connections_open(bench, sent);
	release_change(bench);
	map_change(bench, MAP_LAYOUT, layout_homes, 0x123456789abcdefull);
	taken_over(bench, sent);
}

/* State, age and kind of a flow come along; one that has ended, too. */
static void flows_keep_their_state(void **state)
{
	struct bench *bench = *state;
	struct kernel_takeover takeover;
	struct kernel_connection c = connection_at(1), ended = connection_at(2);
	struct kernel_flow before, after;

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	packet_send(bench->door, &c, SYN);
	packet_send(bench->door, &c, FIN | ACK);
	packet_send(bench->door, &ended, SYN);
	packet_send(bench->door, &ended, RST);
	assert_int_equal(kernel_flow(bench->kernel, &c, &before), 0);
	assert_true(before.flags & SL_FLOW_FIN_IN);
	release_change(bench);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(takeover.moved, 2);
	assert_int_equal(kernel_flow(bench->kernel, &c, &after), 0);
	assert_int_equal(after.flags, before.flags);
	assert_true(after.silent_ms <= before.silent_ms + 10000);
	assert_int_equal(kernel_flow(bench->kernel, &ended, &after), 0);
	assert_true(after.flags & SL_FLOW_CLOSED);
	door_open(bench);
}

static void one_word_flips_both(void **state)
{
	struct bench *bench = *state;
	struct kernel_takeover takeover;

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	release_change(bench);
	next_create(bench);
	assert_int_equal(kernel_active(bench->kernel), 1);
	assert_int_equal(kernel_obeyed(bench->kernel), 1);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(kernel_active(bench->kernel), 2);
}

static void refused(struct bench *bench, const char *why)
{
	struct kernel *kernel;

	assert_int_equal(kernel_create(bench->pins, &bench->settings, bench->diags, &kernel),
			 -EPROTO);
	assert_true(bench_said(bench, "ABI 77"));
	assert_true(bench_said(bench, why));
}

static void what_cannot_be_read_is_refused(void **state)
{
	struct bench *bench = *state;

	release_change(bench);
	map_change(bench, MAP_LAYOUT, layout_tags, 1);
	refused(bench, "another hash function");
	map_change(bench, MAP_LAYOUT, layout_tags, 1);
	map_change(bench, MAP_LAYOUT, layout_abi, 78);
	refused(bench, "how they are laid out");
	map_change(bench, MAP_LAYOUT, layout_abi, THEIR_ABI);
	next_create(bench);
}

static bool next_is_there(const struct bench *bench)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", bench->pins, NEXT_DIR);
	return !access(path, F_OK);
}

/* A record that points outside of what it describes is not followed, and all stays as it was. */
static void a_damaged_record_changes_nothing(void **state)
{
	struct bench *bench = *state;
	struct kernel_takeover takeover;
	struct sent sent[CONNECTIONS];

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	connections_open(bench, sent);
	release_change(bench);
	map_change(bench, MAP_LAYOUT, layout_endpoints, 20);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), -EPROTO);
	assert_false(next_is_there(bench));
	bench_shut(bench);
	map_change(bench, MAP_LAYOUT, layout_endpoints, 0);
	map_change(bench, MAP_LAYOUT, layout_ways, 0xffff);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), -EPROTO);
	bench_shut(bench);
	map_change(bench, MAP_LAYOUT, layout_ways, SL_WAYS);
	taken_over(bench, sent);
}

static void what_has_no_room_names_the_option(void **state)
{
	struct bench *bench = *state;
	struct kernel_takeover takeover;
	struct sent sent[CONNECTIONS];

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	connections_open(bench, sent);
	release_change(bench);
	bench->settings.endpoints = 6; /* four of the new revision's, six of the flows' */
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), -ENOSPC);
	assert_true(bench_said(bench, "--endpoints"));
	assert_false(next_is_there(bench));
	bench_shut(bench);
	bench->settings.endpoints = 128;
	taken_over(bench, sent);
}

/* Between the rename that commits and the last pin's. */
static void commit_kill(struct bench *bench)
{
	char from[128], to[128];

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	release_change(bench);
	next_create(bench);
	write_flip(bench, plan_newer(bench->diags), 2);
	bench_shut(bench);
	snprintf(from, sizeof(from), "%s/%s", bench->pins, NEXT_DIR);
	snprintf(to, sizeof(to), "%s/%s", bench->pins, COMMIT_DIR);
	assert_int_equal(rename(from, to), 0);
	for (int i = 0; i < MAP_COUNT; i += 2) {
		snprintf(from, sizeof(from), "%s/%s/%s", bench->pins, COMMIT_DIR, map_names[i]);
		snprintf(to, sizeof(to), "%s/%s", bench->pins, map_names[i]);
		assert_int_equal(rename(from, to), 0);
	}
}

/* Readers find them all, a start ends it. */
static void a_commit_that_was_killed_is_ended(void **state)
{
	struct bench *bench = *state;
	struct kernel *opened;
	char to[128];

	commit_kill(bench);
	assert_int_equal(kernel_open(bench->pins, &opened), 0);
	assert_int_equal(kernel_obeyed(opened), 2);
	kernel_close(opened);
	bench_create(bench);
	assert_false(kernel_has_other(bench->kernel));
	assert_int_equal(kernel_obeyed(bench->kernel), 2);
	snprintf(to, sizeof(to), "%s/%s", bench->pins, COMMIT_DIR);
	assert_int_not_equal(access(to, F_OK), 0);
}

/* And so was a detach after it, when the first maps had gone. */
static void what_is_left_of_a_commit_is_nobodys(void **state)
{
	struct bench *bench = *state;
	char path[128];

	commit_kill(bench);
	maps_disown(bench->pins);
	snprintf(path, sizeof(path), "%s/%s/%s", bench->pins, COMMIT_DIR, map_names[MAP_SERVICES]);
	assert_int_equal(unlink(path), 0);
	bench_create(bench);
	assert_int_equal(kernel_obeyed(bench->kernel), 0);
}

/* Maps beside that no door ever used are in nobody's way. */
static void what_never_began_is_cleared(void **state)
{
	struct bench *bench = *state;
	struct sent sent[CONNECTIONS];

	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	connections_open(bench, sent);
	release_change(bench);
	next_create(bench);
	bench_shut(bench);
	assert_true(next_is_there(bench));
	map_change(bench, MAP_CONTROL, control_abi, SL_ABI);
	map_change(bench, MAP_LAYOUT, layout_abi, SL_ABI);
	bench_create(bench);
	assert_false(kernel_has_other(bench->kernel));
	assert_false(next_is_there(bench));
	connections_hold(bench, sent);
}

/* --- the state folder's word, and what is flipped while a release starts --- */

static void vip_apply(const struct bench *bench, const char *dir, int vip)
{
	static const struct node_change change = { .author = "ann", .command = "apply" };
	const struct node_options options = { .state_dir = dir, .pin_dir = bench->pins };
	_cleanup_talloc_ char *text = talloc_asprintf(
		NULL,
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
		"metadata: {name: s, namespace: default}\nspec:\n  hosts: [s.example]\n"
		"  addresses: [10.96.0.%d]\n"
		"  ports: [{number: 80, name: tcp, protocol: TCP}]\n  resolution: STATIC\n"
		"  endpoints: [{address: 10.1.0.10}]\n",
		vip);
	struct input_text input = { .name = "test.yaml", .data = text, .size = strlen(text) };
	struct input_result read;
	struct node_result result;
	struct node *node;

	assert_int_equal(node_open(NULL, &options, NODE_WRITE, bench->diags, &node), 0);
	assert_int_equal(
		input_apply(node, &input, 1, INPUT_REPLACE, NULL, NULL, bench->diags, &read), 0);
	assert_int_equal(
		node_commit(node, read.model, read.inventory, &change, bench->diags, node, &result),
		0);
	talloc_free(node);
}

/* As the agent does it before it takes over. */
static void beside_fill(const struct bench *bench, const char *dir, uint32_t wanted)
{
	const struct node_options options = { .state_dir = dir,
					      .pin_dir = kernel_pins(bench->kernel),
					      .beside = kernel_has_other(bench->kernel) };
	struct node *node;

	assert_int_equal(node_open(NULL, &options, NODE_WRITE, bench->diags, &node), 0);
	assert_int_equal(node->active, wanted);
	assert_true(node_reconcile(node, true, bench->diags) >= 0);
	talloc_free(node);
	assert_int_equal(kernel_active(bench->kernel), wanted);
	assert_int_equal(kernel_obeyed(bench->kernel), wanted);
}

static void what_is_flipped_meanwhile_holds(void **state)
{
	struct bench *bench = *state;
	char dir[] = "/tmp/sluice-migrate-XXXXXX", command[64];
	struct kernel_takeover takeover;

	assert_non_null(mkdtemp(dir));
	for (int vip = 1; vip <= 2; vip++)
		vip_apply(bench, dir, vip);
	release_change(bench);
	next_create(bench);
	/* By hand, or by the other release's CLI, which had waited for the lock. */
	*MAPPED(bench->kernel, MAP_ACTIVE, uint32_t) = 1;
	beside_fill(bench, dir, 1);
	assert_true(kernel_is_hot(bench->kernel, 2));
	/* To what only the other's maps have. */
	revision_place(bench->kernel, 2)->number = 0;
	*MAPPED(bench->kernel, MAP_ACTIVE, uint32_t) = 2;
	beside_fill(bench, dir, 2);
	assert_int_equal(kernel_takeover(bench->kernel, bench->diags, &takeover), 0);
	assert_int_equal(kernel_obeyed(bench->kernel), 2);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

/* --- doors --- */

#define TCX_INGRESS 46

static int device_setup(void **state)
{
	assert_int_equal(system("ip link add d0 type veth peer name d1 && ip link set d0 up && "
				"ip link set d1 up"),
			 0);
	return bench_setup(state);
}

static int device_teardown(void **state)
{
	may_have_tcx = true;
	bench_teardown(state);
	return system("ip link del d0");
}

/* The programs at one side, of a link or a filter at any place of ours. */
static uint32_t programs_at(bool is_ingress, uint32_t ids[16])
{
	uint32_t ifindex = if_nametoindex("d0"), count = 8, flags;

	if (bpf_prog_query(ifindex, TCX_INGRESS + !is_ingress, 0, &flags, ids, &count))
		count = 0;
	for (uint32_t priority = 0x50; priority <= 0x52; priority++) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
			    .attach_point = is_ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = priority);

		if (!may_have_tcx && !bpf_tc_query(&hook, &opts))
			ids[count++] = opts.prog_id;
	}
	return count;
}

/* One program at each side and XDP, and none that uses other maps than these. */
static void doors_are_ours(const struct bench *bench)
{
	uint32_t owner = map_id(bench->kernel->map[MAP_VERDICTS].fd), ids[16];

	for (int side = 0; side < 2; side++) {
		assert_int_equal(programs_at(side, ids), 1);
		assert_true(program_is_ours(ids[0], owner));
	}
	assert_int_equal(bpf_xdp_query_id(if_nametoindex("d0"), 0, &ids[0]), 0);
	assert_true(program_is_ours(ids[0], owner));
}

static void doors_follow(struct bench *bench)
{
	struct kernel_takeover takeover;
	struct kernel_device device;
	uint32_t ifindex = if_nametoindex("d0");

	assert_int_equal(
		kernel_attach(bench->kernel, ifindex, KERNEL_DOOR_XDP, bench->diags, &device), 0);
	assert_string_equal(device.tc_hook, may_have_tcx ? "tcx" : "clsact");
	release_change(bench);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(takeover.devices, 1);
	doors_are_ours(bench);
	/* A start's own look changes nothing. */
	assert_int_equal(
		kernel_attach(bench->kernel, ifindex, KERNEL_DOOR_XDP, bench->diags, &device), 0);
	doors_are_ours(bench);
	door_open(bench);
}

static void tcx_or_skip(void)
{
	uint32_t ids[16], count = 16, flags;

	if (bpf_prog_query(1, TCX_INGRESS, 0, &flags, ids, &count)) {
		print_message("SKIP: no tcx in this kernel (before 6.6)\n");
		skip();
	}
}

static void links_are_taken_over(void **state)
{
	tcx_or_skip();
	doors_follow(*state);
}

static void filters_are_taken_over(void **state)
{
	may_have_tcx = false;
	doors_follow(*state);
}

static int somebodys_program(void)
{
	const struct bpf_insn next[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "somebodys", "GPL", next, ARRAY_SIZE(next),
			     NULL);
}

/* Whoever numbered a filter as ours are in a takeover. */
static void others_filters_stay(void **state)
{
	struct bench *bench = *state;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("d0"),
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .handle = 1, .priority = 0x52);
	LIBBPF_OPTS(bpf_tc_opts, now, .handle = 1, .priority = 0x52);
	_cleanup_close_ int program = somebodys_program();
	struct kernel_takeover takeover;
	struct kernel_device device;

	may_have_tcx = false;
	assert_int_equal(
		kernel_attach(bench->kernel, hook.ifindex, KERNEL_DOOR_XDP, bench->diags, &device),
		0);
	theirs.prog_fd = program;
	assert_int_equal(bpf_tc_attach(&hook, &theirs), 0);
	release_change(bench);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), -EBUSY);
	assert_false(next_is_there(bench));
	assert_int_equal(bpf_tc_query(&hook, &now), 0);
	assert_int_equal(now.prog_id, theirs.prog_id);
	bench_shut(bench);
	now.prog_id = now.flags = 0;
	assert_int_equal(bpf_tc_detach(&hook, &now), 0);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	doors_are_ours(bench);
}

/* Somebody took the qdisc away, and our filters with it. */
static void a_device_without_doors_stops_nobody(void **state)
{
	struct bench *bench = *state;
	uint32_t ifindex = if_nametoindex("d0");
	struct kernel_takeover takeover;
	struct kernel_device device;

	may_have_tcx = false;
	assert_int_equal(
		kernel_attach(bench->kernel, ifindex, KERNEL_DOOR_XDP, bench->diags, &device), 0);
	release_change(bench);
	assert_int_equal(system("tc qdisc del dev d0 clsact"), 0);
	next_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(
		kernel_attach(bench->kernel, ifindex, KERNEL_DOOR_XDP, bench->diags, &device), 0);
	doors_are_ours(bench);
}

/* The release before starts again instead of the one that was killed on its way. */
static void doors_go_back(struct bench *bench)
{
	struct kernel_takeover takeover;
	struct sent sent[CONNECTIONS];
	struct kernel_device device;
	uint32_t ifindex = if_nametoindex("d0"), ids[16];
	char path[128];

	assert_int_equal(
		kernel_attach(bench->kernel, ifindex, KERNEL_DOOR_TC, bench->diags, &device), 0);
	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	release_change(bench);
	next_create(bench);
	write_flip(bench, plan_pair(bench->diags, 1, 1), 1);
	/* As one that was killed when it had made its links' folder, and had packets. */
	snprintf(path, sizeof(path), "%s/%s/links", bench->pins, NEXT_DIR);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/prog_tc_in", bench->pins, NEXT_DIR);
	bench->door = bpf_obj_get(path);
	connections_open(bench, sent);
	bench_shut(bench);
	map_change(bench, MAP_CONTROL, control_abi, SL_ABI);
	map_change(bench, MAP_LAYOUT, layout_abi, SL_ABI);
	bench_create(bench);
	assert_int_equal(take_over(bench, &takeover), 0);
	assert_int_equal(takeover.moved, CONNECTIONS);
	assert_false(next_is_there(bench));
	assert_false(kernel_has_other(bench->kernel));
	connections_hold(bench, sent);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(programs_at(side, ids), 1);
		assert_true(program_is_ours(ids[0], map_id(bench->kernel->map[MAP_VERDICTS].fd)));
	}
}

static void links_go_back(void **state)
{
	tcx_or_skip();
	doors_go_back(*state);
}

static void filters_go_back(void **state)
{
	may_have_tcx = false;
	doors_go_back(*state);
}

int main(void)
{
#define TEST_DOORS(name) cmocka_unit_test_setup_teardown(name, device_setup, device_teardown)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(flows_keep_endpoints_that_nobody_else_names),
		TEST(flows_are_found_where_buckets_are_others),
		TEST(flows_keep_their_state),
		TEST(one_word_flips_both),
		TEST(what_cannot_be_read_is_refused),
		TEST(a_damaged_record_changes_nothing),
		TEST(what_has_no_room_names_the_option),
		TEST(a_commit_that_was_killed_is_ended),
		TEST(what_is_left_of_a_commit_is_nobodys),
		TEST(what_never_began_is_cleared),
		TEST(what_is_flipped_meanwhile_holds),
		TEST_DOORS(links_are_taken_over),
		TEST_DOORS(filters_are_taken_over),
		TEST_DOORS(others_filters_stay),
		TEST_DOORS(a_device_without_doors_stops_nobody),
		TEST_DOORS(links_go_back),
		TEST_DOORS(filters_go_back),
	};

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
