// SPDX-License-Identifier: Apache-2.0
/*
 * A redirect takes the neighbour's MAC address in every state that has one, and passes nothing that
 * would have the kernel verify it: an entry that has grown stale would stay so, right or wrong,
 * until something else of the node sends there. So those that redirects use are told to the kernel
 * as used (NTF_USE). It then asks the neighbour, as it does behind a packet of its own.
 */
#include "kernel.h"

#include "../base/cleanup.h"
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/mman.h>

#define FLAGS_EXT 15 /* NDA_FLAGS_EXT of 5.16, which the build machine's headers may not have */
#define USES_MAX 256 /* a look; the rest is still stale at the next, and these are not */
#define USE_SIZE (MNL_NLMSG_HDRLEN + sizeof(struct ndmsg) + MNL_ATTR_HDRLEN + 16)

/*
 * Where a frame goes, compared as bytes. Not by address: a way to many addresses remembers theirs,
 * and the neighbour is the router.
 */
struct hop {
	uint32_t ifindex;
	uint8_t mac[8];
};

struct verify {
	const struct kernel *kernel;
	struct hop *hops; /* NULL: the doors remember none, each of an attached device may be one */
	size_t hop_count, use_count;
	size_t size;
	uint8_t uses[USES_MAX * USE_SIZE] __attribute__((aligned(4))); /* messages */
};

static int hop_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hop));
}

static bool is_recent(const struct sl_exit *exit, uint32_t since)
{
	return exit->family && exit->device & SL_DEVICE_ATTACHED &&
	       (int32_t)(exit->until - since) > 0;
}

/*
 * Those since the look before. A place that a door rewrites just now may give a hop that is none:
 * then there is no such neighbour.
 */
static int hops_collect(struct verify *verify)
{
	const struct map *map = &verify->kernel->map[MAP_EXITS];
	const struct sl_exit *exits = mmap(NULL, map->size, PROT_READ, MAP_SHARED, map->fd, 0);
	uint64_t tick_ns;
	uint32_t now = clock_ticks(verify->kernel, &tick_ns);
	uint32_t since = now - KERNEL_VERIFY_S * 1000000000ull / tick_ns;

	if (exits == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; i < map->entries; i++) {
		struct hop *hop = &verify->hops[verify->hop_count];

		if (!is_recent(&exits[i], since))
			continue;
		hop->ifindex = exits[i].ifindex;
		memcpy(hop->mac, exits[i].mac, 6);
		verify->hop_count++;
	}
	munmap((void *)exits, map->size);
	qsort(verify->hops, verify->hop_count, sizeof(*verify->hops), hop_order);
	return 0;
}

static bool is_hop(const struct verify *verify, uint32_t ifindex, const struct nlattr *mac)
{
	struct hop hop = { .ifindex = ifindex };
	uint32_t flags;

	if (!mac || mnl_attr_get_payload_len(mac) != 6)
		return false;
	if (!verify->hops)
		return !bpf_map_lookup_elem(verify->kernel->map[MAP_DEVICES].fd, &ifindex,
					    &flags) &&
		       flags & SL_DEVICE_ATTACHED;
	memcpy(hop.mac, mnl_attr_get_payload(mac), 6);
	return bsearch(&hop, verify->hops, verify->hop_count, sizeof(hop), hop_order);
}

static void use_add(struct verify *verify, const struct ndmsg *stale, const struct nlattr *addr)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(verify->uses + verify->size);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST; /* one that has gone meanwhile is not made again */
	header->ndm_family = stale->ndm_family;
	header->ndm_ifindex = stale->ndm_ifindex;
	header->ndm_flags = NTF_USE;
	mnl_attr_put(message, NDA_DST, mnl_attr_get_payload_len(addr), mnl_attr_get_payload(addr));
	verify->size += message->nlmsg_len;
	verify->use_count++;
}

static int attr_note(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) <= FLAGS_EXT)
		((const struct nlattr **)data)[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

/*
 * Permanent ones are never stale; one that is made so in the instant before the message loses it
 * again, on kernels since 5.16. Those that a control plane has put there or the kernel manages are
 * theirs to verify, and the message would take that mark away from them.
 */
static int neighbour_take(const struct nlmsghdr *message, void *data)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[FLAGS_EXT + 1] = {};
	struct verify *verify = data;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
	    header->ndm_state != NUD_STALE || header->ndm_flags & NTF_EXT_LEARNED ||
	    mnl_attr_parse(message, sizeof(*header), attr_note, attrs) < 0)
		return MNL_CB_OK;
	if (!attrs[NDA_DST] || mnl_attr_get_payload_len(attrs[NDA_DST]) > 16 ||
	    (attrs[FLAGS_EXT] && mnl_attr_get_u32(attrs[FLAGS_EXT])))
		return MNL_CB_OK;
	if (verify->use_count < USES_MAX && is_hop(verify, header->ndm_ifindex, attrs[NDA_LLADDR]))
		use_add(verify, header, attrs[NDA_DST]);
	return MNL_CB_OK;
}

static int stale_use(struct verify *verify)
{
	static const struct dump dump = { RTM_GETNEIGH, AF_UNSPEC, sizeof(struct ndmsg) };
	_cleanup_dump_ struct mnl_socket *socket = NULL;
	int err = dump_open(&socket);

	if (!err)
		err = dump_ask(socket, &dump, neighbour_take, verify);
	/* No answers: a neighbour that was refused has gone, or is stale at the next look. */
	if (verify->use_count && mnl_socket_sendto(socket, verify->uses, verify->size) < 0)
		err = -errno;
	return err;
}

static uint64_t redirects(const struct kernel *kernel)
{
	struct sl_counters doors[SL_DOOR_COUNT] = {};
	uint64_t sum = 0;

	if (kernel_counters(kernel, doors))
		return 0;
	for (int i = 0; i < SL_DOOR_COUNT; i++)
		sum += doors[i].open_redirect + doors[i].forward_redirect + doors[i].reply_redirect;
	return sum;
}

/* Where the doors remember nothing, their counters say whether they redirect. */
static int attached_verify(struct kernel *kernel, uint64_t *redirected)
{
	struct verify verify = { .kernel = kernel };
	uint64_t before = *redirected;

	*redirected = redirects(kernel);
	return *redirected == before ? 0 : stale_use(&verify);
}

int kernel_neighbours_verify(struct kernel *kernel, uint64_t *redirected)
{
	struct verify verify = { .kernel = kernel };
	_cleanup_free_ struct hop *hops = NULL;
	int err;

	if (kernel_routes_off(kernel))
		return attached_verify(kernel, redirected);
	hops = calloc(kernel->map[MAP_EXITS].entries, sizeof(*hops));
	if (!hops)
		return -ENOMEM;
	verify.hops = hops;
	err = hops_collect(&verify);
	return err || !verify.hop_count ? err : stale_use(&verify);
}
