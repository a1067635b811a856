/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * layout: array of one. By it a release reads the flows of another, older or newer, whose maps are
 * laid out otherwise (SL_ABI), and takes them over. It is what every release writes and reads: it
 * grows at its end alone, and what is beyond a record's `size` is 0. PURE: and all of it is made of
 * the lines by which the doors read and write flows.
 *
 * Beside it releases count on the names of pins, `active` of one word, the ABI in the first word of
 * `control`, `spilled` with a bit for every bucket, and `devices` as it is.
 */
#pragma once
#include "way.h"

/* A part of a way's word. */
struct sl_layout_bits {
	__u8 at, count;
};

/* Where an array has what, in bytes. It is pinned under the name of its map. */
struct sl_layout_record {
	__u16 size, addr, port;
	__u16 more; /* endpoints: the version's index; vips: the protocol; versions: the key, */
	__u16 most; /* and how long that may be */
};

/* clang-format off */
#define SL_LAYOUT_FLAGS(X) \
	X(REPLY) X(REDIRECT) X(ANSWERED) X(FIN_IN) X(FIN_OUT) X(CLOSED) X(ADOPTED) X(UDP)

/* clang-format on */
#define SL_LAYOUT_KEYS 16

struct sl_layout {
	__u32 size, abi;
	__u64 seed[2];
	/*
	 * The keys of tags and of buckets, and what these make of two tuples that are always the
	 * same: who comes to the same tag and bucket has the same functions.
	 */
	__u64 high[SL_LAYOUT_KEYS], low[SL_LAYOUT_KEYS], home[SL_LAYOUT_KEYS];
	__u64 probe_tag, probe_home;
	__u32 slots;
	__u32 tick_ns, tick_offset, seen_shift; /* as in control */
	__u16 bucket_size, ways, way_size, tag_at, word_at;
	__u16 tag_least; /* smaller ones are no flow's */
	struct sl_layout_bits endpoint, vip, seen;
	__u8 endpoint_more; /* the word has the index and so much */
	__u8 pad;
	__u16 flag[8]; /* in the word, in the order of SL_LAYOUT_FLAGS */
	struct sl_layout_record endpoints, vips, versions;
	__u16 rest[3];
};

_Static_assert(sizeof(struct sl_layout) == 512, "layout");
_Static_assert(WAY_WORDS < SL_LAYOUT_KEYS && WAY_HOME_WORDS < SL_LAYOUT_KEYS, "room for keys");

WAY_INLINE void layout_keys(const struct sl_layout *layout, struct way_keys *ret_keys)
{
	__builtin_memcpy(ret_keys->high, layout->high, sizeof(ret_keys->high));
	__builtin_memcpy(ret_keys->low, layout->low, sizeof(ret_keys->low));
	__builtin_memcpy(ret_keys->home, layout->home, sizeof(ret_keys->home));
}

/* What this release's functions make of the record's keys. */
WAY_INLINE void layout_probe(const struct sl_layout *layout, __u64 *ret_tag, __u64 *ret_home)
{
	const __u32 source[4] = { 0x01234567, 0x89abcdef, 0x02468ace, 0x13579bdf };
	const __u32 destination[4] = { 0xfdb97531, 0xeca86420, 0xdeadbeef, 0xcafef00d };
	struct way_keys keys;

	layout_keys(layout, &keys);
	*ret_tag = way_tag4(&keys, source[0], destination[0], 0x1234, 0x5678, 6) ^
		   way_tag6(&keys, source, destination, 0x1234, 0x5678, 17) << 1;
	*ret_home = way_home(&keys, 4, source, 0x1234, 6) |
		    (__u64)way_home(&keys, 6, source, 0x1234, 17) << 32;
}

#define LAYOUT_AT(record, field) __builtin_offsetof(struct record, field)

/* All that is the same for every table of this release: not keys, clock and slots. */
WAY_INLINE void layout_describe(struct sl_layout *layout)
{
	layout->size = sizeof(*layout);
	layout->abi = SL_ABI;
	layout->bucket_size = sizeof(struct sl_bucket);
	layout->ways = SL_WAYS;
	layout->way_size = sizeof(struct sl_way);
	layout->tag_at = LAYOUT_AT(sl_way, tag);
	layout->word_at = LAYOUT_AT(sl_way, word);
	layout->tag_least = SL_WAY_TAKEN + 1;
	layout->endpoint = (struct sl_layout_bits){ WAY_ENDPOINT_AT, WAY_ENDPOINT_BITS };
	layout->vip = (struct sl_layout_bits){ WAY_VIP_AT, WAY_VIP_BITS };
	layout->seen = (struct sl_layout_bits){ WAY_SEEN_AT, WAY_SEEN_BITS };
	layout->endpoint_more = way_endpoint(0) == ~0u;
	{
		int i = 0;

#define LAYOUT_FLAG(name) layout->flag[i++] = SL_FLOW_##name;
		SL_LAYOUT_FLAGS(LAYOUT_FLAG)
#undef LAYOUT_FLAG
	}
	layout->endpoints = (struct sl_layout_record){
		.size = sizeof(struct sl_endpoint),
		.addr = LAYOUT_AT(sl_endpoint, addr),
		.port = LAYOUT_AT(sl_endpoint, port),
		.more = LAYOUT_AT(sl_endpoint, version),
	};
	layout->vips = (struct sl_layout_record){
		.size = sizeof(struct sl_vip),
		.addr = LAYOUT_AT(sl_vip, addr),
		.port = LAYOUT_AT(sl_vip, port),
		.more = LAYOUT_AT(sl_vip, protocol),
	};
	layout->versions = (struct sl_layout_record){
		.size = sizeof(struct sl_version),
		.more = LAYOUT_AT(sl_version, key),
		.most = SL_VERSION_KEY_MAX,
	};
}
