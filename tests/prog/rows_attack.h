/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the attacks are made of: frames whose addresses and ports are set byte by byte, pictures of
 * the flow table to compare it with, and tuples chosen by a key that is not the node's.
 */
#pragma once
#include "trial.h"

#include <sys/stat.h>

#include "bpf/pick.h"

static struct world attack_the_world;
static struct run last_run;
static __u32 doors[] = { SL_DOOR_XDP, SL_DOOR_TC };
static const struct row attack_row = { .sentence = "an attack" };
static __u32 attack_link; /* index of the client's */

static int attack_setup(void **state)
{
	static struct trial trial;

	trial = (struct trial){ .row = &attack_row,
				.door = *(__u32 *)*state,
				.world = &attack_the_world };
	*state = &trial;
	return 0;
}

static void attack_open(void)
{
	node_open();
	attack_link = if_nametoindex(node_links[LINK_CLIENT].name);
	world_open(&attack_the_world, &(struct world_options){ 0 });
}

/* Versions 0 (IPv4) and 1 (IPv6), one endpoint each. */
static void attack_serve(struct trial *trial, enum who who)
{
	for (trial->family = 4; trial->family <= 6; trial->family += 2)
		world_one(trial, who);
}

static void attack_world(struct trial *trial, enum who who)
{
	world_reset(trial->world);
	attack_serve(trial, who);
}

/* What is new goes to another endpoint. */
static void attack_moves(struct trial *trial, enum who who)
{
	world_revision(trial->world, 2);
	attack_serve(trial, who);
	world_active(trial->world, 2);
}

static __u64 random_next(__u64 *state)
{
	__u64 x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* --- frames --- */

struct raw {
	int family;
	__u32 size, l4;
	__u8 bytes[256];
};

static __u32 raw_ip_header(int family)
{
	return family == 4 ? 20 : 40;
}

static struct raw raw_of(const struct wire *wire)
{
	__u8 frame[WIRE_MAX];
	struct raw raw = { .family = wire->family, .size = wire_build(wire, frame) };

	raw.l4 = ETH_HLEN + raw_ip_header(wire->family);
	if (wire->family == 6 && wire->fragment)
		raw.l4 += 8;
	if (raw.size > sizeof(raw.bytes))
		fail_msg("a frame of %u bytes", raw.size);
	memcpy(raw.bytes, frame, raw.size);
	return raw;
}

static struct raw raw_tcp(int family, __u8 flags)
{
	struct wire wire = tcp(&(struct trial){ .family = family }, flags);

	return raw_of(&wire);
}

static struct raw raw_between(int family, enum who src, enum who dst, __u16 sport, __u16 dport,
			      __u8 flags)
{
	struct wire wire = tcp(&(struct trial){ .family = family }, flags);

	wire.src = src, wire.dst = dst;
	wire.sport = sport, wire.dport = dport;
	return raw_of(&wire);
}

static struct raw raw_udp_fragment(int family, __u8 fragment, __u32 id)
{
	struct wire wire = udp(&(struct trial){ .family = family });

	wire.fragment = fragment;
	wire.id = id;
	wire.payload = 64;
	return raw_of(&wire);
}

/* The source's last four bytes, and port. */
static void raw_client_port(struct raw *raw, __u16 port)
{
	put16(raw->bytes + raw->l4, port);
}

static void raw_client(struct raw *raw, __u32 addr, __u16 port)
{
	put32(raw->bytes + ETH_HLEN + (raw->family == 4 ? 12 : 20), addr);
	raw_client_port(raw, port);
}

static struct raw raw_answer(const struct raw *sent, enum who who, __u8 flags)
{
	struct raw raw = raw_between(sent->family, who, CLIENT, EP_PORT, 0, flags);
	__u32 size = sent->family == 4 ? 4 : 16, src = ETH_HLEN + (sent->family == 4 ? 12 : 8);

	memcpy(raw.bytes + src + size, sent->bytes + src, size);
	memcpy(raw.bytes + raw.l4 + 2, sent->bytes + sent->l4, 2);
	raw.bytes[ETH_HLEN + (sent->family == 4 ? 9 : 6)] =
		sent->bytes[sent->l4 == ETH_HLEN + raw_ip_header(sent->family)
				    ? ETH_HLEN + (sent->family == 4 ? 9 : 6)
				    : ETH_HLEN + 40];
	return raw;
}

/* An IP header's own word of what is behind it. */
static void raw_length(struct raw *raw)
{
	if (raw->family == 4)
		put16(raw->bytes + ETH_HLEN + 2, raw->size - ETH_HLEN);
	else
		put16(raw->bytes + ETH_HLEN + 4, raw->size - ETH_HLEN - 40);
}

static void raw_cut_l4(struct raw *raw, __u32 bytes)
{
	raw->size = raw->l4 + bytes;
	raw_length(raw);
}

/* Where in the datagram a later fragment lies, in units of eight bytes. */
static void raw_fragment_at(struct raw *raw, __u32 units)
{
	if (raw->family == 4)
		put16(raw->bytes + ETH_HLEN + 6, 0x2000 | units);
	else
		put16(raw->bytes + raw->l4 - 6, units << 3 | 1);
}

/* To the VIP from its client, about an answer; or to the client from the endpoint. */
static struct raw raw_error(int family, enum who src, enum who dst)
{
	struct trial trial = { .family = family };
	struct wire first = tcp(&trial, ACK), reply = answer_to(&trial, first, EP_A, ACK);
	struct wire seen = dst == VIP ? to_client(reply) : to_endpoint(first, EP_A);
	struct wire wire = wire_from(&trial, LINK_CLIENT, src, dst);

	seen.payload = 0;
	wire.protocol = family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	wire.type = family == 4 ? 3 : 1, wire.code = family == 4 ? 3 : 4;
	wire.quoted = &seen;
	return raw_of(&wire);
}

/* --- what comes of them --- */

static void raw_send(const struct trial *trial, const struct raw *raw, __u32 door)
{
	last_run.in_len = raw->size;
	memcpy(last_run.in, raw->bytes, raw->size);
	run_bare(trial->world, door, attack_link, 0, &last_run);
	if (last_run.err)
		fail_msg("the test run failed: %d", last_run.err);
}

static __u32 verdict_of(const struct trial *trial, const struct raw *raw, __u32 door)
{
	__u32 verdict;

	last_run.in_len = raw->size;
	memcpy(last_run.in, raw->bytes, raw->size);
	run_door(trial->world, door, attack_link, 0, &last_run);
	verdict = run_verdict(&last_run);
	if (last_run.err || verdict == SL_VERDICT_COUNT) {
		print_counted(&last_run);
		print_bytes("sent", raw->bytes, raw->size);
		fail_msg("no verdict: %d", last_run.err);
	}
	return verdict;
}

static void raw_wants(const struct trial *trial, const struct raw *raw, __u32 door, __u32 wanted,
		      int line)
{
	__u32 verdict = verdict_of(trial, raw, door);

	if (verdict == wanted)
		return;
	print_bytes("sent", raw->bytes, raw->size);
	fail_msg("line %d, %s: wanted %s, got %s", line, door_names[door], counter_names[wanted],
		 counter_names[verdict]);
}

#define wants_verdict(trial, raw, door, wanted) raw_wants(trial, raw, door, wanted, __LINE__)
#define wants_untouched(trial, raw, door, wanted)                                                  \
	do {                                                                                       \
		wants_verdict(trial, raw, door, wanted);                                           \
		assert_int_equal(last_run.out_len, (raw)->size);                                   \
		assert_memory_equal(last_run.out, (raw)->bytes, (raw)->size);                      \
	} while (0)

static void wants_sent_to(const struct raw *raw, enum who who)
{
	__u8 addr[16];

	wire_address(who, raw->family, addr);
	assert_memory_equal(last_run.out + ETH_HLEN + (raw->family == 4 ? 16 : 24), addr,
			    raw->family == 4 ? 4 : 16);
}

/* --- the flow table --- */

static __u64 raw_tag(const struct world *world, const struct raw *raw)
{
	__u32 size = raw->family == 4 ? 4 : 16, src[4] = {}, dst[4] = {};
	const __u8 *at = raw->bytes + ETH_HLEN + (raw->family == 4 ? 12 : 8);
	__u8 protocol = raw->bytes[ETH_HLEN + (raw->family == 4 ? 9 : 6)];
	__be16 ports[2];

	memcpy(src, at, size), memcpy(dst, at + size, size);
	memcpy(ports, raw->bytes + raw->l4, 4);
	if (raw->l4 > ETH_HLEN + raw_ip_header(raw->family))
		protocol = raw->bytes[ETH_HLEN + 40];
	return way_tag(&world->settings.flow_keys, raw->family, src, dst, ports[0], ports[1],
		       protocol);
}

static struct sl_way way_of(const struct world *world, const struct raw *raw)
{
	const struct sl_way *way = world_way(world, raw_tag(world, raw));

	if (!way)
		fail_msg("a flow that should be there is gone");
	return *way;
}

static __u64 table_size(const struct world *world)
{
	return (world->settings.flow_mask + 1ull) * SL_WAYS;
}

static __u64 table_used(const struct world *world)
{
	__u64 used = 0;

	for (__u64 i = 0; i < table_size(world); i++)
		used += world->ways[i].tag != SL_WAY_EMPTY;
	return used;
}

/* A picture of it, to compare with later. */
struct table {
	struct sl_way *ways;
};

static void table_keep(const struct world *world, struct table *ret_table)
{
	size_t size = table_size(world) * sizeof(struct sl_way);

	ret_table->ways = malloc(size);
	assert_non_null(ret_table->ways);
	memcpy(ret_table->ways, world->ways, size);
}

static void table_free(struct table *table)
{
	free(table->ways);
	table->ways = NULL;
}

static bool is_same_way(const struct sl_way *a, const struct sl_way *b)
{
	return a->tag == b->tag && way_seen_set(a->word, 0) == way_seen_set(b->word, 0);
}

/* To the bit. */
static void table_same(const struct world *world, const struct table *table)
{
	assert_memory_equal(world->ways, table->ways, table_size(world) * sizeof(struct sl_way));
}

/* But for when a flow was last seen. */
static void table_same_aged(const struct world *world, const struct table *table)
{
	for (__u64 i = 0; i < table_size(world); i++)
		assert_true(is_same_way(&world->ways[i], &table->ways[i]));
}

/* But for age, and for the two ways of a packet's own flow, which are new. */
static void table_same_but(const struct world *world, const struct table *table,
			   const struct raw *raw, enum who who)
{
	struct raw answer = raw_answer(raw, who, ACK);
	__u64 tag = raw_tag(world, raw), back = raw_tag(world, &answer);
	int found = 0;

	for (__u64 i = 0; i < table_size(world); i++) {
		const struct sl_way *now = &world->ways[i], *before = &table->ways[i];
		bool is_own = now->tag == tag || now->tag == back;

		found += is_own;
		if (!is_same_way(now, before) && !(is_own && before->tag == SL_WAY_EMPTY))
			fail_msg("way %llu is another's, or not as it was", i);
	}
	assert_int_equal(found, 2);
}

/* --- memory --- */

static __u64 map_memory(int fd)
{
	char name[64], line[128];
	struct stat status;
	__u64 bytes = 0;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	file = fopen(name, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	fclose(file);
	/* A map that is a file, where there is no kernel to charge one, is as large as that. */
	return bytes || fstat(fd, &status) ? bytes : (__u64)status.st_size;
}

/* Of all maps, as the kernel charges it. */
static __u64 maps_memory(const struct world *world)
{
	struct bpf_map *map;
	__u64 sum = 0;

	bpf_object__for_each_map(map, world->tc->obj) sum += map_memory(bpf_map__fd(map));
	assert_true(sum > 0);
	return sum;
}

static __u32 map_count(int fd)
{
	__u8 keys[2][64];
	__u32 count = 0;

	for (int err = bpf_map_get_next_key(fd, NULL, keys[0]); !err; count++)
		err = bpf_map_get_next_key(fd, keys[count & 1], keys[!(count & 1)]);
	return count;
}
