// SPDX-License-Identifier: Apache-2.0
/* The XDP door as plain C. Of this object's names native_xdp alone is seen by the others. */
#include "bpf/sluice_xdp.bpf.c"

#include "native.h"

const struct native_code native_xdp = {
	.maps = { NATIVE_MAPS(NATIVE_DECLARED) },
	.programs = { { .xdp = sl_xdp } },
	.settings = &settings,
};
