// SPDX-License-Identifier: Apache-2.0
/*
 * The model as the documents that make it. One VirtualService for each host, whatever the objects
 * were that it came from: a host's rules can then be compared, stored and rolled back alone.
 */
#include "input.h"

#include <errno.h>
#include <string.h>

#include "../base/cleanup.h"
#include "emit.h"
#include "work.h"

#define ISTIO_V1 "networking.istio.io/v1"

static void meta_write(struct emit *emit, const char *name, const char *namespace,
		       enum empty_policy empty)
{
	emit_key(emit, "metadata");
	emit_map(emit);
	if (empty == EMPTY_SPILL) {
		emit_key(emit, "annotations");
		emit_map(emit);
		emit_field(emit, "sluice.dev/empty-version", "spill");
		emit_map_end(emit);
	}
	emit_field(emit, "name", name);
	emit_field(emit, "namespace", namespace);
	emit_map_end(emit);
}

/*
 * Hosts that would be taken for short names get the dot that says they are whole; not beside the
 * ServiceEntry that defines them, as Istio has no such dot.
 */
static void host_write(struct emit *emit, const struct service *of, const char *host)
{
	size_t dots = 0, length = strlen(host);
	char whole[512];

	for (const char *c = host; *c; c++)
		dots += *c == '.';
	if (dots && of->origin == SERVICE_ENTRY && !strcmp(of->host, host)) {
		emit_text(emit, host);
		return;
	}
	bool is_short = dots < 2 || (dots == 2 && length > 4 && !strcmp(host + length - 4, ".svc"));
	snprintf(whole, sizeof(whole), "%s%s", host, is_short ? "." : "");
	emit_text(emit, whole);
}

static void host_field(struct emit *emit, const struct service *of, const char *host)
{
	emit_key(emit, "host");
	host_write(emit, of, host);
}

static void vips_write(struct emit *emit, const char *key, const struct service *service)
{
	char text[ADDR_TEXT_MAX];

	if (!service->vip_count)
		return;
	emit_key(emit, key);
	emit_list(emit);
	for (size_t i = 0; i < service->vip_count; i++)
		emit_text(emit, addr_format(&service->vips[i], text));
	emit_list_end(emit);
}

static void kube_port_write(struct emit *emit, const struct service_port *port)
{
	static const char *const app_words[] = {
		[APP_UNKNOWN] = APP_PROTOCOL_UNKNOWN,
		[APP_HTTP] = "http",
		[APP_TCP] = "tcp",
	};

	emit_map(emit);
	if (port->app != app_of_name(port->name, port->protocol))
		emit_field(emit, "appProtocol", app_words[port->app]);
	if (*port->name)
		emit_field(emit, "name", port->name);
	emit_number_field(emit, "port", port->number);
	emit_field(emit, "protocol", port->protocol == PROTOCOL_UDP ? "UDP" : "TCP");
	if (*port->target_name)
		emit_field(emit, "targetPort", port->target_name);
	else if (port->target_number)
		emit_number_field(emit, "targetPort", port->target_number);
	emit_map_end(emit);
}

static void entry_port_write(struct emit *emit, const struct service_port *port)
{
	emit_map(emit);
	emit_field(emit, "name", port->name);
	emit_number_field(emit, "number", port->number);
	if (port->protocol == PROTOCOL_UDP)
		emit_field(emit, "protocol", "UDP");
	else if (port->app != APP_UNKNOWN)
		emit_field(emit, "protocol", port->app == APP_HTTP ? "HTTP" : "TCP");
	if (port->target_number)
		emit_number_field(emit, "targetPort", port->target_number);
	emit_map_end(emit);
}

static void ports_write(struct emit *emit, const struct service *service,
			void (*write)(struct emit *emit, const struct service_port *port))
{
	if (!service->port_count)
		return;
	emit_key(emit, "ports");
	emit_list(emit);
	for (size_t i = 0; i < service->port_count; i++)
		write(emit, &service->ports[i]);
	emit_list_end(emit);
}

/* Who set a field without its parts (a hand-made model) means the Service's own. */
static enum empty_policy entry_empty(const struct service *service)
{
	return service->rule_empty == EMPTY_SPILL ? service->entry_empty : service->empty;
}

static enum affinity entry_affinity(const struct service *service)
{
	return service->rule_affinity == AFFINITY_CLIENT_IP ? service->entry_affinity
							    : service->affinity;
}

static void kube_service_write(struct emit *emit, const struct service *service)
{
	char text[ADDR_TEXT_MAX];

	emit_document(emit, "v1", "Service");
	meta_write(emit, service->name, service->namespace, entry_empty(service));
	emit_key(emit, "spec");
	emit_map(emit);
	if (service->vip_count)
		emit_field(emit, "clusterIP", addr_format(&service->vips[0], text));
	vips_write(emit, "clusterIPs", service);
	ports_write(emit, service, kube_port_write);
	emit_labels(emit, "selector", &service->selector);
	if (entry_affinity(service) == AFFINITY_CLIENT_IP)
		emit_field(emit, "sessionAffinity", "ClientIP");
	emit_field(emit, "type", "ClusterIP");
	emit_map_end(emit);
	emit_document_end(emit);
}

static void service_entry_write(struct emit *emit, const struct service *service)
{
	emit_document(emit, ISTIO_V1, "ServiceEntry");
	meta_write(emit, service->name, service->namespace, entry_empty(service));
	emit_key(emit, "spec");
	emit_map(emit);
	vips_write(emit, "addresses", service);
	emit_key(emit, "hosts");
	emit_list(emit);
	host_write(emit, service, service->host);
	emit_list_end(emit);
	ports_write(emit, service, entry_port_write);
	emit_field(emit, "resolution", "STATIC");
	emit_map_end(emit);
	emit_document_end(emit);
}

static void policy_write(struct emit *emit, enum affinity affinity)
{
	if (affinity != AFFINITY_CLIENT_IP)
		return;
	emit_key(emit, "trafficPolicy");
	emit_map(emit);
	emit_key(emit, "loadBalancer");
	emit_map(emit);
	emit_key(emit, "consistentHash");
	emit_map(emit);
	emit_key(emit, "useSourceIp");
	emit_true(emit);
	emit_map_end(emit);
	emit_map_end(emit);
	emit_map_end(emit);
}

static void subsets_write(struct emit *emit, const struct service *service)
{
	if (!service->subset_count)
		return;
	emit_key(emit, "subsets");
	emit_list(emit);
	for (size_t i = 0; i < service->subset_count; i++) {
		const struct subset *subset = &service->subsets[i];

		emit_map(emit);
		emit_labels(emit, "labels", &subset->labels);
		emit_field(emit, "name", subset->name);
		policy_write(emit, subset->affinity);
		emit_map_end(emit);
	}
	emit_list_end(emit);
}

static const char *or_else(const char *text, const char *otherwise)
{
	return text && *text ? text : otherwise;
}

static void destination_rule_write(struct emit *emit, const struct service *service)
{
	/* A service that nothing defines has no document of its own to carry its policy. */
	bool is_undefined = service->origin == SERVICE_UNDEFINED;
	bool is_entry_alike =
		service->origin == SERVICE_ENTRY && service->affinity == AFFINITY_CLIENT_IP;
	enum affinity affinity =
		is_undefined || is_entry_alike ? service->affinity : service->rule_affinity;

	emit_document(emit, ISTIO_V1, "DestinationRule");
	meta_write(emit, or_else(service->destination_rule, service->name),
		   or_else(service->destination_rule_namespace, service->namespace),
		   is_undefined ? service->empty : service->rule_empty);
	emit_key(emit, "spec");
	emit_map(emit);
	host_field(emit, service, service->host);
	subsets_write(emit, service);
	policy_write(emit, affinity);
	emit_map_end(emit);
	emit_document_end(emit);
}

static void match_write(struct emit *emit, const struct match *match)
{
	char text[PREFIX_TEXT_MAX];

	emit_map(emit);
	if (match->destination_count) {
		emit_key(emit, "destinationSubnets");
		emit_list(emit);
		for (size_t i = 0; i < match->destination_count; i++)
			emit_text(emit, prefix_format(&match->destinations[i], text));
		emit_list_end(emit);
	}
	if (match->port)
		emit_number_field(emit, "port", match->port);
	if (match->source.addr.family)
		emit_field(emit, "sourceSubnet", prefix_format(&match->source, text));
	emit_map_end(emit);
}

static void destination_write(struct emit *emit, const struct service *of,
			      const struct destination *destination)
{
	emit_map(emit);
	emit_key(emit, "destination");
	emit_map(emit);
	host_field(emit, of, destination->host);
	if (destination->port) {
		emit_key(emit, "port");
		emit_map(emit);
		emit_number_field(emit, "number", destination->port);
		emit_map_end(emit);
	}
	if (*destination->subset)
		emit_field(emit, "subset", destination->subset);
	emit_map_end(emit);
	emit_number_field(emit, "weight", destination->weight);
	emit_map_end(emit);
}

static void rule_write(struct emit *emit, const struct service *of, const struct rule *rule)
{
	emit_map(emit);
	if (rule->match_count) {
		emit_key(emit, "match");
		emit_list(emit);
		for (size_t i = 0; i < rule->match_count; i++)
			match_write(emit, &rule->matches[i]);
		emit_list_end(emit);
	}
	if (*rule->name)
		emit_field(emit, "name", rule->name);
	emit_key(emit, "route");
	emit_list(emit);
	for (size_t i = 0; i < rule->destination_count; i++)
		destination_write(emit, of, &rule->destinations[i]);
	emit_list_end(emit);
	emit_map_end(emit);
}

static void rules_write(struct emit *emit, const struct service *service, enum rule_kind kind,
			const char *key)
{
	bool is_open = false;

	for (size_t i = 0; i < service->rule_count; i++) {
		if (service->rules[i].kind != kind)
			continue;
		if (!is_open) {
			emit_key(emit, key);
			emit_list(emit);
		}
		is_open = true;
		rule_write(emit, service, &service->rules[i]);
	}
	if (is_open)
		emit_list_end(emit);
}

static void virtual_service_write(struct emit *emit, const struct service *service)
{
	emit_document(emit, ISTIO_V1, "VirtualService");
	meta_write(emit, or_else(service->virtual_service, service->name),
		   or_else(service->virtual_service_namespace, service->namespace), EMPTY_REFUSE);
	emit_key(emit, "spec");
	emit_map(emit);
	emit_key(emit, "hosts");
	emit_list(emit);
	host_write(emit, service, service->host);
	emit_list_end(emit);
	rules_write(emit, service, RULE_HTTP, "http");
	rules_write(emit, service, RULE_TCP, "tcp");
	emit_map_end(emit);
	emit_document_end(emit);
}

static bool has_destination_rule(const struct service *service)
{
	return *service->destination_rule || service->subset_count ||
	       service->rule_affinity != AFFINITY_NONE || service->rule_empty != EMPTY_REFUSE ||
	       (service->origin == SERVICE_ENTRY && service->affinity == AFFINITY_CLIENT_IP);
}

static void service_write(struct emit *emit, const struct service *service)
{
	if (service->origin == SERVICE_KUBE)
		kube_service_write(emit, service);
	if (service->origin == SERVICE_ENTRY)
		service_entry_write(emit, service);
	if (has_destination_rule(service))
		destination_rule_write(emit, service);
	if (service->rule_count)
		virtual_service_write(emit, service);
}

static void services_write(struct emit *emit, const void *subject)
{
	const struct model *model = subject;

	for (size_t i = 0; i < model->service_count; i++)
		service_write(emit, &model->services[i]);
}

int model_export(void *parent, const struct model *model, char **ret_text)
{
	return emit_documents(parent, services_write, model, ret_text);
}

int model_export_whole(void *parent, const struct model *model, char **ret_text)
{
	return emit_whole(parent, services_write, model, ret_text);
}

int service_export(void *parent, const struct service *service, char **ret_text)
{
	const struct model model = { .services = (struct service *)service, .service_count = 1 };

	return emit_documents(parent, services_write, &model, ret_text);
}
