/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints by hand: the group "cli/HOST" of an inventory, and drains. PURE: all memory hangs from
 * the inventory, which is a copy. Lists stay sorted.
 */
#pragma once
#include "../model/model.h"

/*
 * Adds it to the host's own group, or replaces the one of the same address and ports there. 0 or
 * -ENOMEM.
 */
int membership_add(struct inventory *inventory, const char *host, const struct endpoint *endpoint);

/* Where an endpoint that lists no ports serves this one of its service. */
uint16_t port_target(const struct service_port *port);

/* "80, 443": where endpoints of that address serve the service; "": none has it; NULL: no memory.
 */
char *membership_ports(void *parent, const struct inventory *inventory,
		       const struct service *service, const struct addr *addr);

/*
 * Takes endpoints of that address (port 0: any) out of the host's own group, with their drains. 0
 * or -ENOENT: then *ret_source is the group that brings it, or NULL when none does.
 */
int membership_remove(struct inventory *inventory, const struct service *service,
		      const struct addr *addr, uint16_t port, const char **ret_source);

/*
 * 0; -EALREADY when it is drained (or, undone, is not); -ENOENT when no group has such an endpoint;
 * -ENOMEM.
 */
int membership_drain(struct inventory *inventory, const struct service *service,
		     const struct addr *addr, uint16_t port);
int membership_undrain(struct inventory *inventory, const char *host, const struct addr *addr,
		       uint16_t port);
