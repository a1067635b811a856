// SPDX-License-Identifier: Apache-2.0
/* The node on disk alone (no data plane): what makes a revision, and every way back. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/input/input.h"
#include "user/node/node.h"
#include "user/store/file.h"
#include "user/store/seal.h"

#define SERVICE_OF(name, vip)                                                                      \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: default}\n"          \
	"spec:\n  clusterIP: " vip "\n  selector: {app: " name "}\n"                               \
	"  ports: [{name: http, port: 9080}]\n---\n"                                               \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"                              \
	"metadata: {name: " name ", namespace: default}\n"                                         \
	"spec:\n  host: " name "\n  subsets:\n"                                                    \
	"  - {name: v1, labels: {version: v1}}\n  - {name: v3, labels: {version: v3}}\n---\n"
#define WEIGHTS_OF(name, v1, v3)                                                                   \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\n"                               \
	"metadata: {name: " name ", namespace: default}\n"                                         \
	"spec:\n  hosts: [" name "]\n  http:\n  - route:\n"                                        \
	"    - {destination: {host: " name ", subset: v1}, weight: " v1 "}\n"                      \
	"    - {destination: {host: " name ", subset: v3}, weight: " v3 "}\n---\n"
#define SLICE(address)                                                                             \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                                   \
	"metadata: {name: reviews-1, namespace: default, "                                         \
	"labels: {kubernetes.io/service-name: reviews}}\n"                                         \
	"addressType: IPv4\nports: [{name: http, port: 9080, protocol: TCP}]\n"                    \
	"endpoints: [{addresses: [" address "], conditions: {ready: true}}]\n---\n"

#define BASE SERVICE_OF("reviews", "10.0.0.1") SERVICE_OF("ratings", "10.0.0.2")
#define REVIEWS "reviews.default.svc.cluster.local"
#define RATINGS "ratings.default.svc.cluster.local"

static const char *const both_90 =
	BASE WEIGHTS_OF("reviews", "90", "10") WEIGHTS_OF("ratings", "90", "10");
static const char *const reviews_50 = WEIGHTS_OF("reviews", "50", "50");
static const char *const reviews_20 = WEIGHTS_OF("reviews", "20", "80");
static const char *const ratings_50 = WEIGHTS_OF("ratings", "50", "50");

struct fixture {
	char dir[64];
	struct diags *diags;
	struct node *node;
	struct node_result result;
};

static const struct node_change change = { .author = "ann", .command = "apply" };
static const struct node_change whole = { .author = "ann", .command = "apply", .is_whole = true };

static void reopen(struct fixture *f, enum node_mode mode, bool lazy)
{
	struct node_options options = {
		.state_dir = f->dir,
		.pin_dir = "/nowhere/sluice",
		.timeout_ms = 1,
		.command = "test",
		.lazy = lazy,
	};

	talloc_free(f->node);
	f->node = NULL;
	talloc_free(f->diags);
	f->diags = diags_new(f);
	assert_int_equal(node_open(f, &options, mode, f->diags, &f->node), 0);
}

static int setup(void **state)
{
	struct fixture *f = talloc_zero(NULL, struct fixture);

	strcpy(f->dir, "/tmp/sluice-node-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	reopen(f, NODE_WRITE, false);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	talloc_free(f);
	return system(command);
}

static int apply_as(struct fixture *f, const char *text, const struct node_change *how)
{
	struct input_text input = { .name = "test.yaml", .data = text, .size = strlen(text) };
	struct input_result read;
	int err = input_apply(f, &input, 1, INPUT_MERGE, f->node->model, f->node->inventory,
			      f->diags, &read);

	assert_int_equal(err, 0);
	return node_commit(f->node, read.model, read.inventory, how, f->diags, f, &f->result);
}

static void apply(struct fixture *f, const char *text, uint32_t wanted, bool is_new)
{
	assert_int_equal(apply_as(f, text, &change), 0);
	assert_int_equal(f->result.revision, wanted);
	assert_int_equal(f->result.is_new, is_new);
}

static uint32_t weight_of(const struct fixture *f, const char *host)
{
	struct service *service = model_service_find(f->node->model, host);

	assert_non_null(service);
	return service->rules[0].destinations[0].weight;
}

static const char *last_text(const struct fixture *f)
{
	return f->diags->count ? f->diags->list[f->diags->count - 1].text : "";
}

static void damage(const struct fixture *f, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "X", 1, 200), 1);
	close(fd);
}

static bool has_said(const struct fixture *f, const char *text)
{
	for (size_t i = 0; i < f->diags->count; i++) {
		if (strstr(f->diags->list[i].text, text))
			return true;
	}
	return false;
}

/* Opening it is refused: its last error says why. */
static void open_fails(struct fixture *f, int wanted, const char *text)
{
	struct node_options options = { .state_dir = f->dir, .pin_dir = "/nowhere/sluice" };

	talloc_free(f->node);
	f->node = NULL;
	talloc_free(f->diags);
	f->diags = diags_new(f);
	assert_int_equal(node_open(f, &options, NODE_WRITE, f->diags, &f->node), wanted);
	assert_int_equal(f->diags->errors, 1);
	assert_non_null(strstr(last_text(f), text));
}

/* A file as another release may write it: the digest fits, whatever it holds. */
static void seal(const struct fixture *f, const char *name, const char *head, const char *body)
{
	_cleanup_close_ int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t digest[STORE_DIGEST_SIZE];

	assert_int_equal(seal_stage(dir, name, head, body, digest), 0);
	assert_int_equal(file_place(dir, name), 0);
}

#define HEAD_OF(number, parent)                                                                    \
	"# sluice revision " number "\n# parent " parent "\n# time 2025-12-31T23:59:59Z\n"         \
	"# author bob\n# reason later\n# members \n"

static void is_kept(const struct fixture *f, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(access(path, F_OK), 0);
}

static void commit_makes_a_revision(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	assert_string_equal(f->result.summary,
			    "+ ratings.default: v1 90, v3 10\n+ reviews.default: v1 90, v3 10");
	assert_string_equal(last_text(f), "no data plane on this node: stored; sluiced loads it");
	apply(f, reviews_50, 2, true);
	assert_string_equal(f->result.summary,
			    "~ reviews.default: v1 50, v3 50 (was v1 90, v3 10)");
	assert_int_equal(f->node->active, 2);

	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 2);
	assert_int_equal(f->node->previous, 1);
	assert_int_equal(weight_of(f, REVIEWS), 50);
	assert_int_equal(weight_of(f, RATINGS), 90);
}

static void history_says_who_when_and_why(void **state)
{
	static const struct node_change with_reason = {
		.author = "bob",
		.reason = "canary\nto half",
		.command = "weight",
	};
	struct fixture *f = *state;
	struct store_revision *list;
	size_t count;

	apply(f, both_90, 1, true);
	assert_int_equal(apply_as(f, reviews_50, &with_reason), 0);
	assert_int_equal(store_list(f->node->store, f, f->diags, &list, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].author, "bob");
	assert_string_equal(list[0].reason, "canary\nto half");
	assert_int_equal(list[0].parent, 1);
	assert_string_equal(list[1].author, "ann");
	assert_string_equal(list[1].reason, "apply");
	assert_true(list[1].time > 1700000000);
	assert_memory_equal(list[0].digest, f->node->digest, STORE_DIGEST_SIZE);
}

static void same_model_makes_no_revision(void **state)
{
	struct fixture *f = *state;

	apply(f, "", 0, false);
	apply(f, both_90, 1, true);
	apply(f, both_90, 1, false);
	reopen(f, NODE_WRITE, false);
	apply(f, both_90, 1, false);
	assert_string_equal(f->result.summary, "");
	assert_false(f->result.members_changed);
}

/* Promise 3: membership is no intent. */
static void endpoint_change_makes_no_revision(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, SLICE("10.1.0.1"), 1, false);
	assert_true(f->result.members_changed);
	apply(f, SLICE("10.1.0.1"), 1, false);
	assert_false(f->result.members_changed);
	reopen(f, NODE_WRITE, false);
	apply(f, SLICE("10.1.0.1"), 1, false);
	assert_false(f->result.members_changed);
	apply(f, SLICE("10.1.0.2"), 1, false);
	assert_true(f->result.members_changed);

	/* And going back does not bring back who has gone. */
	apply(f, reviews_50, 2, true);
	assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 1);
	assert_int_equal(f->node->inventory->group_count, 1);
	assert_int_equal(f->node->inventory->groups[0].endpoints[0].addr.bytes[3], 2);
}

static void dry_run_changes_nothing(void **state)
{
	static const struct node_change dry = { .author = "ann", .dry_run = true };
	struct fixture *f = *state;
	struct store_revision *list;
	size_t count;

	apply(f, both_90, 1, true);
	reopen(f, NODE_READ, false);
	assert_int_equal(apply_as(f, reviews_50, &dry), 0);
	assert_true(f->result.is_new);
	assert_int_equal(f->result.revision, 1);
	assert_string_equal(f->result.summary,
			    "~ reviews.default: v1 50, v3 50 (was v1 90, v3 10)");
	assert_int_equal(apply_as(f, SLICE("10.1.0.1"), &dry), 0);
	assert_true(f->result.members_changed);
	assert_int_equal(weight_of(f, REVIEWS), 90);

	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 1);
	assert_int_equal(f->node->inventory->group_count, 0);
	assert_int_equal(store_list(f->node->store, f, f->diags, &list, &count), 0);
	assert_int_equal(count, 1);
}

/* A dry run on a fresh machine, where there is no state folder. */
static void dry_run_needs_no_folder(void **state)
{
	static const struct node_change dry = { .author = "ann", .dry_run = true };
	struct fixture *f = *state;

	strcat(f->dir, "/none");
	reopen(f, NODE_READ, false);
	assert_int_equal(apply_as(f, both_90, &dry), 0);
	assert_true(f->result.is_new);
	assert_int_equal(access(f->dir, F_OK), -1);
	*strrchr(f->dir, '/') = '\0';
}

static void bad_plan_changes_nothing(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	assert_int_equal(apply_as(f, SERVICE_OF("reviews", "10.0.0.2"), &change), -EINVAL);
	assert_true(f->diags->errors);
	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 1);
	assert_int_equal(f->node->model->services[1].vips[0].bytes[3], 1);
}

static void rollback_toggles(void **state)
{
	static const bool lazy[] = { false, true };
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), -ENOENT);
	apply(f, reviews_50, 2, true);
	for (size_t i = 0; i < ARRAY_SIZE(lazy); i++) {
		reopen(f, NODE_WRITE, lazy[i]);
		assert_true(!f->node->model == lazy[i]);
		assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
		assert_int_equal(f->result.revision, 1);
		assert_false(f->result.is_new);
		assert_string_equal(f->result.summary,
				    lazy[i] ? ""
					    : "~ reviews.default: v1 90, v3 10 (was v1 50, v3 50)");
		assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
		assert_int_equal(f->result.revision, 2);
		assert_int_equal(node_load(f->node, f->diags), 0);
		assert_int_equal(weight_of(f, REVIEWS), 50);
	}
	assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
	assert_int_equal(weight_of(f, REVIEWS), 90);
	/* A change after that goes on from where we are, and its parent says so. */
	apply(f, reviews_20, 3, true);
	assert_string_equal(f->result.summary,
			    "~ reviews.default: v1 20, v3 80 (was v1 90, v3 10)");
	assert_int_equal(f->node->previous, 1);
}

static void rollback_to_a_number(void **state)
{
	static const struct node_change dry = { .dry_run = true };
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, reviews_20, 3, true);
	assert_int_equal(node_rollback(f->node, 1, &dry, f->diags, f, &f->result), 0);
	assert_int_equal(f->result.revision, 3);
	assert_string_equal(f->result.summary,
			    "~ reviews.default: v1 90, v3 10 (was v1 20, v3 80)");
	assert_int_equal(node_rollback(f->node, 1, &change, f->diags, f, &f->result), 0);
	assert_int_equal(f->result.revision, 1);
	assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
	assert_int_equal(f->result.revision, 3);
	assert_int_equal(node_rollback(f->node, 9, &change, f->diags, f, &f->result), -ENOENT);
	assert_non_null(strstr(last_text(f), "there is no revision 9"));
	assert_int_equal(node_rollback(f->node, 3, &change, f->diags, f, &f->result), 0);
	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 3);
	assert_int_equal(f->node->previous, 1);
}

static void service_rollback(struct fixture *f, const char *host, uint32_t number)
{
	assert_int_equal(
		node_rollback_service(f->node, host, number, &change, f->diags, f, &f->result), 0);
}

static void rollback_of_a_service_toggles(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, ratings_50, 3, true);
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(f->result.revision, 4);
	assert_string_equal(f->result.summary,
			    "~ reviews.default: v1 90, v3 10 (was v1 50, v3 50)");
	assert_int_equal(weight_of(f, RATINGS), 50);
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(f->result.revision, 5);
	assert_int_equal(weight_of(f, REVIEWS), 50);
	service_rollback(f, RATINGS, 0);
	assert_int_equal(weight_of(f, RATINGS), 90);
	assert_int_equal(weight_of(f, REVIEWS), 50);
	service_rollback(f, REVIEWS, 1);
	assert_int_equal(weight_of(f, REVIEWS), 90);
	/* As it is already: nothing to make. */
	service_rollback(f, REVIEWS, 1);
	assert_false(f->result.is_new);
}

static void rollback_of_a_service_keeps_its_address(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, SERVICE_OF("reviews", "10.0.0.9"), 3, true);
	assert_string_equal(f->result.summary, "~ reviews.default: addresses changed");
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(weight_of(f, REVIEWS), 90);
	assert_int_equal(model_service_find(f->node->model, REVIEWS)->vips[0].bytes[3], 9);
}

static void rollback_of_a_service_that_never_differed(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, ratings_50, 2, true);
	assert_int_equal(
		node_rollback_service(f->node, REVIEWS, 0, &change, f->diags, f, &f->result),
		-ENOENT);
	assert_non_null(strstr(last_text(f), "has other rules of it"));
	assert_int_equal(
		node_rollback_service(f->node, "none", 0, &change, f->diags, f, &f->result),
		-ENOENT);
	assert_int_equal(f->node->active, 2);
}

/* The whole node went back, so what was active a moment ago led to nothing that is. */
static void rollback_of_a_service_after_one_of_the_node(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, reviews_20, 3, true);
	apply(f, ratings_50, 4, true);
	assert_int_equal(node_rollback(f->node, 1, &change, f->diags, f, &f->result), 0);
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(f->result.revision, 5);
	assert_int_equal(weight_of(f, REVIEWS), 20);
	assert_int_equal(weight_of(f, RATINGS), 90);
	assert_int_equal(f->diags->errors, 0);
}

static void rollback_says_who_when_and_why(void **state)
{
	static const struct node_change why = { .author = "bob", .reason = "too slow" };
	struct store_activation got;
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	assert_int_equal(store_activation(f->node->store, f, &got), -ENOENT);
	assert_int_equal(node_rollback(f->node, 0, &why, f->diags, f, &f->result), 0);
	assert_int_equal(store_activation(f->node->store, f, &got), 0);
	assert_true(got.active == 1 && got.previous == 2 && got.time > 0);
	assert_string_equal(got.author, "bob");
	assert_string_equal(got.reason, "too slow");
	/* A change says it in its revision. */
	apply(f, reviews_20, 3, true);
	assert_int_equal(store_activation(f->node->store, f, &got), -ENOENT);
}

static void damaged_revision_is_set_aside(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, reviews_20, 3, true);
	damage(f, "revisions/0000000002.yaml");
	reopen(f, NODE_WRITE, false);
	assert_int_equal(f->node->active, 3);
	assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), -EBADMSG);
	assert_int_equal(f->node->active, 3);
	/* A hole in the history is no end of it. */
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(weight_of(f, REVIEWS), 90);
	assert_int_equal(node_rollback(f->node, 1, &change, f->diags, f, &f->result), 0);
}

static void damaged_active_revision_falls_back(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, reviews_20, 3, true);
	damage(f, "revisions/0000000003.yaml");
	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 2);
	assert_int_equal(f->diags->warnings, 2);
	reopen(f, NODE_WRITE, false);
	assert_int_equal(weight_of(f, REVIEWS), 50);
	apply(f, reviews_20, 4, true);
	reopen(f, NODE_READ, false);
	assert_int_equal(f->node->active, 4);
	assert_int_equal(f->diags->count, 0);
}

/* The newer release's revision is active, and this one is what runs again. */
static void way_back_from_what_cannot_be_read(void **state)
{
	static const struct {
		const char *head, *body, *said;
		int err;
	} rows[] = {
		{ HEAD_OF("3", "2") "# format 2\n", "", "another release wrote it; run that one",
		  -EPROTO },
		{ HEAD_OF("3", "2"), "apiVersion: sluice.dev/v2\nkind: Guard\n",
		  "run the release that wrote it, or `sluice rollback`", -EINVAL },
		{ HEAD_OF("3", "2"), "apiVersion: later.dev/v1\nkind: Later\nmetadata: {name: a}\n",
		  "run the release that wrote it, or `sluice rollback`", -EINVAL },
		{ HEAD_OF("3", "2"),
		  "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
		  "spec:\n  clusterIP: 10.0.0.1\n  laterField: 7\n  ports: [{port: 80}]\n",
		  "run the release that wrote it, or `sluice rollback`", -EINVAL },
	};
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct store_revision *list;
		size_t count;

		seal(f, "revisions/0000000003.yaml", rows[i].head, rows[i].body);
		assert_int_equal(store_set_active(f->node->store, 3, 2), 0);
		open_fails(f, rows[i].err, rows[i].said);
		reopen(f, NODE_WRITE, true);
		assert_int_equal(f->node->active, 3);
		assert_int_equal(store_list(f->node->store, f, f->diags, &list, &count), 0);
		assert_int_equal(count, 3);
		assert_int_equal(list[0].number, 3);
		assert_int_equal(node_rollback(f->node, 0, &change, f->diags, f, &f->result), 0);
		assert_int_equal(f->result.revision, 2);
		assert_int_equal(f->diags->errors, 0);
		reopen(f, NODE_WRITE, false);
		assert_int_equal(weight_of(f, REVIEWS), 50);
		is_kept(f, "revisions/0000000003.yaml");
		/* And there is no way to it from here. */
		assert_int_equal(f->node->previous, 3);
	}
	apply(f, reviews_20, 4, true);
}

/* A service's own history goes on before what cannot be read. */
static void service_history_passes_over_what_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	apply(f, ratings_50, 3, true);
	apply(f, WEIGHTS_OF("ratings", "40", "60"), 4, true);
	seal(f, "revisions/0000000002.yaml", HEAD_OF("2", "1"),
	     "apiVersion: sluice.dev/v2\nkind: Guard\n");
	seal(f, "revisions/0000000003.yaml", HEAD_OF("3", "2") "# format 2\n", "");
	service_rollback(f, REVIEWS, 0);
	assert_int_equal(weight_of(f, REVIEWS), 90);
	assert_int_equal(weight_of(f, RATINGS), 40);
	assert_int_equal(f->diags->errors, 0);
	assert_true(has_said(f, "revision 2 is passed over: another release wrote it"));
	service_rollback(f, RATINGS, 0);
	assert_int_equal(weight_of(f, RATINGS), 90);
	is_kept(f, "revisions/0000000002.yaml");
	is_kept(f, "revisions/0000000003.yaml");
	/* Named, it is refused. */
	assert_int_equal(
		node_rollback_service(f->node, REVIEWS, 2, &change, f->diags, f, &f->result),
		-EINVAL);
	assert_int_equal(
		node_rollback_service(f->node, REVIEWS, 3, &change, f->diags, f, &f->result),
		-EPROTO);
}

static void damaged_pointer_falls_back(void **state)
{
	struct fixture *f = *state;
	char path[256];

	apply(f, both_90, 1, true);
	apply(f, reviews_50, 2, true);
	snprintf(path, sizeof(path), "%s/active", f->dir);
	assert_int_equal(truncate(path, 3), 0);
	reopen(f, NODE_WRITE, false);
	assert_int_equal(f->node->active, 2);
	assert_int_equal(f->diags->warnings, 1);
	reopen(f, NODE_WRITE, false);
	assert_int_equal(f->diags->count, 0);
}

/* What is lost is not taken for gone: no change may empty the rings of what is alive. */
static void lost_endpoints_are_not_none(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	apply(f, SLICE("10.1.0.1"), 1, false);
	damage(f, "endpoints.yaml");
	for (int i = 0; i < 2; i++) {
		reopen(f, NODE_WRITE, false);
		assert_int_equal(f->diags->warnings, 1);
		assert_int_equal(apply_as(f, reviews_50, &change), -EBADMSG);
		assert_non_null(strstr(last_text(f), "are lost"));
		/* Nor one that brings some, and says nothing of the others. */
		assert_int_equal(apply_as(f, SLICE("10.1.0.2"), &change), -EBADMSG);
	}
	assert_int_equal(apply_as(f, SLICE("10.1.0.1"), &whole), 0);
	assert_int_equal(f->node->active, 1);
	assert_true(f->result.members_changed);
	reopen(f, NODE_WRITE, false);
	assert_int_equal(f->diags->warnings, 0);
	apply(f, reviews_50, 2, true);
}

/* Nor is what this release cannot read: new ones are taken, and the old ones kept if they may be.
 */
static void endpoints_of_another_release_are_not_none(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	seal(f, "endpoints.yaml", "# sluice endpoints\n# format 2\n", "kind: Later\n");
	reopen(f, NODE_WRITE, false);
	assert_int_equal(apply_as(f, reviews_50, &change), -EBADMSG);
	assert_int_equal(apply_as(f, SLICE("10.1.0.1"), &change), -EBADMSG);
	assert_int_equal(apply_as(f, SLICE("10.1.0.1"), &whole), -EPROTO);
	assert_non_null(strstr(last_text(f), "is another release's and is not replaced"));
	assert_int_equal(f->node->active, 1);

	seal(f, "endpoints.yaml", "# sluice endpoints\n",
	     "apiVersion: later.dev/v1\nkind: Later\nmetadata: {name: a}\n");
	reopen(f, NODE_WRITE, false);
	assert_int_equal(apply_as(f, reviews_50, &change), -EBADMSG);
	assert_int_equal(apply_as(f, SLICE("10.1.0.1"), &whole), 0);
	assert_true(has_said(f, "cannot read it; set aside as damaged/endpoints.yaml."));
}

static void writers_exclude_each_other(void **state)
{
	struct fixture *f = *state;
	struct node_options options = { .state_dir = f->dir,
					.pin_dir = "/nowhere",
					.timeout_ms = 20 };
	struct node *node = NULL;
	struct diags *diags = diags_new(f);

	/*
	 * flock is held by the open file, so a second opening in one process is as good as
	 * another's.
	 */
	assert_int_equal(node_open(f, &options, NODE_WRITE, diags, &node), -ETIMEDOUT);
	assert_null(node);
	assert_non_null(strstr(diags->list[0].text, "(test)"));
	assert_int_equal(node_open(f, &options, NODE_READ, diags, &node), 0);
}

static void reconcile_needs_a_kernel(void **state)
{
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	assert_int_equal(node_reconcile(f->node, true, f->diags), 0);
}

static void diff_names_what_changed(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ SERVICE_OF("details", "10.0.0.3"), "+ details.default" },
		{ "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		  "metadata: {name: ratings, namespace: default}\nspec:\n  host: ratings\n"
		  "  subsets:\n  - {name: v1, labels: {version: v1}}\n"
		  "  - {name: v3, labels: {version: v4}}\n",
		  "~ ratings.default: subsets changed" },
		{ "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		  "metadata: {name: reviews, namespace: default}\nspec:\n  hosts: [reviews]\n"
		  "  http:\n  - name: office\n    match: [{port: 9080}]\n    route:\n"
		  "    - {destination: {host: reviews, subset: v3}}\n  - route:\n"
		  "    - {destination: {host: reviews, subset: v1}}\n",
		  "~ reviews.default: http[0] office: v3 100; http[1]: v1 100 "
		  "(was v1 90, v3 10)" },
		{ "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		  "metadata: {name: reviews, namespace: default}\nspec:\n  hosts: [reviews]\n"
		  "  http:\n  - name: office\n    match: [{port: 9080}]\n    route:\n"
		  "    - {destination: {host: reviews, subset: v3}}\n  - route:\n"
		  "    - {destination: {host: ratings, subset: v1}}\n",
		  "~ reviews.default: http[1]: ratings/v1 100 (was v1 100)" },
	};
	struct fixture *f = *state;

	apply(f, both_90, 1, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		apply(f, rows[i].text, 2 + i, true);
		assert_string_equal(f->result.summary, rows[i].wanted);
	}
}

static void diff_names_what_went(void **state)
{
	struct model *none;
	struct fixture *f = *state;
	char *text;

	none = talloc_zero(f, struct model);
	apply(f, both_90, 1, true);
	assert_int_equal(model_diff(f, f->node->model, none, &text), 0);
	assert_string_equal(text, "- ratings.default\n- reviews.default");
	assert_int_equal(model_diff(f, f->node->model, f->node->model, &text), 0);
	assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Found in the texts, and the same as found in the models: services that changed, came and went. */
static void summary_of_texts(void **state)
{
	static const char *const texts[] = {
		SERVICE_OF("alpha", "10.0.0.5") WEIGHTS_OF("alpha", "90", "10"),
		BASE WEIGHTS_OF("reviews", "90", "10"),
		WEIGHTS_OF("ratings", "10", "90"),
		WEIGHTS_OF("reviews", "50", "50"),
		SERVICE_OF("zeta", "10.0.0.6") WEIGHTS_OF("zeta", "1", "1"),
		WEIGHTS_OF("alpha", "90", "11") WEIGHTS_OF("zeta", "1", "2"),
	};
	struct fixture *f = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(texts); i++)
		apply(f, texts[i], i + 1, true);
	reopen(f, NODE_WRITE, true);
	assert_null(f->node->body);
	for (uint32_t from = 1; from <= ARRAY_SIZE(texts); from++) {
		for (uint32_t to = 1; to <= ARRAY_SIZE(texts); to++) {
			struct model *was, *is;
			char *by_model, *by_text;

			assert_int_equal(node_model_at(f->node, f, from, f->diags, &was), 0);
			assert_int_equal(node_model_at(f->node, f, to, f->diags, &is), 0);
			assert_int_equal(model_diff(f, was, is, &by_model), 0);
			assert_int_equal(node_summary(f->node, f, from, to, f->diags, &by_text), 0);
			assert_string_equal(by_text, by_model);
			assert_int_equal(!*by_text, from == to);
		}
	}
	assert_int_equal(node_load(f->node, f->diags), 0);
	assert_int_equal(weight_of(f, "alpha.default.svc.cluster.local"), 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commit_makes_a_revision),
		TEST(history_says_who_when_and_why),
		TEST(same_model_makes_no_revision),
		TEST(endpoint_change_makes_no_revision),
		TEST(dry_run_changes_nothing),
		TEST(dry_run_needs_no_folder),
		TEST(bad_plan_changes_nothing),
		TEST(rollback_toggles),
		TEST(rollback_to_a_number),
		TEST(rollback_of_a_service_toggles),
		TEST(rollback_of_a_service_keeps_its_address),
		TEST(rollback_of_a_service_that_never_differed),
		TEST(rollback_of_a_service_after_one_of_the_node),
		TEST(rollback_says_who_when_and_why),
		TEST(damaged_revision_is_set_aside),
		TEST(damaged_active_revision_falls_back),
		TEST(way_back_from_what_cannot_be_read),
		TEST(service_history_passes_over_what_cannot_be_read),
		TEST(damaged_pointer_falls_back),
		TEST(lost_endpoints_are_not_none),
		TEST(endpoints_of_another_release_are_not_none),
		TEST(writers_exclude_each_other),
		TEST(reconcile_needs_a_kernel),
		TEST(diff_names_what_changed),
		TEST(diff_names_what_went),
		TEST(summary_of_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
