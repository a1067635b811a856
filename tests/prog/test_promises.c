// SPDX-License-Identifier: Apache-2.0
/* The promises of the design that the data plane keeps by itself, under its own names. */
#include "harness.h"

#include <bpf/btf.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bpf/pick.h"

#define SERVICES 100
#define REVISIONS (SL_HOT_MAX - 4)
#define READERS 2
#define FLIP_US 4000

static struct world world;
static __u32 client_link; /* its interface index */

static struct wire syn_from(int family, __u16 sport, __u16 dport)
{
	struct wire syn = { .family = family,
			    .src = CLIENT,
			    .dst = VIP,
			    .sport = sport,
			    .dport = dport,
			    .ttl = 64 };

	memcpy(syn.to, node_links[LINK_CLIENT].mac, ETH_ALEN);
	syn.protocol = IPPROTO_TCP, syn.tcp_flags = 2;
	return syn;
}

static const __u8 *destination(const struct run *run, int family)
{
	return run->out + ETH_HLEN + (family == 4 ? 16 : 24);
}

static bool is_sent_to(const struct run *run, int family, enum who who)
{
	__u8 addr[16];

	wire_address(who, family, addr);
	return !memcmp(destination(run, family), addr, family == 4 ? 4 : 16);
}

/* --- promise 1 --- */

struct reader {
	pthread_t thread;
	const volatile __u32 *active;
	const atomic_bool *done;
	const char *broken; /* what was seen that must not be, or NULL */
	__u32 door, first, last, seen, changes;
	__u64 runs;
	int family, step; /* +1: revisions only grow; -1: only shrink */
	__u16 sport;
	struct run run;
};

/* Each revision has an endpoint of its own: the r-th that was put down. */
static bool flow_revision(const struct wire *wire, __u32 *ret_revision)
{
	struct flow flow;

	if (!world_flow(&world, world_tag(&world, wire), &flow))
		return false;
	*ret_revision = flow.endpoint + 1;
	return true;
}

/* One connection to one service, judged against the active word before and after it. */
static const char *reader_look(struct reader *reader, __u16 port)
{
	/* A port for each service: all have the endpoint that one client's port may use once. */
	struct wire syn = syn_from(reader->family, reader->sport + (port - 1000) * READERS, port);
	__u32 before, after, revision = 0;

	reader->run.in_len = wire_build(&syn, reader->run.in);
	before = *reader->active;
	run_bare(&world, reader->door, client_link, 0, &reader->run);
	after = *reader->active;
	if (reader->run.err || !flow_revision(&syn, &revision))
		return "no flow";
	if (!is_sent_to(&reader->run, reader->family, revision % 2 ? EP_A : EP_B))
		return "one revision's number with another's endpoint";
	if (reader->step > 0 ? revision < before || revision > after
			     : revision > before || revision < after)
		return "a revision that was not active during the packet";
	if (reader->seen && (int)(revision - reader->seen) * reader->step < 0)
		return "an older revision after a newer one";
	reader->changes += revision != reader->seen;
	__atomic_store_n(&reader->seen, revision, __ATOMIC_RELAXED);
	return NULL;
}

static void *reader_run(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load(reader->done) && !reader->broken)
		for (__u16 i = 0; i < SERVICES && !reader->broken; i++, reader->runs++)
			reader->broken = reader_look(reader, 1000 + i);
	return NULL;
}

/* Odd revisions give all services to A, even ones to B; none shares version or endpoint. */
static void revisions_build(int family)
{
	world_reset(&world);
	for (__u32 revision = 1; revision <= REVISIONS; revision++) {
		__u32 endpoint =
			world_endpoint(&world, family, revision % 2 ? EP_A : EP_B, EP_PORT);
		struct sl_service service = {
			.otherwise = world_split_one(&world, world_version(&world, &endpoint, 1)),
		};

		world_revision(&world, revision);
		for (__u16 i = 0; i < SERVICES; i++)
			world_service(&world, family, IPPROTO_TCP, 1000 + i, service);
	}
}

/* A reader that the scheduler passes over must not sleep through the flips. */
static void readers_await(const struct reader *readers, __u32 revision)
{
	for (int i = 0; i < READERS; i++)
		while (!readers[i].broken &&
		       __atomic_load_n(&readers[i].seen, __ATOMIC_RELAXED) != revision)
			usleep(FLIP_US);
}

static void flip_under_load(int family, int step)
{
	__u32 *active = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
			     world_fd(&world, active), 0);
	static struct reader readers[READERS];
	atomic_bool done = false;

	assert_true(active != MAP_FAILED);
	*(volatile __u32 *)active = step > 0 ? 1 : REVISIONS;
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .active = active,
					      .done = &done,
					      .family = family,
					      .step = step,
					      .door = i % 2 ? SL_DOOR_TC : SL_DOOR_XDP,
					      .sport = 30000 + i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]),
				 0);
	}
	for (__u32 i = 1; i < REVISIONS; i++) {
		usleep(FLIP_US);
		if (i % 3 == 0)
			readers_await(readers, *(volatile __u32 *)active);
		*(volatile __u32 *)active += step;
	}
	usleep(FLIP_US);
	atomic_store(&done, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		if (readers[i].broken)
			fail_msg("%s: %s (revision %u before)", door_names[readers[i].door],
				 readers[i].broken, readers[i].seen);
		printf("             %s: %llu connections, %u revisions seen\n",
		       door_names[readers[i].door], (unsigned long long)readers[i].runs,
		       readers[i].changes);
		assert_true(readers[i].changes > REVISIONS / 4);
	}
	munmap(active, getpagesize());
}

static void promise_1_one_flip(void **state)
{
	for (int family = 4; family <= 6; family += 2) {
		revisions_build(family);
		flip_under_load(family, 1);
		flip_under_load(family, -1); /* promise 2: the way back is the same store */
	}
}

/* --- random connections --- */

static __u64 random_state = 0x853c49e6748fea9bull;

static __u64 random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* A SYN's frame with a random client; checksums are not asked for here. */
static void randomize(struct run *run, int family)
{
	__u8 *ip = run->in + ETH_HLEN;
	__u64 noise[3] = { random_next(), random_next(), random_next() };

	memcpy(ip + (family == 4 ? 12 : 8), noise, family == 4 ? 4 : 16);
	memcpy(ip + (family == 4 ? 20 : 40), &noise[2], 2);
}

/* --- promise 4 --- */

#define DRAWS 100000

static void share_is_exact(int family, __u32 door, __u32 weight_a, __u32 weight_b)
{
	__u32 whole = weight_a + weight_b,
	      slots_a = (SL_SLOTS_DEFAULT * weight_a + whole / 2) / whole, endpoint[2];
	struct wire syn = syn_from(family, 1, VIP_PORT);
	double share = (double)weight_a / whole, variance = DRAWS * share * (1 - share), off;
	static struct run run;
	__u32 versions[2], got = 0;

	world_reset(&world);
	for (int i = 0; i < 2; i++) {
		endpoint[i] = world_endpoint(&world, family, i ? EP_B : EP_A, EP_PORT);
		versions[i] = world_version(&world, &endpoint[i], 1);
	}
	world_serve(&world, family,
		    world_split(&world, versions, (__u32[]){ slots_a, SL_SLOTS_DEFAULT - slots_a },
				2, 0));
	run.in_len = wire_build(&syn, run.in);
	for (int i = 0; i < DRAWS; i++) {
		randomize(&run, family);
		run_bare(&world, door, client_link, 0, &run);
		if (is_sent_to(&run, family, EP_A))
			got++;
		else
			assert_true(is_sent_to(&run, family, EP_B));
	}
	off = got - DRAWS * share;
	printf("             %s v%d %u/%u: %u of %u, off by %.1f variances of 9 allowed\n",
	       door_names[door], family, weight_a, weight_b, got, DRAWS, off * off / variance);
	assert_true(off * off < 9 * variance);
}

static void promise_4_exact_shares(void **state)
{
	share_is_exact(4, SL_DOOR_XDP, 90, 10);
	share_is_exact(6, SL_DOOR_XDP, 1, 99);
	share_is_exact(4, SL_DOOR_TC, 1, 99);
	share_is_exact(6, SL_DOOR_TC, 90, 10);
}

/* --- promise 5 --- */

#define PICKS 10000

/* Three versions with 3, 5 and 7 endpoints, told apart by port: 1000 * version + place. */
static void rings_build(int family, __u16 flags)
{
	__u32 versions[3], words[7];

	world_reset(&world);
	for (__u32 i = 0; i < 3; i++) {
		for (__u32 k = 0; k < 3 + 2 * i; k++)
			words[k] = world_endpoint(&world, family, EP_A, 1000 * i + k);
		versions[i] = world_version(&world, words, 3 + 2 * i);
	}
	world_serve(&world, family,
		    world_split(&world, versions, (__u32[]){ 100, 300, 624 }, 3, flags));
}

static __u64 be64_at(const __u8 *at)
{
	__u64 value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

/* What pick.h, compiled for this machine, says about a frame. */
static __u16 pick_natively(const __u8 *ip, int family, bool by_client)
{
	const __u8 *ports = ip + (family == 4 ? 20 : 40);
	struct pick_key key = {};
	__u32 slot, version;
	__u64 hash;

	if (family == 4)
		pick_key4(&key, be64_at(ip + 12) >> 32, be64_at(ip + 16) >> 32, get16(ports),
			  get16(ports + 2), ip[9], by_client);
	else
		pick_key6(&key, (__u64[]){ be64_at(ip + 8), be64_at(ip + 16) },
			  (__u64[]){ be64_at(ip + 24), be64_at(ip + 32) }, get16(ports),
			  get16(ports + 2), ip[6], by_client);
	hash = pick_hash(&key, (const __u64 *)world.control.seed);
	slot = pick_slot(hash, 1023, 0);
	version = slot < 100 ? 0 : slot < 400 ? 1 : 2;
	return 1000 * version + pick_place(hash, 3 + 2 * version, 0);
}

static void picks_agree(int family, __u32 door, bool by_client)
{
	struct wire syn = syn_from(family, 1, VIP_PORT);
	static struct run run;
	__u16 want;

	rings_build(family, by_client ? SL_SPLIT_BY_CLIENT : 0);
	run.in_len = wire_build(&syn, run.in);
	for (int i = 0; i < PICKS; i++) {
		randomize(&run, family);
		run_bare(&world, door, client_link, 0, &run);
		want = pick_natively(run.in + ETH_HLEN, family, by_client);
		assert_int_equal(get16(run.out + ETH_HLEN + (family == 4 ? 22 : 42)), want);
	}
}

static void promise_5_kernel_and_native_pick_alike(void **state)
{
	for (int family = 4; family <= 6; family += 2)
		for (__u32 door = SL_DOOR_XDP; door <= SL_DOOR_TC; door++)
			for (int by_client = 0; by_client < 2; by_client++)
				picks_agree(family, door, by_client);
}

/* --- promise 10 --- */

static void promise_10_every_verdict_is_a_counter(void **state)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	const struct btf_type *type;
	struct btf *btf;
	int err = bpf_obj_get_info_by_fd(world_fd(&world, verdicts), &info, &size);

	if (err == -EOPNOTSUPP) {
		printf("SKIP: a map's types (they are the kernel's to show)\n");
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(info.value_size, sizeof(struct sl_counters));
	assert_int_equal(info.max_entries, SL_DOOR_COUNT);
	btf = btf__load_from_kernel_by_id(info.btf_id);
	assert_non_null(btf);
	type = btf__type_by_id(btf, info.btf_value_type_id);
	assert_non_null(type);
	assert_int_equal(btf_vlen(type), SL_COUNTER_COUNT);
	for (__u32 i = 0; i < SL_COUNTER_COUNT; i++) {
		const struct btf_member *member = btf_members(type) + i;

		assert_string_equal(btf__name_by_offset(btf, member->name_off), counter_names[i]);
		assert_int_equal(btf_member_bit_offset(type, i), 64 * i);
	}
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promise_1_one_flip),
		cmocka_unit_test(promise_4_exact_shares),
		cmocka_unit_test(promise_5_kernel_and_native_pick_alike),
		cmocka_unit_test(promise_10_every_verdict_is_a_counter),
	};

	node_open();
	client_link = if_nametoindex(node_links[LINK_CLIENT].name);
	world_open(&world, &(struct world_options){ 0 });
	return cmocka_run_group_tests_name("promises", tests, NULL, NULL);
}
