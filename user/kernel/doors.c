// SPDX-License-Identifier: Apache-2.0
/* What a door is told before it is loaded: see bpf/settings.h. */
#include "kernel.h"

#include "../../bpf/pick.h"
#include "internal.h"

#include <string.h>
#include <time.h>

#define UNIT_NS_MAX 2000000000ull /* of `seen`: 16 bits of it are more than a day */

/*
 * The kernel's tick. CLOCK_MONOTONIC_COARSE moves with it, and its resolution is the tick, whatever
 * the kernel was built with.
 */
uint32_t clock_tick_ns(void)
{
	struct timespec tick;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || !tick.tv_nsec
		       ? 4000000
		       : tick.tv_nsec;
}

/* So that an idle time is sixteen units about, and a unit at least a tick. */
static uint32_t clock_seen_shift(uint64_t udp_idle_ns)
{
	uint64_t unit = udp_idle_ns / 16;
	uint32_t shift = 0, tick = clock_tick_ns();

	if (unit > UNIT_NS_MAX)
		unit = UNIT_NS_MAX;
	while (((uint64_t)tick << shift) < unit && shift < 16)
		shift++;
	return shift;
}

/* Another stream of the seed than the connection hash uses: its key is longer than any of that. */
void door_keys(const __u64 seed[2], struct way_keys *ret_keys)
{
	struct pick_key key = { .count = 5, .word = { 0x776179, 0, 0, 0, 0 } };

	for (int i = 0; i <= WAY_WORDS; i++) {
		key.word[4] = i;
		key.word[3] = 1;
		ret_keys->high[i] = pick_hash(&key, seed);
		key.word[3] = 2;
		ret_keys->low[i] = pick_hash(&key, seed);
	}
	key.word[3] = 3;
	for (int i = 0; i <= WAY_HOME_WORDS; i++) {
		key.word[4] = i;
		ret_keys->home[i] = pick_hash(&key, seed);
	}
}

void control_fill(const struct kernel_settings *settings, struct sl_control *ret_control)
{
	*ret_control = (struct sl_control){
		.abi = SL_ABI,
		.slots = settings->slots,
		.seed = { settings->seed[0], settings->seed[1] },
		.udp_idle_ns = settings->udp_idle_ms * 1000000ull,
		.tick_ns = clock_tick_ns(),
		.redirect = settings->redirect,
		.exits_off = SL_EXITS_UNKNOWN,
	};
	ret_control->seen_shift = clock_seen_shift(ret_control->udp_idle_ns);
}

void door_settings(const struct kernel_settings *settings, const struct sl_control *made,
		   uint32_t buckets, uint32_t known_words, struct sl_settings *ret_settings)
{
	uint64_t idle_ns = settings->udp_idle_ms * 1000000ull;
	uint64_t unit = (uint64_t)made->tick_ns << made->seen_shift;

	memset(ret_settings, 0, sizeof(*ret_settings));
	door_keys(made->seed, &ret_settings->flow_keys);
	ret_settings->flow_mask = buckets - 1;
	ret_settings->known_mask = known_words * 64 - 1;
	ret_settings->udp_idle_units = (idle_ns + unit - 1) / unit;
	ret_settings->syn_idle_units =
		SL_SYN_IDLE_NS / unit < WAY_AGE_MAX / 2 ? SL_SYN_IDLE_NS / unit : WAY_AGE_MAX / 2;
	ret_settings->seen_shift = made->seen_shift;
	ret_settings->second_ticks = 1000000000u / made->tick_ns;
	ret_settings->redirect = settings->redirect;
}

void exits_forget(struct kernel *kernel)
{
	__atomic_fetch_add(&control_of(kernel)->exits_epoch, 1, __ATOMIC_RELEASE);
}
