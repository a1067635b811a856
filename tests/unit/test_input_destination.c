// SPDX-License-Identifier: Apache-2.0
/* Istio's DestinationRule: versions and affinity. */
#include "input_rows.h"

#define POLICY(text) DR("  host: reviews\n  trafficPolicy: " text "\n")
#define BALANCER(text) POLICY("{loadBalancer: " text "}")
#define IGNORED(at, path, name) at ": warning: spec." path ": found \"" name "\", which is ignored"

static const struct row rows[] = {
	{ "subsets are versions, in their order, with their labels",
	  DR("  host: reviews\n  subsets:\n  - {name: v2, labels: {version: v2, app: x}}\n  - "
	     "name: v1\n"),
	  .result = REVIEWS " undefined v2{app=x,version=v2} v1{}\n" },
	{ "a subset twice is refused", DR("  host: reviews\n  subsets: [{name: v1}, {name: v1}]\n"),
	  .wanted = "6:32: error: spec.subsets[1].name: \"v1\" a second time" },
	{ "a subset needs a name", DR("  host: reviews\n  subsets: [{labels: {a: b}}]\n"),
	  .wanted = "6:13: error: spec.subsets[0].name: not found" },
	{ "a label's value must be text",
	  DR("  host: reviews\n  subsets: [{name: v1, labels: {version: 1}}]\n"),
	  .wanted = "6:42: error: spec.subsets[0].labels.version: found the number 1 ... quotes" },
	{ "a label's value has a shape",
	  DR("  host: reviews\n  subsets: [{name: v1, labels: {a: \"b c\"}}]\n"),
	  .wanted = "6:36: error: spec.subsets[0].labels.a: label value \"b c\"" },
	{ "a label's key has a shape",
	  DR("  host: reviews\n  subsets: [{name: v1, labels: {a b: c}}]\n"),
	  .wanted = "6:33: error: spec.subsets[0].labels[\"a b\"]: label key \"a b\"" },
	{ "useSourceIp keeps a client on its version",
	  BALANCER("{consistentHash: {useSourceIp: true}}"),
	  .result = REVIEWS " undefined by-client\n" },
	{ "useSourceIp: false does not", BALANCER("{consistentHash: {useSourceIp: false}}"),
	  .result = REVIEWS " undefined\n" },
	{ "a subset may have an affinity of its own",
	  DR("  host: reviews\n  subsets: [{name: v1, trafficPolicy: {loadBalancer: "
	     "{consistentHash: {useSourceIp: true}}}}]\n"),
	  .result = REVIEWS " undefined v1{}by-client\n" },
	{ "hashing by header is layer 7", BALANCER("{consistentHash: {httpHeaderName: x}}"),
	  .wanted = "6:51: error: spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: "
		    "layer 7 is not there yet; at layer 4 useSourceIp is allowed" },
	{ "hashing by cookie is layer 7",
	  BALANCER("{consistentHash: {httpCookie: {name: x, ttl: 0s}}}"),
	  .wanted = "6:51: error: spec.trafficPolicy.loadBalancer.consistentHash.httpCookie: "
		    "layer 7 is not there yet" },
	{ "hashing by query is layer 7", BALANCER("{consistentHash: {httpQueryParameterName: x}}"),
	  .wanted = "6:51: error: "
		    "spec.trafficPolicy.loadBalancer.consistentHash.httpQueryParameterName: "
		    "layer 7 is not there yet" },
	{ "two hash keys are one too many",
	  BALANCER("{consistentHash: {useSourceIp: true, httpHeaderName: x}}"),
	  .wanted = "6:70: error: spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: "
		    "found "
		    "\"httpHeaderName\", which needs layer 7\n"
		    "6:70: error: spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: "
		    "found both" },
	{ "the ring's size is ours",
	  BALANCER("{consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}"),
	  .wanted = IGNORED("6:70", "trafficPolicy.loadBalancer.consistentHash.maglev", "maglev") },
	{ "simple policies are taken with a note", BALANCER("{simple: LEAST_REQUEST}"),
	  .wanted =
		  "6:42: note: spec.trafficPolicy.loadBalancer.simple: LEAST_REQUEST; ... by hash",
	  .result = REVIEWS " undefined\n" },
	{ "PASSTHROUGH is more than a note", BALANCER("{simple: PASSTHROUGH}"),
	  .wanted = "6:42: warning: spec.trafficPolicy.loadBalancer.simple: PASSTHROUGH" },
	{ "a policy that Istio does not have is refused with the nearest",
	  BALANCER("{simple: ROUNDROBIN}"),
	  .wanted = "6:42: error: spec.trafficPolicy.loadBalancer.simple: did you mean "
		    "\"ROUND_ROBIN\"?" },
	{ "simple and consistentHash exclude each other",
	  BALANCER("{simple: RANDOM, consistentHash: {useSourceIp: true}}"),
	  .wanted =
		  "6:42: note: spec.trafficPolicy.loadBalancer.simple: RANDOM\n"
		  "6:50: error: spec.trafficPolicy.loadBalancer.consistentHash: only one of them" },
	{ "what Istio has and we ignore is a warning with its path",
	  DR("  host: reviews\n  exportTo: [\"*\"]\n  trafficPolicy:\n    connectionPool: {tcp: "
	     "{maxConnections: 5, "
	     "connectTimeout: 1s, tcpKeepalive: {probes: 3}}, http: {http2KeepAlive: {interval: "
	     "1s}}}\n"
	     "    outlierDetection: {consecutive5xxErrors: 5, outlierDetectionHttpErrorCodes: "
	     "[500]}\n"
	     "    tls: {mode: ISTIO_MUTUAL}\n    portLevelSettings: [{port: {number: 80}}]\n"
	     "    tunnel: {targetHost: a, targetPort: 1}\n    proxyProtocol: {version: V2}\n"
	     "    retryBudget: {percent: 20}\n"
	     "    loadBalancer: {warmup: {duration: 1s}, localityLbSetting: {enabled: true}}\n"),
	  .wanted = "6:3: warning: spec.exportTo: ignored\n"
		    "8:5: warning: spec.trafficPolicy.connectionPool: ignored\n"
		    "9:5: warning: spec.trafficPolicy.outlierDetection: ignored\n"
		    "10:5: warning: spec.trafficPolicy.tls: ignored\n"
		    "11:5: warning: spec.trafficPolicy.portLevelSettings: ignored\n"
		    "12:5: warning: spec.trafficPolicy.tunnel: ignored\n"
		    "13:5: warning: spec.trafficPolicy.proxyProtocol: ignored\n"
		    "14:5: warning: spec.trafficPolicy.retryBudget: ignored\n"
		    "15:20: warning: spec.trafficPolicy.loadBalancer.warmup: ignored\n"
		    "15:44: warning: spec.trafficPolicy.loadBalancer.localityLbSetting: ignored" },
	{ "a misspelling inside an ignored field is an error still",
	  POLICY("{connectionPool: {tcp: {maxConnection: 5}}}"),
	  .wanted =
		  "6:42: error: spec.trafficPolicy.connectionPool.tcp.maxConnection: did you mean "
		  "\"maxConnections\"?\n" IGNORED("6:19", "trafficPolicy.connectionPool",
						  "connectionPool") },
	{ "a wrong type inside an ignored field is an error still",
	  POLICY("{outlierDetection: {interval: soon}}"),
	  .wanted = "6:48: error: spec.trafficPolicy.outlierDetection.interval: \"soon\"; allowed "
		    "is a duration\n" IGNORED("6:19", "trafficPolicy.outlierDetection",
					      "outlierDetection") },
	{ "a rule for some clients is refused",
	  DR("  host: reviews\n  workloadSelector: {matchLabels: {a: b}}\n"),
	  .wanted = "6:3: error: spec.workloadSelector: refused; it holds the rule back" },
	{ "a wildcard host is refused", DR("  host: \"*.local\"\n"),
	  .wanted = "5:9: error: spec.host: wildcard host \"*.local\"" },
	{ "two rules for one host name both places",
	  DR("  host: reviews\n") "---\n" ISTIO("DestinationRule", "b",
						"  host: reviews.default\n"),
	  .wanted = "11:9: error: spec.host: DestinationRule default/b is a second ... "
		    "DestinationRule "
		    "default/reviews at row:1:1" },
	{ "one object twice in an input names both places",
	  DR("  host: reviews\n") "---\n" DR("  host: other\n"),
	  .wanted = "7:1: error: DestinationRule default/reviews a second time, the first is at "
		    "row:1:1" },
	{ "spilling is asked for by our annotation",
	  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, "
	  "annotations: "
	  "{sluice.dev/empty-version: spill, other/one: x}}\nspec: {host: a}\n",
	  .result = "a.default.svc.cluster.local undefined spill\n" },
	{ "an annotation of ours that is none has the nearest name",
	  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, "
	  "annotations: "
	  "{sluice.dev/empty-verson: spill}}\nspec: {host: a}\n",
	  .wanted = "3:35: error: metadata.annotations[\"sluice.dev/empty-verson\"]: unknown "
		    "annotation ... did you "
		    "mean \"sluice.dev/empty-version\"" },
	{ "its value is one of two",
	  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, "
	  "annotations: "
	  "{sluice.dev/empty-version: drop}}\nspec: {host: a}\n",
	  .wanted = "3:61: error: metadata.annotations[\"sluice.dev/empty-version\"]: \"drop\"; "
		    "allowed is spill or refuse" },
	{ "on a VirtualService it has no place",
	  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, "
	  "annotations: "
	  "{sluice.dev/empty-version: spill}}\nspec: {hosts: [a], tcp: [{route: [{destination: "
	  "{host: a}}]}]}\n",
	  .wanted = "3:35: error: metadata.annotations[\"sluice.dev/empty-version\"]: on a "
		    "VirtualService; allowed is a Service" },
};

static void test_rows(void **state)
{
	ROWS_RUN(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
