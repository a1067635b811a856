// SPDX-License-Identifier: Apache-2.0
/* Destinations to versions and splits, each different one held once. */
#include "build.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <string.h>

#define SPLIT_VERSIONS_MAX 255

int list_grow(void *parent, void *ret_list, size_t count, size_t size)
{
	void *list;

	if (count & (count - 1))
		return 0;
	/* Copied, since a pointer to another type of pointer may not be read as a void pointer. */
	memcpy(&list, ret_list, sizeof(list));
	list = talloc_realloc_size(parent, list, size * (count ? count * 2 : 1));
	if (!list)
		return -ENOMEM;
	memcpy(ret_list, &list, sizeof(list));
	return 0;
}

char *service_title(void *parent, const struct service *service)
{
	if (!*service->name)
		return talloc_strdup(parent, service->host);
	if (!*service->namespace)
		return talloc_strdup(parent, service->name);
	return talloc_asprintf(parent, "%s.%s", service->name, service->namespace);
}

static uint32_t ref_hash(const struct version_ref *ref)
{
	uint32_t hash = intern_hash(INTERN_HASH, ref->host, strlen(ref->host) + 1);
	uint8_t protocol = (uint8_t)ref->protocol;

	hash = intern_hash(hash, ref->subset, strlen(ref->subset) + 1);
	hash = intern_hash(hash, &ref->port, sizeof(ref->port));
	hash = intern_hash(hash, &protocol, sizeof(protocol));
	return intern_hash(hash, &ref->family, sizeof(ref->family));
}

static bool is_same_version(const void *list, uint32_t ordinal, const void *key)
{
	const struct version_ref *a = &((const struct version_draft *)list)[ordinal].ref;
	const struct version_ref *b = key;

	return a->port == b->port && a->protocol == b->protocol && a->family == b->family &&
	       !strcmp(a->host, b->host) && !strcmp(a->subset, b->subset);
}

static const struct subset *subset_find(const struct service *service, const char *name)
{
	for (size_t i = 0; service && i < service->subset_count; i++) {
		if (!strcmp(service->subsets[i].name, name))
			return &service->subsets[i];
	}
	return NULL;
}

/*
 * The port of the destination: the one that the rule names, the host's only one, the one that
 * matched.
 */
static uint16_t destination_port(const struct service *service, const struct destination *named,
				 const struct service_port *matched)
{
	uint16_t only = 0;
	size_t count = 0;

	if (named->port)
		return named->port;
	for (size_t i = 0; service && i < service->port_count; i++) {
		if (service->ports[i].protocol != matched->protocol)
			continue;
		only = service->ports[i].number;
		count++;
	}
	return count == 1 ? only : matched->number;
}

static void version_warn(const struct builder *builder, const struct version_draft *draft,
			 const struct service *owner)
{
	const struct version_ref *ref = &draft->ref;
	_cleanup_talloc_ char *title = service_title(builder->scratch, owner);
	const char *service = title ? title : owner->host;

	if (!draft->service || draft->service->origin == SERVICE_UNDEFINED)
		diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
			 "%s: no service or ServiceEntry defines the destination host \"%s\"",
			 service, ref->host);
	else if (!service_port_find(draft->service, ref->port, ref->protocol))
		diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
			 "%s: the destination host \"%s\" has no %s port %u", service, ref->host,
			 ref->protocol == PROTOCOL_UDP ? "UDP" : "TCP", ref->port);
	if (draft->undefined)
		diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
			 "%s: no DestinationRule of \"%s\" defines the subset \"%s\": its share is "
			 "refused",
			 service, ref->host, ref->subset);
	else if (draft->subset && !draft->subset->labels.count)
		diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
			 "%s: the subset \"%s\" of \"%s\" has no labels: it is every endpoint",
			 service, ref->subset, ref->host);
}

/*
 * What makes a version the set that it is, beside its name: its labels, and the port that they
 * listen on. Part of the key, because revisions share versions by key: one that redefines a subset
 * must have a ring of its own, or its flip would not be one store (promise 1).
 */
static uint32_t version_meaning(const struct version_draft *draft)
{
	const struct version_ref *ref = &draft->ref;
	const struct service_port *port =
		service_port_find(draft->service, ref->port, ref->protocol);
	uint32_t hash = INTERN_HASH;

	for (size_t i = 0; draft->subset && i < draft->subset->labels.count; i++) {
		const struct label *label = &draft->subset->labels.list[i];

		hash = intern_hash(hash, label->key, strlen(label->key) + 1);
		hash = intern_hash(hash, label->value, strlen(label->value) + 1);
	}
	if (!port)
		return hash;
	hash = intern_hash(hash, port->name, strlen(port->name) + 1);
	hash = intern_hash(hash, port->target_name, strlen(port->target_name) + 1);
	return intern_hash(hash, &port->target_number, sizeof(port->target_number));
}

static int version_name(struct builder *builder, struct version_draft *draft)
{
	const struct version_ref *ref = &draft->ref;
	void *plan = builder->plan;

	draft->version.key =
		talloc_asprintf(plan, "%s|%s|%u/%s%s#%08x", ref->host, ref->subset, ref->port,
				ref->protocol == PROTOCOL_UDP ? "udp" : "tcp",
				ref->family == 6 ? "6" : "", version_meaning(draft));
	draft->version.name = *ref->subset ? talloc_strdup(plan, ref->subset) : "-";
	draft->version.service = draft->service ? service_title(plan, draft->service)
						: talloc_strdup(plan, ref->host);
	if (!draft->version.key || !draft->version.name || !draft->version.service)
		return -ENOMEM;
	return 0;
}

static int version_add(struct builder *builder, const struct service *owner,
		       const struct service *service, const struct version_ref *ref)
{
	if (list_grow(builder->scratch, &builder->versions, builder->version_count,
		      sizeof(*builder->versions)))
		return -ENOMEM;

	struct version_draft *draft = &builder->versions[builder->version_count];

	*draft = (struct version_draft){ .service = service, .ref = *ref };
	if (*ref->subset) {
		draft->subset = subset_find(service, ref->subset);
		draft->undefined = !draft->subset;
	}
	if (version_name(builder, draft) || members_find(builder, draft) ||
	    intern_put(builder->scratch, &builder->version_table, ref_hash(ref),
		       (uint32_t)builder->version_count))
		return -ENOMEM;
	builder->version_count++;
	version_warn(builder, draft, owner);
	return 0;
}

static int version_intern(struct builder *builder, const struct split_request *request,
			  const struct destination *named, uint32_t *ret_version)
{
	const struct service *service = model_service_find(builder->model, named->host);
	struct version_ref ref = {
		.host = named->host,
		.subset = named->subset,
		.port = destination_port(service, named, request->port),
		.protocol = request->port->protocol,
		.family = request->family,
	};
	uint32_t found = intern_find(&builder->version_table, ref_hash(&ref), is_same_version,
				     builder->versions, &ref);

	if (found == INTERN_NONE) {
		found = (uint32_t)builder->version_count;
		if (version_add(builder, request->owner, service, &ref))
			return -ENOMEM;
	}
	if (named->weight)
		builder->versions[found].weighted = true;
	*ret_version = found;
	return 0;
}

/* Adds a weight to its version's, which a rule may name twice. */
static void split_add(struct plan_split *split, uint32_t version, uint32_t weight)
{
	for (size_t i = 0; i < split->count; i++) {
		if (split->versions[i] == version) {
			split->weights[i] += weight;
			return;
		}
	}
	split->versions[split->count] = version;
	split->weights[split->count++] = weight;
}

/*
 * All but the first, by key: a version's ordinal must not follow the order in which somebody wrote
 * it.
 */
static void split_sort(const struct builder *builder, struct plan_split *split)
{
	for (size_t i = 2; i < split->count; i++) {
		uint32_t version = split->versions[i], weight = split->weights[i];
		const char *key = builder->versions[version].version.key;
		size_t at = i;

		for (; at > 1; at--) {
			if (strcmp(builder->versions[split->versions[at - 1]].version.key, key) < 0)
				break;
			split->versions[at] = split->versions[at - 1];
			split->weights[at] = split->weights[at - 1];
		}
		split->versions[at] = version;
		split->weights[at] = weight;
	}
}

static uint32_t split_hash(const struct plan_split *split)
{
	uint32_t hash =
		intern_hash(INTERN_HASH, split->versions, split->count * sizeof(*split->versions));

	hash = intern_hash(hash, split->weights, split->count * sizeof(*split->weights));
	hash = intern_hash(hash, &split->by_client, sizeof(split->by_client));
	return intern_hash(hash, &split->spill, sizeof(split->spill));
}

static bool is_same_split(const void *list, uint32_t ordinal, const void *key)
{
	const struct plan_split *a = &((const struct plan_split *)list)[ordinal], *b = key;

	return a->count == b->count && a->by_client == b->by_client && a->spill == b->spill &&
	       !memcmp(a->versions, b->versions, a->count * sizeof(*a->versions)) &&
	       !memcmp(a->weights, b->weights, a->count * sizeof(*a->weights));
}

static int split_store(struct builder *builder, const struct plan_split *split, uint32_t *ret_split)
{
	struct plan *plan = builder->plan;
	uint32_t hash = split_hash(split);
	uint32_t found =
		intern_find(&builder->split_table, hash, is_same_split, plan->splits, split);

	if (found != INTERN_NONE) {
		*ret_split = found;
		return 0;
	}
	if (list_grow(plan, &plan->splits, plan->split_count, sizeof(*plan->splits)))
		return -ENOMEM;

	struct plan_split copy = *split;

	copy.versions = talloc_memdup(plan, split->versions, split->count * sizeof(uint32_t));
	copy.weights = talloc_memdup(plan, split->weights, split->count * sizeof(uint32_t));
	if (!copy.versions || !copy.weights ||
	    intern_put(builder->scratch, &builder->split_table, hash, (uint32_t)plan->split_count))
		return -ENOMEM;
	*ret_split = (uint32_t)plan->split_count;
	plan->splits[plan->split_count++] = copy;
	return 0;
}

static void split_warn(const struct builder *builder, const struct split_request *request,
		       const struct plan_split *split)
{
	_cleanup_talloc_ char *title = service_title(builder->scratch, request->owner);
	const char *service = title ? title : request->owner->host;

	if (split->count > SPLIT_VERSIONS_MAX)
		diag_add(builder->diags, DIAG_ERROR, NULL, 0, 0, "",
			 "%s: the rule %s splits between %zu versions; at most %u are allowed",
			 service, request->name, split->count, SPLIT_VERSIONS_MAX);
}

int split_intern(struct builder *builder, const struct split_request *request, uint32_t *ret_split)
{
	size_t count = request->rule->destination_count, known = builder->plan->split_count;
	_cleanup_talloc_ uint32_t *room = talloc_array(builder->scratch, uint32_t, 2 * count);
	struct plan_split split = {
		.by_client = request->owner->affinity == AFFINITY_CLIENT_IP,
		.spill = request->owner->empty == EMPTY_SPILL,
	};

	if (!room)
		return -ENOMEM;
	split.versions = room;
	split.weights = room + count;
	for (size_t i = 0; i < count; i++) {
		const struct destination *named = &request->rule->destinations[i];
		uint32_t version;

		if (version_intern(builder, request, named, &version))
			return -ENOMEM;
		split_add(&split, version, named->weight);
	}

	const struct subset *stable = builder->versions[split.versions[0]].subset;

	if (stable && stable->affinity == AFFINITY_CLIENT_IP)
		split.by_client = true;
	split_sort(builder, &split);
	if (split_store(builder, &split, ret_split))
		return -ENOMEM;
	/* Once, however many VIPs and ports it serves */
	if (builder->plan->split_count > known)
		split_warn(builder, request, &split);
	return 0;
}

static int draft_compare(const void *left, const void *right)
{
	const struct version_draft *const *a = left, *const *b = right;

	return strcmp((*a)->version.key, (*b)->version.key);
}

static void version_warn_empty(const struct builder *builder, const struct version_draft *draft)
{
	const struct plan_version *version = &draft->version;

	/*
	 * Without a share it is a version that is not there yet; without a subset it was named
	 * above.
	 */
	if (!draft->weighted || draft->undefined || builder->is_blind)
		return;
	for (size_t i = 0; i < version->endpoint_count; i++) {
		if (version->endpoints[i].weight)
			return;
	}
	diag_add(builder->diags, DIAG_WARNING, NULL, 0, 0, "",
		 "%s: version \"%s\" (%.*s) has no ready endpoint", version->service, version->name,
		 (int)(strrchr(version->key, '#') - version->key), version->key);
}

/* Gives the plan its versions in the order of their keys, and the splits their new ordinals. */
int versions_finish(struct builder *builder)
{
	struct plan *plan = builder->plan;
	size_t count = builder->version_count;
	struct version_draft **sorted =
		talloc_array(builder->scratch, struct version_draft *, count);
	uint32_t *moved = talloc_array(builder->scratch, uint32_t, count);

	plan->versions = talloc_array(plan, struct plan_version, (unsigned)count);
	if (!sorted || !moved || !plan->versions)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &builder->versions[i];
	qsort(sorted, count, sizeof(*sorted), draft_compare);
	for (size_t i = 0; i < count; i++) {
		moved[sorted[i] - builder->versions] = (uint32_t)i;
		plan->versions[i] = sorted[i]->version;
		version_warn_empty(builder, sorted[i]);
	}
	plan->version_count = count;

	for (size_t s = 0; s < plan->split_count; s++) {
		for (size_t i = 0; i < plan->splits[s].count; i++)
			plan->splits[s].versions[i] = moved[plan->splits[s].versions[i]];
	}
	return 0;
}
