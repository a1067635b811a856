// SPDX-License-Identifier: Apache-2.0
/*
 * XDP beside somebody else's, behind libxdp's dispatcher. Where the kernel cannot replace a
 * program's function (it was built without the tracing that this needs), nobody can share, and the
 * rows are skipped.
 */
#include "tables.h"

#include "other.skel.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <xdp/libxdp.h>

struct share {
	struct bench bench;
	struct other *other;
	struct xdp_program *program;
};

static uint32_t ifindex(void)
{
	return if_nametoindex("d0");
}

/* Where the kernel has no dispatcher, libxdp falls back to the program alone. */
static bool is_dispatched(void)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex());
	bool yes = !libxdp_get_error(multi) && !xdp_multiprog__is_legacy(multi);

	if (!libxdp_get_error(multi))
		xdp_multiprog__close(multi);
	return yes;
}

static int programs_count(void)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex());
	int count = 0;

	if (libxdp_get_error(multi))
		return 0;
	count = xdp_multiprog__program_count(multi);
	xdp_multiprog__close(multi);
	return count;
}

/* The id of our program behind the dispatcher; 0 when there is none. */
static uint32_t ours(void)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex());
	struct xdp_program *at = NULL;
	uint32_t id = 0;

	if (libxdp_get_error(multi))
		return 0;
	while ((at = xdp_multiprog__next_prog(at, multi)))
		if (!strcmp(xdp_program__name(at), "sl_xdp"))
			id = xdp_program__id(at);
	xdp_multiprog__close(multi);
	return id;
}

static void other_attach(struct share *share)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .prog_name = "other_xdp");

	share->other = other__open();
	assert_non_null(share->other);
	opts.obj = share->other->obj;
	share->program = xdp_program__create(&opts);
	assert_int_equal(libxdp_get_error(share->program), 0);
	assert_int_equal(xdp_program__attach(share->program, ifindex(), XDP_MODE_NATIVE, 0), 0);
}

static void other_detach(struct share *share)
{
	assert_int_equal(xdp_program__detach(share->program, ifindex(), XDP_MODE_NATIVE, 0), 0);
}

static int setup(void **state)
{
	struct share *share = calloc(1, sizeof(*share));

	*state = share;
	libxdp_hush();
	assert_int_equal(system("ip link add d0 type veth peer name d1 && ip link set d0 up && "
				"ip link set d1 up"),
			 0);
	bench_name(&share->bench);
	bench_create(&share->bench);
	other_attach(share);
	return 0;
}

static int teardown(void **state)
{
	struct share *share = *state;

	bench_shut(&share->bench);
	kernel_detach_all(share->bench.pins, share->bench.diags);
	talloc_free(share->bench.diags);
	xdp_program__detach(share->program, ifindex(), XDP_MODE_NATIVE, 0);
	xdp_program__close(share->program);
	other__destroy(share->other);
	free(share);
	return system("ip link del d0");
}

static void needs_dispatcher(void)
{
	if (is_dispatched())
		return;
	print_message("SKIP: no dispatcher: this kernel cannot replace a program's functions\n");
	skip();
}

static struct kernel_device attach(struct share *share, enum kernel_door door)
{
	struct kernel_device device;
	int err = kernel_attach(share->bench.kernel, ifindex(), door, share->bench.diags, &device);

	if (err)
		diags_print(share->bench.diags, stderr, false);
	assert_int_equal(err, 0);
	return device;
}

/* --- who sees a frame --- */

static uint64_t we_saw(const struct share *share)
{
	struct sl_counters doors[SL_DOOR_COUNT];
	const uint64_t *counts = (const uint64_t *)&doors[SL_DOOR_XDP];
	uint64_t sum = 0;

	assert_int_equal(kernel_counters(share->bench.kernel, doors), 0);
	for (size_t i = 0; i < SL_VERDICT_COUNT; i++)
		sum += counts[i];
	return sum;
}

/* libxdp loaded the object, not its skeleton: so nothing is mapped. */
static uint64_t they_saw(const struct share *share)
{
	uint64_t frames = 0;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(share->other->maps.bss), &(uint32_t){ 0 }, &frames),
		0);
	return frames;
}

/* IPv4 and TCP to an address that is nobody's: not ours, and passed on. */
static void frame_send(void)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("d1") };
	uint8_t frame[64] = { [12] = 0x08,        [14] = 0x45, [17] = 50, [22] = 64,
			      [23] = IPPROTO_TCP, [26] = 10,   [30] = 10 };
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW, 0);

	memset(frame, 0xff, ETH_ALEN);
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(frame));
}

/* The interface takes frames in by and by. */
static bool frame_reaches(const struct share *share, bool us, bool them)
{
	uint64_t before = we_saw(share), others = they_saw(share);

	frame_send();
	for (int i = 0; i < 200; i++) {
		if ((!us || we_saw(share) > before) && (!them || they_saw(share) > others))
			return true;
		usleep(10000);
	}
	return false;
}

/* --- rows --- */

static void both_see_every_frame(void **state)
{
	struct share *share = *state;
	struct kernel_device device;

	needs_dispatcher();
	device = attach(share, KERNEL_DOOR_XDP);
	assert_string_equal(device.xdp_mode, "native");
	assert_string_equal(device.xdp_place, "dispatcher");
	assert_string_equal(device.xdp_by, "netlink");
	assert_int_equal(programs_count(), 2);
	assert_true(frame_reaches(share, true, true));
}

static void twice_is_once_and_the_newer_counts(void **state)
{
	struct share *share = *state;
	uint32_t first;

	needs_dispatcher();
	attach(share, KERNEL_DOOR_XDP);
	first = ours();
	assert_true(first);
	attach(share, KERNEL_DOOR_XDP);
	assert_true(ours() && ours() != first);
	assert_int_equal(programs_count(), 2);
	assert_true(frame_reaches(share, true, true));
}

static void detaching_leaves_the_other(void **state)
{
	struct share *share = *state;

	needs_dispatcher();
	attach(share, KERNEL_DOOR_XDP);
	kernel_detach(share->bench.kernel, ifindex());
	assert_int_equal(programs_count(), 1);
	assert_int_equal(ours(), 0);
	assert_true(frame_reaches(share, false, true));
}

static void tc_alone_leaves_the_other(void **state)
{
	struct share *share = *state;

	needs_dispatcher();
	attach(share, KERNEL_DOOR_XDP);
	assert_string_equal(attach(share, KERNEL_DOOR_TC).xdp_place, "");
	assert_int_equal(programs_count(), 1);
	assert_int_equal(ours(), 0);
}

static void taking_all_off_leaves_the_other(void **state)
{
	struct share *share = *state;

	needs_dispatcher();
	attach(share, KERNEL_DOOR_XDP);
	bench_shut(&share->bench);
	assert_int_equal(kernel_detach_all(share->bench.pins, share->bench.diags), 0);
	assert_int_equal(programs_count(), 1);
	assert_int_equal(ours(), 0);
}

static void we_stay_when_the_other_goes(void **state)
{
	struct share *share = *state;

	needs_dispatcher();
	attach(share, KERNEL_DOOR_XDP);
	other_detach(share);
	assert_int_equal(programs_count(), 1);
	assert_true(ours());
	assert_true(frame_reaches(share, true, false));
	assert_string_equal(attach(share, KERNEL_DOOR_XDP).xdp_place, "dispatcher");
	assert_int_equal(programs_count(), 1);
	assert_true(frame_reaches(share, true, false));
}

/* libxdp gave up its dispatcher: the other is alone, and shares with nobody. */
static void without_a_dispatcher_the_error_says_what_to_do(void **state)
{
	struct share *share = *state;
	struct kernel_device device;

	if (is_dispatched()) {
		print_message("SKIP: this kernel has the dispatcher\n");
		skip();
	}
	assert_int_equal(kernel_attach(share->bench.kernel, ifindex(), KERNEL_DOOR_XDP,
				       share->bench.diags, &device),
			 -EBUSY);
	assert_true(bench_said(&share->bench, "--door tc works without"));
	assert_string_equal(attach(share, KERNEL_DOOR_TC).xdp_place, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(both_see_every_frame),
		TEST(twice_is_once_and_the_newer_counts),
		TEST(detaching_leaves_the_other),
		TEST(tc_alone_leaves_the_other),
		TEST(taking_all_off_leaves_the_other),
		TEST(we_stay_when_the_other_goes),
		TEST(without_a_dispatcher_the_error_says_what_to_do),
	};

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link set lo up"), 0);
	libbpf_set_print(NULL); /* what is asked for is often not there */
	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
