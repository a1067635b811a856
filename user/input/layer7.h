/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Istio's http routes say about requests, read and checked now so that it cannot be mistaken,
 * and refused until something obeys it. Source: istio.io/api
 * networking/v1alpha3/virtual_service.proto, message by message.
 */
#pragma once
#include "schema.h"

struct l7_string_match { /* one of three; none: presence, where that is allowed */
	const struct node *node;
	const char *exact, *prefix, *regex;
};

struct l7_percent {
	const struct node *node;
	struct opt_real value; /* 0..100 */
};

struct l7_header_operations {
	const struct node *node;
	struct label_list set, add;
	struct list remove; /* const char * */
};

struct l7_headers {
	const struct node *node;
	struct l7_header_operations *request, *response;
};

struct l7_redirect {
	const struct node *node;
	const char *uri, *authority, *scheme, *prefix_rewrite;
	struct opt_number port, derive_port, code;
};

struct l7_body {
	const struct node *node;
	const char *string, *bytes; /* one of them; bytes in base64 */
};

struct l7_direct_response {
	const struct node *node;
	struct opt_number status;
	struct l7_body *body;
};

struct l7_delegate {
	const struct node *node;
	const char *name, *namespace;
};

struct l7_regex_rewrite {
	const struct node *node;
	const char *match, *rewrite;
};

struct l7_rewrite {
	const struct node *node;
	const char *uri, *authority;
	struct l7_regex_rewrite *uri_regex_rewrite;
};

struct l7_retries {
	const struct node *node;
	struct opt_number attempts, per_try_timeout_ns, backoff_ns;
	struct opt_number retry_remote_localities, retry_ignore_previous_hosts;
	const char *retry_on;
};

struct l7_delay {
	const struct node *node;
	struct opt_number percent, fixed_ns, exponential_ns;
	struct l7_percent *percentage;
};

struct l7_abort {
	const struct node *node;
	struct opt_number http_status;
	const char *grpc_status, *http2_error;
	struct l7_percent *percentage;
};

struct l7_fault {
	const struct node *node;
	struct l7_delay *delay;
	struct l7_abort *abort;
};

struct vs_destination;

struct l7_mirror {
	const struct node *node;
	struct vs_destination *destination;
	struct l7_percent *percentage;
};

struct l7_cors {
	const struct node *node;
	struct list allow_origin, allow_methods, allow_headers, expose_headers; /* const char * */
	struct list allow_origins; /* struct l7_string_match * */
	struct opt_number max_age_ns, allow_credentials, unmatched_preflights;
};

/* The request half of an http route. */
struct l7_route {
	struct l7_redirect *redirect;
	struct l7_direct_response *direct_response;
	struct l7_delegate *delegate;
	struct l7_rewrite *rewrite;
	struct opt_number timeout_ns, mirror_percent;
	struct l7_retries *retries;
	struct l7_fault *fault;
	struct vs_destination *mirror;
	struct list mirrors; /* struct l7_mirror * */
	struct l7_percent *mirror_percentage;
	struct l7_cors *cors;
	struct l7_headers *headers;
};

/* The request half of an http match. */
struct l7_match {
	struct l7_string_match *uri, *scheme, *method, *authority;
	struct list headers, query_params,
		without_headers; /* struct map_entry of l7_string_match */
	struct opt_number ignore_uri_case;
};

extern const struct schema schema_string_match;   /* one of exact, prefix, regex */
extern const struct schema schema_presence_match; /* the same, or none: is it there? */
extern const struct schema schema_percent, schema_headers, schema_redirect;
extern const struct schema schema_direct_response, schema_delegate, schema_rewrite;
extern const struct schema schema_retries, schema_fault, schema_mirror, schema_cors;
