// SPDX-License-Identifier: Apache-2.0
/* What the doors remember of routes stays true: the kernel's news make them forget. */
#include "agent.h"

#include <errno.h>
#include <string.h>

int routes_watch(struct agent *agent)
{
	int err = kernel_routes_open(&agent->routes);

	return err ? err : kernel_routes_fd(agent->routes);
}

bool routes_news(struct agent *agent)
{
	return kernel_routes_news(agent->kernel, agent->routes);
}

/* Said when it changes; at the start only when it is not what is usual. */
static void routes_say(struct agent *agent)
{
	const char *off = kernel_routes_off(agent->kernel), *said = agent->routes_said;

	agent->routes_said = off;
	if (off && (!said || strcmp(off, said)))
		log_line(LOG_LEVEL_NOTE,
			 "routes are not remembered (%s): every packet asks for its own", off);
	else if (!off && said)
		log_line(LOG_LEVEL_NOTE, "routes are remembered again");
}

bool routes_look(struct agent *agent)
{
	bool is_known = kernel_routes_look(agent->kernel);

	routes_say(agent);
	return is_known;
}

/* Said once: the next turn comes in seconds, and what one misses it finds. */
void neighbours_verify(struct agent *agent)
{
	int err = kernel_neighbours_verify(agent->kernel, &agent->redirected);

	if (err && err != -EINTR && !agent->neighbours_failed)
		log_line(LOG_LEVEL_WARNING, "cannot have neighbours verified: %s", strerror(-err));
	agent->neighbours_failed = err && err != -EINTR;
}
