// SPDX-License-Identifier: Apache-2.0
/*
 * The headers that the kernel half and the user half both compile: the hash, the pick, the checksum
 * and the flow table's bucket. What they must give is written here as numbers, so that machines of
 * either byte order are held to the same.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/csum.h"
#include "bpf/pick.h"
#include "bpf/way.h"

static const __u64 seed[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* --- SipHash-1-3 as its paper describes it: of bytes, with any number of rounds --- */

struct sip {
	uint64_t v[4];
};

static uint64_t turned(uint64_t word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(struct sip *sip, int times)
{
	uint64_t *v = sip->v;

	while (times--) {
		v[0] += v[1], v[2] += v[3];
		v[1] = turned(v[1], 13) ^ v[0], v[3] = turned(v[3], 16) ^ v[2];
		v[0] = turned(v[0], 32);
		v[2] += v[1], v[0] += v[3];
		v[1] = turned(v[1], 17) ^ v[2], v[3] = turned(v[3], 21) ^ v[0];
		v[2] = turned(v[2], 32);
	}
}

static uint64_t sip_hash(const uint8_t *bytes, size_t count, int rounds, int last_rounds)
{
	struct sip sip = { { seed[0] ^ 0x736f6d6570736575ull, seed[1] ^ 0x646f72616e646f6dull,
			     seed[0] ^ 0x6c7967656e657261ull, seed[1] ^ 0x7465646279746573ull } };
	uint64_t word = 0;

	for (size_t i = 0; i <= count; i++) {
		if (i < count)
			word |= (uint64_t)bytes[i] << 8 * (i % 8);
		if (i == count)
			word |= (uint64_t)count << 56;
		if (i % 8 == 7 || i == count) {
			sip.v[3] ^= word;
			sip_round(&sip, rounds);
			sip.v[0] ^= word;
			word = 0;
		}
	}
	sip.v[2] ^= 0xff;
	sip_round(&sip, last_rounds);
	return sip.v[0] ^ sip.v[1] ^ sip.v[2] ^ sip.v[3];
}

/* The paper's own example holds the reference to the paper. */
static void the_reference_is_siphash(void **state)
{
	uint8_t bytes[15];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_true(sip_hash(bytes, sizeof(bytes), 2, 4) == 0xa129ca6149be45e5ull);
}

static void the_hash_is_siphash_1_3(void **state)
{
	for (int run = 0; run < 1000; run++) {
		struct pick_key key = { .count = run % 2 ? 2 : 5 };
		uint64_t little[5];

		for (unsigned i = 0; i < key.count; i++) {
			key.word[i] = random_word();
			little[i] = htole64(key.word[i]);
		}
		assert_true(pick_hash(&key, seed) ==
			    sip_hash((uint8_t *)little, 8ul * key.count, 1, 3));
	}
}

/* --- a connection's pick --- */

static __u64 hash_of(const char *source, const char *destination, uint16_t sport, uint16_t dport,
		     int by_client)
{
	struct pick_key key = {};

	if (strchr(source, ':')) {
		__u64 from[2], to[2];

		assert_int_equal(inet_pton(AF_INET6, source, from), 1);
		assert_int_equal(inet_pton(AF_INET6, destination, to), 1);
		for (int i = 0; i < 2; i++)
			from[i] = be64toh(from[i]), to[i] = be64toh(to[i]);
		pick_key6(&key, from, to, sport, dport, 6, by_client);
	} else {
		__u32 from, to;

		assert_int_equal(inet_pton(AF_INET, source, &from), 1);
		assert_int_equal(inet_pton(AF_INET, destination, &to), 1);
		pick_key4(&key, ntohl(from), ntohl(to), sport, dport, 6, by_client);
	}
	return pick_hash(&key, seed);
}

static const struct {
	const char *source, *destination;
	uint16_t sport, dport;
	int by_client;
	__u32 slot, other_slot, place; /* of 16,384; the next attempt's; of a ring of 997 */
} picks[] = {
	{ "10.60.1.2", "10.96.60.1", 40000, 9080, 0, 10304, 8689, 234 },
	{ "10.60.1.2", "10.96.60.1", 40001, 9080, 0, 862, 15631, 208 },
	{ "10.60.1.2", "10.96.60.1", 40000, 9080, 1, 5671, 4056, 527 },
	{ "fd60::2", "fd96::60:1", 40000, 9080, 0, 2266, 651, 920 },
	{ "fd60::2", "fd96::60:1", 40000, 9080, 1, 5206, 3591, 419 },
};

static void every_machine_picks_alike(void **state)
{
	for (size_t i = 0; i < sizeof(picks) / sizeof(picks[0]); i++) {
		__u64 hash = hash_of(picks[i].source, picks[i].destination, picks[i].sport,
				     picks[i].dport, picks[i].by_client);

		assert_int_equal(pick_slot(hash, 16383, 0), picks[i].slot);
		assert_int_equal(pick_slot(hash, 16383, 1), picks[i].other_slot);
		assert_int_equal(pick_place(hash, 997, 0), picks[i].place);
	}
}

/* --- checksums --- */

/* In full, as RFC 1071 has it: big-endian words, whatever the machine's. */
static uint16_t full_sum(const uint8_t *bytes, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void sum_write(uint8_t *bytes, size_t count)
{
	uint16_t sum;

	bytes[10] = bytes[11] = 0;
	sum = htons(full_sum(bytes, count));
	memcpy(bytes + 10, &sum, 2);
}

/* 0 and 0xffff are the same number to a one's complement sum. */
static int is_same_sum(uint16_t a, uint16_t b)
{
	return a % 0xffff == b % 0xffff;
}

static void a_change_is_a_new_sum(void **state)
{
	uint8_t bytes[60];

	for (int run = 0; run < 100000; run++) {
		size_t at = 12 + random_word() % 12 * 4;
		uint32_t old, new = run % 7 ? (uint32_t)random_word() : run % 2 ? 0 : ~0u;
		uint16_t field, wanted;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = random_word();
		sum_write(bytes, sizeof(bytes));
		memcpy(&field, bytes + 10, 2);
		memcpy(&old, bytes + at, 4);
		if (run % 2) {
			memcpy(bytes + at, &new, 4);
			field = csum_apply(field, csum_delta32(0, old, new));
		} else {
			uint16_t half, fresh = new;

			memcpy(&half, bytes + at + 2, 2);
			memcpy(bytes + at + 2, &fresh, 2);
			field = csum_apply(field, csum_delta16(0, half, fresh));
		}
		sum_write(bytes, sizeof(bytes));
		memcpy(&wanted, bytes + 10, 2);
		assert_true(is_same_sum(field, wanted));
	}
}

/* --- a client's bucket --- */

#define BUCKETS 4096u
#define CLIENTS (4 * BUCKETS)
#define KEYS 500
/*
 * With four clients to a bucket on average, one of 4,096 holds more than 24 by chance once in a
 * hundred and fifty million times (Poisson).
 */
#define LOAD_MAX 24

/* Clients as there are: a row of ports, of addresses, of both. */
static void client_regular(unsigned row, uint32_t i, uint8_t family, uint32_t *addr, uint16_t *port)
{
	static const uint32_t ports_each[] = { CLIENTS, 1, 64, CLIENTS / 64 };
	uint32_t host = htonl(0x0a000000 + i / ports_each[row]);

	memset(addr, 0, 16);
	addr[family == 6 ? 3 : 0] = host;
	if (family == 6)
		addr[0] = htonl(0x20010db8);
	/* Linux gives connections of one process even ports. */
	*port = htons(32768 + 2 * (i % ports_each[row]));
}

static unsigned load_largest(const struct way_keys *keys, unsigned row, uint8_t family)
{
	uint16_t loads[BUCKETS] = { 0 };
	unsigned largest = 0;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		uint32_t addr[4];
		uint16_t port, load;

		client_regular(row, i, family, addr, &port);
		load = ++loads[way_home(keys, family, addr, port, 6) % BUCKETS];
		largest = load > largest ? load : largest;
	}
	return largest;
}

static void regular_clients_spread(void **state)
{
	struct way_keys keys;

	for (int i = 0; i < KEYS; i++) {
		for (int j = 0; j <= WAY_HOME_WORDS; j++)
			keys.home[j] = random_word();
		for (unsigned row = 0; row < 4; row++) {
			assert_in_range(load_largest(&keys, row, 4), 1, LOAD_MAX);
			assert_in_range(load_largest(&keys, row, 6), 1, LOAD_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_is_siphash),
		cmocka_unit_test(the_hash_is_siphash_1_3),
		cmocka_unit_test(every_machine_picks_alike),
		cmocka_unit_test(a_change_is_a_new_sum),
		cmocka_unit_test(regular_clients_spread),
	};

	return cmocka_run_group_tests_name("pure", tests, NULL, NULL);
}
