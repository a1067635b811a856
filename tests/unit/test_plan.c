// SPDX-License-Identifier: Apache-2.0
/*
 * Each row turns one thing of a small world, and says in text what the plan then is: versions with
 * their endpoints, services with their rules, and the warnings.
 */
#include "user/base/cleanup.h"
#include "user/plan/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define HOST "reviews.default.svc.cluster.local"
#define OTHER "ratings.default.svc.cluster.local"

/* Two services; reviews has v1 and v2 behind port 80, whose pods listen on 8080. */
struct world {
	struct addr vips[2][2];
	struct service_port ports[2][2];
	struct label labels[3];
	struct subset subsets[2];
	struct match matches[3];
	struct prefix prefix;
	struct destination destinations[4];
	struct rule rules[3];
	struct service services[2];
	struct endpoint_port endpoint_port;
	struct endpoint endpoints[3];
	struct endpoint_group groups[2];
	struct workload workload;
	struct drain drain;
	struct model model;
	struct inventory inventory;
};

static struct addr addr(const char *text)
{
	struct addr parsed;

	assert_int_equal(addr_parse(text, &parsed), 0);
	return parsed;
}

static struct prefix prefix(const char *text)
{
	struct prefix parsed;

	assert_int_equal(prefix_parse(text, &parsed), 0);
	return parsed;
}

static struct service_port port(const char *name, uint16_t number)
{
	return (struct service_port){ .name = name,
				      .number = number,
				      .target_name = "",
				      .protocol = PROTOCOL_TCP,
				      .app = APP_HTTP };
}

static struct endpoint endpoint(struct world *w, const char *text, struct label *label)
{
	return (struct endpoint){ .addr = addr(text),
				  .workload = "",
				  .labels = { label, 1 },
				  .ports = &w->endpoint_port,
				  .port_count = 1,
				  .weight = 1 };
}

static struct service service(const char *host, const char *name, struct addr *vips,
			      struct service_port *ports)
{
	return (struct service){
		.host = host,
		.name = name,
		.namespace = "default",
		.origin = SERVICE_KUBE,
		.vips = vips,
		.vip_count = 1,
		.ports = ports,
		.port_count = 1,
		.destination_rule = "",
		.virtual_service = "",
		.virtual_service_namespace = "",
	};
}

static void world_make(struct world *w)
{
	*w = (struct world){
		.vips = { { addr("10.0.0.2") }, { addr("10.0.0.1"), addr("fd00::1") } },
		.ports = { { port("http", 80) }, { port("http", 80), port("admin", 81) } },
		.labels = { { "version", "v1" }, { "version", "v2" }, { "version", "v3" } },
		.endpoint_port = { "http", 8080, PROTOCOL_TCP },
	};
	for (size_t i = 0; i < 4; i++)
		w->destinations[i] =
			(struct destination){ HOST, i % 2 ? "v2" : "v1", 0, i % 2 ? 10 : 90 };
	for (size_t i = 0; i < 2; i++)
		w->subsets[i] =
			(struct subset){ .name = i ? "v2" : "v1", .labels = { &w->labels[i], 1 } };
	for (size_t i = 0; i < 3; i++)
		w->rules[i] = (struct rule){ .kind = RULE_HTTP,
					     .name = "",
					     .destinations = w->destinations,
					     .destination_count = 2 };
	w->services[0] = service(OTHER, "ratings", w->vips[0], w->ports[0]);
	w->services[0].origin = SERVICE_ENTRY; /* ours without a rule */
	w->services[1] = service(HOST, "reviews", w->vips[1], w->ports[1]);
	w->services[1].subsets = w->subsets;
	w->services[1].subset_count = 2;
	w->services[1].rules = w->rules;
	w->services[1].rule_count = 1;
	w->endpoints[0] = endpoint(w, "10.1.0.1", &w->labels[0]);
	w->endpoints[1] = endpoint(w, "10.1.0.2", &w->labels[1]);
	w->endpoints[2] = endpoint(w, "10.1.0.3", &w->labels[1]);
	w->groups[0] = (struct endpoint_group){ "EndpointSlice/default/a", HOST, w->endpoints, 3 };
	w->model = (struct model){ w->services, 2 };
	w->inventory = (struct inventory){ .groups = w->groups, .group_count = 1 };
}

static void version_print(FILE *out, const struct plan_version *version)
{
	char text[ADDR_TEXT_MAX];

	fprintf(out, "%.*s:", (int)(strrchr(version->key, '#') - version->key), version->key);
	for (size_t i = 0; i < version->endpoint_count; i++) {
		const struct plan_endpoint *e = &version->endpoints[i];

		fprintf(out, " %s:%u*%u", addr_format(&e->addr, text), e->port, e->weight);
	}
	fputc('\n', out);
}

static void service_print(FILE *out, const struct plan *plan, const struct plan_service *service)
{
	char text[PREFIX_TEXT_MAX];

	fprintf(out, "%s %s:%u/%d\n", service->name, addr_format(&service->vip, text),
		service->port, service->protocol);
	for (size_t i = 0; i < service->rule_count; i++) {
		const struct plan_rule *rule = &service->rules[i];
		const struct plan_split *split = &plan->splits[rule->split];

		fprintf(out, " %s (%s)", prefix_format(&rule->source, text), rule->name);
		for (size_t v = 0; v < split->count; v++)
			fprintf(out, " %s*%u", plan->versions[split->versions[v]].name,
				split->weights[v]);
		fprintf(out, "%s%s\n", split->by_client ? " by client" : "",
			split->spill ? " spill" : "");
	}
}

/* The whole plan and all findings as text; only the error when it is refused. */
static char *plan_text(const struct world *w)
{
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	_cleanup_talloc_ struct plan *plan = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err = plan_build(NULL, &w->model, &w->inventory, diags, &plan);

	assert_true(err == 0 || (err == -EINVAL && diags->errors && !plan));
	for (size_t i = 0; plan && i < plan->version_count; i++) {
		version_print(out, &plan->versions[i]);
		assert_ptr_equal(plan_version_find(plan, plan->versions[i].key),
				 &plan->versions[i]);
	}
	for (size_t i = 0; plan && i < plan->service_count; i++) {
		const struct plan_service *s = &plan->services[i];

		service_print(out, plan, s);
		assert_ptr_equal(plan_service_find(plan, &s->vip, s->port, s->protocol), s);
	}
	diags_print(diags, out, false);
	fclose(out);
	return text;
}

static void nothing(struct world *w)
{
}

static void no_rules_kube(struct world *w)
{
	w->services[1].rule_count = 0;
	w->services[1].origin = SERVICE_KUBE;
}

static void no_rules(struct world *w)
{
	w->services[1].rule_count = 0;
	w->services[1].origin = SERVICE_ENTRY;
}

static void tcp_rule_for_http_port(struct world *w)
{
	w->rules[0].kind = RULE_TCP;
}

static void tcp_rule_for_unknown_port(struct world *w)
{
	w->rules[0].kind = RULE_TCP;
	w->ports[1][0].app = APP_UNKNOWN;
}

static void http_rule_for_unknown_port(struct world *w)
{
	w->ports[1][0].app = APP_UNKNOWN;
	w->rules[1].kind = RULE_TCP;
	w->services[1].rule_count = 2;
}

static void udp_port(struct world *w)
{
	w->rules[0].kind = RULE_TCP;
	w->ports[1][0].protocol = PROTOCOL_UDP;
	w->endpoint_port.protocol = PROTOCOL_UDP;
}

static void sources(struct world *w)
{
	w->matches[0].source = prefix("10.9.0.0/16");
	w->matches[1].source = prefix("10.8.0.1");
	w->rules[0].matches = w->matches;
	w->rules[0].match_count = 2;
	w->rules[0].name = "canary";
}

static void source_of_no_bits(struct world *w)
{
	w->matches[0].source = prefix("0.0.0.0/0");
	w->rules[0].matches = w->matches;
	w->rules[0].match_count = 1;
	w->services[1].rule_count = 2;
}

static void source_of_other_family(struct world *w)
{
	w->matches[0].source = prefix("fd00::/8");
	w->rules[0].matches = w->matches;
	w->rules[0].match_count = 1;
}

static void match_port(struct world *w)
{
	w->services[1].port_count = 2;
	w->matches[0].port = 80;
	w->rules[0].matches = w->matches;
	w->rules[0].match_count = 1;
}

static void match_destination(struct world *w)
{
	w->prefix = prefix("10.0.0.0/24");
	w->matches[0].destinations = &w->prefix;
	w->matches[0].destination_count = 1;
	w->rules[0].matches = w->matches;
	w->rules[0].match_count = 1;
}

static void two_families(struct world *w)
{
	w->services[1].vip_count = 2;
	w->endpoints[2].addr = addr("fd01::3");
}

static void pods_labels(struct world *w)
{
	w->workload = (struct workload){ .name = "default/p", .labels = { &w->labels[1], 1 } };
	w->endpoints[0].workload = "default/p";
	w->inventory.workloads = &w->workload;
	w->inventory.workload_count = 1;
}

static void unknown_pod(struct world *w)
{
	w->endpoints[0].workload = "default/p";
}

static void not_ready(struct world *w)
{
	w->endpoints[1].state = ENDPOINT_NOT_READY;
}

static void terminating(struct world *w)
{
	w->endpoints[1].state = ENDPOINT_TERMINATING;
}

static void only_terminating(struct world *w)
{
	w->endpoints[1].state = ENDPOINT_TERMINATING;
	w->endpoints[2].state = ENDPOINT_NOT_READY;
}

static void drained(struct world *w)
{
	w->drain = (struct drain){ HOST, addr("10.1.0.3"), 0 };
	w->inventory.drains = &w->drain;
	w->inventory.drain_count = 1;
}

static void drained_other_port(struct world *w)
{
	w->drain = (struct drain){ HOST, addr("10.1.0.3"), 80 };
	w->inventory.drains = &w->drain;
	w->inventory.drain_count = 1;
}

static void twice_the_same_endpoint(struct world *w)
{
	w->endpoints[1].addr = w->endpoints[2].addr;
	w->endpoints[1].state = ENDPOINT_NOT_READY;
}

static void two_groups(struct world *w)
{
	w->groups[0].endpoint_count = 2;
	w->groups[1] = w->groups[0];
	w->groups[1].key = "EndpointSlice/default/b";
	w->groups[1].endpoints = w->endpoints + 2;
	w->groups[1].endpoint_count = 1;
	w->inventory.group_count = 2;
}

static void other_port_name(struct world *w)
{
	w->endpoint_port.name = "metrics";
}

static void entry_port(struct world *w)
{
	w->services[1].origin = SERVICE_ENTRY;
	w->endpoint_port.name = "metrics";
	w->ports[1][0].target_number = 8000;
	w->endpoints[0].port_count = 0;
}

static void no_endpoint_ports(struct world *w)
{
	w->endpoints[0].port_count = 0;
}

static void unnamed_port(struct world *w)
{
	w->endpoint_port.name = "";
}

static void undefined_subset(struct world *w)
{
	w->destinations[1].subset = "v9";
}

static void unknown_host(struct world *w)
{
	w->destinations[1].host = "x";
	w->destinations[1].subset = "";
}

static void other_host(struct world *w)
{
	w->destinations[1].host = OTHER;
	w->destinations[1].subset = "";
	w->ports[0][0].number = 88;
}

static void missing_port(struct world *w)
{
	w->destinations[1].port = 99;
}

static void no_labels(struct world *w)
{
	w->subsets[1].labels.count = 0;
}

static void empty_without_share(struct world *w)
{
	w->destinations[1].weight = 0;
	w->groups[0].endpoint_count = 1;
}

static void all_zero(struct world *w)
{
	w->destinations[0].weight = w->destinations[1].weight = 0;
	w->services[1].vip_count = 0;
}

static void same_version_twice(struct world *w)
{
	w->rules[0].destination_count = 4;
}

static void stable_first(struct world *w)
{
	w->destinations[0].subset = "v2";
	w->destinations[1].subset = "v9";
	w->destinations[2].subset = "v1";
	w->rules[0].destination_count = 3;
}

static void affinity(struct world *w)
{
	w->services[1].affinity = AFFINITY_CLIENT_IP;
}

static void subset_affinity(struct world *w)
{
	w->subsets[0].affinity = AFFINITY_CLIENT_IP;
}

static void other_subset_affinity(struct world *w)
{
	w->subsets[1].affinity = AFFINITY_CLIENT_IP;
}

static void spill(struct world *w)
{
	w->services[1].empty = EMPTY_SPILL;
}

static void vip_twice(struct world *w)
{
	w->services[1].vip_count = 2;
	w->vips[1][1] = w->vips[1][0];
}

static void no_vip(struct world *w)
{
	w->services[1].vip_count = 0;
}

static void undefined(struct world *w)
{
	w->services[1].origin = SERVICE_UNDEFINED;
	w->services[1].vip_count = 0;
}

static void conflict(struct world *w)
{
	w->vips[1][0] = w->vips[0][0];
}

/* What a row does not turn. */
#define V1 HOST "|v1|80/tcp: 10.1.0.1:8080*1\n"
#define V2 HOST "|v2|80/tcp: 10.1.0.2:8080*1 10.1.0.3:8080*1\n"
#define RATINGS_VERSION OTHER "||80/tcp:\n"
#define RATINGS "ratings.default 10.0.0.2:80/6\n any (implicit) -*100\n"
#define REVIEWS "reviews.default 10.0.0.1:80/6\n"
#define RATINGS_EMPTY                                                                              \
	"warning: ratings.default: version \"-\" (" OTHER "||80/tcp) has no ready endpoint\n"
#define PLAN(versions, rules) RATINGS_VERSION versions REVIEWS rules RATINGS
#define WHOLE HOST "||80/tcp: 10.1.0.1:8080*1 10.1.0.2:8080*1 10.1.0.3:8080*1\n"
#define IMPLICIT " any (implicit) -*100\n"
#define WARNING "warning: reviews.default: "
#define EMPTY(version, key) WARNING "version \"" version "\" (" HOST key ") has no ready endpoint\n"
#define SPLIT " any (http[0]) v1*90 v2*10\n"

static const struct {
	const char *sentence;
	void (*tweak)(struct world *w);
	const char *wanted;   /* the plan */
	const char *warnings; /* and what was found on the way */
} rows[] = {
	{ "a rule without matches is one rule for any source", nothing, PLAN(V1 V2, SPLIT),
	  RATINGS_EMPTY },
	{ "a service without rules goes to all its endpoints", no_rules, PLAN(WHOLE, IMPLICIT),
	  RATINGS_EMPTY },
	{ "a tcp rule does not govern an http port", tcp_rule_for_http_port, PLAN(WHOLE, IMPLICIT),
	  WARNING "the rule tcp[0] governs no port of the service\n" RATINGS_EMPTY },
	{ "it governs one of unknown kind, when there is no http rule", tcp_rule_for_unknown_port,
	  PLAN(V1 V2, " any (tcp[0]) v1*90 v2*10\n"), RATINGS_EMPTY },
	{ "of a port of unknown kind http rules come before tcp rules", http_rule_for_unknown_port,
	  PLAN(V1 V2, SPLIT),
	  WARNING "the rule tcp[0] governs no port of the service\n" RATINGS_EMPTY },
	{ "tcp rules govern UDP ports", udp_port,
	  RATINGS_VERSION HOST
	  "|v1|80/udp: 10.1.0.1:8080*1\n" HOST "|v2|80/udp: 10.1.0.2:8080*1 10.1.0.3:8080*1\n"
	  "reviews.default 10.0.0.1:80/17\n any (tcp[0]) v1*90 v2*10\n" RATINGS,
	  RATINGS_EMPTY },
	{ "each match is a rule, in order; what matches none is refused", sources,
	  PLAN(V1 V2, " 10.9.0.0/16 (http[0] canary) v1*90 v2*10\n 10.8.0.1/32 (http[0] "
		      "canary) v1*90 v2*10\n"),
	  RATINGS_EMPTY },
	{ "a source of no bits is any; what follows is not reached", source_of_no_bits,
	  PLAN(V1 V2, SPLIT),
	  WARNING "the rule http[1] is never reached: one before it takes every "
		  "connection\n" RATINGS_EMPTY },
	{ "no rule is left when the source is of the other family", source_of_other_family,
	  PLAN(WHOLE, IMPLICIT),
	  WARNING "the rule http[0] governs no port of the service\n" RATINGS_EMPTY },
	{ "a match of one port leaves the other to the implicit rule", match_port,
	  RATINGS_VERSION V1 V2 HOST
	  "||81/tcp:\n" REVIEWS SPLIT
	  "reviews.default 10.0.0.1:81/6\n any (implicit) -*100\n" RATINGS,
	  RATINGS_EMPTY EMPTY("-", "||81/tcp") },
	{ "a match of a destination takes only VIPs inside it", match_destination,
	  PLAN(V1 V2, SPLIT), RATINGS_EMPTY },
	{ "a VIP of each family has versions of its own", two_families,
	  RATINGS_VERSION V1 HOST "|v1|80/tcp6:\n" HOST "|v2|80/tcp: 10.1.0.2:8080*1\n" HOST
				  "|v2|80/tcp6: fd01::3:8080*1\n" REVIEWS SPLIT RATINGS
				  "reviews.default fd00::1:80/6\n" SPLIT,
	  RATINGS_EMPTY EMPTY("v1", "|v1|80/tcp6") },
	{ "a known pod's labels are used instead of the endpoint's own", pods_labels,
	  PLAN(HOST "|v1|80/tcp:\n" HOST
		    "|v2|80/tcp: 10.1.0.1:8080*1 10.1.0.2:8080*1 10.1.0.3:8080*1\n",
	       SPLIT),
	  RATINGS_EMPTY EMPTY("v1", "|v1|80/tcp") },
	{ "an unknown pod has the endpoint's labels", unknown_pod, PLAN(V1 V2, SPLIT),
	  RATINGS_EMPTY },
	{ "an endpoint that is not ready is known with weight 0", not_ready,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.2:8080*0 10.1.0.3:8080*1\n", SPLIT), RATINGS_EMPTY },
	{ "one on its way out gets nothing while another is ready", terminating,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.2:8080*0 10.1.0.3:8080*1\n", SPLIT), RATINGS_EMPTY },
	{ "and is used when none is", only_terminating,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.2:8080*1 10.1.0.3:8080*0\n", SPLIT), RATINGS_EMPTY },
	{ "a drained endpoint keeps its flows and gets no new ones", drained,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.2:8080*1 10.1.0.3:8080*0\n", SPLIT), RATINGS_EMPTY },
	{ "a drain of another port is not of this one", drained_other_port, PLAN(V1 V2, SPLIT),
	  RATINGS_EMPTY },
	{ "of one address and port the readier one counts", twice_the_same_endpoint,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.3:8080*1\n", SPLIT), RATINGS_EMPTY },
	{ "groups of one host add up", two_groups, PLAN(V1 V2, SPLIT), RATINGS_EMPTY },
	{ "an EndpointSlice pairs ports by name", other_port_name,
	  PLAN(HOST "|v1|80/tcp:\n" HOST "|v2|80/tcp:\n", SPLIT),
	  RATINGS_EMPTY EMPTY("v1", "|v1|80/tcp") EMPTY("v2", "|v2|80/tcp") },
	{ "a ServiceEntry's endpoint lists only ports that differ", entry_port,
	  PLAN(HOST "|v1|80/tcp: 10.1.0.1:8000*1\n" HOST
		    "|v2|80/tcp: 10.1.0.2:8000*1 10.1.0.3:8000*1\n",
	       SPLIT),
	  RATINGS_EMPTY },
	{ "an endpoint without ports has the service's", no_endpoint_ports,
	  PLAN(HOST "|v1|80/tcp: 10.1.0.1:80*1\n" V2, SPLIT), RATINGS_EMPTY },
	{ "one unnamed port of an endpoint is the service's only one", unnamed_port,
	  PLAN(V1 V2, SPLIT), RATINGS_EMPTY },
	{ "a subset that nobody defines takes its share to nowhere", undefined_subset,
	  PLAN(V1 HOST "|v9|80/tcp:\n", " any (http[0]) v1*90 v9*10\n"),
	  WARNING "no DestinationRule of \"" HOST "\" defines the subset \"v9\": its "
		  "share is refused\n" RATINGS_EMPTY },
	{ "so does a host that nobody defines", unknown_host,
	  PLAN(V1 "x||80/tcp:\n", " any (http[0]) v1*90 -*10\n"),
	  WARNING "no service or ServiceEntry defines the destination host \"x\"\n" RATINGS_EMPTY
		  "warning: x: version \"-\" (x||80/tcp) has no ready endpoint\n" },
	{ "a destination may be another service: its only port counts", other_host,
	  OTHER "||88/tcp:\n" V1 REVIEWS " any (http[0]) v1*90 -*10\n"
		"ratings.default 10.0.0.2:88/6\n any (implicit) -*100\n",
	  "warning: ratings.default: version \"-\" (" OTHER "||88/tcp) has no ready endpoint\n" },
	{ "a port that the destination does not have", missing_port,
	  PLAN(V1 HOST "|v2|99/tcp: 10.1.0.2:8080*1 10.1.0.3:8080*1\n", SPLIT),
	  WARNING "the destination host \"" HOST "\" has no TCP port 99\n" RATINGS_EMPTY },
	{ "a subset without labels is every endpoint", no_labels,
	  PLAN(V1 HOST "|v2|80/tcp: 10.1.0.1:8080*1 10.1.0.2:8080*1 10.1.0.3:8080*1\n", SPLIT),
	  WARNING "the subset \"v2\" of \"" HOST
		  "\" has no labels: it is every endpoint\n" RATINGS_EMPTY },
	{ "a version without endpoints and without a share is no warning", empty_without_share,
	  PLAN(V1 HOST "|v2|80/tcp:\n", " any (http[0]) v1*90 v2*0\n"), RATINGS_EMPTY },
	{ "weights of 0 alone are an error, also without an address", all_zero, "",
	  "error: reviews.default: every weight of rule 0 is 0; at least one must be above "
	  "0\n" WARNING
	  "the service has no virtual address: no connection is split\n" RATINGS_EMPTY },
	{ "weights of a version that is named twice add up", same_version_twice,
	  PLAN(V1 V2, " any (http[0]) v1*180 v2*20\n"), RATINGS_EMPTY },
	{ "the first destination is the stable one, the others go by key", stable_first,
	  PLAN(V1 V2 HOST "|v9|80/tcp:\n", " any (http[0]) v2*90 v1*90 v9*10\n"),
	  WARNING "no DestinationRule of \"" HOST "\" defines the subset \"v9\": its "
		  "share is refused\n" RATINGS_EMPTY },
	{ "client affinity of the service", affinity,
	  PLAN(V1 V2, " any (http[0]) v1*90 v2*10 by client\n"), RATINGS_EMPTY },
	{ "or of the stable destination's subset", subset_affinity,
	  PLAN(V1 V2, " any (http[0]) v1*90 v2*10 by client\n"), RATINGS_EMPTY },
	{ "but not of another's", other_subset_affinity, PLAN(V1 V2, SPLIT), RATINGS_EMPTY },
	{ "a service may spill", spill, PLAN(V1 V2, " any (http[0]) v1*90 v2*10 spill\n"),
	  RATINGS_EMPTY },
	{ "a VIP that a service lists twice is one", vip_twice, PLAN(V1 V2, SPLIT), RATINGS_EMPTY },
	{ "a Kubernetes Service without a rule is the node's own business", no_rules_kube,
	  RATINGS_VERSION RATINGS,
	  "note: reviews.default: no rule names this Service: left to the node\n" RATINGS_EMPTY },
	{ "a service with rules and without a VIP", no_vip, RATINGS_VERSION RATINGS,
	  WARNING "the service has no virtual address: no connection is split\n" RATINGS_EMPTY },
	{ "rules for a host that nobody defines", undefined, RATINGS_VERSION RATINGS,
	  WARNING "no Service or ServiceEntry defines this host: no effect yet\n" RATINGS_EMPTY },
	{ "two services of one VIP, port and protocol are an error", conflict, "",
	  "error: " OTHER " and " HOST " both claim 10.0.0.2 port 80/tcp\n" RATINGS_EMPTY },
};

static void rows_hold(void **state)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL, *wanted = NULL;
		struct world w;

		world_make(&w);
		rows[i].tweak(&w);
		text = plan_text(&w);
		assert_true(asprintf(&wanted, "%s%s", rows[i].wanted, rows[i].warnings) >= 0);
		if (!strcmp(text, wanted))
			continue;
		/* Not cmocka's message, which cuts long texts */
		printf("%s\nwanted:\n%s\ngot:\n%s\n", rows[i].sentence, wanted, text);
		failed++;
	}
	assert_int_equal(failed, 0);
}

static void equal_splits_are_held_once(void **state)
{
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	_cleanup_talloc_ struct plan *plan = NULL;
	struct world w;

	world_make(&w);
	w.services[1].port_count = 1;
	w.services[1].rule_count = 3;
	w.matches[0].source = prefix("10.9.0.0/16");
	w.rules[0].matches = w.matches;
	w.rules[0].match_count = 1;
	w.rules[1].matches = w.matches;
	w.rules[1].match_count = 1;
	w.rules[1].destinations = w.destinations + 2;
	assert_int_equal(plan_build(NULL, &w.model, &w.inventory, diags, &plan), 0);
	assert_int_equal(plan->split_count, 2);
	assert_int_equal(plan->services[0].rule_count, 3);
	for (size_t i = 1; i < 3; i++)
		assert_int_equal(plan->services[0].rules[i].split,
				 plan->services[0].rules[0].split);
}

static void look_ups_miss(void **state)
{
	struct plan plan = { 0 };
	struct addr vip = addr("10.0.0.1");

	assert_null(plan_version_find(&plan, "x"));
	assert_null(plan_service_find(&plan, &vip, 80, PROTOCOL_TCP));
}

static void limits_are_errors(void **state)
{
	static struct destination many[256];
	static struct match matches[65];
	_cleanup_free_ char *versions = NULL, *rules = NULL;
	static char names[256][8];
	struct world w;

	world_make(&w);
	for (size_t i = 0; i < 256; i++) {
		snprintf(names[i], sizeof(names[i]), "s%zu", i);
		many[i] = (struct destination){ HOST, names[i], 0, 1 };
	}
	w.rules[0].destinations = many;
	w.rules[0].destination_count = 256;
	versions = plan_text(&w);
	assert_non_null(strstr(versions, "error: reviews.default: the rule http[0] splits between "
					 "256 versions; at most 255 are allowed\n"));

	world_make(&w);
	for (size_t i = 0; i < 65; i++) {
		matches[i].source = prefix("10.9.0.0/32");
		matches[i].source.addr.bytes[3] = (uint8_t)i;
	}
	w.rules[0].matches = matches;
	w.rules[0].match_count = 65;
	rules = plan_text(&w);
	assert_non_null(strstr(rules, "error: reviews.default: 65 rules for 10.0.0.1 port 80; "
				      "at most 64 are allowed\n"));
}

/* A large cluster: nothing in the way from model to plan may be quadratic. */
static void ten_thousand_services_are_quick(void **state)
{
	enum {
		COUNT = 10000
	};
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	_cleanup_talloc_ struct plan *plan = NULL;
	_cleanup_talloc_ struct world *worlds = talloc_array(NULL, struct world, COUNT);
	struct service *services = talloc_array(worlds, struct service, COUNT);
	struct endpoint_group *groups = talloc_array(worlds, struct endpoint_group, COUNT);
	struct timespec from, to;

	for (unsigned i = 0; i < COUNT; i++) {
		struct world *w = &worlds[i];
		char *host = talloc_asprintf(worlds, "s%05u.default.svc.cluster.local", i);

		world_make(w);
		w->vips[1][0].bytes[1] = (uint8_t)(i >> 8);
		w->vips[1][0].bytes[2] = (uint8_t)i;
		w->services[1].host = w->groups[0].host = host;
		w->groups[0].key = host;
		for (size_t d = 0; d < 4; d++)
			w->destinations[d].host = host;
		services[i] = w->services[1];
		groups[i] = w->groups[0];
	}

	struct model model = { services, COUNT };
	struct inventory inventory = { .groups = groups, .group_count = COUNT };

	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(plan_build(NULL, &model, &inventory, diags, &plan), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("  %.0f ms\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
					     (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	assert_int_equal(plan->service_count, COUNT);
	assert_int_equal(plan->version_count, 2 * COUNT);
	assert_int_equal(diags->count, 0);
	assert_true(to.tv_sec - from.tv_sec < 3);
}

/* Revisions share a version's ring by its key: whoever redefines the version must get another. */
static void promise_1_a_redefined_version_is_another(void **state)
{
	static struct label other = { "version", "v9" };
	struct world w;

	for (int turn = 0; turn < 3; turn++) {
		_cleanup_talloc_ struct diags *diags = diags_new(NULL);
		struct plan *before = NULL, *after = NULL;

		world_make(&w);
		assert_int_equal(plan_build(diags, &w.model, &w.inventory, diags, &before), 0);
		if (turn == 1)
			w.subsets[1].labels.list = &other;
		if (turn == 2)
			w.ports[1][0].target_number = 9999;
		assert_int_equal(plan_build(diags, &w.model, &w.inventory, diags, &after), 0);
		assert_int_equal(before->version_count, after->version_count);
		/* v2 is last: its key follows its labels and its port, and nothing else. */
		assert_int_equal(!strcmp(before->versions[before->version_count - 1].key,
					 after->versions[after->version_count - 1].key),
				 turn == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_hold),
		cmocka_unit_test(equal_splits_are_held_once),
		cmocka_unit_test(promise_1_a_redefined_version_is_another),
		cmocka_unit_test(look_ups_miss),
		cmocka_unit_test(limits_are_errors),
		cmocka_unit_test(ten_thousand_services_are_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
