/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the agent share. */
#pragma once
#include "../base/log.h"
#include "../node/node.h"

#define DEVICE_GLOBS_MAX 64

struct options {
	const char *globs[DEVICE_GLOBS_MAX];
	size_t glob_count;
	enum kernel_door door;
	const char *state_dir, *pin_dir, *config_dir, *seed_file;
	struct kernel_settings settings;
	unsigned check_interval_s;
	bool detach, once;
};

/* 0 to go on, 1 when there is nothing left to do (help, version), -EINVAL after saying what is
 * wrong. */
int options_parse(int argc, char **argv, struct options *ret_options);

struct agent {
	const struct options *options;
	struct kernel
		*kernel;  /* its own view, apart from the one that node_open takes for a change */
	uint64_t repairs; /* since the start */
	int alone;        /* descriptor of the lock that no other agent has; until the end */
	struct kernel_routes *routes; /* what it hears of routes by; NULL when it need not */
	const char *routes_said;      /* why they are not remembered, as last said */
	uint64_t redirected;          /* packets, as of the last look at neighbours */
	bool neighbours_failed;       /* which was said */
	bool unmatched_said;          /* that --device names no interface that is here */
	char config_digest[65];       /* of the folder as it was applied last; "": not yet */
};

/* Runs `work` with the state folder locked and opened; logs what it says. */
int agent_locked(struct agent *agent, const char *what,
		 int (*work)(struct agent *agent, struct node *node, struct diags *diags));

/* --- devices.c --- */
/* Attaches what matches and is not, or (refresh) all that match; detaches what is gone or matches
 * no longer. */
int devices_sync(struct agent *agent, bool refresh);
/* A netlink socket that tells of interfaces that come and go; readable when there is news. */
int devices_watch(void);
/* Takes the news off the socket. True when an interface came, went or changed its name. */
bool devices_news(int socket);

/* --- config.c --- */
/* Applies the folder when its content is not what was applied last: a restart must not undo a
 * rollback. */
int config_apply(struct agent *agent);
/* An inotify descriptor on the folder. */
int config_watch(const char *dir);
/* The folder may be another by now, under the same name: a renamed one, or a symbolic link's. */
void config_watch_again(int watch, const char *dir);
void config_news(int watch);

/* --- routes.c --- */
/* A descriptor, of `agent->routes`, that is readable when routes may have changed; or -errno. */
int routes_watch(struct agent *agent);
/* Takes the news, and has the doors forget. True when a look is due. */
bool routes_news(struct agent *agent);
/* Whether the doors may remember routes; says so when it changes. False: look again later. */
bool routes_look(struct agent *agent);
/* Has neighbours verified that the doors use. */
void neighbours_verify(struct agent *agent);

/* --- confine.c --- */
/*
 * Gives up the privileges that only the start needs: capabilities, and system calls. To be called
 * when all is loaded and attached, before anything is read that others wrote. 0 or -errno, logged.
 */
int agent_confine(const struct agent *agent);

/* --- notify.c --- */
/* Tells the service manager; does nothing when there is none. */
void service_notify(const char *state);
