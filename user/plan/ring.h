/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints to a ring: Maglev with weights (Eisenbud et al., NSDI 2016). PURE. */
#pragma once
#include "../model/model.h"

#include <stddef.h>
#include <stdint.h>

struct ring_member {
	struct addr addr; /* with the port: its identity, so that two nodes build the same ring */
	uint16_t port;
	uint32_t weight; /* 0 gets no place */
	uint32_t value;  /* what stands in the ring: an index that nodes need not share */
};

/*
 * The ring size for these members: 0 without a weight, 1 for one member, else a prime of a short
 * list. Within one size few places change hands when a member comes or goes (1 to 3 per cent of
 * the others'); a change of size moves most. Live connections do not use the ring.
 */
uint32_t ring_size(const struct ring_member *members, size_t count);

/*
 * Fills ret_ring[ring_size(members, count)] with members' values. The result does not depend on the
 * members' order. 0, -ENOMEM, or -EINVAL when no member has a weight.
 */
int ring_fill(const struct ring_member *members, size_t count, uint32_t *ret_ring, uint32_t size);
