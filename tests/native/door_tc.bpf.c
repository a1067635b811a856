// SPDX-License-Identifier: Apache-2.0
/* The tc doors as plain C. Of this object's names native_tc alone is seen by the others. */
#include "bpf/sluice_tc.bpf.c"

#include "native.h"

const struct native_code native_tc = {
	.maps = { NATIVE_MAPS(NATIVE_DECLARED) },
	.programs = { { .skb = sl_tc_in }, { .skb = sl_tc_out }, { .skb = sl_clock } },
	.settings = &settings,
};
