// SPDX-License-Identifier: Apache-2.0
/* Istio's VirtualService: what is a split, what is refused, and in which words. */
#include "input_rows.h"

#define TO(subset) "{destination: {host: reviews, subset: " subset "}}"
#define HTTP(route) VS("  hosts: [reviews]\n  http:\n  - " route)
#define TCP(route) VS("  hosts: [reviews]\n  tcp:\n  - " route)
#define L7 "layer 7, and layer 7 is not there yet"

static const struct row rows[] = {
	{ "an http route without a match splits every connection",
	  HTTP("route:\n    - {destination: {host: reviews, subset: v1}, weight: 90}\n"
	       "    - {destination: {host: reviews, subset: v2}, weight: 10}\n"),
	  .result = REVIEWS " undefined http:=>" REVIEWS "/v1:0*90," REVIEWS "/v2:0*10\n" },
	{ "v1alpha3 and v1beta1 are read alike",
	  "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: a}\n"
	  "spec: {hosts: [a], tcp: [{route: [{destination: {host: a}}]}]}\n---\n"
	  "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: b}\n"
	  "spec: {hosts: [b], tcp: [{route: [{destination: {host: b}}]}]}\n",
	  .result =
		  "a.default.svc.cluster.local undefined tcp:=>a.default.svc.cluster.local/:0*100\n"
		  "b.default.svc.cluster.local undefined "
		  "tcp:=>b.default.svc.cluster.local/:0*100\n" },
	{ "another version of the API is refused with those that are allowed",
	  "apiVersion: networking.istio.io/v2\nkind: VirtualService\nmetadata: {name: a}\nspec: "
	  "{}\n",
	  .wanted = "1:13: error: apiVersion: \"v2\" ... allowed is v1 v1beta1 v1alpha3" },
	{ "a single destination without a weight gets all", HTTP("route: [" TO("v1") "]\n"),
	  .result = REVIEWS " undefined http:=>" REVIEWS "/v1:0*100\n" },
	{ "a single destination with weight 0 gets all too, as in Istio, with a warning",
	  HTTP("route: [{destination: {host: reviews}, weight: 0}]\n"),
	  .wanted =
		  "7:52: warning: spec.http[0].route[0].weight: found 0; ... alone gets everything",
	  .result = REVIEWS " undefined http:=>" REVIEWS "/:0*100\n" },
	{ "weights need not sum to 100",
	  TCP("route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: "
	      "2}]\n"),
	  .result = REVIEWS " undefined tcp:=>a.default.svc.cluster.local/:0*1,"
			    "b.default.svc.cluster.local/:0*2\n" },
	{ "a weight of 0 beside others is kept",
	  TCP("route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: "
	      "1000000}]\n"),
	  .result = REVIEWS " undefined tcp:=>a.default.svc.cluster.local/:0*0,"
			    "b.default.svc.cluster.local/:0*1000000\n" },
	{ "a missing weight among weighted ones is 0, with a warning",
	  HTTP("route: [{destination: {host: a}, weight: 5}, {destination: {host: b}}]\n"),
	  .wanted = "7:50: warning: spec.http[0].route[1].weight: not found ... is 0",
	  .result = REVIEWS " undefined http:=>a.default.svc.cluster.local/:0*5,"
			    "b.default.svc.cluster.local/:0*0\n" },
	{ "several destinations without any weight are an error",
	  HTTP("route: [" TO("v1") ", " TO("v2") "]\n"),
	  .wanted = "7:12: error: spec.http[0].route: found 2 destinations and no weight above 0 "
		    "... 1000000" },
	{ "several destinations with weight 0 alone are an error",
	  TCP("route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: "
	      "0}]\n"),
	  .wanted = "7:12: error: spec.tcp[0].route: no weight above 0" },
	{ "a negative weight is refused", HTTP("route: [{destination: {host: a}, weight: -1}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the number -1; allowed is a "
		    "whole "
		    "number from 0 to 1000000" },
	{ "a weight above a million is refused",
	  HTTP("route: [{destination: {host: a}, weight: 1000001}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the number 1000001" },
	{ "a fraction is refused", HTTP("route: [{destination: {host: a}, weight: 0.5}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the number 0.5" },
	{ "text is refused", HTTP("route: [{destination: {host: a}, weight: \"50\"}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the text \"50\"" },
	{ "a number that YAML 1.1 reads as octal is refused",
	  HTTP("route: [{destination: {host: a}, weight: 010}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the number 010" },
	{ "a weight beyond 64 bits is refused",
	  HTTP("route: [{destination: {host: a}, weight: 99999999999999999999}]\n"),
	  .wanted = "7:46: error: spec.http[0].route[0].weight: found the number "
		    "99999999999999999999" },
	{ "a misspelt field is named with the nearest one",
	  HTTP("route: [{destination: {host: a}, wieght: 5}]\n"),
	  .wanted = "7:38: error: spec.http[0].route[0].wieght: unknown field \"wieght\" in "
		    "HTTPRouteDestination; did you mean \"weight\"?" },
	{ "a field like none is answered with all there are",
	  HTTP("route: [{destination: {host: a, zzzzzzzz: 1}}]\n"),
	  .wanted = "7:37: error: spec.http[0].route[0].destination.zzzzzzzz: it has host, subset, "
		    "port" },
	{ "a misspelt field at the top is found",
	  VS("  host: [a]\n  tcp: [{route: [{destination: {host: a}}]}]\n"),
	  .wanted = "5:3: error: spec.host: did you mean \"hosts\"?\n"
		    "5:3: error: spec.hosts: not found; VirtualService needs \"hosts\"" },
	{ "a field beside spec is looked at too",
	  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspecs: "
	  "{}\n",
	  .wanted = "4:1: error: specs: did you mean \"spec\"?\n1:1: error: spec: not found" },
	{ "a misspelt namespace would put the rule elsewhere, so it is found",
	  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namspace: "
	  "b}\n"
	  "spec: {hosts: [a], tcp: [{route: [{destination: {host: a}}]}]}\n",
	  .wanted = "3:21: error: metadata.namspace: did you mean \"namespace\"?" },
	{ "tcp matches on port, source and destination subnets are kept",
	  TCP("match:\n    - {port: 80, sourceSubnet: 10.0.0.0/8}\n"
	      "    - destinationSubnets: [10.96.0.0/12, \"fd00::/64\"]\n    route: [" TO(
		      "v1") "]\n"),
	  .result = REVIEWS
	  " undefined tcp:(80 from 10.0.0.0/8)(0 to 10.96.0.0/12 to fd00::/64)=>" REVIEWS
	  "/v1:0*100\n" },
	{ "a subnet with host bits is refused",
	  TCP("match: [{sourceSubnet: 10.0.0.1/8}]\n    route: [" TO("v1") "]\n"),
	  .wanted = "7:28: error: spec.tcp[0].match[0].sourceSubnet: \"10.0.0.1/8\" ... such as "
		    "10.1.0.0/16" },
	{ "a subnet that is none is refused",
	  TCP("match: [{destinationSubnets: [nonsense]}]\n    route: [" TO("v1") "]\n"),
	  .wanted = "7:35: error: spec.tcp[0].match[0].destinationSubnets[0]: \"nonsense\" ... "
		    "allowed is an address" },
	{ "a match on port 0 or above 65535 is refused",
	  TCP("match: [{port: 0}, {port: 65536}]\n    route: [" TO("v1") "]\n"),
	  .wanted =
		  "7:20: error: spec.tcp[0].match[0].port: found the number 0 ... from 1 to 65535\n"
		  "7:31: error: spec.tcp[0].match[1].port: found the number 65536" },
	{ "an http match by port alone is layer 4",
	  HTTP("name: canary\n    match: [{port: 80}]\n    route: [" TO("v1") "]\n"),
	  .result = REVIEWS " undefined http:canary(80)=>" REVIEWS "/v1:0*100\n" },
	{ "an http match by name alone matches all, and the name is ignored aloud",
	  HTTP("match: [{name: x}]\n    route: [" TO("v1") "]\n"),
	  .wanted = "7:14: warning: spec.http[0].match[0].name: \"name\", which is ignored",
	  .result = REVIEWS " undefined http:(0)=>" REVIEWS "/v1:0*100\n" },
	{ "http and tcp rules are kept with their kind, in order",
	  VS("  hosts: [reviews]\n  tcp: [{route: [{destination: {host: a}}]}]\n"
	     "  http: [{route: [{destination: {host: b}}]}, {route: [{destination: {host: "
	     "c}}]}]\n"),
	  .result = REVIEWS " undefined http:=>b.default.svc.cluster.local/:0*100"
			    " http:=>c.default.svc.cluster.local/:0*100"
			    " tcp:=>a.default.svc.cluster.local/:0*100\n" },
	{ "hosts resolve as Istio has them: short in the rule's namespace, name.ns, name.ns.svc, "
	  "whole",
	  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, "
	  "namespace: ns}\n"
	  "spec: {hosts: [a], tcp: [{route: [{destination: {host: b}, weight: 1}, "
	  "{destination: {host: c.o}, weight: 1}, {destination: {host: d.o.svc}, weight: 1}, "
	  "{destination: {host: e.o.svc.cluster.local, port: {number: 80}}, weight: 1}, "
	  "{destination: {host: db.example.com}, weight: 1}, {destination: {host: whole.name.}, "
	  "weight: 1}]}]}\n",
	  .result = "a.ns.svc.cluster.local undefined tcp:=>b.ns.svc.cluster.local/:0*1,"
		    "c.o.svc.cluster.local/:0*1,d.o.svc.cluster.local/:0*1,e.o.svc.cluster.local/"
		    ":80*1,"
		    "db.example.com/:0*1,whole.name/:0*1\n" },
	{ "a ServiceEntry's host of two labels is itself, not name.namespace",
	  SE("  {hosts: [example.com], resolution: STATIC}\n") "---\n" VS(
		  "  hosts: [example.com]\n  tcp: [{route: [{destination: {host: "
		  "example.com}}]}]\n"),
	  .result = "example.com entry tcp:=>example.com/:0*100\n" },
	{ "a wildcard is refused clearly",
	  VS("  hosts: [\"*.example.com\"]\n  tcp: [{route: [{destination: {host: \"*\"}}]}]\n"),
	  .wanted = "5:11: error: spec.hosts[0]: wildcard host \"*.example.com\"; a split needs "
		    "one host\n"
		    "6:39: error: spec.tcp[0].route[0].destination.host: wildcard host \"*\"" },
	{ "a host that is no DNS name is refused",
	  VS("  hosts: [Reviews_1]\n  tcp: [{route: [{destination: {host: a}}]}]\n"),
	  .wanted = "5:11: error: spec.hosts[0]: \"Reviews_1\"; allowed are DNS names" },
	{ "one object may have several hosts, each gets the rules",
	  VS("  hosts: [a, b]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .result =
		  "a.default.svc.cluster.local undefined tcp:=>c.default.svc.cluster.local/:0*100\n"
		  "b.default.svc.cluster.local undefined "
		  "tcp:=>c.default.svc.cluster.local/:0*100\n" },
	{ "a host twice in one object is refused",
	  VS("  hosts: [a, a.default]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .wanted = "5:14: error: spec.hosts[1]: VirtualService default/reviews is a second one "
		    "for the host "
		    "a.default.svc.cluster.local ... row:1:1" },
	{ "two objects for one host in one input name both places",
	  VS("  hosts: [a]\n  tcp: [{route: [{destination: {host: c}}]}]\n") "---\n" ISTIO(
		  "VirtualService", "other",
		  "  hosts: [a]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .wanted = "12:11: error: spec.hosts[0]: VirtualService default/other ... second ... "
		    "VirtualService default/reviews at row:1:1" },
	{ "gateways are accepted and reported",
	  VS("  hosts: [a]\n  gateways: [g]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .wanted = "6:3: warning: spec.gateways: without \"mesh\"; the rules hold for every "
		    "connection" },
	{ "gateways with mesh need no words",
	  VS("  hosts: [a]\n  gateways: [g, mesh]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .wanted = NULL },
	{ "gateways of a match are refused unless mesh is among them",
	  TCP("match: [{gateways: [g]}, {gateways: [mesh], port: 1}]\n    route: [" TO("v1") "]\n"),
	  .wanted = "7:14: error: spec.tcp[0].match[0].gateways: without \"mesh\" ... allowed is a "
		    "list with \"mesh\"" },
	{ "matches for some clients are refused, as ignoring them would widen the rule",
	  HTTP("match: [{sourceLabels: {app: x}, sourceNamespace: other}]\n    route: [" TO(
		  "v1") "]\n"),
	  .wanted =
		  "7:14: error: spec.http[0].match[0].sourceLabels: refused; it holds a rule back\n"
		  "7:38: error: spec.http[0].match[0].sourceNamespace: refused; it holds a rule "
		  "back" },
	{ "exportTo is ignored aloud",
	  VS("  hosts: [a]\n  exportTo: [.]\n  tcp: [{route: [{destination: {host: c}}]}]\n"),
	  .wanted = "6:3: warning: spec.exportTo: ignored" },
	{ "tls routes are read and their SNI refused as layer 7",
	  VS("  hosts: [a]\n  tls: [{match: [{sniHosts: [x], port: 443}], route: [{destination: "
	     "{host: c}}]}]\n"),
	  .wanted = "6:19: error: spec.tls[0].match[0].sniHosts: found \"sniHosts\", which "
		    "needs " L7 },
	{ "tls routes need SNI",
	  VS("  hosts: [a]\n  tls: [{match: [{port: 443}], route: [{destination: {host: c}}]}]\n"),
	  .wanted = "6:18: error: spec.tls[0].match[0].sniHosts: not found" },
	{ "routes of no kind are refused", VS("  hosts: [a]\n"),
	  .wanted = "5:3: error: spec: found no routes; at least one of http or tcp" },
	{ "a route to nowhere is refused", VS("  hosts: [a]\n  tcp: [{match: [{port: 1}]}]\n"),
	  .wanted = "6:9: error: spec.tcp[0].route: found no destination" },
	{ "a destination needs a host", HTTP("route: [{destination: {subset: v1}}]\n"),
	  .wanted = "7:27: error: spec.http[0].route[0].destination.host: not found" },
	{ "a list where a map should be is refused", HTTP("route: {destination: {host: a}}\n"),
	  .wanted = "7:12: error: spec.http[0].route: found a map; allowed is a list" },
	{ "a map where a list should be is refused", VS("  hosts: {a: b}\n  tcp: [[x]]\n"),
	  .wanted = "5:10: error: spec.hosts: found a map; allowed is a list\n"
		    "6:9: error: spec.tcp[0]: found a list; allowed is a map of fields" },
	{ "text that YAML takes for a number must be quoted",
	  HTTP("route: [{destination: {host: a, subset: 1.0}}]\n"),
	  .wanted = "7:45: error: spec.http[0].route[0].destination.subset: found the number 1.0; "
		    "allowed is "
		    "text: put it in quotes" },
	{ "text that YAML takes for a boolean must be quoted",
	  HTTP("route: [{destination: {host: a, subset: on}}]\n"),
	  .wanted = "7:45: error: spec.http[0].route[0].destination.subset: found the boolean on" },
	{ "a subset's name has a shape", HTTP("route: [{destination: {host: a, subset: V_1}}]\n"),
	  .wanted = "7:45: error: spec.http[0].route[0].destination.subset: \"V_1\"; allowed are "
		    "lower-case" },
	{ "null is as absent", HTTP("match: null\n    timeout: ~\n    route: [" TO("v1") "]\n"),
	  .wanted = NULL },
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
