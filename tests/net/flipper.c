// SPDX-License-Identifier: Apache-2.0
/*
 * Changes a service's weights again and again, each time by the whole protocol of the node: lock,
 * plan, disk, kernel, flip. What `sluice weight` does, without the price of starting a program 200
 * times a second.
 *
 * Usage: flipper STATE PINS HOST RATE CHANGES
 * So many changes, at most so many a second.
 * The first rule's destinations take turns at the weights 1, 2, 3 and so on. Prints
 * {"changes":N,"rate":R,"last_revision":N}.
 */
#include "user/base/cleanup.h"
#include "user/node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int change(const struct node_options *options, const char *host, unsigned turn,
		  struct diags *diags, uint32_t *ret_revision)
{
	_cleanup_talloc_ void *scratch = talloc_new(NULL);
	const struct node_change why = { .author = "flipper", .command = "weight" };
	struct node_result result;
	struct service *service;
	struct model *model;
	struct node *node;
	int err = node_open(scratch, options, NODE_WRITE, diags, &node);

	if (err)
		return err;
	model = model_copy(scratch, node->model);
	err = model_service_resolve(model, host, &service);
	if (err)
		return err;
	for (size_t i = 0; i < service->rules[0].destination_count; i++)
		service->rules[0].destinations[i].weight =
			1 + (turn + i) % service->rules[0].destination_count;
	err = node_commit(node, model, node->inventory, &why, diags, scratch, &result);
	if (!err)
		*ret_revision = result.revision;
	return err;
}

int main(int argc, char **argv)
{
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	struct node_options options = { .command = "flipper" };
	double began = now_s(), rate;
	uint32_t revision = 0;
	unsigned turn = 0, changes;
	int err = 0;

	if (argc != 6) {
		fprintf(stderr, "Usage: flipper STATE PINS HOST RATE CHANGES\n");
		return 2;
	}
	options.state_dir = argv[1];
	options.pin_dir = argv[2];
	rate = atof(argv[4]);
	changes = (unsigned)atoi(argv[5]);
	while (!err && turn < changes) {
		double early = began + turn / rate - now_s();
		struct timespec pause = { 0, early > 0 ? (long)(early * 1e9) : 0 };

		if (early > 0)
			nanosleep(&pause, NULL);
		err = change(&options, argv[3], ++turn, diags, &revision);
	}
	diags_print(diags, stderr, false);
	printf("{\"changes\":%u,\"rate\":%.0f,\"last_revision\":%u}\n", turn,
	       turn / (now_s() - began), revision);
	return err ? 1 : 0;
}
