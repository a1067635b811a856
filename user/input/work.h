/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One input_apply at work: copies of the base that its objects change. Nobody sees them before all
 * is right. What goes into the model or the inventory is copied into their memory by keep_*; the
 * objects die with the work.
 */
#pragma once
#include <talloc.h>

#include "object.h"

/* Which object of this input spoke for a host: two for one are an error. */
struct host_claims {
	const struct object *definition, *destination_rule, *virtual_service;
};

/* A service of the base, by the object that made it or gave it its subsets. */
struct owner {
	const char *namespace, *name;
	size_t service; /* place in the model */
};

struct owner_list {
	struct owner *list;
	size_t count;
};

struct work {
	struct reader reader;
	struct object_list objects;
	struct model *model;
	struct inventory *inventory;
	struct host_claims *claims; /* one for each of the model's services */
	const char *
		*entry_hosts; /* hosts that a ServiceEntry defines, here or in the base; sorted */
	size_t entry_host_count;
	struct owner_list entry_owners, rule_owners; /* sorted */
	const struct object **by_identity;           /* the objects by kind, namespace and name */
	size_t base_group_count;                     /* groups before that are the base's */
	size_t group_capacity, workload_capacity, drain_capacity;
	bool is_failed; /* out of memory */
};

/* Copies into the memory of the model or the inventory ("", NULL on failure: then work->is_failed).
 */
const char *keep_text(struct work *work, void *parent, const char *text);
void *keep_array(struct work *work, void *parent, size_t size, size_t count);
struct label_list keep_labels(struct work *work, void *parent, const struct label_list *labels);
#define KEEP_ARRAY(work, parent, type, count)                                                      \
	((type *)keep_array(work, parent, sizeof(type), count))

/* hosts.c: names as Istio resolves them. */
const char *host_resolve(struct work *work, const char *text, const char *namespace);
const char *host_of_kube(void *parent, const char *name, const char *namespace);
/* Of "name.namespace.svc.cluster.local"; false when it is not of that shape. */
bool host_split(void *parent, const char *host, const char **ret_name, const char **ret_namespace);
/* Gives every host that the objects name a service, so that no pointer moves later. */
int hosts_prepare(struct work *work);

/*
 * owners.c: services of the base by the ServiceEntry that made them, and by their DestinationRule.
 * Whoever asks must look whether it still holds: an object of this input may have taken over.
 */
int owners_prepare(struct work *work);
struct owner_list owners_of(const struct owner_list *owners, const struct meta *meta);

/* A service that is in the model for certain, and who spoke for it. */
struct service *work_service(struct work *work, const char *host, struct host_claims **ret_claims);

/* True when the claim is free; else an error that names both places. */
bool claim_take(struct work *work, const struct object **claim, const struct object *object,
		const struct node *node, const char *host);

void kube_service_apply(struct work *work, const struct object *object);
void service_entry_apply(struct work *work, const struct object *object);
void destination_rule_apply(struct work *work, const struct object *object);
void virtual_service_apply(struct work *work, const struct object *object);
/* After all of them: hosts that their VirtualService names no more lose its rules. */
void virtual_services_settle(struct work *work);

void endpoint_slice_apply(struct work *work, const struct object *object);
void endpoints_apply(struct work *work, const struct object *object);
void pod_apply(struct work *work, const struct object *object);
void own_group_apply(struct work *work, const struct object *object);
void own_drain_apply(struct work *work, const struct object *object);
void service_entry_endpoints_apply(struct work *work, const struct object *object,
				   const struct service *service);

/*
 * inventory.c: replaces the one of the same key or name; the lists are put in order by
 * inventory_settle.
 */
void group_put(struct work *work, const struct endpoint_group *group);
void workload_put(struct work *work, const struct workload *workload);
void workload_remove(struct work *work, const char *name);
void drain_put(struct work *work, const struct drain *drain);
void inventory_settle(struct work *work);

/* What a port carries (ports.c). */
enum app_protocol app_of_name(const char *port_name, enum protocol protocol);
enum app_protocol app_of_kube(const char *app_protocol, const char *port_name,
			      enum protocol protocol);
enum app_protocol app_of_istio(const char *protocol_name);
#define APP_PROTOCOL_UNKNOWN                                                                       \
	"sluice.dev/unknown" /* for export: neither http nor tcp, whatever the name */

#define CLUSTER_DOMAIN ".svc.cluster.local"
#define LIST_OF(type, list, index) (((__typeof__(type) *const *)(list).items)[index])
