// SPDX-License-Identifier: Apache-2.0
/* What differs between two models, a line a service. */
#include "node.h"

#include "../base/cleanup.h"
#include "equal.h"
#include "private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct diff {
	void *scratch;
	FILE *out;
	bool has_line;      /* a newline is due before the next */
	const char *before; /* what stands between the title and the next part */
};

static void line_begin(struct diff *diff, char sign, const struct service *service)
{
	const char *title = service_title_words(diff->scratch, service);

	fprintf(diff->out, "%s%c %s", diff->has_line ? "\n" : "", sign,
		title ? title : service->host);
	diff->has_line = true;
	diff->before = ": ";
}

static void part_put(struct diff *diff, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void part_put(struct diff *diff, const char *format, ...)
{
	va_list args;

	fputs(diff->before, diff->out);
	diff->before = "; ";
	va_start(args, format);
	vfprintf(diff->out, format, args);
	va_end(args);
}

/* The same rules with other splits: only those are named. */
static bool is_same_rules(const struct service *from, const struct service *to)
{
	if (from->rule_count != to->rule_count)
		return false;
	for (size_t i = 0; i < to->rule_count; i++) {
		if (!rule_matches_equal(&from->rules[i], &to->rules[i]))
			return false;
	}
	return true;
}

static void split_put(struct diff *diff, const struct service *from, const struct service *to,
		      size_t ordinal)
{
	const char *was = rule_words(diff->scratch, from, &from->rules[ordinal]);
	const char *now = rule_words(diff->scratch, to, &to->rules[ordinal]);
	const char *title =
		to->rule_count > 1 ? rule_title_words(diff->scratch, to, &to->rules[ordinal]) : "";

	if (!was || !now || !title)
		return;
	/* Only the destinations' ports can differ in what has the same words. */
	part_put(diff, "%s%s%s (was %s)", title, *title ? ": " : "", now,
		 strcmp(was, now) ? was : "with other ports");
}

static void rules_put(struct diff *diff, const struct service *from, const struct service *to)
{
	char *was = NULL, *now = NULL;

	if (service_rules_equal(from, to))
		return;
	if (!is_same_rules(from, to)) {
		if (service_words(diff->scratch, from, &was) ||
		    service_words(diff->scratch, to, &now))
			return;
		part_put(diff, "%s (was %s)", now, strcmp(was, now) ? was : "for other matches");
		return;
	}
	for (size_t i = 0; i < to->rule_count; i++) {
		if (!rule_splits_equal(&from->rules[i], &to->rules[i]))
			split_put(diff, from, to, i);
	}
}

static void parts_put(struct diff *diff, const struct service *from, const struct service *to)
{
	const char *names[SERVICE_PARTS];
	size_t count = 0;

	for (size_t i = 0; i < SERVICE_PARTS; i++) {
		if (!service_parts[i].is_equal(from, to))
			names[count++] = service_parts[i].name;
	}
	if (!count)
		return;
	part_put(diff, "%s", names[0]);
	for (size_t i = 1; i < count; i++)
		fprintf(diff->out, ", %s", names[i]);
	fputs(" changed", diff->out);
}

static bool is_equal(const struct service *from, const struct service *to)
{
	for (size_t i = 0; i < SERVICE_PARTS; i++) {
		if (!service_parts[i].is_equal(from, to))
			return false;
	}
	return service_rules_equal(from, to);
}

static void change_put(struct diff *diff, const struct service *from, const struct service *to)
{
	if (is_equal(from, to))
		return;
	line_begin(diff, '~', to);
	rules_put(diff, from, to);
	parts_put(diff, from, to);
}

static void addition_put(struct diff *diff, const struct service *service)
{
	char *words;

	line_begin(diff, '+', service);
	if (service->rule_count && !service_words(diff->scratch, service, &words))
		part_put(diff, "%s", words);
}

/* Both are sorted by host: one walk over each. */
static void models_put(struct diff *diff, const struct model *from, const struct model *to)
{
	size_t f = 0, t = 0;

	while (f < from->service_count || t < to->service_count) {
		int order = f == from->service_count ? 1
			    : t == to->service_count
				    ? -1
				    : strcmp(from->services[f].host, to->services[t].host);

		if (order < 0)
			line_begin(diff, '-', &from->services[f++]);
		else if (order > 0)
			addition_put(diff, &to->services[t++]);
		else
			change_put(diff, &from->services[f++], &to->services[t++]);
	}
}

int model_diff(void *parent, const struct model *from, const struct model *to, char **ret_text)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	struct diff diff = { .scratch = scratch, .out = open_memstream(&text, &size) };
	bool failed;
	char *copy;

	if (!diff.out)
		return -ENOMEM;
	models_put(&diff, from, to);
	failed = ferror(diff.out);
	if (fclose(diff.out) || failed)
		return -ENOMEM;
	copy = talloc_strdup(parent, text);
	if (!copy)
		return -ENOMEM;
	*ret_text = copy;
	return 0;
}
