/* SPDX-License-Identifier: Apache-2.0 */
/* The connections that are asked for: of the tables, and of the doors. */
#pragma once
#include "../../user/kernel/kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define CLIENTS 20u

/* Of client number `i` to "ADDRESS:PORT", IPv4. 0 or -EINVAL. */
static inline int client_connection(const char *vip, unsigned i,
				    struct kernel_connection *ret_connection)
{
	char address[64];
	unsigned port;

	if (sscanf(vip, "%63[0-9.]:%u", address, &port) != 2)
		return -EINVAL;
	*ret_connection = (struct kernel_connection){
		.source = { .family = 4, .bytes = { 10, 78, 0, i } },
		.source_port = 40000 + 7 * i,
		.destination = { .family = 4 },
		.destination_port = port,
		.protocol = PROTOCOL_TCP,
	};
	return inet_pton(AF_INET, address, ret_connection->destination.bytes) == 1 ? 0 : -EINVAL;
}
