// SPDX-License-Identifier: Apache-2.0
/* Istio's ServiceEntry: services and endpoints of a host without Kubernetes. */
#include "input_rows.h"

#define ENTRY(rest) SE("  hosts: [db.example.com]\n  resolution: STATIC\n" rest)
#define ONE_PORT "  ports: [{number: 80, name: http, protocol: HTTP}]\n"

static const struct row rows[] = {
	{ "addresses, ports and endpoints become a service and a group",
	  ENTRY("  addresses: [10.9.0.1, 10.9.0.2/32, \"fd00::1/128\"]\n"
		"  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, "
		"{number: 53, name: dns, protocol: UDP}, {number: 9, name: x}]\n"
		"  endpoints: [{address: 10.0.0.1, labels: {version: v1}, weight: 3}, {address: "
		"\"fd00::2\"}]\n"),
	  .result = "db.example.com entry 10.9.0.1 10.9.0.2 fd00::1 http:80/tcp/http>8080 "
		    "dns:53/udp/tcp x:9/tcp/?\n"
		    "group ServiceEntry/default/db of db.example.com 10.0.0.1*3{version=v1} "
		    "fd00::2*1\n" },
	{ "an endpoint's ports stand for the service's of the same name, the others keep their "
	  "target",
	  ENTRY("  ports: [{number: 80, name: http, targetPort: 8080}, {number: 81, name: b, "
		"protocol: TCP}]\n"
		"  endpoints: [{address: 10.0.0.1, ports: {b: 9000}}]\n"),
	  .result = "db.example.com entry http:80/tcp/?>8080 b:81/tcp/tcp\n"
		    "group ServiceEntry/default/db of db.example.com "
		    "10.0.0.1*1:http=8080/tcp:b=9000/tcp\n" },
	{ "an endpoint's port of no name in the service is refused",
	  ENTRY(ONE_PORT "  endpoints: [{address: 10.0.0.1, ports: {htp: 9000}}]\n"),
	  .wanted = "8:43: error: spec.endpoints[0].ports.htp: \"htp\"; allowed are the names in "
		    "spec.ports" },
	{ "an endpoint's port has a range",
	  ENTRY(ONE_PORT "  endpoints: [{address: 10.0.0.1, ports: {http: 70000}}]\n"),
	  .wanted = "8:49: error: spec.endpoints[0].ports.http: 70000 ... from 1 to 65535" },
	{ "a subnet is not one address", ENTRY("  addresses: [10.9.0.0/24]\n"),
	  .wanted = "7:15: error: spec.addresses[0]: \"10.9.0.0/24\"; allowed is one IP address" },
	{ "an address is refused when it is none", ENTRY("  addresses: [10.9.0.256]\n"),
	  .wanted = "7:15: error: spec.addresses[0]: \"10.9.0.256\"" },
	{ "an endpoint is an address, not a name",
	  ENTRY("  endpoints: [{address: a.example.com}]\n"),
	  .wanted = "7:25: error: spec.endpoints[0].address: \"a.example.com\"; allowed is an IP "
		    "address" },
	{ "an endpoint is no socket", ENTRY("  endpoints: [{address: \"unix:///a\"}]\n"),
	  .wanted = "7:25: error: spec.endpoints[0].address: the socket \"unix:///a\"" },
	{ "DNS is refused with what is allowed",
	  SE("  hosts: [a.example.com]\n  resolution: DNS\n"),
	  .wanted = "6:15: error: spec.resolution: found DNS; allowed is STATIC" },
	{ "NONE is refused with what is allowed",
	  SE("  hosts: [a.example.com]\n  resolution: NONE\n"),
	  .wanted = "6:15: error: spec.resolution: found NONE; allowed is STATIC" },
	{ "no resolution means NONE to Istio, and is refused", SE("  hosts: [a.example.com]\n"),
	  .wanted = "5:3: error: spec.resolution: not found ... allowed is STATIC" },
	{ "selecting Pods is refused with what is allowed",
	  ENTRY("  workloadSelector: {labels: {a: b}}\n"),
	  .wanted = "7:3: error: spec.workloadSelector: refused; allowed are endpoints[]" },
	{ "several hosts cannot be told apart",
	  SE("  hosts: [a.b.c, d.e.f]\n  resolution: STATIC\n"),
	  .wanted = "5:10: error: spec.hosts: found 2 hosts; allowed is one" },
	{ "a port twice is refused",
	  ENTRY("  ports: [{number: 80, name: a}, {number: 80, name: b, protocol: UDP}, {number: "
		"80, name: c}]\n"),
	  .wanted = "7:72: error: spec.ports[2]: port 80/TCP a second time" },
	{ "a protocol has its nearest name",
	  ENTRY("  ports: [{number: 80, name: a, protocol: HTPT}]\n"),
	  .wanted = "7:43: error: spec.ports[0].protocol: \"HTPT\"; did you mean \"HTTP\"" },
	{ "what is ignored is said",
	  ENTRY("  location: MESH_INTERNAL\n  exportTo: [.]\n  subjectAltNames: [a]\n"
		"  endpoints: [{address: 10.0.0.1, locality: a, network: b, serviceAccount: c}]\n"),
	  .wanted = "7:3: warning: spec.location: ignored\n8:3: warning: spec.exportTo: ignored\n"
		    "9:3: warning: spec.subjectAltNames: ignored\n"
		    "10:35: warning: spec.endpoints[0].locality: ignored\n"
		    "10:48: warning: spec.endpoints[0].network: ignored\n"
		    "10:60: warning: spec.endpoints[0].serviceAccount: ignored" },
	{ "an endpoint of weight 0 gets nothing",
	  ENTRY("  endpoints: [{address: 10.0.0.1, weight: 0}]\n"),
	  .result = "db.example.com entry\ngroup ServiceEntry/default/db of db.example.com "
		    "10.0.0.1*0\n" },
	{ "without the field endpoints the group stays as it is",
	  ENTRY("  addresses: [10.9.0.9]\n"), .base = ENTRY("  endpoints: [{address: 10.0.0.1}]\n"),
	  .result = "db.example.com entry 10.9.0.9\ngroup ServiceEntry/default/db of "
		    "db.example.com 10.0.0.1*1\n" },
	{ "with an empty list the group is emptied", ENTRY("  endpoints: []\n"),
	  .base = ENTRY("  endpoints: [{address: 10.0.0.1}]\n"),
	  .result = "db.example.com entry\ngroup ServiceEntry/default/db of db.example.com\n" },
	{ "the same object with another host leaves the old one",
	  SE("  hosts: [new.example.com]\n  resolution: STATIC\n"),
	  .base = ENTRY("  endpoints: [{address: 10.0.0.1}]\n"),
	  .result = "new.example.com entry\ngroup ServiceEntry/default/db of new.example.com "
		    "10.0.0.1*1\n" },
	{ "a host taken over from another object is said",
	  ISTIO("ServiceEntry", "other", "  hosts: [db.example.com]\n  resolution: STATIC\n"),
	  .base = ENTRY(""),
	  .wanted = "3:11: warning: metadata: db.example.com was defined by the ServiceEntry "
		    "default/db until now" },
	{ "as the whole configuration, endpoints of a dropped entry go and those of a kept one "
	  "stay",
	  ENTRY(""), .is_replace = true,
	  .base = ENTRY("  endpoints: [{address: 10.0.0.1}]\n") "---\n" ISTIO(
		  "ServiceEntry", "b",
		  "  hosts: [b.example.com]\n  resolution: STATIC\n"
		  "  endpoints: [{address: 10.0.0.2}]\n"),
	  .result = "db.example.com entry\ngroup ServiceEntry/default/db of db.example.com "
		    "10.0.0.1*1\n" },
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
