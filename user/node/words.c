// SPDX-License-Identifier: Apache-2.0
/* A service's rules in the words that summaries use. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <errno.h>
#include <string.h>

const char *service_title_words(void *parent, const struct service *service)
{
	if (!*service->name)
		return service->host;
	if (!*service->namespace)
		return service->name;
	return talloc_asprintf(parent, "%s.%s", service->name, service->namespace);
}

/*
 * "v1" within the service's own host; else the host's first label, and the subset if there is
 * one.
 */
static char *destination_add(char *text, const struct service *service,
			     const struct destination *destination)
{
	bool is_own = !strcmp(destination->host, service->host);
	int length = (int)strcspn(destination->host, ".");

	if (is_own && *destination->subset)
		text = talloc_asprintf_append_buffer(text, "%s", destination->subset);
	else
		text = talloc_asprintf_append_buffer(text, "%.*s%s%s", length, destination->host,
						     *destination->subset ? "/" : "",
						     destination->subset);
	return text ? talloc_asprintf_append_buffer(text, " %u", destination->weight) : NULL;
}

char *rule_words(void *parent, const struct service *service, const struct rule *rule)
{
	char *text = talloc_strdup(parent, "");

	for (size_t i = 0; text && i < rule->destination_count; i++) {
		if (i)
			text = talloc_strdup_append_buffer(text, ", ");
		if (text)
			text = destination_add(text, service, &rule->destinations[i]);
	}
	return text;
}

char *rule_title_words(void *parent, const struct service *service, const struct rule *rule)
{
	size_t ordinal = 0;

	for (const struct rule *r = service->rules; r < rule; r++)
		ordinal += r->kind == rule->kind;
	return talloc_asprintf(parent, "%s[%zu]%s%s", rule->kind == RULE_HTTP ? "http" : "tcp",
			       ordinal, *rule->name ? " " : "", rule->name);
}

int service_words(void *parent, const struct service *service, char **ret_text)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	char *text = talloc_strdup(parent, service->rule_count ? "" : "no rules");

	for (size_t i = 0; text && i < service->rule_count; i++) {
		const struct rule *rule = &service->rules[i];
		char *words = rule_words(scratch, service, rule);
		char *title = rule_title_words(scratch, service, rule);

		if (!words || !title)
			return -ENOMEM;
		if (service->rule_count == 1)
			text = talloc_strdup_append_buffer(text, words);
		else
			text = talloc_asprintf_append_buffer(text, "%s%s: %s", i ? "; " : "", title,
							     words);
	}
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}
