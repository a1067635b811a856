// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "destination_rule.h"
#include "service_entry.h"
#include "virtual.h"

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *host_of_kube(void *parent, const char *name, const char *namespace)
{
	return talloc_asprintf(parent, "%s.%s" CLUSTER_DOMAIN, name, namespace);
}

bool host_split(void *parent, const char *host, const char **ret_name, const char **ret_namespace)
{
	const char *dot = strchr(host, '.');
	const char *end = dot ? strchr(dot + 1, '.') : NULL;

	if (!end || strcmp(end, CLUSTER_DOMAIN))
		return false;

	const char *name = talloc_strndup(parent, host, dot - host);
	const char *namespace = talloc_strndup(parent, dot + 1, end - dot - 1);
	if (!name || !namespace)
		return false;
	*ret_name = name;
	*ret_namespace = namespace;
	return true;
}

static size_t count_dots(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '.';
	return count;
}

static bool is_entry_host(const struct work *work, const char *host)
{
	return bsearch(&host, work->entry_hosts, work->entry_host_count, sizeof(*work->entry_hosts),
		       compare_text) != NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length > end_length && !strcmp(text + length - end_length, end);
}

static const char *host_expand(struct work *work, const char *text, const char *namespace)
{
	void *memory = work->reader.memory;
	size_t dots = count_dots(text);

	/*
	 * "name." is whole: what export writes for the few hosts that would be taken for short
	 * ones.
	 */
	if (ends_with(text, "."))
		return talloc_strndup(memory, text, strlen(text) - 1);
	if (dots == 0)
		return host_of_kube(memory, text, namespace);
	if (is_entry_host(work, text))
		return text;
	if (dots == 1)
		return talloc_asprintf(memory, "%s" CLUSTER_DOMAIN, text);
	if (dots == 2 && ends_with(text, ".svc"))
		return talloc_asprintf(memory, "%s.cluster.local", text);
	return text;
}

const char *host_resolve(struct work *work, const char *text, const char *namespace)
{
	const char *host = host_expand(work, text, namespace);

	if (!host)
		work->is_failed = true;
	return host ? host : "";
}

/*
 * Its own spelling may carry the dot at the end; a short name is one of Kubernetes's and not asked
 * for here.
 */
static const char *entry_host(struct work *work, const struct object *object)
{
	const struct istio_object *body = object->body;
	const struct service_entry *entry = body->spec;
	const char *host = entry->hosts.count ? LIST_OF(const char, entry->hosts, 0) : "";

	return strchr(host, '.') ? talloc_strndup(work->reader.memory, host,
						  strlen(host) - ends_with(host, "."))
				 : NULL;
}

static int entry_hosts_collect(struct work *work, const struct model *model)
{
	size_t count = 0, most = model->service_count + work->objects.count;
	const char **hosts = talloc_array(work->reader.memory, const char *, most + 1);

	if (!hosts)
		return -ENOMEM;
	for (size_t i = 0; i < model->service_count; i++)
		if (model->services[i].origin == SERVICE_ENTRY)
			hosts[count++] = model->services[i].host;
	for (size_t i = 0; i < work->objects.count; i++) {
		const struct object *object = &work->objects.list[i];

		if (object->kind == OBJECT_SERVICE_ENTRY &&
		    (hosts[count] = entry_host(work, object)))
			count++;
	}
	qsort(hosts, count, sizeof(*hosts), compare_text);
	work->entry_hosts = hosts;
	work->entry_host_count = count;
	return 0;
}

struct host_set {
	const char **list;
	size_t count, capacity;
};

static void host_add(struct work *work, struct host_set *set, const char *host)
{
	if (set->count == set->capacity) {
		size_t capacity = set->capacity ? set->capacity * 2 : 64;
		const char **list =
			talloc_realloc(work->reader.memory, set->list, const char *, capacity);
		if (!list) {
			work->is_failed = true;
			return;
		}
		set->list = list;
		set->capacity = capacity;
	}
	set->list[set->count++] = host;
}

static void object_hosts(struct work *work, struct host_set *set, const struct object *object)
{
	const struct istio_object *body = object->body;
	const char *namespace = object->meta.namespace;
	const struct list *hosts = NULL;

	switch (object->kind) {
	case OBJECT_SERVICE:
		host_add(work, set,
			 host_of_kube(work->reader.memory, object->meta.name, namespace));
		return;
	case OBJECT_DESTINATION_RULE:
		host_add(work, set,
			 host_resolve(work, ((const struct destination_rule *)body->spec)->host,
				      namespace));
		return;
	case OBJECT_SERVICE_ENTRY:
		hosts = &((const struct service_entry *)body->spec)->hosts;
		break;
	case OBJECT_VIRTUAL_SERVICE:
		hosts = &((const struct virtual_service *)body->spec)->hosts;
		break;
	default:
		return;
	}
	for (size_t i = 0; i < hosts->count; i++)
		host_add(work, set, host_resolve(work, LIST_OF(const char, *hosts, i), namespace));
}

static void service_fill(struct work *work, struct service *service, const char *host)
{
	struct model *model = work->model;

	*service = (struct service){
		.host = keep_text(work, model, host),
		.destination_rule = "",
		.destination_rule_namespace = "",
		.virtual_service = "",
		.virtual_service_namespace = "",
	};
	if (host_split(model, host, &service->name, &service->namespace))
		return;
	service->name = service->host;
	service->namespace = "default";
}

/* Both lists are sorted: one walk makes the third. */
static int services_merge(struct work *work, const struct host_set *set)
{
	struct model *model = work->model;
	size_t most = model->service_count + set->count, count = 0, old = 0;
	struct service *services = talloc_zero_array(model, struct service, most + 1);

	if (!services)
		return -ENOMEM;
	for (size_t i = 0; i < set->count; i++) {
		if (!set->list[i])
			return -ENOMEM;
		while (old < model->service_count &&
		       strcmp(model->services[old].host, set->list[i]) <= 0)
			services[count++] = model->services[old++];
		if (!count || strcmp(services[count - 1].host, set->list[i]))
			service_fill(work, &services[count++], set->list[i]);
	}
	while (old < model->service_count)
		services[count++] = model->services[old++];
	talloc_free(model->services);
	model->services = services;
	model->service_count = count;
	work->claims = talloc_zero_array(work->reader.memory, struct host_claims, count + 1);
	return work->claims ? 0 : -ENOMEM;
}

int hosts_prepare(struct work *work)
{
	struct host_set set = {};
	int r = entry_hosts_collect(work, work->model);

	if (r < 0)
		return r;
	for (size_t i = 0; i < work->objects.count && !work->is_failed; i++)
		object_hosts(work, &set, &work->objects.list[i]);
	if (work->is_failed)
		return -ENOMEM;
	if (set.count)
		qsort(set.list, set.count, sizeof(*set.list), compare_text);
	return services_merge(work, &set);
}

struct service *work_service(struct work *work, const char *host, struct host_claims **ret_claims)
{
	struct service *service = model_service_find(work->model, host);

	if (service)
		*ret_claims = &work->claims[service - work->model->services];
	return service;
}
