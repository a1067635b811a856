// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's checksum helpers, and the skb's own sum (CHECKSUM_COMPLETE) as they keep it. Nothing
 * is shared with bpf/csum.h: two ways to one sum must not share a mistake.
 */
#include "native.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "include/bpf/bpf_helpers.h"

static __u16 sum_fold(__u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

__u32 native_sum(const __u8 *bytes, __u32 length)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < length; i += 2) {
		__u16 word = 0;

		memcpy(&word, bytes + i, length - i < 2 ? 1 : 2);
		sum += word;
	}
	return sum_fold(sum);
}

static __u16 sum_of_frame(const struct native_frame *frame)
{
	return frame->length < ETH_HLEN
		       ? 0
		       : native_sum(frame->data + ETH_HLEN, frame->length - ETH_HLEN);
}

void native_sum_begin(struct native_frame *frame)
{
	frame->has_sum = true;
	frame->sum = sum_of_frame(frame);
}

/* Both are nothing where the sum is nothing: 0 and 0xffff are one number. */
bool native_sum_holds(const struct native_frame *frame)
{
	return frame->sum % 0xffff == sum_of_frame(frame) % 0xffff;
}

/* Bytes that leave the packet (`is_new` false) or come into it. */
void native_sum_change(struct native_frame *frame, __u32 offset, const void *from, __u32 length,
		       bool is_new)
{
	__u16 sum = native_sum(from, length);

	if (!frame->has_sum)
		return;
	if (offset & 1)
		sum = sum >> 8 | sum << 8;
	frame->sum = sum_fold((__u64)frame->sum + (is_new ? sum : (__u16)~sum));
}

long bpf_csum_update(struct __sk_buff *skb, __u32 csum)
{
	struct native_frame *frame = native_running();

	if (!frame->has_sum)
		return -ENOTSUP;
	frame->sum = sum_fold((__u64)frame->sum + csum);
	return frame->sum;
}

/* A checksum field, for a change of what it covers: `from` to `to` of a size, or their difference.
 */
static long field_change(__u8 *at, __u64 from, __u64 to, __u32 size)
{
	__u64 change;
	__u16 field;

	if (size != 0 && size != 2 && size != 4)
		return -EINVAL;
	if (!size && from)
		return -EINVAL;
	change = size == 2 ? (__u16)to + (__u64)(__u16)~from
		 : size    ? (__u32)to + (__u64)(__u32)~from
			   : (__u32)to;
	memcpy(&field, at, 2);
	field = ~sum_fold((__u16)~field + change);
	memcpy(at, &field, 2);
	return 0;
}

long bpf_l3_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	__u8 *at = native_frame_at(native_running(), offset, 2);

	if (flags & ~(__u64)BPF_F_HDR_FIELD_MASK)
		return -EINVAL;
	if (offset > 0xffff || offset & 1 || !at)
		return -EFAULT;
	return field_change(at, from, to, flags);
}

/*
 * With CHECKSUM_COMPLETE, what the pseudo header's change takes out of the checksum field leaves
 * the skb's sum too; the address itself is thought to be evened out by IPv4's header checksum.
 */
long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	const __u64 known =
		BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK;
	struct native_frame *frame = native_running();
	__u8 *at = native_frame_at(frame, offset, 2);
	static const __u8 none[2], all[2] = { 0xff, 0xff };
	__u32 size = flags & BPF_F_HDR_FIELD_MASK;

	if (flags & ~known)
		return -EINVAL;
	if (offset > 0xffff || offset & 1 || !at)
		return -EFAULT;
	if (flags & BPF_F_MARK_MANGLED_0 && !(flags & BPF_F_MARK_ENFORCE) && !memcmp(at, none, 2))
		return 0;
	if (field_change(at, from, to, size))
		return -EINVAL;
	if (frame->has_sum && flags & BPF_F_PSEUDO_HDR) {
		/* The sized forms are not in use here, and leave it to the caller. */
		if (size)
			return -EINVAL;
		frame->sum = sum_fold((__u64)frame->sum + (__u16)~sum_fold(to));
	}
	if (flags & BPF_F_MARK_MANGLED_0 && !memcmp(at, none, 2))
		memcpy(at, all, 2);
	return 0;
}
