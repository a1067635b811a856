// SPDX-License-Identifier: Apache-2.0
/*
 * What looks at requests: read and checked, so that it cannot be mistaken, and refused until layer
 * 7 is there.
 */
#include "input_rows.h"

#define ROUTE "\n    route: [{destination: {host: reviews}}]\n"
#define HTTP(field) VS("  hosts: [reviews]\n  http:\n  - " field ROUTE)
#define MATCH(field) HTTP("match: [{" field "}]")
#define NOT_YET(at, name)                                                                          \
	at ": error: spec.http[0]." name ", which needs layer 7, and layer 7 is not there yet"
#define IS(path, name) path ": found \"" name "\""

static const struct row rows[] = {
	{ "uri", MATCH("uri: {prefix: /a}"),
	  .wanted = NOT_YET("7:14", IS("match[0].uri",
				       "uri")) "; at layer 4 an http match may say port alone" },
	{ "scheme", MATCH("scheme: {exact: https}"),
	  .wanted = NOT_YET("7:14", IS("match[0].scheme", "scheme")) },
	{ "method", MATCH("method: {exact: GET}"),
	  .wanted = NOT_YET("7:14", IS("match[0].method", "method")) },
	{ "authority", MATCH("authority: {regex: \"a.*\"}"),
	  .wanted = NOT_YET("7:14", IS("match[0].authority", "authority")) },
	{ "headers, present too", MATCH("headers: {end-user: {exact: jason}, x: {}}"),
	  .wanted = NOT_YET("7:14", IS("match[0].headers", "headers")) },
	{ "queryParams", MATCH("queryParams: {q: {regex: \"\\\\d+\"}}"),
	  .wanted = NOT_YET("7:14", IS("match[0].queryParams", "queryParams")) },
	{ "withoutHeaders", MATCH("withoutHeaders: {x: {}}"),
	  .wanted = NOT_YET("7:14", IS("match[0].withoutHeaders", "withoutHeaders")) },
	{ "ignoreUriCase", MATCH("ignoreUriCase: true"),
	  .wanted = NOT_YET("7:14", IS("match[0].ignoreUriCase", "ignoreUriCase")) },
	{ "two kinds of one StringMatch are one too many", MATCH("uri: {exact: /a, prefix: /b}"),
	  .wanted = "7:31: error: spec.http[0].match[0].uri.prefix: both \"exact\" and \"prefix\"; "
		    "only one\n" NOT_YET("7:14", IS("match[0].uri", "uri")) },
	{ "a StringMatch needs one of its kinds", MATCH("uri: {}"),
	  .wanted = "7:19: error: spec.http[0].match[0].uri: one of exact, prefix, regex is "
		    "needed\n" NOT_YET("7:14", IS("match[0].uri", "uri")) },
	{ "a misspelt kind of StringMatch has its nearest name", MATCH("uri: {prefx: /a}"),
	  .wanted = "7:20: error: spec.http[0].match[0].uri.prefx: did you mean \"prefix\"?\n"
		    "7:19: error: spec.http[0].match[0].uri: one of exact\n" NOT_YET(
			    "7:14", IS("match[0].uri", "uri")) },
	{ "a StringMatch holds text", MATCH("headers: {x: {exact: 5}}"),
	  .wanted = "7:35: error: spec.http[0].match[0].headers.x.exact: found the number "
		    "5\n" NOT_YET("7:14", IS("match[0].headers", "headers")) },
	{ "a regular expression's brackets match", MATCH("uri: {regex: \"(a\"}"),
	  .wanted = "7:27: error: spec.http[0].match[0].uri.regex: \"(a\" ... brackets must "
		    "match\n" NOT_YET("7:14", IS("match[0].uri", "uri")) },
	{ "fault delay", HTTP("fault: {delay: {percentage: {value: 0.5}, fixedDelay: 7s}}"),
	  .wanted = NOT_YET(
		  "7:5", IS("fault",
			    "fault")) "; at layer 4 an http route may say name, match and route" },
	{ "fault abort", HTTP("fault: {abort: {percentage: {value: 100.0}, httpStatus: 555}}"),
	  .wanted = NOT_YET("7:5", IS("fault", "fault")) },
	{ "a percentage ends at 100",
	  HTTP("fault: {abort: {percentage: {value: 100.1}, httpStatus: 500}}"),
	  .wanted = "7:41: error: spec.http[0].fault.abort.percentage.value: 100.1; allowed is a "
		    "number from 0 to 100\n" NOT_YET("7:5", IS("fault", "fault")) },
	{ "a status code is one", HTTP("fault: {abort: {httpStatus: 600}}"),
	  .wanted = "7:33: error: spec.http[0].fault.abort.httpStatus: 600; allowed is a whole "
		    "number from 200 to 599\n" NOT_YET("7:5", IS("fault", "fault")) },
	{ "a gRPC status is one", HTTP("fault: {abort: {grpcStatus: UNAVAILABL}}"),
	  .wanted =
		  "7:33: error: spec.http[0].fault.abort.grpcStatus: such as UNAVAILABLE\n" NOT_YET(
			  "7:5", IS("fault", "fault")) },
	{ "a delay has one kind", HTTP("fault: {delay: {fixedDelay: 1s, exponentialDelay: 1s}}"),
	  .wanted = "7:37: error: spec.http[0].fault.delay.exponentialDelay: only one of "
		    "them\n" NOT_YET("7:5", IS("fault", "fault")) },
	{ "a fault of no kind says what is needed", HTTP("fault: {abort: {}}"),
	  .wanted = "7:20: error: spec.http[0].fault.abort: one of httpStatus, grpcStatus, "
		    "http2Error\n" NOT_YET("7:5", IS("fault", "fault")) },
	{ "timeout", HTTP("timeout: 1m30.5s"), .wanted = NOT_YET("7:5", IS("timeout", "timeout")) },
	{ "a duration has units", HTTP("timeout: 10"),
	  .wanted = "7:14: error: spec.http[0].timeout: found the number 10; allowed is a duration "
		    "such as 10s\n" NOT_YET("7:5", IS("timeout", "timeout")) },
	{ "a duration has known units", HTTP("timeout: 10 sec"),
	  .wanted =
		  "7:14: error: spec.http[0].timeout: \"10 sec\"; allowed is a duration\n" NOT_YET(
			  "7:5", IS("timeout", "timeout")) },
	{ "retries",
	  HTTP("retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx, retryRemoteLocalities: "
	       "true, "
	       "retryIgnorePreviousHosts: false, backoff: 25ms}"),
	  .wanted = NOT_YET("7:5", IS("retries", "retries")) },
	{ "a misspelling inside retries is found", HTTP("retries: {attempt: 3}"),
	  .wanted =
		  "7:15: error: spec.http[0].retries.attempt: did you mean \"attempts\"?\n" NOT_YET(
			  "7:5", IS("retries", "retries")) },
	{ "rewrite", HTTP("rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}"),
	  .wanted = NOT_YET("7:5", IS("rewrite", "rewrite")) },
	{ "redirect", HTTP("redirect: {uri: /a, redirectCode: 302, derivePort: FROM_REQUEST_PORT}"),
	  .wanted = NOT_YET("7:5", IS("redirect", "redirect")) },
	{ "a redirect's code is one of five", HTTP("redirect: {redirectCode: 304}"),
	  .wanted = "7:30: error: spec.http[0].redirect.redirectCode: allowed are 301, 302, 303, "
		    "307 and 308\n" NOT_YET("7:5", IS("redirect", "redirect")) },
	{ "an enum has its nearest name", HTTP("redirect: {derivePort: FROM_REQUEST_PROT}"),
	  .wanted = "7:28: error: spec.http[0].redirect.derivePort: did you mean "
		    "\"FROM_REQUEST_PORT\"?\n" NOT_YET("7:5", IS("redirect", "redirect")) },
	{ "directResponse", HTTP("directResponse: {status: 503, body: {string: x}}"),
	  .wanted = NOT_YET("7:5", IS("directResponse", "directResponse")) },
	{ "directResponse needs a status", HTTP("directResponse: {body: {string: x}}"),
	  .wanted = "7:21: error: spec.http[0].directResponse.status: not found\n" NOT_YET(
		  "7:5", IS("directResponse", "directResponse")) },
	{ "delegate", HTTP("delegate: {name: a, namespace: b}"),
	  .wanted = NOT_YET("7:5", IS("delegate", "delegate")) },
	{ "mirror", HTTP("mirror: {host: b, subset: v2}\n    mirrorPercentage: {value: 10}"),
	  .wanted = NOT_YET("7:5", IS("mirror", "mirror")) "\n" NOT_YET(
		  "8:5", IS("mirrorPercentage", "mirrorPercentage")) },
	{ "mirrors", HTTP("mirrors: [{destination: {host: b}, percentage: {value: 1}}]"),
	  .wanted = NOT_YET("7:5", IS("mirrors", "mirrors")) },
	{ "a mirror needs a destination", HTTP("mirrors: [{percentage: {value: 1}}]"),
	  .wanted = "7:15: error: spec.http[0].mirrors[0].destination: not found\n" NOT_YET(
		  "7:5", IS("mirrors", "mirrors")) },
	{ "corsPolicy",
	  HTTP("corsPolicy: {allowOrigins: [{exact: a}], allowMethods: [GET], maxAge: 24h, "
	       "allowCredentials: false, unmatchedPreflights: FORWARD}"),
	  .wanted = NOT_YET("7:5", IS("corsPolicy", "corsPolicy")) },
	{ "headers of a route",
	  HTTP("headers: {request: {set: {a: b}, remove: [c]}, response: {add: {d: e}}}"),
	  .wanted = NOT_YET("7:5", IS("headers", "headers")) },
	{ "headers of a destination",
	  VS("  hosts: [reviews]\n  http:\n  - route: [{destination: {host: a}, headers: {request: "
	     "{set: {a: b}}}}]\n"),
	  .wanted = NOT_YET("7:38", IS("route[0].headers", "headers")) },
	{ "layer 7 in a tcp route is a field that it does not have",
	  VS("  hosts: [reviews]\n  tcp:\n  - match: [{uri: {exact: /}}]" ROUTE),
	  .wanted = "7:14: error: spec.tcp[0].match[0].uri: unknown field \"uri\" in "
		    "L4MatchAttributes" },
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
