// SPDX-License-Identifier: Apache-2.0
/* VIPs on their way into the kernel. */
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <talloc.h>

int stage_vip(struct stage *stage, const struct plan_service *service, uint32_t *ret_index)
{
	const struct sl_vip *table = MAPPED(stage->kernel, MAP_VIPS, struct sl_vip);
	uint32_t limit = stage->kernel->map[MAP_VIPS].entries;
	size_t count = stage->new_vip_count;
	struct sl_vip *fresh = talloc_zero(stage, struct sl_vip);

	if (!fresh)
		return -ENOMEM;
	addr_to_words(&service->vip, fresh->addr);
	fresh->port = htons(service->port);
	fresh->protocol = service->protocol;
	fresh->used = 1;
	if (!index_find(stage->vip_index, fresh, sizeof(*fresh), ret_index)) {
		talloc_free(fresh);
		return 0;
	}
	while (stage->next_vip < limit && table[stage->next_vip].used)
		stage->next_vip++;
	if (stage->next_vip == limit)
		return stage_full(stage, MAP_VIPS);
	if (!(count & (count - 1))) {
		struct stage_vip *list = talloc_realloc(stage, stage->new_vips, struct stage_vip,
							count ? count * 2 : 1);

		if (!list)
			return -ENOMEM;
		stage->new_vips = list;
	}
	*ret_index = stage->next_vip++;
	stage->new_vips[stage->new_vip_count++] = (struct stage_vip){ *ret_index, *fresh };
	return index_put(stage->vip_index, fresh, sizeof(*fresh), *ret_index);
}

void stage_write_vips(struct stage *stage)
{
	struct sl_vip *vips = MAPPED(stage->kernel, MAP_VIPS, struct sl_vip);

	for (size_t i = 0; i < stage->new_vip_count; i++)
		vips[stage->new_vips[i].index] = stage->new_vips[i].value;
	for (size_t i = 0; i < stage->plan->service_count; i++)
		known_add(stage->kernel, &stage->plan->services[i].vip,
			  stage->plan->services[i].port);
}
