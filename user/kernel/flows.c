// SPDX-License-Identifier: Apache-2.0
/* With bpf/flow.h and bpf/way.h the only place that knows the flow table's layout. */
#include "kernel.h"

#include "../../bpf/way.h"
#include "../base/cleanup.h"
#include "internal.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CLOSED_KEEP_NS 60000000000ull /* as long as a FIN may still be repeated */

/* --- the table, seen through a mapping of it --- */

struct clock {
	uint64_t unit_ns;
	uint16_t now;      /* units of `seen` */
	uint16_t udp_idle; /* units */
};

uint32_t clock_ticks(const struct kernel *kernel, uint64_t *ret_tick_ns)
{
	const struct sl_control *control = control_of(kernel);
	struct timespec now;

	*ret_tick_ns = control->tick_ns ? control->tick_ns : clock_tick_ns();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec * 1000000000ull + now.tv_nsec) / *ret_tick_ns + control->tick_offset;
}

static void clock_now(const struct kernel *kernel, struct clock *ret_clock)
{
	const struct sl_control *control = control_of(kernel);
	uint64_t tick_ns;
	uint32_t ticks = clock_ticks(kernel, &tick_ns);

	ret_clock->unit_ns = tick_ns << control->seen_shift;
	ret_clock->now = ticks >> control->seen_shift;
	ret_clock->udp_idle = (control->udp_idle_ns + ret_clock->unit_ns - 1) / ret_clock->unit_ns;
}

/*
 * Ages begin anew after WAY_AGE_MAX, and the sweep comes once a minute: what is over must be so for
 * longer than that, also in the shortest units.
 */
#define UNITS_MAX (WAY_AGE_MAX - 0x2000)

static uint16_t units_of(const struct clock *clock, uint64_t ns)
{
	uint64_t units = ns / clock->unit_ns;

	return units < UNITS_MAX ? units : UNITS_MAX;
}

int ways_map(const struct kernel *kernel, struct ways *ret_ways)
{
	const struct map *map = &kernel->map[MAP_FLOWS];
	void *data = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);

	if (data == MAP_FAILED)
		return -errno;
	*ret_ways = (struct ways){ data, (size_t)map->entries * SL_WAYS, map->size };
	return 0;
}

void ways_unmap(struct ways *ways)
{
	if (ways->at)
		munmap(ways->at, ways->size);
	*ways = (struct ways){};
}
#define _cleanup_ways_ __attribute__((cleanup(ways_unmap)))

/* Reads a way as the doors do. False: it holds no flow, or is just being given to another. */
static bool way_read(struct sl_way *way, struct sl_way *ret_way)
{
	ret_way->tag = __atomic_load_n(&way->tag, __ATOMIC_ACQUIRE);
	if (ret_way->tag <= SL_WAY_TAKEN)
		return false;
	ret_way->word = __atomic_load_n(&way->word, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&way->tag, __ATOMIC_ACQUIRE) == ret_way->tag;
}

static uint32_t way_version(const struct kernel *kernel, uint64_t word)
{
	const struct sl_endpoint *endpoint = kernel_endpoint(kernel, way_endpoint(word));

	return endpoint ? endpoint->version : UINT32_MAX;
}

uint32_t ways_used(const struct kernel *kernel)
{
	_cleanup_ways_ struct ways ways = {};
	uint32_t used = 0;

	if (ways_map(kernel, &ways))
		return 0;
	for (size_t i = 0; i < ways.count; i++)
		used += ways.at[i].tag > SL_WAY_TAKEN;
	return used;
}

/* --- one connection --- */

/* The tag, and the bucket that its client's connections are in. */
static uint64_t connection_tag(const struct kernel *kernel,
			       const struct kernel_connection *connection, uint32_t *ret_home)
{
	uint32_t source[4] = {}, destination[4] = {};
	uint16_t port = htons(connection->source_port);
	struct way_keys keys;
	size_t size = connection->source.family == 4 ? 4 : 16;

	memcpy(source, connection->source.bytes, size);
	memcpy(destination, connection->destination.bytes, size);
	kernel_keys(kernel, &keys);
	*ret_home = way_home(&keys, connection->source.family, source, port, connection->protocol);
	return way_tag(&keys, connection->source.family, source, destination, port,
		       htons(connection->destination_port), connection->protocol);
}

static bool bucket_read(const struct kernel *kernel, uint32_t home, uint64_t tag,
			struct sl_way *ret_way)
{
	uint32_t at = home & (kernel->map[MAP_FLOWS].entries - 1);
	struct sl_bucket bucket;

	if (bpf_map_lookup_elem(kernel->map[MAP_FLOWS].fd, &at, &bucket))
		return false;
	for (uint32_t i = 0; i < SL_WAYS; i++) {
		*ret_way = bucket.way[i];
		if (ret_way->tag == tag)
			return true;
	}
	return false;
}

int kernel_flow(const struct kernel *kernel, const struct kernel_connection *connection,
		struct kernel_flow *ret_flow)
{
	uint32_t home;
	uint64_t tag = connection_tag(kernel, connection, &home);
	struct clock clock;
	struct sl_way way;

	clock_now(kernel, &clock);
	if (!bucket_read(kernel, home, tag, &way) && !bucket_read(kernel, tag, tag, &way))
		return -ENOENT;
	*ret_flow = (struct kernel_flow){
		.endpoint = way_endpoint(way.word),
		.version = way_version(kernel, way.word),
		.flags = way.word,
		.silent_ms = way_age(way.word, clock.now) * clock.unit_ns / 1000000,
	};
	return 0;
}

/* --- live connections --- */

static bool is_live(uint64_t word, const struct clock *clock)
{
	if (word & SL_FLOW_UDP)
		return way_age(word, clock->now) <= clock->udp_idle;
	return !(word & SL_FLOW_CLOSED);
}

int kernel_flows_by_version(const struct kernel *kernel, uint32_t *ret_counts, uint32_t limit)
{
	_cleanup_ways_ struct ways ways = {};
	struct clock clock;
	struct sl_way way;
	int err = ways_map(kernel, &ways);

	if (err)
		return err;
	clock_now(kernel, &clock);
	memset(ret_counts, 0, limit * sizeof(*ret_counts));
	for (size_t i = 0; i < ways.count; i++) {
		uint32_t version;

		if (!way_read(&ways.at[i], &way) || way.word & SL_FLOW_REPLY)
			continue;
		version = way_version(kernel, way.word);
		if (version < limit && is_live(way.word, &clock))
			ret_counts[version]++;
	}
	return 0;
}

/* --- sweep --- */

struct sweep {
	const struct kernel *kernel;
	struct clock clock;
	uint16_t tcp_idle, syn_idle, closed_keep; /* units */
	uint8_t *endpoint_named, *version_named, *vip_named;
	uint32_t endpoints, versions, vips;
};

static bool is_over(const struct sweep *sweep, uint64_t word)
{
	uint16_t silent = way_age(word, sweep->clock.now);

	if (word & SL_FLOW_UDP)
		return silent > sweep->clock.udp_idle;
	if (word & SL_FLOW_CLOSED)
		return silent > sweep->closed_keep;
	return silent > ((word & SL_FLOW_ANSWERED) ? sweep->tcp_idle : sweep->syn_idle);
}

/*
 * A way that is over is emptied if it still is as it was read: a packet that marked it, or a SYN
 * that gave it to a new connection, changed its word.
 */
static bool way_end(struct sl_way *way, const struct sl_way *read)
{
	__u64 tag = read->tag;
	bool is_over;

	if (!__atomic_compare_exchange_n(&way->tag, &tag, SL_WAY_TAKEN, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	is_over = __atomic_load_n(&way->word, __ATOMIC_ACQUIRE) == read->word;
	__atomic_store_n(&way->tag, is_over ? SL_WAY_EMPTY : read->tag, __ATOMIC_RELEASE);
	return is_over;
}

static void word_name(struct sweep *sweep, uint64_t word)
{
	uint32_t endpoint = way_endpoint(word), version = way_version(sweep->kernel, word);

	if (endpoint < sweep->endpoints)
		sweep->endpoint_named[endpoint] = 1;
	if (version < sweep->versions)
		sweep->version_named[version] = 1;
	if (way_vip(word) < sweep->vips)
		sweep->vip_named[way_vip(word)] = 1;
}

static void sweep_flows(struct sweep *sweep, const struct ways *ways)
{
	for (size_t i = 0; i < ways->count; i++) {
		struct sl_way *way = &ways->at[i], read;

		if (__atomic_load_n(&way->tag, __ATOMIC_ACQUIRE) == SL_WAY_EMPTY)
			continue;
		/* One that changed hands just now names what tables name: see kernel_flows_sweep.
		 */
		if (!way_read(way, &read) || (is_over(sweep, read.word) && way_end(way, &read)))
			continue;
		word_name(sweep, read.word);
	}
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

	if (service->vip < sweep->vips)
		sweep->vip_named[service->vip] = 1;
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

static void rings_name(struct sweep *sweep)
{
	const struct sl_version *versions = MAPPED(sweep->kernel, MAP_VERSIONS, struct sl_version);
	uint32_t words =
		sweep->kernel->map[MAP_RINGS].entries * 2; /* a damaged ring may claim more */

	for (uint32_t i = 0; i < sweep->versions; i++) {
		if (!versions[i].used || !sweep->version_named[i])
			continue;
		for (uint32_t place = 0; place < versions[i].ring >> 32 && place < words; place++) {
			uint32_t endpoint = kernel_ring_word(sweep->kernel, i, place);

			if (endpoint < sweep->endpoints)
				sweep->endpoint_named[endpoint] = 1;
		}
	}
}

static bool has_unnamed(const struct sweep *sweep)
{
	const struct sl_version *versions = MAPPED(sweep->kernel, MAP_VERSIONS, struct sl_version);
	const struct sl_endpoint *endpoints =
		MAPPED(sweep->kernel, MAP_ENDPOINTS, struct sl_endpoint);
	const struct sl_vip *vips = MAPPED(sweep->kernel, MAP_VIPS, struct sl_vip);
	bool is_found = false;

	for (uint32_t i = 0; !is_found && i < sweep->versions; i++)
		is_found = versions[i].used && !sweep->version_named[i];
	for (uint32_t i = 0; !is_found && i < sweep->endpoints; i++)
		is_found = endpoints[i].used && !sweep->endpoint_named[i];
	for (uint32_t i = 0; !is_found && i < sweep->vips; i++)
		is_found = vips[i].used && !sweep->vip_named[i];
	return is_found;
}

static void places_free(struct sweep *sweep)
{
	struct sl_version *versions = MAPPED(sweep->kernel, MAP_VERSIONS, struct sl_version);
	struct sl_endpoint *endpoints = MAPPED(sweep->kernel, MAP_ENDPOINTS, struct sl_endpoint);
	struct sl_vip *vips = MAPPED(sweep->kernel, MAP_VIPS, struct sl_vip);

	for (uint32_t i = 0; i < sweep->versions; i++)
		if (versions[i].used && !sweep->version_named[i])
			version_free(sweep->kernel, &versions[i], i);
	for (uint32_t i = 0; i < sweep->endpoints; i++)
		if (endpoints[i].used && !sweep->endpoint_named[i])
			memset(&endpoints[i], 0, sizeof(endpoints[i]));
	for (uint32_t i = 0; i < sweep->vips; i++)
		if (vips[i].used && !sweep->vip_named[i])
			memset(&vips[i], 0, sizeof(vips[i]));
}

/* --- which addresses are known: one bit each --- */

static uint32_t known_bit(const struct kernel *kernel, const uint32_t addr[4], uint16_t port)
{
	bool is_mapped = !addr[0] && !addr[1] && addr[2] == htonl(0xffff);
	uint32_t bit = way_known_bit(is_mapped ? addr + 3 : addr, port, is_mapped ? 4 : 6);

	return bit & (kernel->map[MAP_KNOWN].entries * 64 - 1);
}

static uint32_t known_bit_of(const struct kernel *kernel, const struct addr *addr, uint16_t port)
{
	uint32_t words[4];

	addr_to_words(addr, words);
	return known_bit(kernel, words, htons(port));
}

bool known_has(const struct kernel *kernel, const struct addr *addr, uint16_t port)
{
	uint32_t bit = known_bit_of(kernel, addr, port);

	return MAPPED(kernel, MAP_KNOWN, uint64_t)[bit / 64] >> bit % 64 & 1;
}

void known_add(struct kernel *kernel, const struct addr *addr, uint16_t port)
{
	uint32_t bit = known_bit_of(kernel, addr, port);

	MAPPED(kernel, MAP_KNOWN, uint64_t)[bit / 64] |= 1ull << bit % 64;
}

static int known_build(const struct kernel *kernel, uint64_t **ret_bits)
{
	const struct sl_endpoint *endpoints = MAPPED(kernel, MAP_ENDPOINTS, struct sl_endpoint);
	const struct sl_vip *vips = MAPPED(kernel, MAP_VIPS, struct sl_vip);
	uint64_t *bits = calloc(kernel->map[MAP_KNOWN].entries, sizeof(*bits));

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < kernel->map[MAP_ENDPOINTS].entries; i++) {
		uint32_t bit = known_bit(kernel, endpoints[i].addr, endpoints[i].port);

		bits[bit / 64] |= (uint64_t)(endpoints[i].used != 0) << bit % 64;
	}
	for (uint32_t i = 0; i < kernel->map[MAP_VIPS].entries; i++) {
		uint32_t bit = known_bit(kernel, vips[i].addr, vips[i].port);

		bits[bit / 64] |= (uint64_t)(vips[i].used != 0) << bit % 64;
	}
	*ret_bits = bits;
	return 0;
}

/* A word at a time: a door sees the bits of before or those of now, and both have what is used. */
static int known_write(struct kernel *kernel)
{
	uint64_t *table = MAPPED(kernel, MAP_KNOWN, uint64_t);
	_cleanup_free_ uint64_t *bits = NULL;
	int err = known_build(kernel, &bits);

	for (uint32_t i = 0; !err && i < kernel->map[MAP_KNOWN].entries; i++)
		if (table[i] != bits[i])
			__atomic_store_n(&table[i], bits[i], __ATOMIC_RELAXED);
	return err;
}

int kernel_flows_sweep(struct kernel *kernel, uint32_t tcp_idle_s)
{
	struct sweep sweep = {
		.kernel = kernel,
		.endpoints = kernel_endpoint_limit(kernel),
		.versions = kernel_version_limit(kernel),
		.vips = kernel->map[MAP_VIPS].entries,
	};
	_cleanup_free_ uint8_t *endpoint_named = calloc(sweep.endpoints, 1);
	_cleanup_free_ uint8_t *version_named = calloc(sweep.versions, 1);
	_cleanup_free_ uint8_t *vip_named = calloc(sweep.vips, 1);
	_cleanup_ways_ struct ways ways = {};
	int err;

	if (!endpoint_named || !version_named || !vip_named)
		return -ENOMEM;
	clock_now(kernel, &sweep.clock);
	sweep.tcp_idle = units_of(&sweep.clock, tcp_idle_s * 1000000000ull);
	sweep.syn_idle = units_of(&sweep.clock, SL_SYN_IDLE_NS);
	if (sweep.syn_idle > sweep.tcp_idle)
		sweep.syn_idle = sweep.tcp_idle;
	sweep.closed_keep = units_of(&sweep.clock, CLOSED_KEEP_NS);
	sweep.endpoint_named = endpoint_named;
	sweep.version_named = version_named;
	sweep.vip_named = vip_named;
	/* After it, a flow that begins names what a service or ring names, so the walk may miss it.
	 */
	err = kernel_grace();
	if (!err)
		err = map_walk(&kernel->map[MAP_SERVICES], service_name, &sweep);
	if (!err)
		err = ways_map(kernel, &ways);
	if (err)
		return err;
	sweep_flows(&sweep, &ways);
	rings_name(&sweep);
	/*
	 * A door may move a way to a bucket that the walk has left behind it, once. Who walks again
	 * meets it there.
	 */
	if (has_unnamed(&sweep)) {
		sweep_flows(&sweep, &ways);
		rings_name(&sweep);
	}
	places_free(&sweep);
	return known_write(kernel);
}
