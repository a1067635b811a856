/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses with ports and names of versions, as people type them and as the tables hold them. */
#pragma once
#include "../model/model.h"

/*
 * "10.0.0.1:80", "[fd00::1]:80", "10.0.0.1", "fd00::1", "[fd00::1]". Ports are 1 to 65535; 0 is
 * given for none. 0 or -EINVAL.
 */
int addr_port_parse(const char *text, struct addr *ret_addr, uint16_t *ret_port,
		    bool *ret_has_port);
/* A table's 16 bytes: IPv4-mapped means IPv4. */
void addr_of_words(const uint32_t words[4], struct addr *ret_addr);

/*
 * "HOST|SUBSET|PORT/PROTOCOL", and a hash after it, in its parts; what a key cut short has lost is
 * NULL. The kernel cuts long ones: whoever has a plan asks that first.
 */
struct version_key {
	char *host, *subset, *port;
};
struct version_key version_key_split(void *parent, const char *key);
const char *protocol_name(enum protocol protocol);
