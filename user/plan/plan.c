// SPDX-License-Identifier: Apache-2.0
/* Services with their VIPs, ports and rules to what the kernel looks up. */
#include "plan.h"

#include "../base/cleanup.h"
#include "build.h"

#include <errno.h>
#include <string.h>

#define RULES_MAX 64

/* One port of a service behind one VIP, whose rules are being expanded. */
struct door {
	const struct service *service;
	const struct service_port *port;
	const struct addr *vip;
	const char *title;
	struct plan_rule *rules;
	size_t rule_count;
	bool closed;   /* a rule takes everything: none after it is reached */
	bool *applies; /* per rule of the service: it governs some door */
	bool *reached; /* and in some door a connection can get to it */
};

/*
 * Istio: http rules for ports known to carry it, tcp rules for the others; UDP has no section of
 * its own.
 */
static enum rule_kind governing_kind(const struct service *service, const struct service_port *port)
{
	if (port->protocol == PROTOCOL_UDP || port->app == APP_TCP)
		return RULE_TCP;
	if (port->app == APP_HTTP)
		return RULE_HTTP;
	for (size_t i = 0; i < service->rule_count; i++) {
		if (service->rules[i].kind == RULE_HTTP)
			return RULE_HTTP;
	}
	return RULE_TCP;
}

static bool is_applicable(const struct match *match, const struct door *door)
{
	if (match->port && match->port != door->port->number)
		return false;
	if (match->source.addr.family && match->source.addr.family != door->vip->family)
		return false;
	for (size_t i = 0; i < match->destination_count; i++) {
		if (prefix_contains(&match->destinations[i], door->vip))
			return true;
	}
	return !match->destination_count;
}

static const char *rule_title(const struct builder *builder, const struct service *service,
			      const struct rule *rule)
{
	size_t ordinal = 0;

	for (const struct rule *r = service->rules; r < rule; r++)
		ordinal += r->kind == rule->kind;
	return talloc_asprintf(builder->plan, "%s[%zu]%s%s",
			       rule->kind == RULE_HTTP ? "http" : "tcp", ordinal,
			       *rule->name ? " " : "", rule->name);
}

static int door_add(struct builder *builder, struct door *door, const struct prefix *source,
		    uint32_t split, const char *name)
{
	if (list_grow(builder->plan, &door->rules, door->rule_count, sizeof(*door->rules)))
		return -ENOMEM;

	struct plan_rule *rule = &door->rules[door->rule_count++];

	*rule = (struct plan_rule){ .split = split, .name = name };
	/* A source of no bits is any source; said in one way, it is found to be a catch-all. */
	if (source->len)
		rule->source = *source;
	else
		door->closed = true;
	return 0;
}

static int door_split(struct builder *builder, const struct door *door, const struct rule *rule,
		      const char *name, uint32_t *ret_split)
{
	const struct split_request request = {
		.owner = door->service,
		.port = door->port,
		.family = door->vip->family,
		.rule = rule,
		.name = name,
	};

	return split_intern(builder, &request, ret_split);
}

static int door_add_rule(struct builder *builder, struct door *door, const struct rule *rule)
{
	static const struct match any = { 0 };
	const struct match *matches = rule->match_count ? rule->matches : &any;
	size_t count = rule->match_count ? rule->match_count : 1;
	size_t ordinal = (size_t)(rule - door->service->rules);
	uint32_t split = 0;
	const char *name = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!is_applicable(&matches[i], door))
			continue;
		door->applies[ordinal] = true;
		if (door->closed)
			return 0;
		if (!name) {
			name = rule_title(builder, door->service, rule);
			if (!name || door_split(builder, door, rule, name, &split))
				return -ENOMEM;
			door->reached[ordinal] = true;
		}
		if (door_add(builder, door, &matches[i].source, split, name))
			return -ENOMEM;
	}
	return 0;
}

/* A port that no rule governs goes to the whole host, as if nobody had written a VirtualService. */
static int door_add_implicit(struct builder *builder, struct door *door)
{
	static const struct prefix any = { 0 };
	struct destination whole = {
		.host = door->service->host,
		.subset = "",
		.port = door->port->number,
		.weight = 100,
	};
	struct rule rule = { .name = "implicit", .destinations = &whole, .destination_count = 1 };
	uint32_t split;

	if (door_split(builder, door, &rule, rule.name, &split))
		return -ENOMEM;
	return door_add(builder, door, &any, split, "implicit");
}

static int door_store(struct builder *builder, const struct door *door)
{
	struct plan *plan = builder->plan;

	if (door->rule_count > RULES_MAX) {
		char vip[ADDR_TEXT_MAX];

		diag_add(builder->diags, DIAG_ERROR, NULL, 0, 0, "",
			 "%s: %zu rules for %s port %u; at most %u are allowed", door->title,
			 door->rule_count, addr_format(door->vip, vip), door->port->number,
			 RULES_MAX);
	}
	if (list_grow(plan, &plan->services, plan->service_count, sizeof(*plan->services)))
		return -ENOMEM;
	plan->services[plan->service_count] = (struct plan_service){
		.host = talloc_strdup(plan, door->service->host),
		.name = door->title,
		.vip = *door->vip,
		.port = door->port->number,
		.protocol = door->port->protocol,
		.rules = door->rules,
		.rule_count = door->rule_count,
	};
	return plan->services[plan->service_count++].host ? 0 : -ENOMEM;
}

static int door_build(struct builder *builder, struct door door)
{
	const struct service *service = door.service;
	enum rule_kind kind = governing_kind(service, door.port);
	int err = 0;

	for (size_t i = 0; !err && i < service->rule_count; i++) {
		if (service->rules[i].kind == kind)
			err = door_add_rule(builder, &door, &service->rules[i]);
	}
	if (!err && !door.rule_count)
		err = door_add_implicit(builder, &door);
	return err ? err : door_store(builder, &door);
}

static void rules_warn(const struct builder *builder, const struct door *door)
{
	for (size_t i = 0; i < door->service->rule_count; i++) {
		const struct rule *rule = &door->service->rules[i];
		const char *title;

		if (door->reached[i])
			continue;
		title = rule_title(builder, door->service, rule);
		diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
			 door->applies[i] ? "%s: the rule %s is never reached: one before it takes "
					    "every connection"
					  : "%s: the rule %s governs no port of the service",
			 door->title, title ? title : rule->name);
	}
}

/*
 * Without an address nothing can be sent to it; worth a warning only if somebody wrote rules for
 * it.
 */
static void service_warn_no_vip(const struct builder *builder, const struct service *service,
				const char *title)
{
	bool is_undefined = service->origin == SERVICE_UNDEFINED;

	diag_add(builder->diags, service->rule_count || is_undefined ? DIAG_WARNING : DIAG_NOTE,
		 NULL, 0, 0, "",
		 is_undefined ? "%s: no Service or ServiceEntry defines this host: no effect yet"
			      : "%s: the service has no virtual address: no connection is split",
		 title);
}

static int service_build(struct builder *builder, const struct service *service)
{
	_cleanup_talloc_ bool *flags =
		talloc_zero_array(builder->scratch, bool, 2 * (unsigned)service->rule_count);
	struct door door = { .service = service, .title = service_title(builder->plan, service) };

	if (!flags || !door.title)
		return -ENOMEM;
	if (!service->vip_count) {
		service_warn_no_vip(builder, service, door.title);
		return 0;
	}
	/*
	 * Open until it is ours: a cluster's Services have kube-proxy, and one that is only known
	 * by name and address would be refused here for want of endpoints. A rule makes it ours.
	 */
	if (service->origin == SERVICE_KUBE && !service->rule_count) {
		diag_add(builder->diags, DIAG_NOTE, NULL, 0, 0, "",
			 "%s: no rule names this Service: left to the node", door.title);
		return 0;
	}
	door.applies = flags;
	door.reached = flags + service->rule_count;
	for (size_t p = 0; p < service->port_count; p++) {
		for (size_t v = 0; v < service->vip_count; v++) {
			door.port = &service->ports[p];
			door.vip = &service->vips[v];
			if (door_build(builder, door))
				return -ENOMEM;
		}
	}
	rules_warn(builder, &door);
	return 0;
}

static int plan_service_order(const struct plan_service *a, const struct addr *vip, uint16_t port,
			      enum protocol protocol)
{
	int order = addr_compare(&a->vip, vip);

	if (!order)
		order = (int)a->port - (int)port;
	return order ? order : (int)a->protocol - (int)protocol;
}

static int plan_service_compare(const void *left, const void *right)
{
	const struct plan_service *a = left, *b = right;
	int order = plan_service_order(a, &b->vip, b->port, b->protocol);

	return order ? order : strcmp(a->host, b->host);
}

/*
 * One VIP, port and protocol is one service: a second that claims it is an error, unless it is the
 * same.
 */
static void services_unite(struct builder *builder)
{
	struct plan *plan = builder->plan;
	struct plan_service *list = plan->services;
	size_t kept = 0;

	if (plan->service_count)
		qsort(list, plan->service_count, sizeof(*list), plan_service_compare);
	for (size_t i = 0; i < plan->service_count; i++) {
		struct plan_service *last = kept ? &list[kept - 1] : NULL;
		char vip[ADDR_TEXT_MAX];

		if (!last ||
		    plan_service_order(last, &list[i].vip, list[i].port, list[i].protocol)) {
			list[kept++] = list[i];
			continue;
		}
		/* An address that a service lists twice */
		if (!strcmp(last->host, list[i].host))
			continue;
		diag_add(builder->diags, DIAG_ERROR, NULL, 0, 0, "",
			 "%s and %s both claim %s port %u/%s", last->host, list[i].host,
			 addr_format(&list[i].vip, vip), list[i].port,
			 list[i].protocol == PROTOCOL_UDP ? "udp" : "tcp");
	}
	plan->service_count = kept;
}

/*
 * A rule whose weights are all 0 says nothing: Istio has no such thing, and a revision with it
 * could not be read again. Looked for in rules of every service, also of those without an address
 * yet.
 */
static void weights_check(const struct builder *builder, const struct service *service)
{
	_cleanup_talloc_ char *title = service_title(builder->scratch, service);

	for (size_t i = 0; i < service->rule_count; i++) {
		const struct rule *rule = &service->rules[i];
		uint64_t sum = 0;

		for (size_t d = 0; d < rule->destination_count; d++)
			sum += rule->destinations[d].weight;
		if (!sum)
			diag_add(builder->diags, DIAG_ERROR, NULL, 0, 0, "",
				 "%s: every weight of rule %zu is 0; at least one must be above 0",
				 title ? title : service->host, i); /* from 0, as --rule */
	}
}

int plan_build(void *parent, const struct model *model, const struct inventory *inventory,
	       struct diags *diags, struct plan **ret_plan)
{
	static const struct inventory nobody = { 0 };
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_talloc_ struct plan *plan = talloc_zero(parent, struct plan);
	struct builder builder = {
		.model = model,
		.inventory = inventory ? inventory : &nobody,
		.is_blind = !inventory,
		.diags = diags,
		.plan = plan,
		.scratch = scratch,
	};
	size_t errors = diags->errors;

	if (!scratch || !plan || members_prepare(&builder))
		return -ENOMEM;
	for (size_t i = 0; i < model->service_count; i++) {
		weights_check(&builder, &model->services[i]);
		if (service_build(&builder, &model->services[i]))
			return -ENOMEM;
	}
	services_unite(&builder);
	if (versions_finish(&builder))
		return -ENOMEM;
	if (diags->errors > errors)
		return -EINVAL;
	*ret_plan = TAKE_PTR(plan);
	return 0;
}

static int version_key_compare(const void *key, const void *version)
{
	return strcmp(key, ((const struct plan_version *)version)->key);
}

const struct plan_version *plan_version_find(const struct plan *plan, const char *key)
{
	if (!plan->version_count)
		return NULL;
	return bsearch(key, plan->versions, plan->version_count, sizeof(*plan->versions),
		       version_key_compare);
}

const struct plan_service *plan_service_find(const struct plan *plan, const struct addr *vip,
					     uint16_t port, enum protocol protocol)
{
	size_t low = 0, high = plan->service_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = plan_service_order(&plan->services[middle], vip, port, protocol);

		if (order == 0)
			return &plan->services[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
