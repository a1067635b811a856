/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user half's tables under test: a data plane of its own below a folder of pins of its own,
 * plans made by hand, packets through the pinned door, and dumps of the maps.
 */
#pragma once
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/kernel/internal.h"

struct bench {
	char pins[64];
	struct kernel *kernel;
	struct diags *diags;
	struct kernel_settings settings;
	int door; /* the tc door for what comes in */
};

static const struct kernel_settings small_settings = {
	.flows = 4096,
	.services = 4,
	.versions = 64,
	.endpoints = 128,
	.slots = 64,
	.udp_idle_ms = 30000,
	.seed = { 0x5107ce, 42 },
};

static inline bool bench_said(const struct bench *bench, const char *word)
{
	for (size_t i = 0; i < bench->diags->count; i++)
		if (strstr(bench->diags->list[i].text, word))
			return true;
	return false;
}

static inline void bench_hush(struct bench *bench)
{
	talloc_free(bench->diags);
	bench->diags = diags_new(NULL);
}

static inline void door_open(struct bench *bench)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/prog_tc_in", bench->pins);
	bench->door = bpf_obj_get(path);
	assert_true(bench->door >= 0);
}

static inline void bench_name(struct bench *bench)
{
	*bench = (struct bench){ .settings = small_settings, .door = -1 };
	snprintf(bench->pins, sizeof(bench->pins), "/sys/fs/bpf/sl_test_%d", getpid());
	bench->diags = diags_new(NULL);
}

static inline void bench_create(struct bench *bench)
{
	int err = kernel_create(bench->pins, &bench->settings, bench->diags, &bench->kernel);

	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
	door_open(bench);
}

static inline void bench_shut(struct bench *bench)
{
	kernel_close(bench->kernel);
	bench->kernel = NULL;
	if (bench->door >= 0)
		close(bench->door);
	bench->door = -1;
}

static inline int bench_setup(void **state)
{
	struct bench *bench = malloc(sizeof(*bench));

	*state = bench;
	bench_name(bench);
	bench_create(bench);
	return 0;
}

static inline int bench_teardown(void **state)
{
	struct bench *bench = *state;

	bench_shut(bench);
	kernel_detach_all(bench->pins, bench->diags);
	talloc_free(bench->diags);
	free(bench);
	return 0;
}

/* --- numbers that are the same in every run --- */

static uint64_t random_state = 0x853c49e6748fea9bull;

static inline uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32) % limit;
}

/* --- plans --- */

static inline struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

/* Address `n` of the endpoints: 10.1.x.y or fd01::x:y. */
static inline struct addr endpoint_addr(int family, unsigned n)
{
	char text[ADDR_TEXT_MAX];

	snprintf(text, sizeof(text), family == 4 ? "10.1.%u.%u" : "fd01::%x:%x", n / 250,
		 n % 250 + 1);
	return addr_of(text);
}

static inline struct plan *plan_new(void *parent)
{
	return talloc_zero(parent, struct plan);
}

#define GROW(plan, list)                                                                           \
	({                                                                                         \
		(plan)->list##s = talloc_realloc(plan, (plan)->list##s, struct plan_##list,        \
						 (plan)->list##_count + 1);                        \
		struct plan_##list *grown_ = &(plan)->list##s[(plan)->list##_count++];             \
		*grown_ = (struct plan_##list){ 0 };                                               \
		grown_;                                                                            \
	})

/* A version with endpoints first..first+count-1. Returns its ordinal. */
static inline uint32_t plan_version_add(struct plan *plan, int family, const char *name,
					unsigned first, unsigned count)
{
	struct plan_version *version = GROW(plan, version);

	version->service = "reviews.default";
	version->name = talloc_strdup(plan, name);
	version->key = talloc_asprintf(plan, "reviews|%s|80/tcp%s", name, family == 6 ? "6" : "");
	version->endpoints = talloc_zero_array(plan, struct plan_endpoint, count + 1);
	version->endpoint_count = count;
	for (unsigned i = 0; i < count; i++)
		version->endpoints[i] = (struct plan_endpoint){
			.addr = endpoint_addr(family, first + i), .port = 8080, .weight = 1
		};
	return plan->version_count - 1;
}

static inline struct plan_split *plan_split_make(struct plan *plan, const uint32_t *versions,
						 const uint32_t *weights, size_t count)
{
	struct plan_split *split = GROW(plan, split);

	split->versions = talloc_memdup(plan, versions, count * sizeof(*versions));
	split->weights = talloc_memdup(plan, weights, count * sizeof(*weights));
	split->count = count;
	return split;
}

static inline uint32_t plan_split_add(struct plan *plan, uint32_t a, uint32_t a_weight, uint32_t b,
				      uint32_t b_weight)
{
	plan_split_make(plan, (uint32_t[]){ a, b }, (uint32_t[]){ a_weight, b_weight }, 2);
	return plan->split_count - 1;
}

static inline struct plan_service *plan_service_add(struct plan *plan, const char *vip,
						    uint16_t port, enum protocol protocol)
{
	struct plan_service *service = GROW(plan, service);

	service->host = "reviews";
	service->name = "reviews.default";
	service->vip = addr_of(vip);
	service->port = port;
	service->protocol = protocol;
	return service;
}

static inline void plan_rule_add(struct plan *plan, size_t service, const char *source,
				 uint32_t split)
{
	struct plan_service *at = &plan->services[service];
	struct plan_rule *rule;

	at->rules = talloc_realloc(plan, at->rules, struct plan_rule, at->rule_count + 1);
	rule = &at->rules[at->rule_count++];
	*rule = (struct plan_rule){ .split = split, .name = "rule" };
	if (source)
		assert_int_equal(prefix_parse(source, &rule->source), 0);
}

/* One service, two versions of three endpoints each. */
static inline struct plan *plan_pair(void *parent, uint32_t stable, uint32_t canary)
{
	struct plan *plan = plan_new(parent);
	uint32_t v1 = plan_version_add(plan, 4, "v1", 1, 3),
		 v2 = plan_version_add(plan, 4, "v2", 11, 3);

	plan_service_add(plan, "10.96.0.1", 80, PROTOCOL_TCP);
	plan_rule_add(plan, 0, NULL, plan_split_add(plan, v1, stable, v2, canary));
	return plan;
}

static inline void write_flip(struct bench *bench, const struct plan *plan, uint32_t revision)
{
	uint8_t digest[32] = { (uint8_t)revision };
	int err = kernel_write(bench->kernel, plan, revision, digest, bench->diags);

	if (err)
		diags_print(bench->diags, stderr, false);
	assert_int_equal(err, 0);
	assert_int_equal(kernel_flip(bench->kernel, revision), 0);
}

/* --- packets --- */

static inline struct kernel_connection connection_of(const char *source, const char *destination,
						     uint16_t source_port, uint16_t port)
{
	return (struct kernel_connection){ .source = addr_of(source),
					   .destination = addr_of(destination),
					   .source_port = source_port,
					   .destination_port = port,
					   .protocol = PROTOCOL_TCP };
}

struct sent {
	uint32_t code;
	uint8_t frame[128];
	struct addr destination; /* as it left the door */
	uint16_t port;
};

/* Checksums are left 0: the door updates them and never checks. */
static inline size_t frame_build(const struct kernel_connection *c, uint8_t flags, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_HLEN, *l4;
	bool is_v4 = c->source.family == 4, is_tcp = c->protocol == PROTOCOL_TCP;
	uint16_t length = is_tcp ? 20 : 8,
		 ports[2] = { htons(c->source_port), htons(c->destination_port) };

	memset(frame, 0, 128);
	frame[12] = is_v4 ? 0x08 : 0x86;
	frame[13] = is_v4 ? 0x00 : 0xdd;
	ip[0] = is_v4 ? 0x45 : 0x60;
	ip[is_v4 ? 3 : 5] = is_v4 ? 20 + length : length;
	ip[is_v4 ? 8 : 7] = 64;
	ip[is_v4 ? 9 : 6] = c->protocol;
	memcpy(ip + (is_v4 ? 12 : 8), c->source.bytes, is_v4 ? 4 : 16);
	memcpy(ip + (is_v4 ? 16 : 24), c->destination.bytes, is_v4 ? 4 : 16);
	l4 = ip + (is_v4 ? 20 : 40);
	memcpy(l4, ports, 4);
	if (is_tcp)
		l4[12] = 5 << 4, l4[13] = flags;
	else
		l4[5] = 8;
	return l4 + length - frame;
}

/* Through the door as if it came in by the loopback device. */
static inline struct sent packet_send(int door, const struct kernel_connection *c, uint8_t flags)
{
	bool is_v4 = c->source.family == 4;
	struct __sk_buff skb = { .ifindex = 1 };
	struct sent sent = { .destination = { .family = c->source.family } };
	uint8_t frame[128], out[512];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = frame_build(c, flags, frame), .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &skb, .ctx_size_in = sizeof(skb),
		    .repeat = 1);

	if (bpf_prog_test_run_opts(door, &opts))
		sent.code = UINT32_MAX;
	else
		sent.code = opts.retval;
	memcpy(sent.frame, out, sizeof(sent.frame));
	memcpy(sent.destination.bytes, out + ETH_HLEN + (is_v4 ? 16 : 24), is_v4 ? 4 : 16);
	sent.port = out[ETH_HLEN + (is_v4 ? 22 : 42)] << 8 | out[ETH_HLEN + (is_v4 ? 23 : 43)];
	return sent;
}

enum {
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16
};

static inline struct sl_counters counted(const struct bench *bench)
{
	struct sl_counters doors[SL_DOOR_COUNT];

	assert_int_equal(kernel_counters(bench->kernel, doors), 0);
	return doors[SL_DOOR_TC];
}

static inline bool is_endpoint(const struct kernel *kernel, uint32_t index, const struct addr *addr,
			       uint16_t port)
{
	const struct sl_endpoint *endpoint = kernel_endpoint(kernel, index);
	uint32_t words[4];

	addr_to_words(addr, words);
	return endpoint && !memcmp(words, endpoint->addr, 16) && endpoint->port == htons(port);
}

/* The index of an address that is in use, or UINT32_MAX. */
static inline uint32_t endpoint_index(const struct kernel *kernel, const struct addr *addr)
{
	for (uint32_t i = 0; i < kernel_endpoint_limit(kernel); i++)
		if (kernel_endpoint(kernel, i)->used && is_endpoint(kernel, i, addr, 8080))
			return i;
	return UINT32_MAX;
}

static inline uint32_t map_count(const struct bench *bench, enum map_id id)
{
	uint8_t key[64], next[64];
	uint32_t count = 0;
	int err = bpf_map_get_next_key(bench->kernel->map[id].fd, NULL, key);

	for (; !err; count++) {
		err = bpf_map_get_next_key(bench->kernel->map[id].fd, key, next);
		memcpy(key, next, sizeof(key));
	}
	return count;
}
