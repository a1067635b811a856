// SPDX-License-Identifier: Apache-2.0
/* What the history says when a change names no author or no reason. */
#include "node.h"

#include "../base/cleanup.h"
#include "private.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

const char *node_author(void *parent, const struct node_change *change)
{
	const char *sudo_user = getenv("SUDO_USER");
	const struct passwd *user;

	if (change->author)
		return change->author;
	if (!geteuid() && sudo_user && *sudo_user)
		return sudo_user;
	user = getpwuid(getuid());
	return user ? talloc_strdup(parent, user->pw_name)
		    : talloc_asprintf(parent, "uid %u", (unsigned)getuid());
}

const char *node_reason(const struct node_change *change)
{
	if (change->reason && *change->reason)
		return change->reason;
	return change->command ? change->command : "";
}
