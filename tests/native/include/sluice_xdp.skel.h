/* SPDX-License-Identifier: Apache-2.0 */
/* The XDP door of this process, as bpftool's skeleton of the kernel's would show them. */
#pragma once
#include "../native.h"

struct sluice_xdp {
	struct bpf_object *obj;
	struct native_maps maps;
	struct {
		struct bpf_program *sl_xdp;
	} progs;
	struct native_rodata *rodata;
};

struct sluice_xdp *sluice_xdp__open(void);
int sluice_xdp__load(struct sluice_xdp *xdp);
void sluice_xdp__destroy(struct sluice_xdp *xdp);
