/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain structs that every room above speaks of. Two halves that never mix (design, promise 3):
 *
 *   model      the intents: services, versions as label selectors, rules, splits. One revision
 * holds one model. inventory  the membership: pods and endpoints, live, shared by all revisions.
 *
 * All memory hangs from one talloc context per struct model / struct inventory; strings are never
 * NULL unless a comment says so; a list is a pointer and a count.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr {
	uint8_t family;    /* 4, 6; 0 means none */
	uint8_t bytes[16]; /* network order; IPv4 in the first four */
};

struct prefix {
	struct addr addr; /* host bits zero */
	uint8_t len;      /* bits: 0..32 or 0..128 */
};

struct label {
	const char *key, *value;
};

struct label_list {
	struct label *list; /* sorted by key, keys unique */
	size_t count;
};

enum protocol {
	PROTOCOL_TCP = 6, /* IANA numbers */
	PROTOCOL_UDP = 17,
};

/* What a port carries, from its name prefix, appProtocol or ServiceEntry protocol; decides which
 * rules govern it. */
enum app_protocol {
	APP_UNKNOWN, /* http rules when there are any, else tcp rules */
	APP_HTTP,    /* http, http2, grpc, grpc-web: http rules */
	APP_TCP,     /* tcp, tls, https, mysql, mongo, redis, ...; every UDP port: tcp rules */
};

struct service_port {
	const char *name; /* "" when unnamed */
	uint16_t number;
	uint16_t target_number;  /* 0: by name, or same as number when target_name is "" */
	const char *target_name; /* "" when by number */
	enum protocol protocol;
	enum app_protocol app;
};

enum affinity {
	AFFINITY_NONE,      /* the key is the 5-tuple */
	AFFINITY_CLIENT_IP, /* the key is the client's address */
};

/* A named set of endpoints: an Istio subset. */
struct subset {
	const char *name;
	struct label_list labels;
	enum affinity affinity; /* of its own; AFFINITY_NONE: as the service says */
};

/* One weighted destination of a rule. */
struct destination {
	const char *host;   /* canonical, as struct service.host */
	const char *subset; /* "" means every endpoint of the host */
	uint16_t port;      /* 0: the host's only port, else the port that matched */
	uint32_t weight;    /* share is weight / sum; 0 gets nothing; at most 1,000,000 */
};

/* One way to match; a rule matches when any of its matches does, or when it has none. */
struct match {
	uint16_t port;               /* 0: any */
	struct prefix source;        /* family 0: any */
	struct prefix *destinations; /* VIP must lie in one of them; none: any */
	size_t destination_count;
};

enum rule_kind {
	RULE_HTTP, /* VirtualService http[]: per connection as long as layer 7 is not there */
	RULE_TCP, /* VirtualService tcp[]: also governs UDP ports, for which Istio has no section */
};

struct rule {
	enum rule_kind kind;
	const char *name; /* "" when unnamed */
	struct match *matches;
	size_t match_count;
	struct destination *destinations; /* at least one */
	size_t destination_count;
};

enum service_origin {
	SERVICE_UNDEFINED, /* only rules or subsets of it are known yet: it has no address */
	SERVICE_KUBE,      /* Kubernetes Service */
	SERVICE_ENTRY,     /* Istio ServiceEntry */
};

enum empty_policy {
	EMPTY_REFUSE, /* a version without a ready endpoint refuses its share */
	EMPTY_SPILL,  /* its share goes to the others: annotation sluice.dev/empty-version: spill */
};

/* A virtual address with its rules; the unit of `weight` and `rollback SERVICE`. */
struct service {
	const char *host; /* key: "reviews.default.svc.cluster.local", or a ServiceEntry's host */
	const char *name; /* "reviews"; for a ServiceEntry the object's name */
	const char *namespace; /* "default" */
	enum service_origin origin;
	struct addr
		*vips; /* clusterIPs, externalIPs, load balancer ingress; ServiceEntry addresses */
	size_t vip_count;
	struct service_port *ports;
	size_t port_count;
	struct label_list selector; /* of a Kubernetes Service, kept for export */
	enum affinity affinity;     /* of sessionAffinity or the DestinationRule's trafficPolicy */
	/* Either part asking for it is enough; kept apart so that each object can be read anew
	 * alone. */
	enum affinity entry_affinity; /* the part of the Service itself (sessionAffinity) */
	enum affinity rule_affinity;  /* the part of the DestinationRule */
	enum empty_policy empty;
	enum empty_policy entry_empty; /* the part of the Service or ServiceEntry */
	enum empty_policy rule_empty;  /* the part of the DestinationRule */
	struct subset *subsets;        /* in the DestinationRule's order */
	size_t subset_count;
	const char *destination_rule; /* its object's name; "" when there is none */
	const char *destination_rule_namespace;
	struct rule *rules; /* in order; the first that matches wins */
	size_t rule_count;
	const char *virtual_service; /* its object's name; "" when there is none */
	const char *virtual_service_namespace;
};

struct model {
	struct service *services; /* sorted by host, hosts unique */
	size_t service_count;
};

enum endpoint_state {
	ENDPOINT_READY,       /* gets new connections */
	ENDPOINT_TERMINATING, /* serving but going: new connections only when no other is ready */
	ENDPOINT_NOT_READY,   /* gets none; its connections stay */
};

struct endpoint_port {
	const char *name; /* "" when unnamed */
	uint16_t number;
	enum protocol protocol;
};

struct endpoint {
	struct addr addr;
	const char *workload;        /* "namespace/pod" whose labels it has, or "" */
	struct label_list labels;    /* of its own; used when workload is "" or unknown */
	struct endpoint_port *ports; /* none: the service's target ports as they are */
	size_t port_count;
	uint32_t weight; /* inside its version; default 1; 0 gets nothing */
	enum endpoint_state state;
};

/* The endpoints that one source object speaks for; a newer one of the same key replaces the whole.
 */
struct endpoint_group {
	const char *key;  /* "EndpointSlice/default/reviews-abc", "ServiceEntry/default/db",
			     "cli/<host>" */
	const char *host; /* the service that they serve */
	struct endpoint *endpoints;
	size_t endpoint_count;
};

/* A Pod, for its labels. */
struct workload {
	const char *name; /* "namespace/pod" */
	struct addr addr;
	struct label_list labels;
};

/* An endpoint that an operator drains by hand: it keeps its connections and gets no new ones,
 * whatever its source says. */
struct drain {
	const char *host;
	struct addr addr;
	uint16_t port; /* 0: every port */
};

struct inventory {
	struct endpoint_group *groups; /* sorted by key */
	size_t group_count;
	struct workload *workloads; /* sorted by name */
	size_t workload_count;
	struct drain *drains; /* sorted */
	size_t drain_count;
};

#define WEIGHT_MAX                                                                                 \
	1000000u /* as Gateway API's BackendRef.weight; exact sums of 255 of them fit 32 bits */

/* By canonical host; NULL when there is none. */
struct service *model_service_find(const struct model *model, const char *host);

/*
 * By what a person types: host, "name", "name.namespace", a unique prefix of dots. Returns 0,
 * -ENOENT, or -ENOTUNIQ when the name fits several.
 */
int model_service_resolve(const struct model *model, const char *typed,
			  struct service **ret_service);

/* Deep copies below a new talloc parent; NULL when memory runs out. */
struct model *model_copy(void *parent, const struct model *model);
struct inventory *inventory_copy(void *parent, const struct inventory *inventory);
int service_copy(void *parent, const struct service *from, struct service *ret_service);

/* Puts a service in its sorted place, replacing the one of the same host. 0 or -ENOMEM. */
int model_service_put(struct model *model, const struct service *service);

/* "10.0.0.1", "fd00::1". 0 or -EINVAL. */
int addr_parse(const char *text, struct addr *ret_addr);
/* "10.0.0.0/8", or an address alone for its full length. 0 or -EINVAL; set host bits are -ERANGE.
 */
int prefix_parse(const char *text, struct prefix *ret_prefix);
#define ADDR_TEXT_MAX 46
#define PREFIX_TEXT_MAX 50
const char *addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX]);
const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_MAX]);
int addr_compare(const struct addr *a, const struct addr *b);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
/* Is every label of `wanted` in `labels`? An empty `wanted` is in all. */
bool labels_contain(const struct label_list *labels, const struct label_list *wanted);

/*
 * The labels by which subsets find an endpoint: its pod's, as they are now, are better than the
 * copy that came with the endpoint.
 */
const struct label_list *endpoint_labels(const struct inventory *inventory,
					 const struct endpoint *endpoint);
