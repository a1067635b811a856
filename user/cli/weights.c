// SPDX-License-Identifier: Apache-2.0
#include "weights.h"

#include "../base/cleanup.h"
#include "cli.h"

#include <errno.h>
#include <string.h>

static int fail(struct diags *diags, int err, const char *text)
{
	diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL, "%s", text ? text : "out of memory");
	return err;
}

int weight_parse(void *parent, const char *text, struct diags *diags, struct weight_word *ret_word)
{
	const char *equals = strrchr(text, '=');
	uint64_t weight;
	int err;

	if (!equals || equals == text)
		return fail(diags, -EINVAL,
			    talloc_asprintf(parent,
					    "\"%s\" is no weight; allowed is VERSION=WEIGHT, "
					    "as in v1=90",
					    text));
	err = number_parse(equals + 1, 0, WEIGHT_MAX, &weight);
	if (err)
		return fail(diags, err,
			    talloc_asprintf(parent,
					    "the weight \"%s\" of \"%.*s\"; allowed are whole "
					    "numbers from 0 to %u",
					    equals + 1, (int)(equals - text), text, WEIGHT_MAX));
	ret_word->name = talloc_strndup(parent, text, (size_t)(equals - text));
	ret_word->weight = (uint32_t)weight;
	return ret_word->name ? 0 : -ENOMEM;
}

/* --- which rule --- */

/* "http[0] canary": the place counts within the kind, as in the file; --rule counts all of them. */
static char *rule_list(void *parent, const struct service *service)
{
	char *text = talloc_strdup(parent, "");

	for (size_t i = 0; i < service->rule_count && text; i++) {
		const struct rule *rule = &service->rules[i];

		text = talloc_asprintf_append(text, "%s%zu (%s%s%s%s)", i ? ", " : "", i,
					      rule->kind == RULE_HTTP ? "http" : "tcp",
					      *rule->name ? " \"" : "", rule->name,
					      *rule->name ? "\"" : "");
	}
	return text;
}

static int rule_named(const struct service *service, const char *name, struct diags *diags,
		      size_t *ret_rule)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	uint64_t place;

	for (size_t i = 0; i < service->rule_count; i++) {
		if (*name && !strcmp(service->rules[i].name, name)) {
			*ret_rule = i;
			return 0;
		}
	}
	if (service->rule_count && !number_parse(name, 0, service->rule_count - 1, &place)) {
		*ret_rule = (size_t)place;
		return 0;
	}
	return fail(diags, -ENOENT,
		    talloc_asprintf(scratch, "%s has no rule \"%s\"; it has: %s", service->host,
				    name,
				    service->rule_count ? rule_list(scratch, service) : "none"));
}

/* One rule that takes every connection, for ports that carry requests and for those that do not. */
static bool is_one_split(const struct service *service)
{
	const struct rule *rules = service->rules;

	return service->rule_count == 2 && rules[0].kind != rules[1].kind &&
	       !rules[0].match_count && !rules[1].match_count;
}

/*
 * As plan reads it: a port that nobody says anything about obeys the http rules, when there are
 * any.
 */
static void kinds_needed(const struct service *service, bool *ret_http, bool *ret_tcp)
{
	bool has_http = false, has_tcp = false;

	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];

		if (port->protocol == PROTOCOL_UDP || port->app == APP_TCP)
			has_tcp = true;
		else if (port->app == APP_HTTP)
			has_http = true;
	}
	*ret_http = has_http;
	*ret_tcp = has_tcp || !has_http;
}

/*
 * Rules for a service that has none: of the kinds that govern its ports, so that none is left out.
 */
static int rules_add(struct model *model, struct service *service)
{
	struct rule *rules = talloc_zero_array(model, struct rule, 2);
	bool needs_http, needs_tcp;

	if (!rules)
		return -ENOMEM;
	kinds_needed(service, &needs_http, &needs_tcp);
	if (needs_http)
		rules[service->rule_count++] = (struct rule){ .kind = RULE_HTTP, .name = "" };
	if (needs_tcp)
		rules[service->rule_count++] = (struct rule){ .kind = RULE_TCP, .name = "" };
	service->rules = rules;
	if (!*service->virtual_service) {
		service->virtual_service = service->name;
		service->virtual_service_namespace = service->namespace;
	}
	return 0;
}

int weights_choose(struct model *model, struct service *service, const char *rule,
		   struct diags *diags, size_t ret_rules[2], size_t *ret_count)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);

	*ret_count = 1;
	if (rule)
		return rule_named(service, rule, diags, &ret_rules[0]);
	if (!service->rule_count && rules_add(model, service))
		return -ENOMEM;
	ret_rules[0] = 0;
	ret_rules[1] = 1;
	if (service->rule_count == 1)
		return 0;
	if (is_one_split(service)) {
		*ret_count = 2;
		return 0;
	}
	return fail(diags, -ENOTUNIQ,
		    talloc_asprintf(scratch, "%s has %zu rules; say which with --rule: %s",
				    service->host, service->rule_count,
				    rule_list(scratch, service)));
}

/* --- which version --- */

struct target {
	const char *host, *subset;
};

static bool has_subset(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->subset_count; i++) {
		if (!strcmp(service->subsets[i].name, name))
			return true;
	}
	return false;
}

/*
 * What the name may mean, for messages and the nearest: subsets, and destinations of other hosts.
 */
static size_t names_collect(const struct service *service, const struct rule *rule, void *parent,
			    const char **names)
{
	size_t count = 0;

	for (size_t i = 0; i < service->subset_count; i++)
		names[count++] = service->subsets[i].name;
	for (size_t i = 0; i < rule->destination_count; i++) {
		const struct destination *d = &rule->destinations[i];

		if (strcmp(d->host, service->host) || !*d->subset)
			names[count++] = talloc_asprintf(parent, "%s%s%s", d->host,
							 *d->subset ? "/" : "", d->subset);
	}
	return count;
}

static int version_unknown(const struct service *service, const struct rule *rule, const char *name,
			   struct diags *diags)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const char **names =
		talloc_array(scratch, const char *,
			     (unsigned)(service->subset_count + rule->destination_count) + 1);
	char *list = talloc_strdup(scratch, "");
	const char *nearest;
	size_t count;

	if (!names)
		return -ENOMEM;
	count = names_collect(service, rule, scratch, names);
	for (size_t i = 0; i < count; i++)
		list = talloc_asprintf_append(list, "%s%s", i ? ", " : "", names[i]);
	nearest = name_nearest(name, names, count);
	return fail(diags, -ENOENT,
		    talloc_asprintf(scratch, "\"%s\" is no version of %s%s%s%s; it has: %s", name,
				    service->host, nearest ? "; the nearest is \"" : "",
				    nearest ? nearest : "", nearest ? "\"" : "",
				    count ? list : "none (write a DestinationRule with subsets)"));
}

/* "host/v1" or "host" */
static bool target_of_host(const struct model *model, const char *name, struct target *ret_target)
{
	const char *slash = strchr(name, '/');
	_cleanup_talloc_ char *host =
		talloc_strndup(NULL, name, slash ? (size_t)(slash - name) : strlen(name));
	struct service *service;

	if (!host || model_service_resolve(model, host, &service))
		return false;
	if (slash && !has_subset(service, slash + 1))
		return false;
	*ret_target = (struct target){ service->host, slash ? slash + 1 : "" };
	return true;
}

/* A subset of the service itself, then one that the rule alone has, then a host. */
static bool target_find(const struct model *model, const struct service *service,
			const struct rule *rule, const char *name, struct target *ret_target)
{
	size_t found = 0;

	if (has_subset(service, name)) {
		*ret_target = (struct target){ service->host, name };
		return true;
	}
	for (size_t i = 0; i < rule->destination_count; i++) {
		const struct destination *d = &rule->destinations[i];

		if (*d->subset && !strcmp(d->subset, name) && !found++)
			*ret_target = (struct target){ d->host, d->subset };
	}
	return found == 1 || target_of_host(model, name, ret_target);
}

/* --- setting --- */

static bool is_target(const struct destination *destination, const struct target *target)
{
	return !strcmp(destination->host, target->host) &&
	       !strcmp(destination->subset, target->subset);
}

/* A new destination goes to the port that its rule's others go to, if they agree. */
static uint16_t port_of_others(const struct rule *rule, const char *host)
{
	uint16_t port = 0;

	for (size_t i = 0; i < rule->destination_count; i++) {
		if (strcmp(rule->destinations[i].host, host))
			continue;
		if (port && rule->destinations[i].port != port)
			return 0;
		port = rule->destinations[i].port;
	}
	return port;
}

static int destination_put(struct model *model, struct rule *rule, const struct target *target,
			   const char *name, struct diags *diags, struct destination **ret_found)
{
	struct destination *found = NULL;

	for (size_t i = 0; i < rule->destination_count; i++) {
		if (!is_target(&rule->destinations[i], target))
			continue;
		if (found) {
			diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
				 "the rule sends to \"%s\" on several ports; change it with apply",
				 name);
			return -EINVAL;
		}
		found = &rule->destinations[i];
	}
	if (!found) {
		found = &rule->destinations[rule->destination_count];
		*found = (struct destination){
			.host = talloc_strdup(model, target->host),
			.subset = talloc_strdup(model, target->subset),
			.port = port_of_others(rule, target->host),
		};
		rule->destination_count++;
	}
	*ret_found = found;
	return found->host && found->subset ? 0 : -ENOMEM;
}

static int word_set(struct model *model, struct service *service, struct rule *rule,
		    const struct weight_word *word, bool *is_named, struct diags *diags)
{
	struct destination *found;
	struct target target = { 0 };
	size_t place;
	int err;

	if (!target_find(model, service, rule, word->name, &target))
		return version_unknown(service, rule, word->name, diags);
	err = destination_put(model, rule, &target, word->name, diags, &found);
	if (err)
		return err;
	place = (size_t)(found - rule->destinations);
	if (is_named[place]) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL, "\"%s\" is named twice", word->name);
		return -EINVAL;
	}
	is_named[place] = true;
	found->weight = word->weight;
	return 0;
}

int weights_set(struct model *model, struct service *service, struct rule *rule,
		const struct weight_word *words, size_t count, struct diags *diags)
{
	size_t room = rule->destination_count + count;
	struct destination *copy = talloc_array(model, struct destination, (unsigned)room);
	_cleanup_talloc_ bool *is_named = talloc_zero_array(NULL, bool, (unsigned)room);

	if (!copy || !is_named)
		return -ENOMEM;
	for (size_t i = 0; i < rule->destination_count; i++)
		copy[i] = rule->destinations[i];
	rule->destinations = copy;
	for (size_t i = 0; i < count; i++) {
		int err = word_set(model, service, rule, &words[i], is_named, diags);

		if (err)
			return err;
	}
	for (size_t i = 0; i < rule->destination_count; i++) {
		if (!is_named[i])
			copy[i].weight = 0;
	}
	return 0;
}
