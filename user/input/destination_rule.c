// SPDX-License-Identifier: Apache-2.0
#include "destination_rule.h"

#include <string.h>

#include "../base/cleanup.h"
#include "virtual.h"

#define OUR_TABLES "a split's tables have a size of their own"

/*
 * Every one of them becomes a hash over the connection; said as a note, because no share changes by
 * it.
 */
static void check_simple(struct reader *reader, const struct node *node, const void *value)
{
	if (reader->is_quiet)
		return;
	if (!strcmp(node->text, "PASSTHROUGH"))
		report_warning(reader, node,
			       "found PASSTHROUGH; endpoints are chosen by hash all the same");
	else
		report_note(reader, node,
			    "found %.40s; endpoints are chosen by hash, in exact shares",
			    node->text);
}

#define NUMBER(json)                                                                               \
	{                                                                                          \
		json, FIELD_INT, NOWHERE, .max = INT64_MAX                                         \
	}
#define DURATION(json)                                                                             \
	{                                                                                          \
		json, FIELD_DURATION, NOWHERE                                                      \
	}
#define BOOLEAN(json)                                                                              \
	{                                                                                          \
		json, FIELD_BOOL, NOWHERE                                                          \
	}
#define STRING(json)                                                                               \
	{                                                                                          \
		json, FIELD_STRING, NOWHERE                                                        \
	}
#define STRINGS(json)                                                                              \
	{                                                                                          \
		json, FIELD_STRINGS, NOWHERE                                                       \
	}
#define OBJECT(json, schema)                                                                       \
	{                                                                                          \
		json, FIELD_OBJECT, NOWHERE, .sub = &(schema)                                      \
	}

static const struct field ring_hash_fields[] = { NUMBER("minimumRingSize") };
static const struct schema schema_ring_hash = SCHEMA_CHECKED("RingHash", ring_hash_fields);
static const struct field maglev_fields[] = { NUMBER("tableSize") };
static const struct schema schema_maglev = SCHEMA_CHECKED("MagLev", maglev_fields);
static const struct field attribute_fields[] = { STRING("name"), STRING("value") };
static const struct schema schema_attribute = SCHEMA_CHECKED("Attribute", attribute_fields);

static const struct field cookie_fields[] = {
	{ "name", FIELD_STRING, NOWHERE, .is_required = true },
	STRING("path"),
	DURATION("ttl"),
	{ "attributes", FIELD_LIST, NOWHERE, .sub = &schema_attribute },
};
static const struct schema schema_cookie = SCHEMA_CHECKED("HTTPCookie", cookie_fields);

#define BY_ADDRESS "at layer 4 useSourceIp is allowed"
static const struct field consistent_hash_fields[] = {
	{ "useSourceIp", FIELD_BOOL, AT(struct dr_consistent_hash, use_source_ip), .choice = 1 },
	{ "httpHeaderName", FIELD_STRING, FIELD_LAYER7, NOWHERE, .choice = 1, .why = BY_ADDRESS },
	{ "httpCookie", FIELD_OBJECT, FIELD_LAYER7, NOWHERE, .sub = &schema_cookie, .choice = 1,
	  .why = BY_ADDRESS },
	{ "httpQueryParameterName", FIELD_STRING, FIELD_LAYER7, NOWHERE, .choice = 1,
	  .why = BY_ADDRESS },
	{ "ringHash", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_ring_hash, .choice = 2,
	  .why = OUR_TABLES },
	{ "maglev", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_maglev, .choice = 2,
	  .why = OUR_TABLES },
	{ "minimumRingSize", FIELD_INT, FIELD_IGNORED, NOWHERE, .max = INT64_MAX,
	  .why = OUR_TABLES },
};
static const struct schema schema_consistent_hash = {
	.name = "ConsistentHashLB",
	.size = sizeof(struct dr_consistent_hash),
	.fields = consistent_hash_fields,
	.count = ARRAY_SIZE(consistent_hash_fields),
	.need_choice = 1,
};

static const struct field distribute_fields[] = {
	STRING("from"),
	{ "to", FIELD_ANY, NOWHERE },
};
static const struct schema schema_distribute = SCHEMA_CHECKED("Distribute", distribute_fields);
static const struct field failover_fields[] = { STRING("from"), STRING("to") };
static const struct schema schema_failover = SCHEMA_CHECKED("Failover", failover_fields);

static const struct field locality_fields[] = {
	{ "distribute", FIELD_LIST, NOWHERE, .sub = &schema_distribute },
	{ "failover", FIELD_LIST, NOWHERE, .sub = &schema_failover },
	STRINGS("failoverPriority"),
	BOOLEAN("enabled"),
};
static const struct schema schema_locality =
	SCHEMA_CHECKED("LocalityLoadBalancerSetting", locality_fields);

static const struct field zone_fields[] = {
	BOOLEAN("enabled"),
	{ "failover", FIELD_LIST, NOWHERE, .sub = &schema_failover },
	STRINGS("failoverPriority"),
	NUMBER("minClusterSize"),
};
static const struct schema schema_zone =
	SCHEMA_CHECKED("ZoneAwareLoadBalancerSetting", zone_fields);

static const struct field warmup_fields[] = {
	{ "duration", FIELD_DURATION, NOWHERE, .is_required = true },
	{ "minimumPercent", FIELD_REAL, NOWHERE, .max = 100 },
	{ "aggression", FIELD_REAL, NOWHERE },
};
static const struct schema schema_warmup = SCHEMA_CHECKED("WarmupConfiguration", warmup_fields);

static const char *const simple_words[] = {
	"UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST", NULL,
};
static const struct field load_balancer_fields[] = {
	{ "simple", FIELD_ENUM, AT(struct dr_load_balancer, simple), .words = simple_words,
	  .choice = 1, .check = check_simple },
	{ "consistentHash", FIELD_OBJECT, AT(struct dr_load_balancer, consistent_hash),
	  .sub = &schema_consistent_hash, .choice = 1 },
	{ "localityLbSetting", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_locality },
	{ "zoneAwareLbSetting", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_zone },
	{ "warmupDurationSecs", FIELD_DURATION, FIELD_IGNORED, NOWHERE },
	{ "warmup", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_warmup },
};
static const struct schema schema_load_balancer =
	SCHEMA("LoadBalancerSettings", struct dr_load_balancer, load_balancer_fields);

static const struct field keepalive_fields[] = {
	NUMBER("probes"),
	DURATION("time"),
	DURATION("interval"),
};
static const struct schema schema_keepalive = SCHEMA_CHECKED("TcpKeepalive", keepalive_fields);
static const struct field tcp_settings_fields[] = {
	NUMBER("maxConnections"),
	DURATION("connectTimeout"),
	OBJECT("tcpKeepalive", schema_keepalive),
	DURATION("maxConnectionDuration"),
	DURATION("idleTimeout"),
};
static const struct schema schema_tcp_settings = SCHEMA_CHECKED("TCPSettings", tcp_settings_fields);

static const struct field http2_keepalive_fields[] = { DURATION("interval"), DURATION("timeout") };
static const struct schema schema_http2_keepalive =
	SCHEMA_CHECKED("ConnectionKeepalive", http2_keepalive_fields);
static const char *const h2_words[] = { "DEFAULT", "DO_NOT_UPGRADE", "UPGRADE", NULL };
static const struct field http_settings_fields[] = {
	NUMBER("http1MaxPendingRequests"),
	NUMBER("http2MaxRequests"),
	NUMBER("maxRequestsPerConnection"),
	NUMBER("maxRetries"),
	DURATION("idleTimeout"),
	{ "h2UpgradePolicy", FIELD_ENUM, NOWHERE, .words = h2_words },
	BOOLEAN("useClientProtocol"),
	NUMBER("maxConcurrentStreams"),
	OBJECT("http2KeepAlive", schema_http2_keepalive),
};
static const struct schema schema_http_settings =
	SCHEMA_CHECKED("HTTPSettings", http_settings_fields);
static const struct field pool_fields[] = {
	OBJECT("tcp", schema_tcp_settings),
	OBJECT("http", schema_http_settings),
};
static const struct schema schema_pool = SCHEMA_CHECKED("ConnectionPoolSettings", pool_fields);

static const struct field outlier_fields[] = {
	NUMBER("consecutiveErrors"),
	BOOLEAN("splitExternalLocalOriginErrors"),
	NUMBER("consecutiveLocalOriginFailures"),
	NUMBER("consecutiveGatewayErrors"),
	NUMBER("consecutive5xxErrors"),
	DURATION("interval"),
	DURATION("baseEjectionTime"),
	{ "maxEjectionPercent", FIELD_INT, NOWHERE, .max = 100 },
	{ "minHealthPercent", FIELD_INT, NOWHERE, .max = 100 },
	{ "outlierDetectionHttpErrorCodes", FIELD_INTS, NOWHERE },
};
static const struct schema schema_outlier = SCHEMA_CHECKED("OutlierDetection", outlier_fields);

static const char *const tls_words[] = { "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", NULL };
static const struct field tls_fields[] = {
	{ "mode", FIELD_ENUM, NOWHERE, .words = tls_words },
	STRING("clientCertificate"),
	STRING("privateKey"),
	STRING("caCertificates"),
	STRING("credentialName"),
	STRINGS("subjectAltNames"),
	STRING("sni"),
	BOOLEAN("insecureSkipVerify"),
	STRING("caCrl"),
};
static const struct schema schema_tls = SCHEMA_CHECKED("ClientTLSSettings", tls_fields);

static const struct field tunnel_fields[] = {
	STRING("protocol"),
	{ "targetHost", FIELD_STRING, NOWHERE, .is_required = true },
	{ "targetPort", FIELD_INT, NOWHERE, .min = 1, .max = 65535, .is_required = true },
};
static const struct schema schema_tunnel = SCHEMA_CHECKED("TunnelSettings", tunnel_fields);
static const char *const proxy_words[] = { "V1", "V2", NULL };
static const struct field proxy_fields[] = {
	{ "version", FIELD_ENUM, NOWHERE, .words = proxy_words },
};
static const struct schema schema_proxy = SCHEMA_CHECKED("ProxyProtocol", proxy_fields);
static const struct field budget_fields[] = {
	{ "percent", FIELD_REAL, NOWHERE, .max = 100 },
	NUMBER("minRetryConcurrency"),
	DURATION("budgetInterval"),
};
static const struct schema schema_budget = SCHEMA_CHECKED("RetryBudget", budget_fields);

#define IGNORED(json, schema)                                                                      \
	{                                                                                          \
		json, FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &(schema)                       \
	}
#define PLAINTEXT "connections are passed on as they are"

static const struct field port_policy_fields[] = {
	OBJECT("port", schema_port_selector),
	OBJECT("loadBalancer", schema_load_balancer),
	OBJECT("connectionPool", schema_pool),
	OBJECT("outlierDetection", schema_outlier),
	OBJECT("tls", schema_tls),
};
static const struct schema schema_port_policy =
	SCHEMA_CHECKED("PortTrafficPolicy", port_policy_fields);

static const struct field policy_fields[] = {
	{ "loadBalancer", FIELD_OBJECT, AT(struct dr_policy, load_balancer),
	  .sub = &schema_load_balancer },
	IGNORED("connectionPool", schema_pool),
	IGNORED("outlierDetection", schema_outlier),
	{ "tls", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_tls, .why = PLAINTEXT },
	{ "portLevelSettings", FIELD_LIST, FIELD_IGNORED, NOWHERE, .sub = &schema_port_policy },
	IGNORED("tunnel", schema_tunnel),
	{ "proxyProtocol", FIELD_OBJECT, FIELD_IGNORED, NOWHERE, .sub = &schema_proxy,
	  .why = PLAINTEXT },
	IGNORED("retryBudget", schema_budget),
};
static const struct schema schema_policy = SCHEMA("TrafficPolicy", struct dr_policy, policy_fields);

static void check_subset_name(struct reader *reader, const struct node *node, const void *text)
{
	if (!is_dns_label(text))
		report_error(reader, node,
			     "found the subset \"%.80s\"; allowed are lower-case letters, digits "
			     "and '-', "
			     "at most 63",
			     (const char *)text);
}

static const struct field subset_fields[] = {
	{ "name", FIELD_STRING, AT(struct dr_subset, name), .is_required = true,
	  .check = check_subset_name },
	{ "labels", FIELD_LABELS, AT(struct dr_subset, labels), .check = check_labels },
	{ "trafficPolicy", FIELD_OBJECT, AT(struct dr_subset, policy), .sub = &schema_policy },
};
static const struct schema schema_subset = SCHEMA("Subset", struct dr_subset, subset_fields);

static const struct field selector_fields[] = { { "matchLabels", FIELD_LABELS, NOWHERE } };
static const struct schema schema_selector = SCHEMA_CHECKED("WorkloadSelector", selector_fields);

static const struct field destination_rule_fields[] = {
	{ "host", FIELD_STRING, AT(struct destination_rule, host), .is_required = true,
	  .check = check_host },
	{ "trafficPolicy", FIELD_OBJECT, AT(struct destination_rule, policy),
	  .sub = &schema_policy },
	{ "subsets", FIELD_LIST, AT(struct destination_rule, subsets), .sub = &schema_subset },
	{ "exportTo", FIELD_STRINGS, FIELD_IGNORED, NOWHERE,
	  .why = "the rule holds for clients of every namespace" },
	{ "workloadSelector", FIELD_OBJECT, FIELD_REFUSED, NOWHERE, .sub = &schema_selector,
	  .why = "it holds the rule back for some clients, and ignoring it would give it to all" },
};
const struct schema schema_destination_rule =
	SCHEMA("DestinationRule", struct destination_rule, destination_rule_fields);
