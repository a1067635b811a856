// SPDX-License-Identifier: Apache-2.0
/* The node over a real data plane: every way to a revision and back, several committers, and
 * committers that are killed. */
#include "tables.h"

#include "user/input/input.h"
#include "user/node/node.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

struct fixture {
	struct bench bench;
	char dir[64];
	struct node *node;
	struct node_result result;
};

static const struct node_change change = { .author = "ann", .command = "apply" };

/* --- texts --- */

#define VIP_OF(i) ((i) ? "10.96.0.2" : "10.96.0.1")
static const char *const names[] = { "reviews", "ratings" };

/* Address: 10.1.SERVICE.10 for v1, 10.1.SERVICE.30 + `last` for v3. */
static char *text_entry(char *text, int service, int last)
{
	return talloc_asprintf_append_buffer(
		text,
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
		"metadata: {name: %s, namespace: default}\nspec:\n  hosts: [%s.example]\n"
		"  addresses: [%s]\n  ports: [{number: 80, name: tcp, protocol: TCP}]\n"
		"  resolution: STATIC\n  location: MESH_INTERNAL\n  endpoints:\n"
		"  - {address: 10.1.%d.10, labels: {version: v1}}\n"
		"  - {address: 10.1.%d.%d, labels: {version: v3}}\n---\n"
		"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		"metadata: {name: %s, namespace: default}\nspec:\n  host: %s.example\n  subsets:\n"
		"  - {name: v1, labels: {version: v1}}\n  - {name: v3, labels: {version: "
		"v3}}\n---\n",
		names[service], names[service], VIP_OF(service), service, service, 30 + last,
		names[service], names[service]);
}

static char *text_weights(char *text, int service, unsigned v1, unsigned v3)
{
	text = talloc_asprintf_append_buffer(
		text,
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		"metadata: {name: %s, namespace: default}\nspec:\n  hosts: [%s.example]\n  tcp:\n"
		"  - route:\n",
		names[service], names[service]);
	if (v1)
		text = talloc_asprintf_append_buffer(
			text, "    - {destination: {host: %s.example, subset: v1}, weight: %u}\n",
			names[service], v1);
	if (v3)
		text = talloc_asprintf_append_buffer(
			text, "    - {destination: {host: %s.example, subset: v3}, weight: %u}\n",
			names[service], v3);
	return talloc_asprintf_append_buffer(text, "---\n");
}

static char *text_both(void *parent, unsigned v1, unsigned v3, int last)
{
	char *text = talloc_strdup(parent, "");

	for (int i = 0; i < 2; i++)
		text = text_weights(text_entry(text, i, last), i, v1, v3);
	return text;
}

/* --- the node --- */

static int node_try(struct fixture *f)
{
	struct node_options options = { .state_dir = f->dir,
					.pin_dir = f->bench.pins,
					.timeout_ms = 30000,
					.command = "test" };

	talloc_free(f->node);
	f->node = NULL;
	bench_hush(&f->bench);
	return node_open(NULL, &options, NODE_WRITE, f->bench.diags, &f->node);
}

static void node_reopen(struct fixture *f)
{
	int err = node_try(f);

	if (err)
		diags_print(f->bench.diags, stderr, false);
	assert_int_equal(err, 0);
	assert_non_null(f->node->kernel);
}

static int text_apply(struct fixture *f, const char *text, const struct node_change *how)
{
	struct input_text input = { .name = "test.yaml", .data = text, .size = strlen(text) };
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	struct input_result read;
	int err = input_apply(scratch, &input, 1, INPUT_MERGE, f->node->model, f->node->inventory,
			      f->bench.diags, &read);

	if (!err)
		err = node_commit(f->node, read.model, read.inventory, how, f->bench.diags, f->node,
				  &f->result);
	if (err)
		diags_print(f->bench.diags, stderr, false);
	return err;
}

static int both_try(struct fixture *f, unsigned v1, unsigned v3, int last,
		    const struct node_change *how)
{
	_cleanup_talloc_ char *text = text_both(NULL, v1, v3, last);

	return text_apply(f, text, how);
}

static uint32_t both_apply(struct fixture *f, unsigned v1, unsigned v3, int last)
{
	assert_int_equal(both_try(f, v1, v3, last, &change), 0);
	return f->result.revision;
}

static void rollback(struct fixture *f, uint32_t number, uint32_t wanted)
{
	int err = node_rollback(f->node, number, &change, f->bench.diags, f->node, &f->result);

	if (err)
		diags_print(f->bench.diags, stderr, false);
	assert_int_equal(err, 0);
	assert_int_equal(f->result.revision, wanted);
	assert_int_equal(kernel_obeyed(f->node->kernel), wanted);
}

static void is_clean(struct fixture *f)
{
	int found = node_reconcile(f->node, false, f->bench.diags);

	if (found)
		diags_print(f->bench.diags, stderr, false);
	assert_int_equal(found, 0);
	assert_int_equal(kernel_active(f->node->kernel), f->node->active);
}

/* The last byte of the address that a new connection to a service is sent to; 0 when it is not
 * sent. */
static int sent_to(const struct fixture *f, int service, uint16_t port)
{
	struct kernel_connection c = connection_of("192.0.2.1", VIP_OF(service), port, 80);
	struct sent sent = packet_send(f->bench.door, &c, SYN);

	return sent.code == (uint32_t)TC_ACT_UNSPEC && sent.port == 80 &&
			       sent.destination.bytes[2] == service
		       ? sent.destination.bytes[3]
		       : 0;
}

static void all_go_to(const struct fixture *f, int last)
{
	for (uint16_t port = 5000; port < 5010; port++)
		for (int service = 0; service < 2; service++)
			assert_int_equal(sent_to(f, service, port), last);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/sluice-node-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	bench_name(&f->bench);
	bench_create(&f->bench);
	node_reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	talloc_free(f->node);
	bench_shut(&f->bench);
	kernel_detach_all(f->bench.pins, f->bench.diags);
	talloc_free(f->bench.diags);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

/* --- ways to a revision and back --- */

static void commits_reach_the_doors(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(both_apply(f, 1, 0, 0), 1);
	all_go_to(f, 10);
	assert_int_equal(both_apply(f, 0, 1, 0), 2);
	all_go_to(f, 30);
	is_clean(f);
	assert_int_equal(both_apply(f, 0, 1, 1), 2);
	assert_true(f->result.members_changed);
	all_go_to(f, 31);
	is_clean(f);
	rollback(f, 0, 1);
	all_go_to(f, 10);
	rollback(f, 0, 2);
	all_go_to(f, 31);
	is_clean(f);
}

/* Promise 3, without any process: the old revision's own version is kept current while nobody uses
 * it. */
static void churn_reaches_what_only_older_revisions_use(void **state)
{
	struct fixture *f = *state;

	both_apply(f, 0, 1, 0);
	both_apply(f, 1, 0, 0);
	both_apply(f, 1, 0, 7);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) = 1;
	all_go_to(f, 37);
}

static void an_evicted_revision_is_built_anew(void **state)
{
	struct fixture *f = *state;

	both_apply(f, 0, 1, 0);
	for (unsigned i = 1; i <= SL_HOT_MAX + 4; i++)
		both_apply(f, i, 1, 0);
	both_apply(f, 1, 0, 9);
	assert_false(kernel_is_hot(f->node->kernel, 1));
	rollback(f, 1, 1);
	all_go_to(f, 39);
	is_clean(f);
	rollback(f, 0, SL_HOT_MAX + 6);
	all_go_to(f, 10);
	is_clean(f);
}

static void a_flip_by_hand_is_followed(void **state)
{
	struct fixture *f = *state;

	both_apply(f, 1, 0, 0);
	both_apply(f, 0, 1, 0);
	both_apply(f, 1, 1, 0);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) = 1;
	all_go_to(f, 10);
	node_reopen(f);
	assert_int_equal(f->node->active, 1);
	assert_int_equal(f->node->previous, 3);
	is_clean(f);
	rollback(f, 0, 3);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) = 2;
	node_reopen(f);
	assert_int_equal(both_apply(f, 1, 0, 0), 4);
	assert_int_equal(f->node->previous, 2);
	rollback(f, 0, 2);
	all_go_to(f, 30);
	is_clean(f);
}

static void junk_in_the_word_is_put_right(void **state)
{
	struct fixture *f = *state;

	both_apply(f, 1, 0, 0);
	both_apply(f, 0, 1, 0);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) = 0xdeadbeef;
	all_go_to(f, 30);
	node_reopen(f);
	assert_int_equal(f->node->active, 2);
	assert_int_equal(node_reconcile(f->node, false, f->bench.diags), 1);
	assert_int_equal(node_reconcile(f->node, true, f->bench.diags), 1);
	is_clean(f);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) =
		3; /* the next number: a commit must not be obeyed early */
	node_reopen(f);
	assert_true(both_apply(f, 1, 0, 0) > 3);
	all_go_to(f, 10);
	is_clean(f);
}

/* Nothing but the folder is left, as after the machine was started anew. */
static void pins_that_are_gone_come_back(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 20; i++)
		both_apply(f, i, 1, 0);
	talloc_free(f->node);
	f->node = NULL;
	bench_shut(&f->bench);
	assert_int_equal(kernel_detach_all(f->bench.pins, f->bench.diags), 0);
	bench_create(&f->bench);
	node_reopen(f);
	assert_int_equal(f->node->active, 20);
	assert_true(node_reconcile(f->node, true, f->bench.diags) > 0);
	is_clean(f);
	for (uint32_t revision = 20; revision > 20 - SL_HOT_MIN; revision--)
		assert_true(kernel_is_hot(f->node->kernel, revision));
	rollback(f, 19, 19);
	is_clean(f);
}

/* A file of endpoints that is no longer there is not one that names none: what serves goes on. */
static void endpoints_that_are_gone_are_lost(void **state)
{
	const struct node_change whole = { .author = "ann", .command = "apply", .is_whole = true };
	struct fixture *f = *state;
	char path[96];

	both_apply(f, 1, 0, 0);
	snprintf(path, sizeof(path), "%s/endpoints.yaml", f->dir);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 2; i++) {
		node_reopen(f);
		assert_true(bench_said(&f->bench, "endpoints.yaml is gone"));
		assert_int_equal(node_reconcile(f->node, true, f->bench.diags), 0);
		assert_true(bench_said(&f->bench, "left as it is"));
		all_go_to(f, 10);
		assert_int_equal(both_try(f, 0, 1, 0, &change), -EBADMSG);
		all_go_to(f, 10);
	}
	assert_int_equal(both_try(f, 1, 0, 0, &whole), 0);
	node_reopen(f);
	assert_int_equal(f->bench.diags->count, 0);
	is_clean(f);
}

/* A commit that died after the disk and before the rings; the version that changed is not the
 * active revision's. */
static void rings_of_older_revisions_are_reconciled(void **state)
{
	struct fixture *f = *state;
	char pins[64];

	both_apply(f, 0, 1, 0);
	both_apply(f, 1, 0, 0);
	strcpy(pins, f->bench.pins);
	strcpy(f->bench.pins, "/nowhere");
	assert_int_equal(node_try(f), 0);
	both_apply(f, 1, 0, 5);
	strcpy(f->bench.pins, pins);
	node_reopen(f);
	assert_true(node_reconcile(f->node, true, f->bench.diags) > 0);
	is_clean(f);
	assert_int_equal(node_reconcile(f->node, true, f->bench.diags), 0);
	*MAPPED(f->node->kernel, MAP_ACTIVE, uint32_t) = 1;
	all_go_to(f, 35);
}

/* --- several at once --- */

static int committer_run(struct fixture *f, unsigned who)
{
	for (unsigned i = 0; i < 20; i++) {
		_cleanup_talloc_ char *text =
			text_weights(talloc_strdup(NULL, ""), who % 2, 1 + who, 1000 + i);

		if (node_try(f) || text_apply(f, text, &change) || !f->result.is_new)
			return 1;
	}
	talloc_free(f->node);
	return 0;
}

static void history_is_linear(struct fixture *f, uint32_t last)
{
	struct store_revision revision;

	for (uint32_t number = 2; number <= last; number++) {
		assert_int_equal(
			store_load(f->node->store, f->node, number, f->bench.diags, &revision), 0);
		assert_int_equal(revision.parent, number - 1);
	}
}

static void four_committers_take_turns(void **state)
{
	struct fixture *f = *state;
	pid_t pids[4];
	int status;

	both_apply(f, 1, 0, 0);
	talloc_free(f->node); /* the lock */
	f->node = NULL;
	for (unsigned i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(committer_run(f, i));
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	node_reopen(f);
	assert_int_equal(f->node->active, 81);
	history_is_linear(f, 81);
	is_clean(f);
}

/* --- killed committers --- */

struct traffic {
	pthread_t thread;
	const struct fixture *f;
	atomic_bool done;
	unsigned wrong, sent;
};

static void *traffic_run(void *arg)
{
	struct traffic *traffic = arg;

	for (uint16_t port = 1024; !atomic_load(&traffic->done); port++) {
		int last = sent_to(traffic->f, port & 1, port | 1024);

		traffic->wrong += last != 10 && (last < 30 || last > 33);
		traffic->sent++;
		usleep(50);
	}
	return NULL;
}

/* Both services to v1, both to v3, and so on; sometimes with other endpoints, sometimes back. */
static void committer_forever(struct fixture *f, unsigned seed)
{
	for (unsigned i = seed;; i++) {
		_cleanup_talloc_ char *text = text_both(NULL, i & 1, !(i & 1), i / 3 % 4);

		if (node_try(f))
			_exit(1);
		if (i % 7 == 6)
			node_rollback(f->node, 0, &change, f->bench.diags, f->node, &f->result);
		else if (text_apply(f, text, &change))
			_exit(1);
	}
}

/* Whatever hot revision somebody flips to by hand has the endpoints of today. */
static void no_hot_revision_is_stale(struct fixture *f)
{
	uint32_t *word = MAPPED(f->bench.kernel, MAP_ACTIVE, uint32_t), active = *word;
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(f->bench.kernel, hot);
	int today = 0;

	for (size_t i = 0; i < count; i++) {
		int last;

		*word = hot[i].number;
		last = sent_to(f, 0, 701);
		if (today && last != 10 && last != today)
			fail_msg("revision %u sends to .%d, others to .%d", hot[i].number, last,
				 today);
		today = last == 10 ? today : last;
	}
	*word = active;
}

static void killed_at_some_moment(struct fixture *f, unsigned seed)
{
	pid_t pid = fork();
	int status, one, other;

	if (!pid)
		committer_forever(f, seed);
	usleep(random_below(60000));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	one = sent_to(f, 0, 700);
	other = sent_to(f, 1, 700);
	assert_true(one && other);
	assert_int_equal(one == 10, other == 10);
	node_reopen(f);
	assert_true(node_reconcile(f->node, true, f->bench.diags) >= 0);
	is_clean(f);
	no_hot_revision_is_stale(f);
	talloc_free(f->node);
	f->node = NULL;
	assert_int_equal(sent_to(f, 0, 700), sent_to(f, 1, 700));
}

static uint32_t orphan_count(struct fixture *f)
{
	struct sl_revision hot[SL_HOT_MAX];
	size_t count = kernel_revisions(f->bench.kernel, hot);
	uint32_t services = map_count(&f->bench, MAP_SERVICES);

	for (size_t i = 0; i < count; i++)
		services -= hot[i].services;
	return services;
}

static void fifty_kills_leave_a_whole_node(void **state)
{
	struct fixture *f = *state;
	struct traffic traffic = { .f = f };

	both_apply(f, 1, 0, 0);
	talloc_free(f->node);
	f->node = NULL;
	pthread_create(&traffic.thread, NULL, traffic_run, &traffic);
	for (unsigned i = 0; i < 50; i++)
		killed_at_some_moment(f, i * 5);
	atomic_store(&traffic.done, true);
	pthread_join(traffic.thread, NULL);
	if (traffic.wrong)
		fail_msg("%u of %u packets went wrong", traffic.wrong, traffic.sent);
	node_reopen(f);
	both_apply(f, 3, 5, 0);
	assert_int_equal(orphan_count(f), 0);
	assert_int_equal(counted(&f->bench).drop_table, 0);
	assert_int_equal(counted(&f->bench).pass_unmatched, 0);
	is_clean(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(commits_reach_the_doors),
		TEST(churn_reaches_what_only_older_revisions_use),
		TEST(an_evicted_revision_is_built_anew),
		TEST(a_flip_by_hand_is_followed),
		TEST(junk_in_the_word_is_put_right),
		TEST(pins_that_are_gone_come_back),
		TEST(endpoints_that_are_gone_are_lost),
		TEST(rings_of_older_revisions_are_reconciled),
		TEST(four_committers_take_turns),
		TEST(fifty_kills_leave_a_whole_node),
	};

	return cmocka_run_group_tests_name("node over the kernel", tests, NULL, NULL);
}
