// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "../base/cleanup.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* One datagram to the socket that NOTIFY_SOCKET names: sd_notify(3) promises that protocol to last.
 */
void service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!path || !*path || strlen(path) >= sizeof(address.sun_path))
		return;

	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (address.sun_path[0] == '@')
		address.sun_path[0] = 0;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   offsetof(struct sockaddr_un, sun_path) + strlen(path)) < 0)
		log_line(LOG_LEVEL_DEBUG, "the service manager did not listen");
}
