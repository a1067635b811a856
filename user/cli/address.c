// SPDX-License-Identifier: Apache-2.0
#include "address.h"

#include "../base/cleanup.h"
#include "cli.h"

#include <errno.h>
#include <string.h>

static int port_parse(const char *text, uint16_t *ret_port)
{
	uint64_t port;

	if (number_parse(text, 1, 65535, &port))
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

/*
 * Splits off what follows the address; an IPv6 address has colons of its own, hence the brackets.
 */
static int address_cut(const char *text, char *ret_address, size_t size, const char **ret_port)
{
	const char *end = NULL, *colon = strrchr(text, ':');

	*ret_port = NULL;
	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		*ret_port = end[1] ? end + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) {
		end = colon;
		*ret_port = colon + 1;
	} else {
		end = text + strlen(text);
	}
	if ((size_t)(end - text) >= size)
		return -EINVAL;
	memcpy(ret_address, text, (size_t)(end - text));
	ret_address[end - text] = '\0';
	return 0;
}

int addr_port_parse(const char *text, struct addr *ret_addr, uint16_t *ret_port, bool *ret_has_port)
{
	char address[ADDR_TEXT_MAX];
	const char *number;
	struct addr addr;
	uint16_t port = 0;

	if (address_cut(text, address, sizeof(address), &number) || addr_parse(address, &addr) ||
	    (number && port_parse(number, &port)))
		return -EINVAL;
	*ret_addr = addr;
	*ret_port = port;
	*ret_has_port = number != NULL;
	return 0;
}

void addr_of_words(const uint32_t words[4], struct addr *ret_addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *bytes = (const uint8_t *)words;
	struct addr addr = { .family = 6 };

	if (!memcmp(bytes, mapped, sizeof(mapped))) {
		addr.family = 4;
		memcpy(addr.bytes, bytes + 12, 4);
	} else {
		memcpy(addr.bytes, bytes, 16);
	}
	*ret_addr = addr;
}

const char *protocol_name(enum protocol protocol)
{
	return protocol == PROTOCOL_UDP ? "udp" : "tcp";
}

struct version_key version_key_split(void *parent, const char *key)
{
	struct version_key parts = { .host = talloc_strdup(parent, key) };
	char *bar = parts.host ? strchr(parts.host, '|') : NULL;

	if (!bar)
		return parts;
	*bar = '\0';
	parts.subset = bar + 1;
	bar = strchr(parts.subset, '|');
	if (bar)
		*bar = '\0';
	parts.port = bar ? bar + 1 : NULL;
	/* What follows tells two meanings of one name apart; nobody reads it. */
	if (bar)
		parts.port[strcspn(parts.port, "|#")] = '\0';
	return parts;
}
