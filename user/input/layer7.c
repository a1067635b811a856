// SPDX-License-Identifier: Apache-2.0
#include "layer7.h"

#include <string.h>

#include "../base/nearest.h"
#include "../base/cleanup.h"
#include "virtual.h"

/* RE2 is not here to judge it; what no dialect allows is caught at least. */
static void check_regex(struct reader *reader, const struct node *node, const void *text)
{
	int depth = 0, is_class = 0;

	for (const char *c = text; *c && depth >= 0; c++) {
		if (*c == '\\' && c[1])
			c++;
		else if (is_class)
			is_class = *c != ']';
		else if (*c == '[')
			is_class = 1;
		else if (*c == '(' || *c == ')')
			depth += *c == '(' ? 1 : -1;
	}
	if (depth || is_class || !*(const char *)text)
		report_error(
			reader, node,
			"found the regular expression \"%.80s\"; it must not be empty, and its "
			"brackets must match",
			(const char *)text);
}

static void check_not_empty(struct reader *reader, const struct node *node, const void *text)
{
	if (!*(const char *)text)
		report_error(reader, node,
			     "found an empty text; allowed is text with something in it");
}

static void check_redirect_code(struct reader *reader, const struct node *node, const void *value)
{
	const struct opt_number *code = value;

	if (code->value != 301 && code->value != 302 && code->value != 303 && code->value != 307 &&
	    code->value != 308)
		report_error(reader, node,
			     "found the number %d; allowed are 301, 302, 303, 307 and 308",
			     (int)code->value);
}

static void check_grpc_status(struct reader *reader, const struct node *node, const void *text)
{
	static const char *const names[] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};
	const char *nearest = name_nearest(text, names, ARRAY_SIZE(names));

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], text))
			return;
	report_error(reader, node, "found \"%.80s\"; allowed are gRPC's status names, such as %s",
		     (const char *)text, nearest ? nearest : "UNAVAILABLE");
}

static const struct field string_match_fields[] = {
	{ "exact", FIELD_STRING, AT(struct l7_string_match, exact), .choice = 1 },
	{ "prefix", FIELD_STRING, AT(struct l7_string_match, prefix), .choice = 1,
	  .check = check_not_empty },
	{ "regex", FIELD_STRING, AT(struct l7_string_match, regex), .choice = 1,
	  .check = check_regex },
};
const struct schema schema_string_match = {
	.name = "StringMatch",
	.size = sizeof(struct l7_string_match),
	.fields = string_match_fields,
	.count = ARRAY_SIZE(string_match_fields),
	.need_choice = 1,
};
const struct schema schema_presence_match =
	SCHEMA("StringMatch", struct l7_string_match, string_match_fields);

static const struct field percent_fields[] = {
	{ "value", FIELD_REAL, AT(struct l7_percent, value), .max = 100 },
};
const struct schema schema_percent = SCHEMA("Percent", struct l7_percent, percent_fields);

static const struct field header_operations_fields[] = {
	{ "set", FIELD_LABELS, AT(struct l7_header_operations, set) },
	{ "add", FIELD_LABELS, AT(struct l7_header_operations, add) },
	{ "remove", FIELD_STRINGS, AT(struct l7_header_operations, remove),
	  .check = check_not_empty },
};
static const struct schema schema_header_operations =
	SCHEMA("HeaderOperations", struct l7_header_operations, header_operations_fields);

static const struct field headers_fields[] = {
	{ "request", FIELD_OBJECT, AT(struct l7_headers, request),
	  .sub = &schema_header_operations },
	{ "response", FIELD_OBJECT, AT(struct l7_headers, response),
	  .sub = &schema_header_operations },
};
const struct schema schema_headers = SCHEMA("Headers", struct l7_headers, headers_fields);

static const char *const derive_port_words[] = { "FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT",
						 NULL };
static const struct field redirect_fields[] = {
	{ "uri", FIELD_STRING, AT(struct l7_redirect, uri) },
	{ "authority", FIELD_STRING, AT(struct l7_redirect, authority) },
	{ "port", FIELD_INT, AT(struct l7_redirect, port), .min = 1, .max = 65535, .choice = 1 },
	{ "derivePort", FIELD_ENUM, AT(struct l7_redirect, derive_port), .words = derive_port_words,
	  .choice = 1 },
	{ "scheme", FIELD_STRING, AT(struct l7_redirect, scheme) },
	{ "redirectCode", FIELD_INT, AT(struct l7_redirect, code), .check = check_redirect_code },
	{ "prefixRewrite", FIELD_STRING, AT(struct l7_redirect, prefix_rewrite) },
};
const struct schema schema_redirect = SCHEMA("HTTPRedirect", struct l7_redirect, redirect_fields);

static const struct field body_fields[] = {
	{ "string", FIELD_STRING, AT(struct l7_body, string), .choice = 1 },
	{ "bytes", FIELD_STRING, AT(struct l7_body, bytes), .choice = 1 },
};
static const struct schema schema_body = SCHEMA("HTTPBody", struct l7_body, body_fields);

static const struct field direct_response_fields[] = {
	{ "status", FIELD_INT, AT(struct l7_direct_response, status), .min = 100, .max = 599,
	  .is_required = true },
	{ "body", FIELD_OBJECT, AT(struct l7_direct_response, body), .sub = &schema_body },
};
const struct schema schema_direct_response =
	SCHEMA("HTTPDirectResponse", struct l7_direct_response, direct_response_fields);

static const struct field delegate_fields[] = {
	{ "name", FIELD_STRING, AT(struct l7_delegate, name), .check = check_name },
	{ "namespace", FIELD_STRING, AT(struct l7_delegate, namespace), .check = check_name },
};
const struct schema schema_delegate = SCHEMA("Delegate", struct l7_delegate, delegate_fields);

static const struct field regex_rewrite_fields[] = {
	{ "match", FIELD_STRING, AT(struct l7_regex_rewrite, match), .check = check_regex },
	{ "rewrite", FIELD_STRING, AT(struct l7_regex_rewrite, rewrite) },
};
static const struct schema schema_regex_rewrite =
	SCHEMA("RegexRewrite", struct l7_regex_rewrite, regex_rewrite_fields);

static const struct field rewrite_fields[] = {
	{ "uri", FIELD_STRING, AT(struct l7_rewrite, uri) },
	{ "authority", FIELD_STRING, AT(struct l7_rewrite, authority) },
	{ "uriRegexRewrite", FIELD_OBJECT, AT(struct l7_rewrite, uri_regex_rewrite),
	  .sub = &schema_regex_rewrite },
};
const struct schema schema_rewrite = SCHEMA("HTTPRewrite", struct l7_rewrite, rewrite_fields);

static const struct field retries_fields[] = {
	{ "attempts", FIELD_INT, AT(struct l7_retries, attempts), .max = INT32_MAX },
	{ "perTryTimeout", FIELD_DURATION, AT(struct l7_retries, per_try_timeout_ns) },
	{ "retryOn", FIELD_STRING, AT(struct l7_retries, retry_on) },
	{ "retryRemoteLocalities", FIELD_BOOL, AT(struct l7_retries, retry_remote_localities) },
	{ "retryIgnorePreviousHosts", FIELD_BOOL,
	  AT(struct l7_retries, retry_ignore_previous_hosts) },
	{ "backoff", FIELD_DURATION, AT(struct l7_retries, backoff_ns) },
};
const struct schema schema_retries = SCHEMA("HTTPRetry", struct l7_retries, retries_fields);

static const struct field delay_fields[] = {
	{ "percent", FIELD_INT, AT(struct l7_delay, percent), .max = 100 },
	{ "fixedDelay", FIELD_DURATION, AT(struct l7_delay, fixed_ns), .choice = 1 },
	{ "exponentialDelay", FIELD_DURATION, AT(struct l7_delay, exponential_ns), .choice = 1 },
	{ "percentage", FIELD_OBJECT, AT(struct l7_delay, percentage), .sub = &schema_percent },
};
static const struct schema schema_delay = {
	.name = "Delay",
	.size = sizeof(struct l7_delay),
	.fields = delay_fields,
	.count = ARRAY_SIZE(delay_fields),
	.need_choice = 1,
};

static const struct field abort_fields[] = {
	{ "httpStatus", FIELD_INT, AT(struct l7_abort, http_status), .min = 200, .max = 599,
	  .choice = 1 },
	{ "grpcStatus", FIELD_STRING, AT(struct l7_abort, grpc_status), .choice = 1,
	  .check = check_grpc_status },
	{ "http2Error", FIELD_STRING, AT(struct l7_abort, http2_error), .choice = 1 },
	{ "percentage", FIELD_OBJECT, AT(struct l7_abort, percentage), .sub = &schema_percent },
};
static const struct schema schema_abort = {
	.name = "Abort",
	.size = sizeof(struct l7_abort),
	.fields = abort_fields,
	.count = ARRAY_SIZE(abort_fields),
	.need_choice = 1,
};

static const struct field fault_fields[] = {
	{ "delay", FIELD_OBJECT, AT(struct l7_fault, delay), .sub = &schema_delay },
	{ "abort", FIELD_OBJECT, AT(struct l7_fault, abort), .sub = &schema_abort },
};
const struct schema schema_fault = SCHEMA("HTTPFaultInjection", struct l7_fault, fault_fields);

static const struct field mirror_fields[] = {
	{ "destination", FIELD_OBJECT, AT(struct l7_mirror, destination),
	  .sub = &schema_destination, .is_required = true },
	{ "percentage", FIELD_OBJECT, AT(struct l7_mirror, percentage), .sub = &schema_percent },
};
const struct schema schema_mirror = SCHEMA("HTTPMirrorPolicy", struct l7_mirror, mirror_fields);

static const char *const preflight_words[] = { "UNSPECIFIED", "FORWARD", "IGNORE", NULL };
static const struct field cors_fields[] = {
	{ "allowOrigin", FIELD_STRINGS, AT(struct l7_cors, allow_origin) },
	{ "allowOrigins", FIELD_LIST, AT(struct l7_cors, allow_origins),
	  .sub = &schema_string_match },
	{ "allowMethods", FIELD_STRINGS, AT(struct l7_cors, allow_methods) },
	{ "allowHeaders", FIELD_STRINGS, AT(struct l7_cors, allow_headers) },
	{ "exposeHeaders", FIELD_STRINGS, AT(struct l7_cors, expose_headers) },
	{ "maxAge", FIELD_DURATION, AT(struct l7_cors, max_age_ns) },
	{ "allowCredentials", FIELD_BOOL, AT(struct l7_cors, allow_credentials) },
	{ "unmatchedPreflights", FIELD_ENUM, AT(struct l7_cors, unmatched_preflights),
	  .words = preflight_words },
};
const struct schema schema_cors = SCHEMA("CorsPolicy", struct l7_cors, cors_fields);
