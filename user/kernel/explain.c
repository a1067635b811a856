// SPDX-License-Identifier: Apache-2.0
/* The doors' walk through the tables, once more in user space: the same order, the same pick.h. */
#include "kernel.h"

#include "../../bpf/pick.h"
#include "internal.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

static uint64_t connection_hash(const struct kernel *kernel,
				const struct kernel_connection *connection, bool by_client)
{
	struct pick_key key;
	uint64_t source[2], destination[2];
	uint32_t source4, destination4;

	memcpy(source, connection->source.bytes, 16);
	memcpy(destination, connection->destination.bytes, 16);
	memcpy(&source4, connection->source.bytes, 4);
	memcpy(&destination4, connection->destination.bytes, 4);
	for (int i = 0; i < 2; i++) {
		source[i] = be64toh(source[i]);
		destination[i] = be64toh(destination[i]);
	}
	if (connection->source.family == 4)
		pick_key4(&key, ntohl(source4), ntohl(destination4), connection->source_port,
			  connection->destination_port, connection->protocol, by_client);
	else
		pick_key6(&key, (const __u64 *)source, (const __u64 *)destination,
			  connection->source_port, connection->destination_port,
			  connection->protocol, by_client);
	return pick_hash(&key, control_of(kernel)->seed);
}

static bool rule_matches(const struct sl_rule *rule, const uint32_t source[4])
{
	for (int i = 0; i < 4; i++)
		if ((source[i] ^ rule->prefix[i]) & rule->mask[i])
			return false;
	return true;
}

static void split_choose(const struct kernel *kernel, const struct kernel_connection *connection,
			 const struct sl_service *service, struct sl_split *ret_split,
			 int *ret_rule)
{
	const struct sl_rule *rules = MAPPED(kernel, MAP_RULES, struct sl_rule);
	uint32_t source[4];

	addr_to_words(&connection->source, source);
	*ret_rule = -1;
	*ret_split = service->otherwise;
	for (uint32_t i = 0; i < service->rule_count && i < SL_RULES_MAX; i++) {
		uint32_t at = service->rule_base + i;

		if (at >= kernel->map[MAP_RULES].entries || !rule_matches(&rules[at], source))
			continue;
		*ret_rule = i;
		*ret_split = rules[at].split;
		return;
	}
}

static int member_version(const struct kernel *kernel, const struct sl_split *split,
			  uint32_t ordinal, uint32_t *ret_version)
{
	const uint32_t *members = MAPPED(kernel, MAP_MEMBERS, uint32_t);
	uint32_t at = split->member_base + ordinal;

	if (at >= kernel->map[MAP_MEMBERS].entries * 2 ||
	    members[at] >= kernel_version_limit(kernel))
		return -EUCLEAN;
	*ret_version = members[at];
	return 0;
}

static int slot_version(const struct kernel *kernel, const struct sl_split *split, uint32_t slot,
			uint32_t *ret_version)
{
	const uint8_t *slots = MAPPED(kernel, MAP_SLOTS, uint8_t);
	size_t at = (size_t)split->slot_base * SL_SLOTS_PER_GROUP + slot;

	if (at >= (size_t)kernel->map[MAP_SLOTS].entries * SL_SLOTS_PER_GROUP)
		return -EUCLEAN;
	return member_version(kernel, split, slots[at], ret_version);
}

static bool has_endpoint(const struct kernel *kernel, uint32_t version)
{
	return kernel_version(kernel, version)->ring >> 32;
}

static bool spill_choose(const struct kernel *kernel, const struct sl_split *split,
			 struct kernel_explain *explain)
{
	uint32_t version;

	for (uint32_t i = 1; i <= SL_SPILL_TRIES; i++) {
		uint32_t slot = pick_slot(explain->hash, split->slot_mask, i);

		if (!slot_version(kernel, split, slot, &version) && has_endpoint(kernel, version)) {
			explain->version = version;
			return true;
		}
	}
	for (uint32_t i = 0; i < split->member_count; i++) {
		if (!member_version(kernel, split, i, &version) && has_endpoint(kernel, version)) {
			explain->version = version;
			return true;
		}
	}
	return false;
}

static int split_walk(const struct kernel *kernel, const struct kernel_connection *connection,
		      const struct sl_split *split, struct kernel_explain *explain)
{
	int err;

	if (split->flags & SL_SPLIT_NONE) {
		explain->is_refused = true;
		return 0;
	}
	explain->hash = connection_hash(kernel, connection, split->flags & SL_SPLIT_BY_CLIENT);
	explain->slots = split->slot_mask + 1;
	explain->slot = pick_slot(explain->hash, split->slot_mask, 0);
	err = slot_version(kernel, split, explain->slot, &explain->version);
	if (err)
		return err;
	if (!has_endpoint(kernel, explain->version)) {
		explain->spilled =
			split->flags & SL_SPLIT_SPILL && spill_choose(kernel, split, explain);
		explain->is_refused = !explain->spilled;
		if (explain->is_refused)
			return 0;
	}
	explain->ring = kernel_version(kernel, explain->version)->ring >> 32;
	explain->place = pick_place(explain->hash, explain->ring, 0);
	explain->endpoint = kernel_ring_word(kernel, explain->version, explain->place);
	return explain->endpoint < kernel_endpoint_limit(kernel) ? 0 : -EUCLEAN;
}

int kernel_explain(const struct kernel *kernel, const struct kernel_connection *connection,
		   struct kernel_explain *ret_explain)
{
	struct kernel_explain explain = { .revision = kernel_obeyed(kernel) };
	struct sl_service_key key = { .revision = explain.revision,
				      .port = htons(connection->destination_port),
				      .protocol = connection->protocol };
	struct sl_service service;
	struct sl_split split;
	int err = 0;

	addr_to_words(&connection->destination, key.vip);
	explain.has_flow = !kernel_flow(kernel, connection, &explain.flow) &&
			   !(explain.flow.flags & SL_FLOW_REPLY);
	explain.is_ours = !bpf_map_lookup_elem(kernel->map[MAP_SERVICES].fd, &key, &service);
	if (explain.is_ours) {
		split_choose(kernel, connection, &service, &split, &explain.rule);
		err = split_walk(kernel, connection, &split, &explain);
	}
	if (!err)
		*ret_explain = explain;
	return err;
}
