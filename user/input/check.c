// SPDX-License-Identifier: Apache-2.0
/* Shapes of names and addresses that several kinds share. */
#include "schema.h"

#include "input.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define LABEL_MAX 63 /* RFC 1123, and Kubernetes for label values */
#define NAME_MAX_DNS 253

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_dns_part(const char *text, size_t length)
{
	if (!length || length > LABEL_MAX)
		return false;
	if (!is_lower_alnum(text[0]) || !is_lower_alnum(text[length - 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_lower_alnum(text[i]) && text[i] != '-')
			return false;
	return true;
}

bool is_dns_label(const char *text)
{
	return is_dns_part(text, strlen(text));
}

bool is_dns_name(const char *text, size_t length_max)
{
	if (strlen(text) > length_max)
		return false;
	for (;;) {
		size_t length = strcspn(text, ".");

		if (!is_dns_part(text, length))
			return false;
		if (!text[length])
			return true;
		text += length + 1;
	}
}

void check_host(struct reader *reader, const struct node *node, const void *value)
{
	const char *text = value;
	char name[NAME_MAX_DNS + 2];
	size_t length = strlen(text);

	if (strchr(text, '*')) {
		report_error(
			reader, node,
			"found the wildcard host \"%.80s\"; a split needs one host: a short name, "
			"name.namespace or the full name",
			text);
		return;
	}
	/* A dot at the end says that the name is whole. */
	if (length && length <= NAME_MAX_DNS + 1 && text[length - 1] == '.')
		length--;
	if (length <= NAME_MAX_DNS) {
		memcpy(name, text, length);
		name[length] = '\0';
		if (is_dns_name(name, NAME_MAX_DNS))
			return;
	}
	report_error(reader, node,
		     "found the host \"%.80s\"; allowed are DNS names: lower-case letters, digits, "
		     "'-' and '.'",
		     text);
}

void check_name(struct reader *reader, const struct node *node, const void *value)
{
	if (!is_dns_name(value, NAME_MAX_DNS))
		report_error(reader, node,
			     "found the name \"%.80s\"; allowed are lower-case letters, digits, "
			     "'-' and '.'",
			     (const char *)value);
}

static bool is_label_text(const char *text, size_t length)
{
	if (length > LABEL_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	return !length ||
	       (isalnum((unsigned char)text[0]) && isalnum((unsigned char)text[length - 1]));
}

bool is_label_key(const char *key)
{
	const char *slash = strchr(key, '/');
	char prefix[NAME_MAX_DNS + 1];

	if (!slash)
		return *key && is_label_text(key, strlen(key));
	if ((size_t)(slash - key) > NAME_MAX_DNS)
		return false;
	memcpy(prefix, key, slash - key);
	prefix[slash - key] = '\0';
	return is_dns_name(prefix, NAME_MAX_DNS) && slash[1] &&
	       is_label_text(slash + 1, strlen(slash + 1));
}

bool is_label_value(const char *value)
{
	return is_label_text(value, strlen(value));
}

void check_labels(struct reader *reader, const struct node *node, const void *labels)
{
	for (const struct node *child = node->first; child; child = child->next) {
		if (!is_label_key(child->key))
			node_report_key(
				reader->diags, DIAG_ERROR, child,
				"found the label key \"%.80s\"; allowed are letters, digits, "
				"'-', '_' and '.', at most 63, after a DNS prefix and '/' if any",
				child->key);
		if (child->kind == NODE_SCALAR && !is_label_value(child->text))
			report_error(
				reader, child,
				"found the label value \"%.80s\"; allowed are letters, digits, "
				"'-', '_' and '.', at most 63",
				child->text);
	}
}

void check_prefix(struct reader *reader, const struct node *node, const void *text)
{
	struct prefix prefix;
	int r = prefix_parse(text, &prefix);

	if (r == -ERANGE)
		report_error(reader, node,
			     "found \"%.80s\", which has bits set beyond its length; allowed is a "
			     "subnet "
			     "such as 10.1.0.0/16",
			     (const char *)text);
	else if (r < 0)
		report_error(
			reader, node,
			"found \"%.80s\"; allowed is an address or a subnet such as 10.1.0.0/16 or "
			"fd00::/64",
			(const char *)text);
}
