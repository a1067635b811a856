// SPDX-License-Identifier: Apache-2.0
/*
 * Who serves: EndpointSlice, Endpoints, Pod, a ServiceEntry's endpoints, and our own documents, to
 * the inventory.
 */
#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "kube.h"
#include "own.h"
#include "service_entry.h"

#define report_of(work, level, node, ...)                                                          \
	node_report((work)->reader.diags, level, node, __VA_ARGS__)
#define SERVICE_NAME_LABEL "kubernetes.io/service-name"

static const char *group_key(struct work *work, const struct object *object)
{
	const char *key =
		talloc_asprintf(work->inventory, "%s/%s/%s", object_kind_name(object->kind),
				object->meta.namespace, object->meta.name);
	work->is_failed |= !key;
	return key ? key : "";
}

static const char *kube_host(struct work *work, const char *name, const char *namespace)
{
	const char *host = host_of_kube(work->inventory, name, namespace);

	work->is_failed |= !host;
	return host ? host : "";
}

static enum endpoint_state state_of(const struct kube_conditions *conditions)
{
	if (!conditions)
		return ENDPOINT_READY;
	/*
	 * nil is "unknown", which Kubernetes has consumers take for true; serving's default is
	 * ready's value.
	 */
	bool is_ready = !conditions->ready.is_set || conditions->ready.value;
	bool is_serving = conditions->serving.is_set ? conditions->serving.value : is_ready;

	if (conditions->terminating.value)
		return is_serving ? ENDPOINT_TERMINATING : ENDPOINT_NOT_READY;
	return is_ready ? ENDPOINT_READY : ENDPOINT_NOT_READY;
}

static const char *workload_of(struct work *work, const struct kube_target *target,
			       const struct object *object)
{
	if (!target || !target->name || (target->kind && strcmp(target->kind, "Pod")))
		return "";

	const char *name = talloc_asprintf(
		work->inventory, "%s/%s",
		target->namespace ? target->namespace : object->meta.namespace, target->name);
	work->is_failed |= !name;
	return name ? name : "";
}

/* A port without a number means every port: then none is listed and the service's own hold. */
static size_t ports_fill(struct work *work, const struct list *from,
			 struct endpoint_port **ret_ports)
{
	struct endpoint_port *ports =
		KEEP_ARRAY(work, work->inventory, struct endpoint_port, from->count);
	size_t count = 0;

	for (size_t i = 0; ports && i < from->count; i++) {
		const struct kube_endpoint_port *port =
			LIST_OF(struct kube_endpoint_port, *from, i);

		if (!port->port.is_set || (port->protocol && !strcmp(port->protocol, "SCTP"))) {
			report_of(work, DIAG_WARNING, port->node,
				  port->port.is_set ? "found an SCTP port, which is left alone; "
						      "only TCP and UDP are split"
						    : "found a port without a number; the "
						      "service's own ports are used");
			continue;
		}
		ports[count++] = (struct endpoint_port){
			.name = keep_text(work, work->inventory, port->name ? port->name : ""),
			.number = (uint16_t)port->port.value,
			.protocol = port->protocol && !strcmp(port->protocol, "UDP") ? PROTOCOL_UDP
										     : PROTOCOL_TCP,
		};
	}
	*ret_ports = count ? ports : NULL;
	return count;
}

static bool slice_endpoint_fill(struct work *work, const struct object *object,
				const struct kube_slice_endpoint *from, struct endpoint *to)
{
	const struct node *addresses = node_get(from->node, "addresses");

	if (!from->addresses.count) {
		report_of(work, DIAG_ERROR, addresses, "found no address; one is needed");
		return false;
	}
	if (from->addresses.count > 1)
		report_of(work, DIAG_WARNING, addresses,
			  "found %zu addresses; the first is used, as Kubernetes asks for",
			  from->addresses.count);
	if (addr_parse(LIST_OF(const char, from->addresses, 0), &to->addr) < 0) {
		report_of(work, DIAG_ERROR, addresses->first,
			  "found \"%.80s\"; allowed is an IP address",
			  LIST_OF(const char, from->addresses, 0));
		return false;
	}
	to->workload = workload_of(work, from->target, object);
	to->state = state_of(from->conditions);
	to->weight = 1;
	return true;
}

static void slice_report(struct work *work, const struct kube_slice *slice)
{
	for (size_t i = 0; i < slice->endpoints.count; i++) {
		const struct kube_slice_endpoint *endpoint =
			LIST_OF(struct kube_slice_endpoint, slice->endpoints, i);
		const struct node *hints = node_get(endpoint->node, "hints");

		if (!hints)
			continue;
		node_report_key(work->reader.diags, DIAG_WARNING, hints,
				"found topology hints, which are ignored; endpoints of every zone "
				"are used");
		return;
	}
}

static bool is_slice_ours(struct work *work, const struct object *object,
			  const struct kube_slice *slice, const char **ret_service)
{
	const struct node *type = node_get(slice->node, "addressType");

	for (size_t i = 0; i < object->meta.labels.count; i++)
		if (!strcmp(object->meta.labels.list[i].key, SERVICE_NAME_LABEL))
			*ret_service = object->meta.labels.list[i].value;
	if (!strcmp(slice->address_type, "FQDN")) {
		report_of(work, DIAG_WARNING, type,
			  "found FQDN: the slice is passed over; allowed are IPv4 and IPv6");
		return false;
	}
	if (strcmp(slice->address_type, "IPv4") && strcmp(slice->address_type, "IPv6")) {
		report_of(work, DIAG_ERROR, type, "found \"%.40s\"; allowed are IPv4 and IPv6",
			  slice->address_type);
		return false;
	}
	if (!*ret_service) {
		report_of(work, DIAG_WARNING, object->meta.node,
			  "found no label " SERVICE_NAME_LABEL
			  ": the slice serves no Service and is passed over");
		return false;
	}
	if (!is_dns_label(*ret_service)) {
		report_of(work, DIAG_ERROR, object->meta.node,
			  "found the label " SERVICE_NAME_LABEL
			  "=\"%.80s\"; allowed is the name of a Service",
			  *ret_service);
		return false;
	}
	return true;
}

void endpoint_slice_apply(struct work *work, const struct object *object)
{
	const struct kube_slice *slice = object->body;
	struct endpoint_group group = { .key = group_key(work, object) };
	struct endpoint_port *ports;
	const char *service = NULL;

	if (!is_slice_ours(work, object, slice, &service))
		return;
	slice_report(work, slice);
	group.host = kube_host(work, service, object->meta.namespace);
	size_t port_count = ports_fill(work, &slice->ports, &ports);
	group.endpoints =
		KEEP_ARRAY(work, work->inventory, struct endpoint, slice->endpoints.count);
	for (size_t i = 0; group.endpoints && i < slice->endpoints.count; i++) {
		struct endpoint *endpoint = &group.endpoints[group.endpoint_count];

		if (!slice_endpoint_fill(work, object,
					 LIST_OF(struct kube_slice_endpoint, slice->endpoints, i),
					 endpoint))
			continue;
		endpoint->ports = ports;
		endpoint->port_count = port_count;
		group.endpoint_count++;
	}
	group_put(work, &group);
}

static void endpoints_add(struct work *work, const struct object *object, const struct list *from,
			  const struct endpoint *like, struct endpoint_group *group)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct kube_endpoint_address *address =
			LIST_OF(struct kube_endpoint_address, *from, i);
		struct endpoint *endpoint = &group->endpoints[group->endpoint_count++];

		*endpoint = *like;
		addr_parse(address->ip, &endpoint->addr);
		endpoint->workload = workload_of(work, address->target, object);
	}
}

void endpoints_apply(struct work *work, const struct object *object)
{
	const struct kube_endpoints *body = object->body;
	struct endpoint_group group = {
		.key = group_key(work, object),
		.host = kube_host(work, object->meta.name, object->meta.namespace),
	};
	size_t most = 0;

	for (size_t i = 0; i < body->subsets.count; i++) {
		const struct kube_endpoint_subset *subset =
			LIST_OF(struct kube_endpoint_subset, body->subsets, i);

		most += subset->addresses.count + subset->not_ready.count;
	}
	group.endpoints = KEEP_ARRAY(work, work->inventory, struct endpoint, most);
	for (size_t i = 0; group.endpoints && i < body->subsets.count; i++) {
		const struct kube_endpoint_subset *subset =
			LIST_OF(struct kube_endpoint_subset, body->subsets, i);
		struct endpoint like = { .weight = 1, .state = ENDPOINT_READY };

		like.port_count = ports_fill(work, &subset->ports, &like.ports);
		endpoints_add(work, object, &subset->addresses, &like, &group);
		like.state = ENDPOINT_NOT_READY;
		endpoints_add(work, object, &subset->not_ready, &like, &group);
	}
	group_put(work, &group);
}

void pod_apply(struct work *work, const struct object *object)
{
	const struct kube_pod *pod = object->body;
	const struct kube_pod_status *status = pod->status;
	const char *phase = status && status->phase ? status->phase : "";
	struct workload workload = {};
	const char *ip = status ? status->pod_ip : NULL;

	if (status && !ip && status->pod_ips.count)
		ip = LIST_OF(struct kube_ip, status->pod_ips, 0)->ip;
	workload.name = talloc_asprintf(work->inventory, "%s/%s", object->meta.namespace,
					object->meta.name);
	if (!workload.name) {
		work->is_failed = true;
		return;
	}
	if (!ip || addr_parse(ip, &workload.addr) < 0 || !strcmp(phase, "Succeeded") ||
	    !strcmp(phase, "Failed")) {
		workload_remove(work, workload.name);
		return;
	}
	workload.labels = keep_labels(work, work->inventory, &object->meta.labels);
	workload_put(work, &workload);
}

static const struct service_port *port_named(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->port_count; i++)
		if (!strcmp(service->ports[i].name, name))
			return &service->ports[i];
	return NULL;
}

static bool entry_ports_check(struct work *work, const struct node *ports,
			      const struct service *service)
{
	static const struct field number = { "port", FIELD_INT, NOWHERE, .min = 1, .max = 65535 };
	size_t errors = work->reader.diags->errors;
	struct opt_number value;

	if (!is_value_of_type(&work->reader, ports, NODE_MAP, "a map of port names to numbers"))
		return false;
	for (const struct node *child = ports->first; child; child = child->next) {
		value_read(&work->reader, &number, child, &value);
		if (!port_named(service, child->key))
			node_report_key(work->reader.diags, DIAG_ERROR, child,
					"found the port name \"%.80s\"; allowed are the names in "
					"spec.ports",
					child->key);
	}
	return work->reader.diags->errors == errors;
}

/*
 * Istio: a port that the endpoint does not name has the service's target port. So all are listed or
 * none.
 */
static void entry_ports_fill(struct work *work, const struct node *from,
			     const struct service *service, struct endpoint *to)
{
	const struct node *ports = node_get(from, "ports");

	if (!ports || !entry_ports_check(work, ports, service) || !ports->count)
		return;
	to->ports = KEEP_ARRAY(work, work->inventory, struct endpoint_port, service->port_count);
	for (size_t i = 0; to->ports && i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];
		const struct node *own = node_get(ports, port->name);
		uint16_t target = port->target_number ? port->target_number : port->number;

		to->ports[to->port_count++] = (struct endpoint_port){
			.name = keep_text(work, work->inventory, port->name),
			.number = own ? (uint16_t)strtoul(own->text, NULL, 10) : target,
			.protocol = port->protocol,
		};
	}
}

static struct endpoint_group *group_find(struct work *work, const char *key)
{
	for (size_t i = work->inventory->group_count; i--;)
		if (!strcmp(work->inventory->groups[i].key, key))
			return &work->inventory->groups[i];
	return NULL;
}

void service_entry_endpoints_apply(struct work *work, const struct object *object,
				   const struct service *service)
{
	const struct service_entry *entry = ((const struct istio_object *)object->body)->spec;
	struct endpoint_group group = {
		.key = group_key(work, object),
		.host = keep_text(work, work->inventory, service->host),
	};

	/* Without the field the entry speaks of the address alone; who serves stays as it is. */
	if (!entry->endpoints.is_set) {
		struct endpoint_group *old = group_find(work, group.key);

		if (old)
			old->host = group.host;
		return;
	}
	group.endpoints =
		KEEP_ARRAY(work, work->inventory, struct endpoint, entry->endpoints.count);
	for (size_t i = 0; group.endpoints && i < entry->endpoints.count; i++) {
		const struct se_endpoint *from = LIST_OF(struct se_endpoint, entry->endpoints, i);
		struct endpoint *to = &group.endpoints[group.endpoint_count++];

		addr_parse(from->address, &to->addr);
		to->workload = "";
		to->labels = keep_labels(work, work->inventory, &from->labels);
		to->weight = from->weight.is_set ? (uint32_t)from->weight.value : 1;
		to->state = ENDPOINT_READY;
		entry_ports_fill(work, from->node, service, to);
	}
	group_put(work, &group);
}

static void own_endpoint_fill(struct work *work, const struct own_endpoint *from,
			      struct endpoint *to)
{
	addr_parse(from->address, &to->addr);
	to->workload = keep_text(work, work->inventory, from->workload ? from->workload : "");
	to->labels = keep_labels(work, work->inventory, &from->labels);
	to->weight = from->weight.is_set ? (uint32_t)from->weight.value : 1;
	to->state = (enum endpoint_state)from->state.value;
	to->ports = KEEP_ARRAY(work, work->inventory, struct endpoint_port, from->ports.count);
	for (size_t i = 0; to->ports && i < from->ports.count; i++) {
		const struct own_port *port = LIST_OF(struct own_port, from->ports, i);

		to->ports[to->port_count++] = (struct endpoint_port){
			.name = keep_text(work, work->inventory, port->name ? port->name : ""),
			.number = (uint16_t)port->number.value,
			.protocol = port->protocol.value ? PROTOCOL_UDP : PROTOCOL_TCP,
		};
	}
}

/* Hosts in our own documents are whole; a dot at their end is no part of them. */
static const char *own_host(struct work *work, const char *text)
{
	size_t length = strlen(text);
	const char *host =
		talloc_strndup(work->inventory, text, length - (length && text[length - 1] == '.'));
	work->is_failed |= !host;
	return host ? host : "";
}

void own_group_apply(struct work *work, const struct object *object)
{
	const struct own_group *from = ((const struct own_group_object *)object->body)->spec;
	struct endpoint_group group = {
		.key = keep_text(work, work->inventory, from->key),
		.host = own_host(work, from->host),
	};

	group.endpoints = KEEP_ARRAY(work, work->inventory, struct endpoint, from->endpoints.count);
	for (size_t i = 0; group.endpoints && i < from->endpoints.count; i++)
		own_endpoint_fill(work, LIST_OF(struct own_endpoint, from->endpoints, i),
				  &group.endpoints[group.endpoint_count++]);
	group_put(work, &group);
}

void own_drain_apply(struct work *work, const struct object *object)
{
	const struct own_drain *from = ((const struct own_drain_object *)object->body)->spec;
	struct drain drain = {
		.host = own_host(work, from->host),
		.port = (uint16_t)from->port.value,
	};

	addr_parse(from->address, &drain.addr);
	drain_put(work, &drain);
}
