// SPDX-License-Identifier: Apache-2.0
/* Files as people keep them: each is taken, or refused for the right field. */
#include "input_rows.h"

#define HOST "reviews.shop.svc.cluster.local"
#define LAYER7 "which needs layer 7, and layer 7 is not there yet"

static const struct row rows[] = {
	{ "a Service among what deploys it is taken, the rest passed over a line each",
	  "@shop.yaml",
	  .wanted = "18:1: note: passed over: the kind ServiceAccount\n24:1: note: passed over: "
		    "the kind Deployment\n"
		    "43:1: note: passed over: the kind Gateway",
	  .result = HOST " kube 10.96.0.10 http:9080/tcp/http\n" },
	{ "subsets are taken, mutual TLS ignored with a warning", "@subsets.yaml",
	  .wanted = "10:5: warning: spec.trafficPolicy.tls: \"tls\", which is ignored\n"
		    "13:15: note: spec.trafficPolicy.loadBalancer.simple: RANDOM",
	  .result = HOST " undefined v1{version=v1} v2{version=v2}\n" },
	{ "a split of 90 to 10 is taken", "@split-90-10.yaml",
	  .result = HOST " undefined http:=>" HOST "/v1:0*90," HOST "/v2:0*10\n" },
	{ "a rule by user with a fault is refused at both", "@by-user.yaml",
	  .wanted = "12:7: error: spec.http[0].match[0].headers: found \"headers\", " LAYER7 "\n"
		    "15:5: error: spec.http[0].fault: found \"fault\", " LAYER7 },
	{ "a rule of a gateway for every host is refused at the host", "@edge.yaml",
	  .wanted = "8:5: error: spec.hosts[0]: wildcard host \"*\"" },
	{ "an entry by DNS is refused at its resolution", "@dns-entry.yaml",
	  .wanted = "13:15: error: spec.resolution: found DNS; allowed is STATIC" },
	{ "a host without Kubernetes is described in one file", "@host.yaml",
	  .result = "db.example.com entry 10.200.0.1 tcp-postgres:5432/tcp/tcp by-client spill "
		    "v1{version=v1} "
		    "v2{version=v2} tcp:(0 from 10.1.0.0/16)=>db.example.com/v2:0*100 "
		    "tcp:=>db.example.com/v1:0*99,db.example.com/v2:0*1\n"
		    "group ServiceEntry/default/db of db.example.com 10.0.0.1*1{version=v1} "
		    "10.0.0.2*2{version=v2}:tcp-postgres=5433/tcp\n" },
	{ "a server's list is taken as it comes", "@server-list.json",
	  .result = "group EndpointSlice/shop/reviews-abcde of " HOST
		    " 10.244.1.61*1<shop/reviews-v1-1>:http=9080/tcp\n" },
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
