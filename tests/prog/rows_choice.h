/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and ports chosen to meet one version, or one bucket, by who knows all of the code and
 * not the seed. With the seed both work, which shows that the choice is one. Who sees which
 * version answers may come back with the same port: that is a connection like another, and no help
 * for the next port.
 */
#pragma once
#include "rows_attack.h"

#define CHOSEN 100000u
#define CHOICE_VERSIONS 4u
#define CHI_SQUARED_3 30.66 /* three degrees of freedom, one in a million */
#define VIP_ADDRESS 0x0a600001u

static const __u32 choice_slots[CHOICE_VERSIONS] = { 6, 26, 16, 16 };

static void choice_world(struct trial *trial)
{
	struct world *world = trial->world;
	__u32 versions[CHOICE_VERSIONS];

	world_reset(world);
	for (__u32 i = 0; i < CHOICE_VERSIONS; i++) {
		__u32 endpoint = world_endpoint(world, 4, EP_A, EP_PORT + i);

		versions[i] = world_version(world, &endpoint, 1);
	}
	world_serve(world, 4, world_split(world, versions, choice_slots, CHOICE_VERSIONS, 0));
}

/* The next client, from `*at` on, that a seed sends to version 0. */
static struct raw choice_next(const __u64 seed[2], __u64 *at)
{
	struct raw syn = raw_tcp(4, SYN);
	struct pick_key key;
	__u32 addr;
	__u16 port;

	do {
		addr = 0x0b000000 + (*at >> 16), port = *at;
		++*at;
		pick_key4(&key, addr, VIP_ADDRESS, port, VIP_PORT, IPPROTO_TCP, 0);
	} while (pick_slot(pick_hash(&key, seed), WORLD_SLOTS - 1, 0) >= choice_slots[0]);
	raw_client(&syn, addr, port);
	return syn;
}

/* So many chosen connections; how many each version got. */
static void choice_open(struct trial *trial, const __u64 seed[2], __u32 count,
			__u64 ret_opened[CHOICE_VERSIONS])
{
	__u64 at = 0, sum = 0;

	choice_world(trial);
	for (__u32 i = 0; i < count; i++) {
		struct raw syn = choice_next(seed, &at);

		raw_send(trial, &syn, trial->door);
	}
	for (__u32 i = 0; i < CHOICE_VERSIONS; i++)
		sum += ret_opened[i] = stats_of(trial, i).opened;
	assert_int_equal(sum, count);
}

static double chi_squared(const __u64 opened[CHOICE_VERSIONS], __u32 count)
{
	double sum = 0;

	for (__u32 i = 0; i < CHOICE_VERSIONS; i++) {
		double wanted = (double)count * choice_slots[i] / WORLD_SLOTS;

		sum += (opened[i] - wanted) * (opened[i] - wanted) / wanted;
	}
	return sum;
}

static void ports_chosen_for_a_version(void **state)
{
	struct trial *trial = *state;
	const __u64 *right = trial->world->control.seed;
	const __u64 wrong[][2] = {
		{ 0, 0 },
		{ right[0] ^ 1, right[1] }, /* but for one bit */
		{ right[0], right[1] ^ 1ull << 63 },
	};
	__u64 opened[CHOICE_VERSIONS];

	choice_open(trial, right, 1000, opened);
	assert_int_equal(opened[0], 1000);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		double chi;

		choice_open(trial, wrong[i], CHOSEN, opened);
		chi = chi_squared(opened, CHOSEN);
		if (chi > CHI_SQUARED_3)
			fail_msg("wrong seed %zu: chi squared is %.1f; version 0 got %llu", i, chi,
				 opened[0]);
	}
}

/* --- one bucket --- */

#define BUCKETS 4096u
#define TUPLES (4 * BUCKETS) /* four for each bucket */
/*
 * Of 4,096 buckets with four clients each on average, one has more than 24 by chance once in
 * thirty million times (Poisson).
 */
#define LOAD_MAX 24u
#define SEEDS 8u

struct client {
	__u32 addr[4];
	__be16 port;
	__u8 family;
};

static __u32 client_bucket(const struct way_keys *keys, const struct client *client)
{
	return way_home(keys, client->family, client->addr, client->port, IPPROTO_TCP) &
	       (BUCKETS - 1);
}

/* The next that a key puts into bucket 7. */
static struct client bucket_next(const struct way_keys *keys, __u8 family, __u64 *at)
{
	struct client client = { .family = family };

	do {
		client.addr[family == 6 ? 3 : 0] = htonl(0x0b000000 + (*at >> 16));
		client.addr[1] = family == 6 ? 0x20010db8 : 0;
		client.port = htons(*at);
		++*at;
	} while (client_bucket(keys, &client) != 7);
	return client;
}

static __u32 load_largest(const struct way_keys *keys, const struct client *clients)
{
	static __u32 loads[BUCKETS];
	__u32 largest = 0;

	memset(loads, 0, sizeof(loads));
	for (__u32 i = 0; i < TUPLES; i++) {
		__u32 load = ++loads[client_bucket(keys, &clients[i])];

		largest = load > largest ? load : largest;
	}
	return largest;
}

/* The doors look where this key says. */
static void bucket_is_the_doors(struct world *world, const struct client *client)
{
	struct trial trial = { .row = &attack_row, .door = SL_DOOR_TC, .world = world };
	struct raw syn = raw_tcp(client->family, SYN);
	__u64 tag;
	__u32 home;

	memcpy(syn.bytes + ETH_HLEN + (client->family == 4 ? 12 : 8), client->addr,
	       client->family == 4 ? 4 : 16);
	raw_client_port(&syn, ntohs(client->port));
	wants_verdict(&trial, &syn, SL_DOOR_TC, SL_open_stack);
	tag = raw_tag(world, &syn);
	home = (world_way(world, tag) - world->ways) / SL_WAYS;
	assert_int_equal(home, client_bucket(&world->settings.flow_keys, client));
}

static void tuples_chosen_for_a_bucket(void **state)
{
	static struct client clients[TUPLES];
	struct trial trial = { .row = &attack_row, .world = &attack_the_world };
	struct way_keys wrong, right;

	assert_int_equal(attack_the_world.settings.flow_mask, BUCKETS - 1);
	attack_world(&trial, EP_A);
	for (__u8 family = 4; family <= 6; family += 2) {
		__u64 at = 0;

		door_keys((__u64[2]){ 0, 0 }, &wrong);
		for (__u32 i = 0; i < TUPLES; i++)
			clients[i] = bucket_next(&wrong, family, &at);
		assert_int_equal(load_largest(&wrong, clients), TUPLES);
		assert_true(load_largest(&attack_the_world.settings.flow_keys, clients) <=
			    LOAD_MAX);
		for (__u64 seed = 1; seed <= SEEDS; seed++) {
			door_keys((__u64[2]){ seed, 0 }, &right);
			if (load_largest(&right, clients) > LOAD_MAX)
				fail_msg("IPv%d, seed %llu: a bucket of %u", family, seed,
					 load_largest(&right, clients));
		}
		for (size_t i = 0; i < 64; i++)
			bucket_is_the_doors(&attack_the_world, &clients[i * 97]);
	}
}
