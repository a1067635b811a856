/* SPDX-License-Identifier: Apache-2.0 */
/* A round's services, in the kernel's tables and in the reference's. */
#pragma once
#include "fuzz_damage.h"
#include "model.h"
#include "world.h"

struct tables {
	struct world *world;
	struct reference *model;
	int family;
	const struct model_version *full[3], *empty, *same;
};

static inline const struct model_version *make_version(const struct tables *tables,
						       const enum who *whos, unsigned count,
						       __u16 port)
{
	struct model_version *version = &tables->model->versions[tables->model->version_count++];
	__u32 words[4] = {};

	version->count = count;
	for (unsigned i = 0; i < count; i++) {
		memset(&version->endpoints[i], 0, sizeof(version->endpoints[i]));
		wire_address(whos[i], tables->family, version->endpoints[i].addr);
		version->endpoints[i].port = port;
		words[i] = world_endpoint(tables->world, tables->family, whos[i], port);
	}
	version->index = world_version(tables->world, words, count);
	return version;
}

/* Two versions (or twice the same), the first with `slots` of all slots. */
static inline void make_split(const struct tables *tables, const struct model_version *a,
			      const struct model_version *b, __u32 slots, __u16 flags,
			      struct model_split *ret_model, struct sl_split *ret_world)
{
	__u32 versions[2] = { a->index, b->index }, counts[2] = { slots, MODEL_SLOTS - slots };

	*ret_world = world_split(tables->world, versions, counts, 2, flags);
	memset(ret_model, 0, sizeof(*ret_model));
	for (__u32 i = 0; i < MODEL_SLOTS; i++)
		ret_model->slots[i] = i < slots ? a : b;
	if (slots)
		ret_model->members[ret_model->member_count++] = a;
	if (slots < MODEL_SLOTS)
		ret_model->members[ret_model->member_count++] = b;
	ret_model->by_client = flags & SL_SPLIT_BY_CLIENT;
	ret_model->spills = flags & SL_SPLIT_SPILL;
	ret_model->is_none = flags & SL_SPLIT_NONE;
}

static inline void make_otherwise(struct random *random, const struct tables *tables, __u16 port,
				  struct model_split *ret_model, struct sl_split *ret_world)
{
	const struct model_version *a = tables->full[0], *b = tables->full[1];
	__u32 slots = below(random, MODEL_SLOTS + 1);
	__u16 flags = 0;

	if (port == PORT_EMPTY || port == PORT_ALL_EMPTY)
		a = b = tables->empty;
	if (port == PORT_SPILLS || port == PORT_HALF_EMPTY)
		b = tables->empty;
	if (port == PORT_SAME)
		a = b = tables->same;
	if (port == PORT_NO_RULE)
		flags = SL_SPLIT_NONE;
	if (port == PORT_BY_CLIENT)
		flags = SL_SPLIT_BY_CLIENT;
	if (port == PORT_SPILLS || port == PORT_ALL_EMPTY)
		flags = SL_SPLIT_SPILL;
	make_split(tables, a, b, slots, flags, ret_model, ret_world);
	if (port == PORT_BROKEN)
		ret_model->is_broken = true, ret_world->member_base = 1 << 20;
}

static inline void make_service(struct random *random, const struct tables *tables,
				unsigned revision, __u16 port)
{
	struct reference *model = tables->model;
	struct model_service service = { .family = tables->family, .port = port };
	struct sl_service kernel = {};
	struct sl_split ruled;

	wire_address(VIP, tables->family, service.vip);
	make_otherwise(random, tables, port, &service.otherwise, &kernel.otherwise);
	if (port == PORT_RULED || port == PORT_NO_RULE) {
		service.bits = tables->family == 4 ? 25 + below(random, 8) : 65 + below(random, 64);
		wire_address(FRIEND, tables->family, service.prefix);
		make_split(tables, tables->full[2], tables->full[2], 0, 0, &service.ruled, &ruled);
		kernel.rule_base =
			world_rule(tables->world, tables->family, FRIEND, service.bits, ruled);
		kernel.rule_count = 1;
	}
	for (int i = 0; i < 2; i++) {
		service.protocol = i ? IPPROTO_TCP : IPPROTO_UDP;
		model->services[revision][model->service_count[revision]++] = service;
		world_service(tables->world, tables->family, service.protocol, port, kernel);
	}
}

static inline void make_tables(struct random *random, struct world *world, struct reference *model,
			       int family)
{
	static const enum who a_and_b[] = { EP_A, EP_B };
	struct tables tables = { .world = world, .model = model, .family = family };

	tables.full[0] = make_version(&tables, a_and_b, 2, EP_PORT);
	tables.full[1] = make_version(&tables, &fuzz_endpoints[2], 1, EP_PORT);
	tables.full[2] = make_version(&tables, fuzz_endpoints, 3, EP_PORT);
	tables.empty = make_version(&tables, NULL, 0, 0);
	tables.same = make_version(&tables, a_and_b, 2, PORT_SAME);
	for (unsigned revision = 0; revision < 2; revision++) {
		world_revision(world, 1 + revision);
		for (int port = PORT_RULED; port < PORT_COUNT; port++)
			make_service(random, &tables, revision, port);
	}
}
