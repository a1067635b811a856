// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t addr_size(uint8_t family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static int addr_af(uint8_t family)
{
	return family == 4 ? AF_INET : AF_INET6;
}

int addr_parse(const char *text, struct addr *ret_addr)
{
	struct addr addr = { .family = strchr(text, ':') ? 6 : 4 };

	if (inet_pton(addr_af(addr.family), text, addr.bytes) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

/* Digits alone: strtoul would take a sign and blanks, which no writer of a prefix means. */
static int length_parse(const char *text, unsigned max, uint8_t *ret_length)
{
	size_t digits = strspn(text, "0123456789");
	unsigned length = 0;

	if (!digits || digits > 3 || text[digits] || (digits > 1 && *text == '0'))
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		length = length * 10 + (unsigned)(text[i] - '0');
	if (length > max)
		return -EINVAL;
	*ret_length = (uint8_t)length;
	return 0;
}

/* The bits of byte i that belong to the network part. */
static uint8_t prefix_mask(uint8_t length, size_t i)
{
	if (length >= 8 * (i + 1))
		return 0xff;
	if (length <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 - (length - 8 * i)));
}

int prefix_parse(const char *text, struct prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	char host[ADDR_TEXT_MAX];
	struct prefix prefix = { 0 };

	if (size >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, size);
	host[size] = '\0';
	if (addr_parse(host, &prefix.addr))
		return -EINVAL;

	size_t bytes = addr_size(prefix.addr.family);

	prefix.len = (uint8_t)(8 * bytes);
	if (slash && length_parse(slash + 1, prefix.len, &prefix.len))
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++) {
		if (prefix.addr.bytes[i] & ~prefix_mask(prefix.len, i))
			return -ERANGE;
	}
	*ret_prefix = prefix;
	return 0;
}

const char *addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX])
{
	if (!addr_size(addr->family) ||
	    !inet_ntop(addr_af(addr->family), addr->bytes, text, ADDR_TEXT_MAX))
		snprintf(text, ADDR_TEXT_MAX, "none");
	return text;
}

const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];

	if (prefix->addr.family)
		snprintf(text, PREFIX_TEXT_MAX, "%s/%u", addr_format(&prefix->addr, host),
			 prefix->len);
	else
		snprintf(text, PREFIX_TEXT_MAX, "any");
	return text;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, addr_size(a->family));
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	size_t bytes = addr_size(addr->family);

	if (!bytes || prefix->addr.family != addr->family)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		uint8_t differing = prefix->addr.bytes[i] ^ addr->bytes[i];

		if (differing & prefix_mask(prefix->len, i))
			return false;
	}
	return true;
}
