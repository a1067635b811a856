// SPDX-License-Identifier: Apache-2.0
/* Doors on interfaces of a namespace of our own: attached twice, replaced, detached, and nothing
 * left behind. */
#include "tables.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>

#define TCX_INGRESS 46

static bool may_have_tcx = true, may_have_netdev = true;

/* The weak one of the library gives way: a kernel before 6.6. */
bool kernel_may_have_tcx(void)
{
	return may_have_tcx;
}

/* And before 6.3. */
bool kernel_may_have_netdev(void)
{
	return may_have_netdev;
}

static int setup(void **state)
{
	may_have_tcx = may_have_netdev = true;
	assert_int_equal(system("ip link add d0 type veth peer name d1 && ip link set d0 up && "
				"ip link set d1 up"),
			 0);
	return bench_setup(state);
}

static int teardown(void **state)
{
	bench_teardown(state);
	return system("ip link del d0");
}

static struct kernel_device attach(struct bench *bench, const char *name, enum kernel_door door)
{
	struct kernel_device device;
	int err = kernel_attach(bench->kernel, if_nametoindex(name), door, bench->diags, &device);

	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
	return device;
}

/* --- what the kernel says --- */

static uint32_t tcx_count(const char *name)
{
	uint32_t ids[8], count = ARRAY_SIZE(ids), flags;

	return bpf_prog_query(if_nametoindex(name), TCX_INGRESS, 0, &flags, ids, &count) ? 0
											 : count;
}

static bool has_tcx(void)
{
	uint32_t ids[8], count = ARRAY_SIZE(ids), flags;

	return !bpf_prog_query(1, TCX_INGRESS, 0, &flags, ids, &count);
}

static uint32_t xdp_id(const char *name)
{
	uint32_t id = 0;

	bpf_xdp_query_id(if_nametoindex(name), 0, &id);
	return id;
}

static uint32_t filter_id(const char *name, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(name), .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 0x51);

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

/* Made and at once taken away again where there was none. */
static bool has_clsact(const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(name),
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int err = bpf_tc_hook_create(&hook);

	if (!err)
		bpf_tc_hook_destroy(&hook);
	return err == -EEXIST;
}

static bool has_pin(const struct bench *bench, uint32_t ifindex, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/links/%u_%s", bench->pins, ifindex, suffix);
	return !access(path, F_OK);
}

static void is_bare(const struct bench *bench, const char *name)
{
	uint32_t ifindex = if_nametoindex(name);

	assert_int_equal(tcx_count(name), 0);
	assert_int_equal(xdp_id(name), 0);
	assert_int_equal(filter_id(name, BPF_TC_INGRESS) + filter_id(name, BPF_TC_EGRESS), 0);
	assert_false(has_clsact(name));
	assert_false(has_pin(bench, ifindex, "in") || has_pin(bench, ifindex, "out") ||
		     has_pin(bench, ifindex, "xdp"));
}

static void other_filter_add(const struct bench *bench, const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(name),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 7, .priority = 7, .prog_fd = bench->door);

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

static bool other_filter_is_there(const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(name),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 7, .priority = 7);

	return !bpf_tc_query(&hook, &opts);
}

/* --- rows --- */

static void tcx_twice_is_once(void **state)
{
	struct bench *bench = *state;
	struct kernel_device *list;
	size_t count;

	if (!has_tcx()) {
		print_message("SKIP: no tcx in this kernel (before 6.6)\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		struct kernel_device device = attach(bench, "d0", KERNEL_DOOR_TC);

		assert_string_equal(device.tc_hook, "tcx");
		assert_string_equal(device.tc_by, "link");
		assert_int_equal(tcx_count("d0"), 1);
	}
	assert_int_equal(kernel_devices(bench->diags, bench->kernel, &list, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].name, "d0");
	kernel_detach(bench->kernel, if_nametoindex("d0"));
	is_bare(bench, "d0");
	assert_int_equal(map_count(bench, MAP_DEVICES), 0);
	kernel_detach(bench->kernel, if_nametoindex("d0"));
}

static void xdp_twice_is_once_and_tc_alone_ends_it(void **state)
{
	struct bench *bench = *state;
	struct kernel_device device;
	uint32_t id;

	device = attach(bench, "d0", KERNEL_DOOR_XDP);
	assert_string_equal(device.xdp_mode, "native");
	assert_string_equal(device.xdp_place, "single");
	assert_string_equal(device.xdp_by, "link");
	id = xdp_id("d0");
	assert_true(id);
	assert_string_equal(attach(bench, "d0", KERNEL_DOOR_XDP).xdp_mode, "native");
	assert_int_equal(xdp_id("d0"), id);
	assert_string_equal(attach(bench, "d0", KERNEL_DOOR_AUTO).xdp_mode, "");
	assert_int_equal(xdp_id("d0"), 0);
	attach(bench, "d0", KERNEL_DOOR_XDP);
	kernel_detach(bench->kernel, if_nametoindex("d0"));
	is_bare(bench, "d0");
}

static void generic_xdp_stays_generic(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 2; i++) {
		bench_hush(bench);
		assert_string_equal(attach(bench, "lo", KERNEL_DOOR_XDP).xdp_mode, "generic");
		assert_true(bench_said(bench, "no native XDP"));
	}
}

/* Drivers that say nothing of themselves: what runs our XDP natively may be sent to. */
static void without_the_drivers_word_a_target_is_what_runs_our_xdp(void **state)
{
	struct bench *bench = *state;

	may_have_netdev = false;
	assert_true(attach(bench, "d0", KERNEL_DOOR_XDP).xdp_target);
	assert_false(attach(bench, "d0", KERNEL_DOOR_TC).xdp_target);
	assert_string_equal(attach(bench, "lo", KERNEL_DOOR_XDP).xdp_mode, "generic");
	assert_false(attach(bench, "lo", KERNEL_DOOR_XDP).xdp_target);
	kernel_detach(bench->kernel, if_nametoindex("lo"));
}

/* Another namespace's, with nothing in between. */
static void only_a_bare_peer_elsewhere_is_handed_packets(void **state)
{
	struct bench *bench = *state;
	char command[128];

	assert_false(attach(bench, "d0", KERNEL_DOOR_TC).to_peer);
	_cleanup_close_ int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	_cleanup_close_ int there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	snprintf(command, sizeof(command), "ip link set d1 netns /proc/%d/fd/%d", getpid(), there);
	assert_int_equal(system(command), 0);
	assert_true(attach(bench, "d0", KERNEL_DOOR_TC).to_peer);
	assert_int_equal(system("tc qdisc add dev d0 root pfifo limit 1000"), 0);
	assert_false(attach(bench, "d0", KERNEL_DOOR_TC).to_peer);
	/* The pair would go with that namespace, some time. */
	assert_int_equal(system("ip link del d0 && ip link add d0 type veth peer name d1"), 0);
}

static void a_device_that_came_back_is_attached_anew(void **state)
{
	struct bench *bench = *state;
	uint32_t ifindex = if_nametoindex("d0");
	char command[128];

	attach(bench, "d0", KERNEL_DOOR_XDP);
	snprintf(command, sizeof(command),
		 "ip link del d0 && ip link add d0 index %u type veth peer name d1", ifindex);
	assert_int_equal(system(command), 0);
	assert_int_equal(xdp_id("d0"), 0);
	attach(bench, "d0", KERNEL_DOOR_XDP);
	assert_true(xdp_id("d0"));
	assert_int_equal(tcx_count("d0"), has_tcx());
	assert_int_equal(
		system("ip link del d0 && ip link add d0 index 4711 type veth peer name d1"), 0);
	kernel_detach(bench->kernel, ifindex); /* as the agent does with what is gone */
	attach(bench, "d0", KERNEL_DOOR_TC);
	assert_false(has_pin(bench, ifindex, "in"));
	assert_int_equal(map_count(bench, MAP_DEVICES), 1);
	kernel_detach(bench->kernel, 4711);
	is_bare(bench, "d0");
}

static void clsact_leaves_nothing(void **state)
{
	struct bench *bench = *state;

	may_have_tcx = false;
	for (int i = 0; i < 2; i++) {
		struct kernel_device device = attach(bench, "d0", KERNEL_DOOR_TC);

		assert_string_equal(device.tc_hook, "clsact");
		assert_string_equal(device.tc_by, "netlink");
	}
	assert_true(filter_id("d0", BPF_TC_INGRESS) && filter_id("d0", BPF_TC_EGRESS));
	kernel_detach(bench->kernel, if_nametoindex("d0"));
	is_bare(bench, "d0");
}

static void the_clsact_of_others_stays(void **state)
{
	struct bench *bench = *state;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("d0"),
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	may_have_tcx = false;
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	attach(bench, "d0", KERNEL_DOOR_TC);
	kernel_detach(bench->kernel, if_nametoindex("d0"));
	assert_int_equal(filter_id("d0", BPF_TC_INGRESS) + filter_id("d0", BPF_TC_EGRESS), 0);
	assert_true(has_clsact("d0"));
	attach(bench, "d1", KERNEL_DOOR_TC); /* ours, but no longer ours alone */
	other_filter_add(bench, "d1");
	kernel_detach(bench->kernel, if_nametoindex("d1"));
	assert_int_equal(filter_id("d1", BPF_TC_INGRESS), 0);
	assert_true(other_filter_is_there("d1"));
}

static void from_clsact_to_tcx(void **state)
{
	struct bench *bench = *state;

	if (!has_tcx()) {
		print_message("SKIP: no tcx in this kernel (before 6.6)\n");
		skip();
	}
	may_have_tcx = false;
	attach(bench, "d0", KERNEL_DOOR_TC);
	may_have_tcx = true;
	attach(bench, "d0", KERNEL_DOOR_TC);
	assert_int_equal(filter_id("d0", BPF_TC_INGRESS), 0);
	assert_false(has_clsact("d0"));
	assert_int_equal(tcx_count("d0"), 1);
}

static void half_a_device_is_taken_back(void **state)
{
	struct bench *bench = *state;
	struct kernel_device device;
	char path[128];

	snprintf(path, sizeof(path), "%s/prog_tc_out", bench->pins);
	unlink(path);
	for (int i = 0; i < 2; i++) {
		may_have_tcx = i;
		assert_int_equal(kernel_attach(bench->kernel, if_nametoindex("d0"), KERNEL_DOOR_TC,
					       bench->diags, &device),
				 -ENOENT);
		is_bare(bench, "d0");
	}
}

static void no_room_for_another_is_said(void **state)
{
	struct bench *bench = *state;
	uint32_t others = 1 << 20, count = 0, ifindex, flags = 0;
	int fd = bench->kernel->map[MAP_DEVICES].fd;
	struct kernel_device device;

	do
		ifindex = others + count++;
	while (!bpf_map_update_elem(fd, &ifindex, &flags, BPF_ANY));
	assert_int_equal(kernel_attach(bench->kernel, if_nametoindex("d0"), KERNEL_DOOR_TC,
				       bench->diags, &device),
			 -E2BIG);
	assert_true(bench_said(bench, "no room for another interface: there are 4096"));
	is_bare(bench, "d0");
	assert_int_equal(bpf_map_delete_elem(fd, &others), 0);
	attach(bench, "d0", KERNEL_DOOR_TC);
	while (--count) {
		ifindex = others + count;
		bpf_map_delete_elem(fd, &ifindex);
	}
}

static void abi_set(struct bench *bench, uint32_t abi)
{
	control_of(bench->kernel)->abi = abi;
}

static void all_goes_whatever_the_abi(void **state)
{
	struct bench *bench = *state;

	may_have_tcx = false;
	attach(bench, "d0", KERNEL_DOOR_XDP);
	may_have_tcx = true;
	attach(bench, "d1", KERNEL_DOOR_TC);
	abi_set(bench, 77);
	bench_shut(bench);
	assert_int_equal(kernel_detach_all(bench->pins, bench->diags), 0);
	is_bare(bench, "d0");
	is_bare(bench, "d1");
	assert_int_not_equal(access(bench->pins, F_OK), 0);
}

/* Another data plane in the same namespace, below other pins. */
static void the_doors_of_another_data_plane_stay(void **state)
{
	struct bench *bench = *state, other;

	bench_name(&other);
	strcat(other.pins, "_other");
	bench_create(&other);
	may_have_tcx = false;
	attach(bench, "d0", KERNEL_DOOR_TC);
	bench_shut(&other);
	assert_int_equal(kernel_detach_all(other.pins, other.diags), 0);
	talloc_free(other.diags);
	assert_true(filter_id("d0", BPF_TC_INGRESS));
}

/* A program that is there without a dispatcher cannot be shared with: it stays, and nothing of ours
 * does. */
static void the_xdp_of_others_stays(void **state)
{
	struct bench *bench = *state;
	struct kernel_device device;
	char path[128];
	uint32_t id;

	snprintf(path, sizeof(path), "%s/prog_xdp", bench->pins);
	_cleanup_close_ int other = bpf_obj_get(path);
	assert_int_equal(bpf_xdp_attach(if_nametoindex("d0"), other, 0, NULL), 0);
	id = xdp_id("d0");
	assert_int_not_equal(kernel_attach(bench->kernel, if_nametoindex("d0"), KERNEL_DOOR_XDP,
					   bench->diags, &device),
			     0);
	assert_true(bench_said(bench, "--door tc works without"));
	assert_int_equal(tcx_count("d0"), 0);
	assert_int_equal(map_count(bench, MAP_DEVICES), 0);
	attach(bench, "d0", KERNEL_DOOR_TC);
	kernel_detach(bench->kernel, if_nametoindex("d0"));
	assert_int_equal(xdp_id("d0"), id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tcx_twice_is_once),
		TEST(xdp_twice_is_once_and_tc_alone_ends_it),
		TEST(generic_xdp_stays_generic),
		TEST(a_device_that_came_back_is_attached_anew),
		TEST(clsact_leaves_nothing),
		TEST(the_clsact_of_others_stays),
		TEST(from_clsact_to_tcx),
		TEST(half_a_device_is_taken_back),
		TEST(no_room_for_another_is_said),
		TEST(all_goes_whatever_the_abi),
		TEST(the_doors_of_another_data_plane_stay),
		TEST(the_xdp_of_others_stays),
		TEST(without_the_drivers_word_a_target_is_what_runs_our_xdp),
		TEST(only_a_bare_peer_elsewhere_is_handed_packets),
	};

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link set lo up"), 0);
	libbpf_set_print(NULL); /* what is asked for is often not there */
	return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
