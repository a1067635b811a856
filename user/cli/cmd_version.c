// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include "../base/cleanup.h"
#include "output.h"

#include <errno.h>
#include <string.h>

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

static inline void cleanup_kernel_p(struct kernel **kernel)
{
	if (*kernel)
		kernel_close(*kernel);
}

static int version_run(struct cli *cli)
{
	static const struct column columns[] = {
		{ "sluice", "version", COLUMN_PLAIN },
		{ "ABI", "abi", COLUMN_PLAIN },
		{ "pinned ABI", "pinned_abi", COLUMN_PLAIN },
	};
	static const struct section sections[] = { SECTION(NULL, NULL, NULL, columns) };
	__attribute__((cleanup(cleanup_kernel_p))) struct kernel *kernel = NULL;
	int err = kernel_open(cli->node.pin_dir, &kernel);
	_cleanup_json_ json_t *tree =
		json_pack("{s:s, s:I, s:o}", "version", SLUICE_VERSION, "abi", (json_int_t)SL_ABI,
			  "pinned_abi", err ? json_null() : json_integer(SL_ABI));

	if (err == -EPROTO)
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "the pinned maps have another ABI than %u: this program leaves them alone",
			 SL_ABI);
	else if (err && err != -ENOENT)
		diag_add(cli->diags, DIAG_WARNING, NULL, 0, 0, NULL,
			 "cannot open the pinned maps: %s", strerror(-err));
	return output_print(cli, tree, sections, ARRAY_SIZE(sections));
}

const struct command command_version = {
	.name = "version",
	.usage = "[-o table|json|yaml]",
	.summary = "Print the version, and the ABI of this program and of the pinned maps",
	.example = "sluice version -o json",
	.run = version_run,
};
