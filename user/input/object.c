// SPDX-License-Identifier: Apache-2.0
#include "object.h"

#include <string.h>

#include "../base/nearest.h"
#include "../base/cleanup.h"
#include "destination_rule.h"
#include "kube.h"
#include "own.h"
#include "service_entry.h"
#include "virtual.h"

#define ISTIO "networking.istio.io"

#define ISTIO_FIELDS(schema)                                                                       \
	{                                                                                          \
		{ "apiVersion", FIELD_ANY, FIELD_SILENT, NOWHERE },                                \
			{ "kind", FIELD_ANY, FIELD_SILENT, NOWHERE },                              \
			{ "metadata", FIELD_ANY, FIELD_SILENT, NOWHERE },                          \
			{ "status", FIELD_ANY, FIELD_SILENT, NOWHERE },                            \
			{ "spec", FIELD_OBJECT, AT(struct istio_object, spec), .sub = &(schema),   \
			  .is_required = true },                                                   \
	}

static const struct field virtual_fields[] = ISTIO_FIELDS(schema_virtual_service);
static const struct schema schema_virtual =
	SCHEMA("VirtualService", struct istio_object, virtual_fields);
static const struct field rule_fields[] = ISTIO_FIELDS(schema_destination_rule);
static const struct schema schema_rule =
	SCHEMA("DestinationRule", struct istio_object, rule_fields);
static const struct field entry_fields[] = ISTIO_FIELDS(schema_service_entry);
static const struct schema schema_entry = SCHEMA("ServiceEntry", struct istio_object, entry_fields);

static const struct kind {
	const char *group, *name;
	const char *versions; /* between spaces */
	const struct schema *schema;
	bool has_policy; /* takes the annotation sluice.dev/empty-version */
	bool is_nameless;
	bool is_host; /* its name is part of a host name: a DNS label */
} kinds[OBJECT_KINDS] = {
	[OBJECT_SERVICE] = { "", "Service", " v1 ", &schema_kube_service, .has_policy = true,
			     .is_host = true },
	[OBJECT_SERVICE_ENTRY] = { ISTIO, "ServiceEntry", " v1 v1beta1 v1alpha3 ", &schema_entry,
				   .has_policy = true },
	[OBJECT_DESTINATION_RULE] = { ISTIO, "DestinationRule", " v1 v1beta1 v1alpha3 ",
				      &schema_rule, .has_policy = true },
	[OBJECT_VIRTUAL_SERVICE] = { ISTIO, "VirtualService", " v1 v1beta1 v1alpha3 ",
				     &schema_virtual, .has_policy = false },
	[OBJECT_ENDPOINT_SLICE] = { "discovery.k8s.io", "EndpointSlice", " v1 v1beta1 ",
				    &schema_kube_slice, .has_policy = false },
	[OBJECT_ENDPOINTS] = { "", "Endpoints", " v1 ", &schema_kube_endpoints, .is_host = true },
	[OBJECT_POD] = { "", "Pod", " v1 ", &schema_kube_pod, .has_policy = false },
	[OBJECT_GROUP] = { "sluice.dev", "EndpointGroup", " v1 ", &schema_own_group,
			   .is_nameless = true },
	[OBJECT_DRAIN] = { "sluice.dev", "Drain", " v1 ", &schema_own_drain, .is_nameless = true },
};

/* They route traffic: to pass them over would change what the input means. */
static const struct {
	const char *group, *name;
} not_yet[] = {
	{ "config.istio.io", "RouteRule" },           { "config.istio.io", "DestinationPolicy" },
	{ "config.istio.io", "EgressRule" },          { "gateway.networking.k8s.io", "HTTPRoute" },
	{ "gateway.networking.k8s.io", "GRPCRoute" }, { "gateway.networking.k8s.io", "TCPRoute" },
	{ "gateway.networking.k8s.io", "UDPRoute" },  { "gateway.networking.k8s.io", "TLSRoute" },
};

/* Of Istio's networking group, known to carry no split. */
static const char *const istio_others[] = {
	"Gateway", "Sidecar", "EnvoyFilter", "WorkloadEntry", "WorkloadGroup", "ProxyConfig",
};

struct identity {
	const char *group, *version, *kind;
	const struct node *node, *version_node, *kind_node;
};

const char *object_kind_name(enum object_kind kind)
{
	return kinds[kind].name;
}

const char *object_title(void *parent, const struct object *object)
{
	const char *title = talloc_asprintf(parent, "%s %s/%s", kinds[object->kind].name,
					    object->meta.namespace, object->meta.name);
	return title ? title : "?";
}

static const struct field meta_fields[] = {
	{ "name", FIELD_STRING, AT(struct meta, name), .is_required = true, .check = check_name },
	{ "namespace", FIELD_STRING, AT(struct meta, namespace) },
	{ "labels", FIELD_LABELS, AT(struct meta, labels) },
	{ "annotations", FIELD_LABELS, NOWHERE },
	{ "generateName", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "selfLink", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "uid", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "resourceVersion", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "generation", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "creationTimestamp", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "deletionTimestamp", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "deletionGracePeriodSeconds", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "ownerReferences", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "finalizers", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "managedFields", FIELD_ANY, FIELD_SILENT, NOWHERE },
	{ "clusterName", FIELD_ANY, FIELD_SILENT, NOWHERE },
};
static const struct schema schema_meta = SCHEMA("ObjectMeta", struct meta, meta_fields);

static void policy_read(struct reader *reader, const struct kind *kind, const struct node *node,
			enum empty_policy *ret_policy)
{
	static const char *const known[] = { "sluice.dev/empty-version" };

	if (strcmp(node->key, known[0])) {
		const char *nearest = name_nearest(node->key, known, ARRAY_SIZE(known));

		node_report_key(reader->diags, DIAG_ERROR, node,
				"found the unknown annotation \"%.80s\"; %s \"%s\"", node->key,
				nearest ? "did you mean" : "allowed is", known[0]);
		return;
	}
	if (!kind->has_policy) {
		node_report_key(reader->diags, DIAG_ERROR, node,
				"found \"%s\" on a %s; allowed is a Service, ServiceEntry or "
				"DestinationRule",
				known[0], kind->name);
		return;
	}
	if (node->kind != NODE_SCALAR)
		return; /* said already */
	if (strcmp(node->text, "spill") && strcmp(node->text, "refuse"))
		report_error(reader, node, "found \"%.40s\"; allowed is spill or refuse",
			     node->text);
	*ret_policy = strcmp(node->text, "spill") ? EMPTY_REFUSE : EMPTY_SPILL;
}

static bool meta_read(struct reader *reader, const struct kind *kind, const struct node *node,
		      struct meta *ret_meta)
{
	const struct node *meta_node = node_get(node, "metadata");

	*ret_meta = (struct meta){ .node = node, .name = "", .namespace = "default" };
	if (!meta_node) {
		if (!kind->is_nameless)
			node_report_child(reader->diags, DIAG_ERROR, node, "metadata",
					  "not found; a %s needs metadata.name", kind->name);
		return kind->is_nameless;
	}

	struct meta *meta = schema_read(reader, &schema_meta, meta_node);
	if (!meta || !meta->name)
		return false;
	if (!meta->namespace || !*meta->namespace)
		meta->namespace = "default";
	else if (!is_dns_label(meta->namespace))
		report_error(
			reader, node_get(meta_node, "namespace"),
			"found the namespace \"%.80s\"; allowed are lower-case letters, digits "
			"and '-', at most 63",
			meta->namespace);

	if (kind->is_host && !is_dns_label(meta->name))
		report_error(
			reader, node_get(meta_node, "name"),
			"found the name \"%.80s\"; allowed for a %s are lower-case letters, digits "
			"and '-', at most 63",
			meta->name, kind->name);

	const struct node *annotations = node_get(meta_node, "annotations");
	if (annotations && annotations->kind == NODE_MAP)
		for (const struct node *child = annotations->first; child; child = child->next)
			if (!strncmp(child->key, "sluice.dev/", 11))
				policy_read(reader, kind, child, &meta->empty);
	*ret_meta = *meta;
	return true;
}

static struct object *objects_grow(struct reader *reader, struct object_list *objects)
{
	if (objects->count == objects->capacity) {
		size_t capacity = objects->capacity ? objects->capacity * 2 : 16;
		struct object *list =
			talloc_realloc(reader->memory, objects->list, struct object, capacity);
		if (!list) {
			reader->is_failed = true;
			return NULL;
		}
		objects->list = list;
		objects->capacity = capacity;
	}
	return &objects->list[objects->count++];
}

static void object_read(struct reader *reader, const struct identity *identity,
			enum object_kind kind, struct object_list *objects)
{
	struct object object = { .kind = kind, .node = identity->node };
	size_t errors = reader->diags->errors;
	char version[64];

	snprintf(version, sizeof(version), " %.60s ", identity->version);
	if (!strstr(kinds[kind].versions, version)) {
		report_error(reader, identity->version_node,
			     "found the version \"%.60s\" of %s; allowed is%s", identity->version,
			     kinds[kind].name, kinds[kind].versions);
		return;
	}

	meta_read(reader, &kinds[kind], identity->node, &object.meta);
	object.body = schema_read(reader, kinds[kind].schema, identity->node);
	if (reader->diags->errors != errors || !object.body)
		return;

	struct object *place = objects_grow(reader, objects);
	if (place)
		*place = object;
}

/* A misspelt kind must not be passed over as someone else's. */
static void report_other(struct reader *reader, const struct identity *identity,
			 struct object_list *objects)
{
	const char *names[OBJECT_KINDS + ARRAY_SIZE(istio_others)];
	bool is_istio = !strcmp(identity->group, ISTIO);
	size_t count = 0;

	for (size_t i = 0; i < OBJECT_KINDS; i++)
		if (!strcmp(kinds[i].group, identity->group))
			names[count++] = kinds[i].name;
	for (size_t i = 0; is_istio && i < ARRAY_SIZE(istio_others); i++)
		names[count++] = istio_others[i];

	const char *nearest = name_nearest(identity->kind, names, count);
	bool is_known = is_istio && nearest && !strcmp(nearest, identity->kind);
	bool is_typo = nearest && name_distance(nearest, identity->kind) == 1;
	if (!is_known && (is_istio || is_typo || !strcmp(identity->group, "sluice.dev"))) {
		report_error(reader, identity->kind_node,
			     "found the unknown kind \"%.80s\"; %s \"%s\"", identity->kind,
			     nearest ? "did you mean" : "allowed is for example",
			     nearest ? nearest : kinds[OBJECT_VIRTUAL_SERVICE].name);
		return;
	}
	node_report(reader->diags, DIAG_NOTE, identity->node,
		    "passed over: the kind %.80s splits no traffic", identity->kind);
	objects->passed++;
}

static void identity_read(struct reader *reader, struct identity *identity,
			  struct object_list *objects)
{
	for (size_t i = 0; i < OBJECT_KINDS; i++) {
		if (strcmp(kinds[i].group, identity->group) ||
		    strcmp(kinds[i].name, identity->kind))
			continue;
		object_read(reader, identity, i, objects);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_yet); i++) {
		if (strcmp(not_yet[i].group, identity->group) ||
		    strcmp(not_yet[i].name, identity->kind))
			continue;
		report_error(reader, identity->kind_node,
			     "found a %s, which is not supported yet; allowed is a VirtualService",
			     identity->kind);
		return;
	}
	report_other(reader, identity, objects);
}

static bool api_version_split(struct reader *reader, const char *text, struct identity *identity)
{
	const char *slash = strrchr(text, '/');

	identity->version = slash ? slash + 1 : text;
	identity->group = slash ? talloc_strndup(reader->memory, text, slash - text) : "";
	reader->is_failed |= !identity->group;
	return identity->group != NULL;
}

/* The items of a FooList that Kubernetes's server sends do not repeat their kind. */
struct list_of {
	const char *api_version, *kind;
	const struct node *node;
};

static void document_read(struct reader *reader, const struct node *node,
			  const struct list_of *list, struct object_list *objects);

static void list_collect(struct reader *reader, const struct identity *identity,
			 const char *api_version, struct object_list *objects)
{
	const struct node *items = node_get(identity->node, "items");
	size_t length = strlen(identity->kind) - strlen("List");
	struct list_of list = { api_version, NULL, identity->node };

	if (length)
		list.kind = talloc_strndup(reader->memory, identity->kind, length);
	if (!items || !is_value_of_type(reader, items, NODE_LIST, "a list of objects"))
		return;
	for (const struct node *item = items->first; item; item = item->next)
		document_read(reader, item, &list, objects);
}

static const struct node *head_get(struct reader *reader, const struct node *node, const char *name,
				   const struct list_of *list, const char *inherited)
{
	const struct node *child = node_get(node, name);
	const char *text;

	if (child)
		return text_read(reader, child, &text) ? child : NULL;
	if (list && inherited)
		return list->node;
	node_report_child(reader->diags, DIAG_ERROR, node, name, "not found; every object needs %s",
			  name);
	return NULL;
}

static void document_read(struct reader *reader, const struct node *node,
			  const struct list_of *list, struct object_list *objects)
{
	struct identity identity = { .node = node };
	/* A plain List names nothing of its items: they must. */
	const char *kind = list ? list->kind : NULL;
	const char *api_version = kind ? list->api_version : NULL;

	if (!is_value_of_type(reader, node, NODE_MAP, "an object with apiVersion and kind"))
		return;
	identity.version_node = head_get(reader, node, "apiVersion", list, api_version);
	identity.kind_node = head_get(reader, node, "kind", list, kind);
	if (!identity.version_node || !identity.kind_node)
		return;
	if (identity.version_node->parent == node)
		api_version = identity.version_node->text;
	identity.kind = identity.kind_node->parent == node ? identity.kind_node->text : kind;
	if (!api_version || !identity.kind || !api_version_split(reader, api_version, &identity))
		return;

	size_t length = strlen(identity.kind);
	if (!list && length >= 4 && !strcmp(identity.kind + length - 4, "List") &&
	    node_get(node, "items"))
		list_collect(reader, &identity, api_version, objects);
	else
		identity_read(reader, &identity, objects);
}

void objects_collect(struct reader *reader, const struct node *document,
		     struct object_list *objects)
{
	/* "---" with nothing behind it. */
	if (node_is_null(document))
		return;
	document_read(reader, document, NULL, objects);
}
