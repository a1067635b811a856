// SPDX-License-Identifier: Apache-2.0
/* With bpf/flow.h the only place that knows the flow table's layout. */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define CLOSED_KEEP_NS 60000000000ull /* as long as a FIN may still be repeated */

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

/* --- live connections --- */

struct counting {
	uint32_t *counts, limit;
	uint64_t now, udp_idle_ns;
};

static bool is_live(uint8_t protocol, const struct sl_flow *flow, uint64_t now,
		    uint64_t udp_idle_ns)
{
	uint64_t silent = now > flow->seen_ns ? now - flow->seen_ns : 0;

	if (protocol == PROTOCOL_UDP)
		return silent <= udp_idle_ns;
	return !(flow->flags & SL_FLOW_CLOSED);
}

static int count_one(struct counting *counting, uint8_t protocol, const struct sl_flow *flow)
{
	if (!(flow->flags & SL_FLOW_REPLY) && flow->version < counting->limit &&
	    is_live(protocol, flow, counting->now, counting->udp_idle_ns))
		counting->counts[flow->version]++;
	return 0;
}

static int count4(void *context, void *key, void *value)
{
	return count_one(context, ((struct sl_tuple4 *)key)->protocol, value);
}

static int count6(void *context, void *key, void *value)
{
	return count_one(context, ((struct sl_tuple6 *)key)->protocol, value);
}

int kernel_flows_by_version(const struct kernel *kernel, uint32_t *ret_counts, uint32_t limit)
{
	struct counting counting = {
		.counts = ret_counts,
		.limit = limit,
		.now = clock_ns(),
		.udp_idle_ns = control_of(kernel)->udp_idle_ns,
	};
	int err;

	memset(ret_counts, 0, limit * sizeof(*ret_counts));
	err = map_walk(&kernel->map[MAP_FLOWS4], count4, &counting);
	return err ? err : map_walk(&kernel->map[MAP_FLOWS6], count6, &counting);
}

/* --- sweep --- */

struct sweep {
	const struct kernel *kernel;
	uint64_t now, udp_idle_ns, tcp_idle_ns;
	uint8_t *endpoint_named, *version_named;
	uint32_t endpoints, versions;
	int flows_fd; /* of the family that is walked */
	bool is_v4;
};

union tuple {
	struct sl_tuple4 v4;
	struct sl_tuple6 v6;
};

/* Of the entry that holds the connection's state, from the one that its replies find. */
static void opener_key(const struct sweep *sweep, const union tuple *reply,
		       const struct sl_flow *flow, union tuple *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	if (sweep->is_v4) {
		ret_key->v4 = (struct sl_tuple4){ .saddr = reply->v4.daddr,
						  .daddr = flow->peer[0],
						  .sport = reply->v4.dport,
						  .dport = flow->port,
						  .protocol = reply->v4.protocol };
		return;
	}
	memcpy(ret_key->v6.saddr, reply->v6.daddr, 16);
	memcpy(ret_key->v6.daddr, flow->peer, 16);
	ret_key->v6.sport = reply->v6.dport;
	ret_key->v6.dport = flow->port;
	ret_key->v6.protocol = reply->v6.protocol;
}

static bool is_over_tcp(const struct sweep *sweep, const struct sl_flow *flow)
{
	uint64_t silent = sweep->now > flow->seen_ns ? sweep->now - flow->seen_ns : 0;

	return silent > (flow->flags & SL_FLOW_CLOSED ? CLOSED_KEEP_NS : sweep->tcp_idle_ns);
}

/*
 * A reply's entry does not know whether the connection is closed: it ends with the opener's, to
 * which both ways belong.
 */
static bool is_over(const struct sweep *sweep, const union tuple *key, const struct sl_flow *flow)
{
	uint8_t protocol = sweep->is_v4 ? key->v4.protocol : key->v6.protocol;
	uint64_t silent = sweep->now > flow->seen_ns ? sweep->now - flow->seen_ns : 0;
	struct sl_flow opener;
	union tuple other;

	if (protocol == PROTOCOL_UDP)
		return silent > sweep->udp_idle_ns;
	if (!(flow->flags & SL_FLOW_REPLY))
		return is_over_tcp(sweep, flow);
	opener_key(sweep, key, flow, &other);
	if (bpf_map_lookup_elem(sweep->flows_fd, &other, &opener) ||
	    opener.endpoint != flow->endpoint)
		return silent > CLOSED_KEEP_NS;
	return is_over_tcp(sweep, &opener);
}

static int sweep_one(void *context, void *key, void *value)
{
	const struct sl_flow *flow = value;
	struct sweep *sweep = context;
	struct sl_flow fresh;

	/*
	 * Asked once more at the last moment: a SYN may have given the entry to a new connection
	 * since the batch was read.
	 */
	if (is_over(sweep, key, flow) && !bpf_map_lookup_elem(sweep->flows_fd, key, &fresh)) {
		if (is_over(sweep, key, &fresh)) {
			bpf_map_delete_elem(sweep->flows_fd, key);
			return 0;
		}
		flow = &fresh;
	}
	if (flow->endpoint < sweep->endpoints)
		sweep->endpoint_named[flow->endpoint] = 1;
	if (flow->version < sweep->versions)
		sweep->version_named[flow->version] = 1;
	return 0;
}

static int sweep_flows(struct sweep *sweep, enum map_id id)
{
	sweep->flows_fd = sweep->kernel->map[id].fd;
	sweep->is_v4 = id == MAP_FLOWS4;
	return map_walk(&sweep->kernel->map[id], sweep_one, sweep);
}

static void split_name(struct sweep *sweep, const struct sl_split *split)
{
	const uint32_t *members = MAPPED(sweep->kernel, MAP_MEMBERS, uint32_t);
	uint32_t limit = sweep->kernel->map[MAP_MEMBERS].entries * 2;

	if (split->flags & SL_SPLIT_NONE)
		return;
	for (uint32_t i = 0; i < split->member_count && split->member_base + i < limit; i++) {
		uint32_t version = members[split->member_base + i] & ~SL_MEMBER_NO_WEIGHT;

		if (version < sweep->versions)
			sweep->version_named[version] = 1;
	}
}

static int service_name(void *context, void *key, void *value)
{
	const struct sl_service *service = value;
	struct sweep *sweep = context;
	const struct sl_rule *rules = MAPPED(sweep->kernel, MAP_RULES, struct sl_rule);
	uint32_t limit = sweep->kernel->map[MAP_RULES].entries;

	split_name(sweep, &service->otherwise);
	for (uint32_t i = 0; i < service->rule_count && service->rule_base + i < limit; i++)
		split_name(sweep, &rules[service->rule_base + i].split);
	return 0;
}

/* A freed version's counters start from nothing for the next that gets its place. */
static void version_free(const struct kernel *kernel, struct sl_version *version, uint32_t index)
{
	_cleanup_free_ void *zero = calloc(1024, sizeof(struct sl_stats));

	/* The counters first: who dies in between leaves a version that is still to be freed. */
	if (zero)
		bpf_map_update_elem(kernel->map[MAP_STATS].fd, &index, zero, BPF_ANY);
	memset(version, 0, sizeof(*version));
}

static void places_free(struct sweep *sweep)
{
	struct sl_version *versions = MAPPED(sweep->kernel, MAP_VERSIONS, struct sl_version);
	struct sl_endpoint *endpoints = MAPPED(sweep->kernel, MAP_ENDPOINTS, struct sl_endpoint);
	uint32_t words =
		sweep->kernel->map[MAP_RINGS].entries * 2; /* a damaged ring may claim more */

	for (uint32_t i = 0; i < sweep->versions; i++) {
		if (!versions[i].used)
			continue;
		if (!sweep->version_named[i]) {
			version_free(sweep->kernel, &versions[i], i);
			continue;
		}
		for (uint32_t place = 0; place < versions[i].ring >> 32 && place < words; place++) {
			uint32_t endpoint = kernel_ring_word(sweep->kernel, i, place);

			if (endpoint < sweep->endpoints)
				sweep->endpoint_named[endpoint] = 1;
		}
	}
	for (uint32_t i = 0; i < sweep->endpoints; i++)
		if (endpoints[i].used && !sweep->endpoint_named[i])
			memset(&endpoints[i], 0, sizeof(endpoints[i]));
}

int kernel_flows_sweep(struct kernel *kernel, uint32_t tcp_idle_s)
{
	struct sweep sweep = {
		.kernel = kernel,
		.now = clock_ns(),
		.udp_idle_ns = control_of(kernel)->udp_idle_ns,
		.tcp_idle_ns = tcp_idle_s * 1000000000ull,
		.endpoints = kernel_endpoint_limit(kernel),
		.versions = kernel_version_limit(kernel),
	};
	_cleanup_free_ uint8_t *endpoint_named = calloc(sweep.endpoints, 1);
	_cleanup_free_ uint8_t *version_named = calloc(sweep.versions, 1);
	int err;

	if (!endpoint_named || !version_named)
		return -ENOMEM;
	sweep.endpoint_named = endpoint_named;
	sweep.version_named = version_named;
	/* After it, a flow that begins names what a service or ring names, so the walk may miss it.
	 */
	err = kernel_grace();
	if (!err)
		err = map_walk(&kernel->map[MAP_SERVICES], service_name, &sweep);
	if (!err)
		err = sweep_flows(&sweep, MAP_FLOWS4);
	if (!err)
		err = sweep_flows(&sweep, MAP_FLOWS6);
	if (err)
		return err;
	places_free(&sweep);
	return 0;
}
