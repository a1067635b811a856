/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model and inventory to what the kernel should hold: names resolved, rules expanded per VIP and
 * port, weights turned into tables. PURE: knows no kernel and no indices that the kernel maps give
 * out; those are kernel/'s.
 */
#pragma once
#include "../base/diag.h"
#include "../model/model.h"

struct plan_endpoint {
	struct addr addr;
	uint16_t port;
	uint32_t weight; /* 0: its flows live on, but no new ones: drained, not ready, weight 0 */
};

/*
 * A set of endpoints that splits name: a subset of a host behind one of its ports, of one address
 * family (a VIP is served by endpoints of its own). The key is "HOST|SUBSET|PORT/PROTOCOL": subset
 * "" is the whole host, PORT the service's, and PROTOCOL tcp, udp, tcp6 or udp6.
 */
struct plan_version {
	/* Unique: "reviews.default.svc.cluster.local|v1|9080/tcp#5c3a91e0"; last a hash of labels
	 * and target port. */
	const char *key;
	const char *service;             /* the host's service name for people: "reviews.default" */
	const char *name;                /* "v1", or "-" for the whole host */
	struct plan_endpoint *endpoints; /* sorted by address and port */
	size_t endpoint_count;
};

struct plan_split {
	uint32_t *versions; /* indices into plan.versions: the stable one, the others by key */
	uint32_t *weights;  /* 0 too; all 0: what it matches is refused */
	size_t count;
	bool by_client; /* key is the client address */
	bool spill;
};

struct plan_rule {
	struct prefix source; /* family 0: any */
	uint32_t split;       /* index into plan.splits */
	const char *name;     /* "http[0] canary" for explain */
};

/* One VIP, port, protocol. */
struct plan_service {
	const char *host;
	const char *name; /* "reviews.default" */
	struct addr vip;
	uint16_t port;
	enum protocol protocol;
	struct plan_rule *rules; /* first match wins; when none matches the connection is refused */
	size_t rule_count;
};

struct plan {
	struct plan_version *versions; /* sorted by key */
	size_t version_count;
	struct plan_split *splits; /* equal splits once */
	size_t split_count;
	struct plan_service *services; /* sorted by VIP, port, protocol: unique */
	size_t service_count;
};

/*
 * A Kubernetes Service becomes ours with its first rule; a ServiceEntry always is. Without an
 * inventory (NULL) versions have no endpoints, and that is no reason for a warning.
 *
 * 0, -ENOMEM, or -EINVAL with errors in diags (two services with one VIP, port and protocol; more
 * than 255 versions in a split; more than 64 rules for one VIP and port). What is only odd (a host
 * nobody defined, a subset without labels, a version without a ready endpoint) is a warning.
 */
int plan_build(void *parent, const struct model *model, const struct inventory *inventory,
	       struct diags *diags, struct plan **ret_plan);

/* By key; NULL when there is none. */
const struct plan_version *plan_version_find(const struct plan *plan, const char *key);
/* By VIP, port and protocol; NULL when there is none. */
const struct plan_service *plan_service_find(const struct plan *plan, const struct addr *vip,
					     uint16_t port, enum protocol protocol);
