// SPDX-License-Identifier: Apache-2.0
/* Kubernetes Service and Istio ServiceEntry: what has an address and ports. */
#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "kube.h"
#include "service_entry.h"

#define report_of(work, level, node, ...)                                                          \
	node_report((work)->reader.diags, level, node, __VA_ARGS__)

static void vip_add(struct service *service, const char *text)
{
	struct prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		return; /* "None" and "": the tables let nothing else by */
	for (size_t i = 0; i < service->vip_count; i++)
		if (!addr_compare(&service->vips[i], &prefix.addr))
			return;
	service->vips[service->vip_count++] = prefix.addr;
}

static void vips_add(struct service *service, const struct list *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		vip_add(service, LIST_OF(const char, *texts, i));
}

static void kube_vips(struct work *work, const struct kube_service *body, struct service *service)
{
	const struct kube_service_spec *spec = body->spec;
	const struct kube_load_balancer *balancer =
		body->status ? body->status->load_balancer : NULL;
	size_t most = 1 + spec->cluster_ips.count + spec->external_ips.count +
		      (balancer ? balancer->ingress.count : 0);

	service->vip_count = 0;
	service->vips = KEEP_ARRAY(work, work->model, struct addr, most);
	if (!service->vips)
		return;
	if (spec->cluster_ip)
		vip_add(service, spec->cluster_ip);
	vips_add(service, &spec->cluster_ips);
	vips_add(service, &spec->external_ips);
	for (size_t i = 0; balancer && i < balancer->ingress.count; i++) {
		const struct kube_ip *ingress = LIST_OF(struct kube_ip, balancer->ingress, i);

		if (ingress->ip)
			vip_add(service, ingress->ip);
	}
}

static void target_read(struct work *work, const struct node *node, struct service_port *port)
{
	const struct node *target = node_get(node, "targetPort");
	char *end;

	port->target_name = "";
	if (!target)
		return;
	if (target->kind == NODE_SCALAR && node_scalar_type(target) == SCALAR_TEXT) {
		/*
		 * A quoted number is a name to Kubernetes, and no port can have such a name: as it
		 * says so too.
		 */
		port->target_name = keep_text(work, work->model, target->text);
		if (*target->text && strlen(target->text) <= 15)
			return;
	}
	long number = target->kind == NODE_SCALAR ? strtol(target->text, &end, 10) : 0;
	if (target->kind != NODE_SCALAR || !target->is_plain || *end || number < 1 ||
	    number > 65535)
		report_of(work, DIAG_ERROR, target,
			  "found %s; allowed is a number from 1 to 65535 or the name of a port",
			  node_describe(work->reader.memory, target));
	else if (number == port->number)
		port->target_number = 0;
	else
		port->target_number = (uint16_t)number;
}

static bool is_port_twice(struct work *work, const struct service *service,
			  const struct service_port *port, const struct node *node)
{
	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *other = &service->ports[i];

		if (other->number != port->number || other->protocol != port->protocol)
			continue;
		report_of(work, DIAG_ERROR, node,
			  "found port %u/%s a second time; a port may stand once in a service",
			  port->number, port->protocol == PROTOCOL_UDP ? "UDP" : "TCP");
		return true;
	}
	return false;
}

static void kube_port_add(struct work *work, const struct kube_service_port *from,
			  struct service *service)
{
	const char *protocol = from->protocol ? from->protocol : "TCP";
	struct service_port port = {
		.name = keep_text(work, work->model, from->name ? from->name : ""),
		.number = (uint16_t)from->port.value,
		.protocol = strcmp(protocol, "UDP") ? PROTOCOL_TCP : PROTOCOL_UDP,
	};

	if (!strcmp(protocol, "SCTP")) {
		report_of(work, DIAG_WARNING, from->node,
			  "found an SCTP port, which is left alone; only TCP and UDP are split");
		return;
	}
	port.app = app_of_kube(from->app_protocol, port.name, port.protocol);
	target_read(work, from->node, &port);
	if (!is_port_twice(work, service, &port, from->node))
		service->ports[service->port_count++] = port;
}

static void kube_service_fill(struct work *work, const struct object *object,
			      struct service *service)
{
	const struct kube_service *body = object->body;
	const struct kube_service_spec *spec = body->spec;

	service->origin = SERVICE_KUBE;
	service->name = keep_text(work, work->model, object->meta.name);
	service->namespace = keep_text(work, work->model, object->meta.namespace);
	service->selector = keep_labels(work, work->model, &spec->selector);
	service->entry_affinity =
		spec->session_affinity && !strcmp(spec->session_affinity, "ClientIP")
			? AFFINITY_CLIENT_IP
			: AFFINITY_NONE;
	service->entry_empty = object->meta.empty;
	kube_vips(work, body, service);
	service->port_count = 0;
	service->ports = KEEP_ARRAY(work, work->model, struct service_port, spec->ports.count);
	for (size_t i = 0; service->ports && i < spec->ports.count; i++)
		kube_port_add(work, LIST_OF(struct kube_service_port, spec->ports, i), service);
	if (spec->cluster_ip && !strcmp(spec->cluster_ip, "None") && !service->vip_count)
		report_of(work, DIAG_WARNING, node_get(spec->node, "clusterIP"),
			  "found None: a headless Service has no address whose connections could "
			  "be split");
}

/*
 * An object may take over a host from one of another name or kind; worth saying, because two
 * writers fight unseen.
 */
static void report_takeover(struct work *work, const struct object *object,
			    const struct service *service, enum service_origin origin)
{
	if (service->origin == SERVICE_UNDEFINED)
		return;
	if (service->origin == origin && !strcmp(service->name, object->meta.name) &&
	    !strcmp(service->namespace, object->meta.namespace))
		return;
	report_of(work, DIAG_WARNING, object->meta.node,
		  "the host %s was defined by the %s %s/%s until now", service->host,
		  service->origin == SERVICE_KUBE ? "Service" : "ServiceEntry", service->namespace,
		  service->name);
}

void kube_service_apply(struct work *work, const struct object *object)
{
	const struct kube_service *body = object->body;
	const char *host =
		host_of_kube(work->reader.memory, object->meta.name, object->meta.namespace);
	struct host_claims *claims;
	struct service *service = host ? work_service(work, host, &claims) : NULL;

	if (!service) {
		work->is_failed = true;
		return;
	}
	if (!claim_take(work, &claims->definition, object, object->node, host))
		return;
	if (body->spec->type && !strcmp(body->spec->type, "ExternalName")) {
		report_of(work, DIAG_WARNING, node_get(body->spec->node, "type"),
			  "found ExternalName, which is passed over: a DNS name has no connections "
			  "to split");
		return;
	}
	report_takeover(work, object, service, SERVICE_KUBE);
	kube_service_fill(work, object, service);
}

static void entry_port_add(struct work *work, const struct se_port *from, struct service *service)
{
	uint16_t number = (uint16_t)from->number.value, target = (uint16_t)from->target_port.value;
	bool is_udp = from->protocol && !strcasecmp(from->protocol, "UDP");
	struct service_port port = {
		.name = keep_text(work, work->model, from->name),
		.number = number,
		.target_number = target == number ? 0 : target,
		.target_name = "",
		.protocol = is_udp ? PROTOCOL_UDP : PROTOCOL_TCP,
		.app = app_of_istio(from->protocol),
	};

	if (!is_port_twice(work, service, &port, from->node))
		service->ports[service->port_count++] = port;
}

static void entry_fill(struct work *work, const struct object *object,
		       const struct service_entry *entry, struct service *service)
{
	service->origin = SERVICE_ENTRY;
	service->name = keep_text(work, work->model, object->meta.name);
	service->namespace = keep_text(work, work->model, object->meta.namespace);
	service->selector = (struct label_list){};
	service->entry_affinity = AFFINITY_NONE;
	service->entry_empty = object->meta.empty;
	service->vip_count = 0;
	service->vips = KEEP_ARRAY(work, work->model, struct addr, entry->addresses.count);
	if (service->vips)
		vips_add(service, &entry->addresses);
	service->port_count = 0;
	service->ports = KEEP_ARRAY(work, work->model, struct service_port, entry->ports.count);
	for (size_t i = 0; service->ports && i < entry->ports.count; i++)
		entry_port_add(work, LIST_OF(struct se_port, entry->ports, i), service);
}

/* The same object with another host: the old host is nobody's now. */
static void entry_leave_others(struct work *work, const struct object *object,
			       const struct service *kept)
{
	struct owner_list owners = owners_of(&work->entry_owners, &object->meta);

	for (size_t i = 0; i < owners.count; i++) {
		struct service *service = &work->model->services[owners.list[i].service];

		if (service == kept || service->origin != SERVICE_ENTRY ||
		    strcmp(service->name, object->meta.name) ||
		    strcmp(service->namespace, object->meta.namespace))
			continue;
		service->origin = SERVICE_UNDEFINED;
		service->vip_count = service->port_count = 0;
		service->entry_empty = EMPTY_REFUSE;
	}
}

void service_entry_apply(struct work *work, const struct object *object)
{
	const struct service_entry *entry = ((const struct istio_object *)object->body)->spec;
	const struct node *hosts = node_get(entry->node, "hosts");
	struct host_claims *claims;

	if (entry->hosts.count != 1) {
		report_of(work, DIAG_ERROR, hosts,
			  "found %zu hosts; allowed is one, because several would share the "
			  "addresses, "
			  "and at layer 4 nothing tells them apart",
			  entry->hosts.count);
		return;
	}

	const char *host =
		host_resolve(work, LIST_OF(const char, entry->hosts, 0), object->meta.namespace);
	struct service *service = work_service(work, host, &claims);
	if (!service) {
		work->is_failed = true;
		return;
	}
	if (!claim_take(work, &claims->definition, object, hosts->first, host))
		return;
	entry_leave_others(work, object, service);
	report_takeover(work, object, service, SERVICE_ENTRY);
	entry_fill(work, object, entry, service);
	service_entry_endpoints_apply(work, object, service);
}
