// SPDX-License-Identifier: Apache-2.0
/*
 * Two nodes with one configuration and one seed: each has a folder and a data plane of its own, and
 * the second came to the configuration by another history, so that its tables lie elsewhere. They
 * must have one digest, and pick the same version and endpoint for whatever connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/input/input.h"
#include "user/kernel/internal.h"
#include "user/node/node.h"

#define KEYS 1000000u

struct machine {
	char dir[64], pins[64];
	struct kernel *kernel;
	struct diags *diags;
	struct node *node;
};

struct pair {
	struct machine a, b;
};

static const struct node_change change = { .author = "ann", .command = "apply" };

/* --- texts --- */

/* Service `i`: IPv4 and IPv6, TCP and UDP, three versions of 2, 3 and 4 endpoints. */
static char *entry_text(char *text, unsigned i, unsigned endpoints)
{
	text = talloc_asprintf_append_buffer(
		text,
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
		"metadata: {name: s%u, namespace: default}\nspec:\n  hosts: [s%u.example]\n"
		"  addresses: [10.96.0.%u, \"fd96::%u\"]\n  ports:\n"
		"  - {number: 80, name: tcp, protocol: TCP, targetPort: 8080}\n"
		"  - {number: 53, name: udp, protocol: UDP, targetPort: 8053}\n"
		"  resolution: STATIC\n  endpoints:\n",
		i, i, i, i);
	for (unsigned version = 1; version <= 3; version++)
		for (unsigned at = 1; at <= version + endpoints; at++)
			text = talloc_asprintf_append_buffer(
				text,
				"  - {address: 10.%u.%u.%u, labels: {version: v%u}}\n"
				"  - {address: \"fd%u::%u:%u\", labels: {version: v%u}}\n",
				i, version, at, version, i + 10, version, at, version);
	return talloc_strdup_append_buffer(text, "---\n");
}

/* Every second service goes by the client's address. */
static char *subsets_text(char *text, unsigned i)
{
	text = talloc_asprintf_append_buffer(
		text,
		"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		"metadata: {name: s%u, namespace: default}\nspec:\n  host: s%u.example\n",
		i, i);
	if (i % 2)
		text = talloc_strdup_append_buffer(
			text, "  trafficPolicy: {loadBalancer: {consistentHash: "
			      "{useSourceIp: true}}}\n");
	return talloc_strdup_append_buffer(text, "  subsets:\n"
						 "  - {name: v1, labels: {version: v1}}\n"
						 "  - {name: v2, labels: {version: v2}}\n"
						 "  - {name: v3, labels: {version: v3}}\n---\n");
}

/* Clients of 10.8/13 and of fd08::/13 have weights of their own. */
static char *split_text(char *text, unsigned i, const unsigned weights[3])
{
	text = talloc_asprintf_append_buffer(
		text,
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		"metadata: {name: s%u, namespace: default}\nspec:\n  hosts: [s%u.example]\n"
		"  tcp:\n",
		i, i);
	for (unsigned rule = 0; rule < 3; rule++) {
		static const char *const sources[] = {
			"  - match: [{sourceSubnet: 10.8.0.0/13}]\n    route:\n",
			"  - match: [{sourceSubnet: \"fd08::/13\"}]\n    route:\n",
			"  - route:\n",
		};

		text = talloc_strdup_append_buffer(text, sources[rule]);
		for (unsigned version = 0; version < 3; version++)
			text = talloc_asprintf_append_buffer(
				text,
				"    - {destination: {host: s%u.example, subset: v%u}, "
				"weight: %u}\n",
				i, version + 1, weights[(version + rule) % 3]);
	}
	return talloc_strdup_append_buffer(text, "---\n");
}

static char *config_text(void *parent, unsigned first, unsigned last, unsigned endpoints,
			 const unsigned weights[3])
{
	char *text = talloc_strdup(parent, "");

	for (unsigned i = first; i <= last; i++)
		text = split_text(subsets_text(entry_text(text, i, endpoints), i), i, weights);
	return text;
}

/* --- nodes --- */

static void must(struct machine *machine, int err)
{
	if (err)
		diags_print(machine->diags, stderr, false);
	assert_int_equal(err, 0);
}

/* Whole: what the text does not name goes. */
static void config_apply(struct machine *machine, unsigned first, unsigned last, unsigned endpoints,
			 const unsigned weights[3])
{
	_cleanup_talloc_ char *text = config_text(NULL, first, last, endpoints, weights);
	struct input_text input = { .name = "nodes.yaml", .data = text, .size = strlen(text) };
	struct input_result read;
	struct node_result result;
	struct node *node = machine->node;

	must(machine, input_apply(text, &input, 1, INPUT_REPLACE, node->model, node->inventory,
				  machine->diags, &read));
	must(machine,
	     node_commit(node, read.model, read.inventory, &change, machine->diags, text, &result));
}

static void machine_up(struct machine *machine, const char *name)
{
	static const struct kernel_settings settings = {
		.flows = 4096,
		.services = 64,
		.versions = 1024,
		.endpoints = 1024,
		.slots = 1024,
		.udp_idle_ms = 30000,
		.seed = { 0x5107ce, 42 },
	};
	struct node_options options = { .state_dir = machine->dir,
					.pin_dir = machine->pins,
					.timeout_ms = 30000,
					.command = "test" };

	machine->diags = diags_new(NULL);
	strcpy(machine->dir, "/tmp/sluice-nodes-XXXXXX");
	assert_non_null(mkdtemp(machine->dir));
	snprintf(machine->pins, sizeof(machine->pins), "/sys/fs/bpf/sl_nodes_%d%s", getpid(), name);
	must(machine, kernel_create(machine->pins, &settings, machine->diags, &machine->kernel));
	must(machine, node_open(NULL, &options, NODE_WRITE, machine->diags, &machine->node));
	assert_non_null(machine->node->kernel);
}

static void machine_down(struct machine *machine)
{
	char command[128];

	talloc_free(machine->node);
	kernel_close(machine->kernel);
	kernel_detach_all(machine->pins, machine->diags);
	talloc_free(machine->diags);
	snprintf(command, sizeof(command), "rm -rf %s", machine->dir);
	assert_int_equal(system(command), 0);
}

static int pair_up(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	machine_up(&pair->a, "a");
	machine_up(&pair->b, "b");
	*state = pair;
	return 0;
}

static int pair_down(void **state)
{
	struct pair *pair = *state;

	machine_down(&pair->a);
	machine_down(&pair->b);
	free(pair);
	return 0;
}

/* --- picks --- */

/* The same in every run. */
static uint32_t random_below(uint32_t limit)
{
	static uint64_t random = 0x853c49e6748fea9bull;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return (uint32_t)((random * 0x2545f4914f6cdd1dull) >> 32) % limit;
}

static struct kernel_connection connection_random(void)
{
	bool is_v4 = random_below(2), is_tcp = random_below(2);
	unsigned service = 1 + random_below(4);
	char vip[32];
	struct kernel_connection c = { .source.family = is_v4 ? 4 : 6,
				       .source_port = 1 + random_below(65535),
				       .destination_port = is_tcp ? 80 : 53,
				       .protocol = is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP };

	for (unsigned i = 0; i < (is_v4 ? 4 : 16); i++)
		c.source.bytes[i] = random_below(256);
	/* A half of the clients is near the rules' prefixes. */
	if (random_below(2))
		c.source.bytes[0] = is_v4 ? 10 : 0xfd;
	snprintf(vip, sizeof(vip), is_v4 ? "10.96.0.%u" : "fd96::%u", service);
	assert_int_equal(addr_parse(vip, &c.destination), 0);
	return c;
}

struct tally {
	unsigned by_rule[3], versions[4]; /* IPv4's and IPv6's rule, none */
	unsigned indices_differ;
};

/* By what they mean: a version's key, an endpoint's address and port. Indices are each node's own.
 */
static void picks_equal(const struct pair *pair, const struct kernel_connection *c,
			struct tally *tally)
{
	const struct kernel *a = pair->a.node->kernel, *b = pair->b.node->kernel;
	struct kernel_explain one, other;
	const struct sl_endpoint *to, *also;
	const char *key;

	assert_int_equal(kernel_explain(a, c, &one), 0);
	assert_int_equal(kernel_explain(b, c, &other), 0);
	assert_true(one.is_ours && other.is_ours && !one.is_refused && !other.is_refused);
	if (one.hash != other.hash || one.slot != other.slot || one.rule != other.rule)
		fail_msg("hash %llx and %llx, slot %u and %u, rule %d and %d",
			 (unsigned long long)one.hash, (unsigned long long)other.hash, one.slot,
			 other.slot, one.rule, other.rule);
	key = kernel_version(a, one.version)->key;
	assert_string_equal(key, kernel_version(b, other.version)->key);
	to = kernel_endpoint(a, one.endpoint);
	also = kernel_endpoint(b, other.endpoint);
	if (memcmp(to->addr, also->addr, sizeof(to->addr)) || to->port != also->port)
		fail_msg("another endpoint of %s at place %u and %u", key, one.place, other.place);
	tally->by_rule[one.rule < 0 ? 2 : c->source.family == 6]++;
	tally->versions[strstr(key, "|v1|") ? 1 : strstr(key, "|v2|") ? 2 : 3]++;
	tally->indices_differ += one.endpoint != other.endpoint || one.version != other.version;
}

static void two_nodes_pick_alike(void **state)
{
	static const unsigned final[3] = { 50, 30, 20 }, early[3] = { 1, 98, 1 };
	struct pair *pair = *state;
	struct tally tally = {};

	config_apply(&pair->a, 1, 4, 1, final);
	for (unsigned i = 0; i < 5; i++)
		config_apply(&pair->b, 3, 6, 2 + i % 2, early);
	config_apply(&pair->b, 2, 3, 0, early);
	config_apply(&pair->b, 1, 4, 1, final);
	assert_memory_equal(pair->a.node->digest, pair->b.node->digest, STORE_DIGEST_SIZE);
	for (unsigned i = 0; i < KEYS; i++) {
		struct kernel_connection c = connection_random();

		picks_equal(pair, &c, &tally);
	}
	/* Or the comparison would have been of one thing with itself. */
	assert_true(tally.indices_differ > KEYS / 2);
	for (unsigned i = 0; i < 3; i++)
		assert_true(tally.by_rule[i] && tally.versions[i + 1] > KEYS / 10);
}

/* Another seed is another choice: what is equal above is not equal by construction. */
static void another_seed_picks_otherwise(void **state)
{
	static const unsigned weights[3] = { 50, 30, 20 };
	struct pair *pair = *state;
	struct tally tally = {};
	unsigned same = 0;

	config_apply(&pair->a, 1, 4, 1, weights);
	config_apply(&pair->b, 1, 4, 1, weights);
	assert_memory_equal(pair->a.node->digest, pair->b.node->digest, STORE_DIGEST_SIZE);
	for (unsigned i = 0; i < 1000; i++) {
		struct kernel_connection c = connection_random();

		picks_equal(pair, &c, &tally);
	}
	control_of(pair->b.node->kernel)->seed[0]++;
	for (unsigned i = 0; i < 10000; i++) {
		struct kernel_connection c = connection_random();
		struct kernel_explain one, other;

		assert_int_equal(kernel_explain(pair->a.node->kernel, &c, &one), 0);
		assert_int_equal(kernel_explain(pair->b.node->kernel, &c, &other), 0);
		same += one.hash == other.hash;
	}
	assert_int_equal(same, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_nodes_pick_alike, pair_up, pair_down),
		cmocka_unit_test_setup_teardown(another_seed_picks_otherwise, pair_up, pair_down),
	};

	return cmocka_run_group_tests_name("two nodes", tests, NULL, NULL);
}
