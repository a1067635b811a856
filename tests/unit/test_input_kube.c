// SPDX-License-Identifier: Apache-2.0
/*
 * Kubernetes's kinds: Service, EndpointSlice, Endpoints, Pod, lists; the kinds that are passed
 * over; our own.
 */
#include "input_rows.h"

#define OBJECT(version, kind, meta, rest)                                                          \
	"apiVersion: " version "\nkind: " kind "\nmetadata: {" meta "}\n" rest
#define SERVICE(spec) OBJECT("v1", "Service", "name: reviews", "spec:\n" spec)
#define SLICE(rest)                                                                                \
	OBJECT("discovery.k8s.io/v1", "EndpointSlice",                                             \
	       "name: reviews-x, labels: {kubernetes.io/service-name: reviews}",                   \
	       "addressType: IPv4\n" rest)
#define POD(rest) OBJECT("v1", "Pod", "name: a, labels: {version: v1}", rest)

static const struct row service_rows[] = {
	{ "every address of a Service is a VIP, each once",
	  SERVICE("  clusterIP: 10.96.0.1\n  clusterIPs: [10.96.0.1, \"fd00::1\"]\n  externalIPs: "
		  "[1.2.3.4]\n"
		  "  ports: [{port: 80}]\nstatus: {loadBalancer: {ingress: [{ip: 5.6.7.8}, "
		  "{hostname: a}]}}\n"),
	  .wanted = "9:51: warning: status.loadBalancer.ingress[1].hostname: not resolved",
	  .result = REVIEWS " kube 10.96.0.1 fd00::1 1.2.3.4 5.6.7.8 :80/tcp/?\n" },
	{ "ports carry a target by number or by name, and what their name or appProtocol says",
	  SERVICE("  ports:\n  - {port: 80, name: http, targetPort: 8080}\n  - {port: 81, name: "
		  "grpc-web-x, targetPort: web}\n"
		  "  - {port: 82, name: mysql-a}\n  - {port: 83, name: http-a, appProtocol: tcp}\n"
		  "  - {port: 84, appProtocol: kubernetes.io/h2c}\n  - {port: 85, name: https}\n"
		  "  - {port: 86, name: http, protocol: UDP}\n  - {port: 87, name: httpx, "
		  "targetPort: 87}\n"
		  "  - {port: 88, name: http-b, appProtocol: example.com/what}\n"),
	  .result = REVIEWS
	  " kube http:80/tcp/http>8080 grpc-web-x:81/tcp/http>web mysql-a:82/tcp/tcp "
	  "http-a:83/tcp/tcp :84/tcp/http https:85/tcp/tcp http:86/udp/tcp httpx:87/tcp/? "
	  "http-b:88/tcp/http\n" },
	{ "sessionAffinity keeps a client on its version", SERVICE("  sessionAffinity: ClientIP\n"),
	  .result = REVIEWS " kube by-client\n" },
	{ "sessionAffinity is one of two", SERVICE("  sessionAffinity: Client\n"),
	  .wanted = "5:20: error: spec.sessionAffinity: \"Client\"; allowed is None or ClientIP" },
	{ "a headless Service has no VIP, with a warning",
	  SERVICE("  clusterIP: None\n  ports: [{port: 80}]\n"),
	  .wanted = "5:14: warning: spec.clusterIP: found None: a headless Service",
	  .result = REVIEWS " kube :80/tcp/?\n" },
	{ "a Service without an address yet is kept", SERVICE("  ports: [{port: 80}]\n"),
	  .result = REVIEWS " kube :80/tcp/?\n" },
	{ "ExternalName is passed over with a warning",
	  SERVICE("  type: ExternalName\n  externalName: a.b\n"),
	  .wanted = "5:9: warning: spec.type: found ExternalName, which is passed over",
	  .result = "" },
	{ "an SCTP port is left alone with a warning",
	  SERVICE("  ports: [{port: 80, protocol: SCTP}, {port: 81}]\n"),
	  .wanted = "5:11: warning: spec.ports[0]: an SCTP port",
	  .result = REVIEWS " kube :81/tcp/?\n" },
	{ "a port number is checked", SERVICE("  ports: [{port: \"80\"}]\n"),
	  .wanted = "5:18: error: spec.ports[0].port: found the text \"80\"; allowed is a whole "
		    "number" },
	{ "a target port is checked", SERVICE("  ports: [{port: 80, targetPort: 70000}]\n"),
	  .wanted = "5:34: error: spec.ports[0].targetPort: found the number 70000; allowed is a "
		    "number" },
	{ "a port twice is refused", SERVICE("  ports: [{port: 80}, {port: 80, name: b}]\n"),
	  .wanted = "5:23: error: spec.ports[1]: port 80/TCP a second time" },
	{ "a cluster IP is checked", SERVICE("  clusterIP: 10.96.0\n"),
	  .wanted = "5:14: error: spec.clusterIP: \"10.96.0\"; allowed is an IP address" },
	{ "what bears on traffic and is ignored is said; the server's defaults are not",
	  SERVICE("  externalTrafficPolicy: Local\n  internalTrafficPolicy: Cluster\n"
		  "  sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}\n  "
		  "trafficDistribution: PreferClose\n"
		  "  loadBalancerSourceRanges: [10.0.0.0/8]\n  publishNotReadyAddresses: true\n  "
		  "newField: 1\n"),
	  .wanted = "5:3: warning: spec.externalTrafficPolicy: \"Local\", which is ignored\n"
		    "7:3: warning: spec.sessionAffinityConfig: ignored\n"
		    "8:3: warning: spec.trafficDistribution: ignored\n"
		    "9:3: warning: spec.loadBalancerSourceRanges: ignored\n"
		    "10:3: warning: spec.publishNotReadyAddresses: ignored\n"
		    "11:3: warning: spec.newField: unknown field \"newField\" ... ignored" },
	{ "a misspelt field of a Service is an error",
	  SERVICE("  clusterIp: 10.96.0.1\n  ports: [{port: 80, targetport: 81}]\n"
		  "staus: {}\n"),
	  .wanted = "5:3: error: spec.clusterIp: did you mean \"clusterIP\"?\n"
		    "6:22: error: spec.ports[0].targetport: did you mean \"targetPort\"?\n"
		    "7:1: error: staus: did you mean \"status\"?" },
	{ "a field that Kubernetes grew is a warning, once for each kind of place",
	  SERVICE("  ports: [{port: 80, quicVersion: 1}, {port: 81, quicVersion: 1}]\n"
		  "  quicVersion: 1\n"),
	  .wanted = "5:22: warning: spec.ports[0].quicVersion: ServicePort, ignored\n"
		    "6:3: warning: spec.quicVersion: ServiceSpec, ignored",
	  .result = REVIEWS " kube :80/tcp/? :81/tcp/?\n" },
	{ "what a server says of a Service without bearing on the split is known",
	  SERVICE("  type: LoadBalancer\n  ipFamilies: [IPv4]\n  ipFamilyPolicy: SingleStack\n"
		  "  loadBalancerIP: 1.2.3.4\n  loadBalancerClass: a\n  healthCheckNodePort: 1\n"
		  "  allocateLoadBalancerNodePorts: true\n"
		  "  ports: [{port: 80, nodePort: 30080}]\n"),
	  .result = REVIEWS " kube :80/tcp/?\n" },
	{ "a Service's name is one DNS label", OBJECT("v1", "Service", "name: a.b", "spec: {}\n"),
	  .wanted = "3:18: error: metadata.name: \"a.b\"; allowed for a Service" },
	{ "an object needs a name", OBJECT("v1", "Service", "namespace: a", "spec: {}\n"),
	  .wanted = "3:11: error: metadata.name: not found" },
	{ "an object needs metadata", "apiVersion: v1\nkind: Service\nspec: {}\n",
	  .wanted = "1:1: error: metadata: not found; a Service needs metadata.name" },
	{ "bookkeeping of the server carries no intent",
	  OBJECT("v1", "Service",
		 "name: a, uid: x, resourceVersion: \"1\", generation: 1, creationTimestamp: null, "
		 "deletionTimestamp: 2026-01-01T00:00:00Z, managedFields: [{x: y}], "
		 "ownerReferences: [], finalizers: [a]",
		 "spec: {selector: {app: a}}\n"),
	  .result = "a.default.svc.cluster.local kube\n" },
	{ "spilling is asked for on a Service",
	  OBJECT("v1", "Service", "name: a, annotations: {sluice.dev/empty-version: spill}",
		 "spec: {}\n"),
	  .result = "a.default.svc.cluster.local kube spill\n" },
};

static const struct row endpoint_rows[] = {
	{ "conditions make states: unknown is ready, terminating serves while it can",
	  SLICE("ports: [{name: http, port: 9080}]\nendpoints:\n- {addresses: [10.0.0.1]}\n"
		"- {addresses: [10.0.0.2], conditions: {ready: false}}\n"
		"- {addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: "
		"true}}\n"
		"- {addresses: [10.0.0.4], conditions: {ready: false, serving: false, terminating: "
		"true}}\n"
		"- {addresses: [10.0.0.5], conditions: {ready: null}, targetRef: {kind: Pod, name: "
		"a}}\n"
		"- {addresses: [10.0.0.6], targetRef: {kind: Pod, name: b, namespace: other}}\n"
		"- {addresses: [10.0.0.7], targetRef: {kind: Node, name: c}}\n"),
	  .result = "group EndpointSlice/default/reviews-x of " REVIEWS " 10.0.0.1*1:http=9080/tcp "
		    "10.0.0.2-not-ready*1:http=9080/tcp 10.0.0.3-terminating*1:http=9080/tcp "
		    "10.0.0.4-not-ready*1:http=9080/tcp 10.0.0.5*1<default/a>:http=9080/tcp "
		    "10.0.0.6*1<other/b>:http=9080/tcp 10.0.0.7*1:http=9080/tcp\n" },
	{ "the first address of an endpoint is used",
	  SLICE("endpoints: [{addresses: [10.0.0.1, 10.0.0.2]}]\n"),
	  .wanted = "5:25: warning: endpoints[0].addresses: found 2 addresses; the first is used",
	  .result = "group EndpointSlice/default/reviews-x of " REVIEWS " 10.0.0.1*1\n" },
	{ "an address is checked", SLICE("endpoints: [{addresses: [nope]}]\n"),
	  .wanted = "5:26: error: endpoints[0].addresses[0]: \"nope\"; allowed is an IP address" },
	{ "a misspelt field of a slice is an error",
	  SLICE("endpoint: []\nports: [{prot: 80}]\n"
		"endpoints: [{adresses: [], addresses: [10.0.0.1], conditions: {redy: false}}]\n"),
	  .wanted = "5:1: error: endpoint: did you mean \"endpoints\"?\n"
		    "6:10: error: ports[0].prot: did you mean \"port\"?\n"
		    "7:14: error: endpoints[0].adresses: did you mean \"addresses\"?\n"
		    "7:64: error: endpoints[0].conditions.redy: did you mean \"ready\"?" },
	{ "where an endpoint is is known, in the old words too",
	  SLICE("endpoints: [{addresses: [10.0.0.1], nodeName: a, zone: b, hostname: c, "
		"topology: {a: b}, deprecatedTopology: {a: b}}]\nports: [{port: 80, "
		"appProtocol: http}]\n"),
	  .result = "group EndpointSlice/default/reviews-x of " REVIEWS " 10.0.0.1*1:=80/tcp\n" },
	{ "topology hints are ignored, said once",
	  SLICE("endpoints: [{addresses: [10.0.0.1], hints: {forZones: []}}, {addresses: "
		"[10.0.0.2], hints: {a: b}}]\n"),
	  .wanted = "5:37: warning: endpoints[0].hints: ignored" },
	{ "a slice of DNS names is passed over with a warning",
	  OBJECT("discovery.k8s.io/v1", "EndpointSlice",
		 "name: a, labels: {kubernetes.io/service-name: b}",
		 "addressType: FQDN\nendpoints: [{addresses: [a.example.com]}]\n"),
	  .wanted = "4:14: warning: addressType: found FQDN: the slice is passed over",
	  .result = "" },
	{ "a slice of no Service is passed over with a warning",
	  OBJECT("discovery.k8s.io/v1", "EndpointSlice", "name: a",
		 "addressType: IPv4\nendpoints: []\n"),
	  .wanted = "3:11: warning: metadata: no label kubernetes.io/service-name", .result = "" },
	{ "the server's nulls are empty lists", SLICE("endpoints: null\nports: null\n"),
	  .result = "group EndpointSlice/default/reviews-x of " REVIEWS "\n" },
	{ "a newer slice replaces the whole of the older",
	  SLICE("endpoints: [{addresses: [10.0.0.2]}]\n"),
	  .base = SLICE("endpoints: [{addresses: [10.0.0.1]}]\n"),
	  .result = "group EndpointSlice/default/reviews-x of " REVIEWS " 10.0.0.2*1\n" },
	{ "Endpoints are read too",
	  OBJECT("v1", "Endpoints", "name: reviews",
		 "subsets:\n- addresses: [{ip: 10.0.0.1, targetRef: {kind: Pod, name: a}}]\n"
		 "  notReadyAddresses: [{ip: 10.0.0.2}]\n  ports: [{name: dns, port: 53, protocol: "
		 "UDP}]\n"),
	  .result = "group Endpoints/default/reviews of " REVIEWS
		    " 10.0.0.1*1<default/a>:dns=53/udp 10.0.0.2-not-ready*1:dns=53/udp\n" },
	{ "a misspelt field of Endpoints is an error",
	  OBJECT("v1", "Endpoints", "name: reviews",
		 "subset: []\nsubsets: [{adresses: [], addresses: [{ip: 10.0.0.1, nodename: a, "
		 "unheardOf: 1}]}]\n"),
	  .wanted = "4:1: error: subset: did you mean \"subsets\"?\n"
		    "5:12: error: subsets[0].adresses: did you mean \"addresses\"?\n"
		    "5:53: error: subsets[0].addresses[0].nodename: did you mean \"nodeName\"?\n"
		    "5:66: warning: subsets[0].addresses[0].unheardOf: EndpointAddress, ignored" },
	{ "a Pod with an address is a workload", POD("status: {phase: Running, podIP: 10.0.0.1}\n"),
	  .result = "pod default/a 10.0.0.1{version=v1}\n" },
	{ "podIPs stand in for podIP", POD("status: {podIPs: [{ip: 10.0.0.1}]}\n"),
	  .result = "pod default/a 10.0.0.1{version=v1}\n" },
	{ "a Pod without an address is none yet", POD("status: {phase: Pending}\n"), .result = "" },
	{ "a Pod that is done goes", POD("status: {phase: Succeeded, podIP: 10.0.0.1}\n"),
	  .base = POD("status: {phase: Running, podIP: 10.0.0.1}\n"), .result = "" },
	{ "a Pod that failed goes", POD("status: {phase: Failed, podIP: 10.0.0.1}\n"),
	  .result = "" },
	{ "a Pod's new labels replace the old",
	  OBJECT("v1", "Pod", "name: a, labels: {version: v2}", "status: {podIP: 10.0.0.1}\n"),
	  .base = POD("status: {podIP: 10.0.0.1}\n"),
	  .result = "pod default/a 10.0.0.1{version=v2}\n" },
};

static const struct row document_rows[] = {
	{ "kinds that split no traffic are passed over with one line each",
	  OBJECT("apps/v1", "Deployment", "name: a", "spec: {x: 1}\n") "---\n" OBJECT(
		  "v1", "ServiceAccount", "name: a",
		  "") "---\n" OBJECT("networking.istio.io/v1", "Gateway", "name: a",
				     "spec: {}\n") "---\n" OBJECT("serving.knative.dev/v1",
								  "Service", "name: a", ""),
	  .wanted = "1:1: note: passed over: the kind Deployment\n6:1: note: passed over: the kind "
		    "ServiceAccount\n"
		    "10:1: note: passed over: the kind Gateway\n15:1: note: passed over: the kind "
		    "Service",
	  .result = "" },
	{ "a misspelt kind of Istio's is an error",
	  OBJECT("networking.istio.io/v1", "VirtualServce", "name: a", ""),
	  .wanted = "2:7: error: kind: \"VirtualServce\"; did you mean \"VirtualService\"" },
	{ "a misspelt kind of Kubernetes's is an error", OBJECT("v1", "Servce", "name: a", ""),
	  .wanted = "2:7: error: kind: \"Servce\"; did you mean \"Service\"" },
	{ "a rule of the first Istio is refused as not supported yet",
	  OBJECT("config.istio.io/v1alpha2", "RouteRule", "name: a", "spec: {}\n"),
	  .wanted = "2:7: error: kind: a RouteRule, which is not supported yet; allowed is a "
		    "VirtualService" },
	{ "routes of the Gateway API are refused as not supported yet",
	  OBJECT("gateway.networking.k8s.io/v1", "HTTPRoute", "name: a", "") "---\n" OBJECT(
		  "gateway.networking.k8s.io/v1", "TCPRoute", "name: a",
		  "") "---\n" OBJECT("gateway.networking.k8s.io/v1", "UDPRoute", "name: a",
				     "") "---\n" OBJECT("gateway.networking.k8s.io/v1", "GRPCRoute",
							"name: a", ""),
	  .wanted = "2:7: error: kind: a HTTPRoute, which is not supported yet\n6:7: error: kind: "
		    "a TCPRoute\n"
		    "10:7: error: kind: a UDPRoute\n14:7: error: kind: a GRPCRoute" },
	{ "a list of one kind need not repeat it in its items",
	  "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n  spec: {}\n- "
	  "metadata: {name: b}\n  spec: {clusterIP: x}\n",
	  .wanted = "7:21: error: items[1].spec.clusterIP: \"x\"; allowed is an IP address" },
	{ "a List's items say what they are",
	  "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: "
	  "a}, spec: {}}\n- {metadata: {name: b}}\n",
	  .wanted = "5:3: error: items[1].apiVersion: not found\n5:3: error: items[1].kind: not "
		    "found" },
	{ "JSON is read by the same rules",
	  "{\"apiVersion\": \"v1\", \"kind\": \"ServiceList\", \"items\": [{\"metadata\": "
	  "{\"name\": \"a\", "
	  "\"labels\": {\"x\": \"\\u00e9\\/\"}}, \"spec\": {\"ports\": [{\"port\": 80}]}}]}",
	  .result = "a.default.svc.cluster.local kube :80/tcp/?\n" },
	{ "an object without a kind is refused", "apiVersion: v1\n",
	  .wanted = "1:1: error: kind: not found; every object needs kind" },
	{ "a document that is no object is refused", "- a\n",
	  .wanted = "1:1: error: found a list; allowed is an object" },
	{ "empty documents are nothing", "---\n---\n# no more\n", .result = "" },
	{ "an empty text is nothing", "", .result = "" },
	{ "our own group and drain come back",
	  "apiVersion: sluice.dev/v1\nkind: EndpointGroup\nspec:\n  key: cli/a.b.c\n  host: "
	  "a.b.c\n  endpoints:\n"
	  "  - {address: 10.0.0.1, weight: 0, state: Terminating, workload: a/b, labels: {v: "
	  "\"1\"}, "
	  "ports: [{name: x, number: 80, protocol: UDP}]}\n---\n"
	  "apiVersion: sluice.dev/v1\nkind: Drain\nspec: {host: a.b.c, address: \"fd00::1\", port: "
	  "80}\n",
	  .result = "group cli/a.b.c of a.b.c 10.0.0.1-terminating*0<a/b>{v=1}:x=80/udp\ndrain "
		    "a.b.c fd00::1 80\n" },
	{ "our own documents are strict",
	  "apiVersion: sluice.dev/v1\nkind: Drain\nspec: {host: a, adress: x}\n",
	  .wanted = "3:17: error: spec.adress: did you mean \"address\"?\n3:7: error: "
		    "spec.address: not found" },
	{ "a kind of ours that is none is refused",
	  "apiVersion: sluice.dev/v1\nkind: Drian\nspec: {}\n",
	  .wanted = "2:7: error: kind: \"Drian\"; did you mean \"Drain\"" },
};

static void test_services(void **state)
{
	ROWS_RUN(service_rows);
}

static void test_endpoints(void **state)
{
	ROWS_RUN(endpoint_rows);
}

static void test_documents(void **state)
{
	ROWS_RUN(document_rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
