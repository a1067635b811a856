/* SPDX-License-Identifier: Apache-2.0 */
/* The tc doors of this process, as bpftool's skeleton of the kernel's would show them. */
#pragma once
#include "../native.h"

struct sluice_tc {
	struct bpf_object *obj;
	struct native_maps maps;
	struct {
		struct bpf_program *sl_tc_in, *sl_tc_out, *sl_clock;
	} progs;
	struct native_rodata *rodata;
};

struct sluice_tc *sluice_tc__open(void);
int sluice_tc__load(struct sluice_tc *tc);
void sluice_tc__destroy(struct sluice_tc *tc);
