// SPDX-License-Identifier: Apache-2.0
/*
 * The agent: what needs a living process. Everything that it does could be done by hand with
 * `sluice`; it may die at any instruction, because what is pinned and what is on disk is all there
 * is.
 */
#include "agent.h"

#include "../base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_SETTLE_MS 200 /* files of a change come one after the other */
/* So do rules and routes. The doors stopped remembering at the first: nothing hurries. */
#define ROUTES_SETTLE_MS 1000

enum source {
	SOURCE_SIGNAL,
	SOURCE_CHECK,
	SOURCE_LINKS,
	SOURCE_CONFIG,
	SOURCE_SETTLE,
	SOURCE_ROUTES,
	SOURCE_LOOK,
	SOURCE_NEIGHBOURS,
	SOURCE_COUNT,
};

struct loop {
	int epoll;
	int fd[SOURCE_COUNT];
	bool is_look_due;
	bool are_links_due; /* somebody held the lock for too long */
};

int agent_locked(struct agent *agent, const char *what,
		 int (*work)(struct agent *agent, struct node *node, struct diags *diags))
{
	const struct node_options options = {
		.state_dir = agent->options->state_dir,
		.pin_dir = agent->kernel ? kernel_pins(agent->kernel) : agent->options->pin_dir,
		.timeout_ms = 5000,
		.beside = agent->kernel && kernel_has_other(agent->kernel),
	};
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	struct node *node = NULL;
	int err;

	if (!diags)
		return -ENOMEM;
	err = node_open(diags, &options, NODE_WRITE, diags, &node);
	if (!err)
		err = work(agent, node, diags);
	log_diags(diags);
	if (err)
		log_line(LOG_LEVEL_ERROR, "%s: %s", what, strerror(-err));
	talloc_free(TAKE_PTR(diags));
	/* Models of thousands of services are held for a moment once a minute: not in between. */
	malloc_trim(0);
	return err;
}

static int check_work(struct agent *agent, struct node *node, struct diags *diags)
{
	int repairs = node_reconcile(node, true, diags), err = 0;

	if (repairs > 0) {
		agent->repairs += repairs;
		log_line(LOG_LEVEL_WARNING, "%d repairs (%llu since the start)", repairs,
			 (unsigned long long)agent->repairs);
	}
	/* Also when the rest failed: it may have failed for the room that this makes. */
	if (node->kernel)
		err = kernel_flows_sweep(node->kernel, KERNEL_TCP_IDLE_S);
	return repairs < 0 ? repairs : err;
}

/*
 * Over the maps of another release: ours have just been filled. Not one flow moves to tables that
 * lack what they should have.
 */
static int takeover_work(struct agent *agent, struct node *node, struct diags *diags)
{
	struct kernel_takeover takeover;
	int err = 0;

	if (node->active && !kernel_is_hot(agent->kernel, node->active))
		err = -ENODATA;
	if (err)
		diag_add(
			diags, DIAG_ERROR, NULL, 0, 0, NULL,
			"revision %u could not be written beside the maps of another release: what "
			"ran goes on",
			node->active);
	if (!err)
		err = kernel_takeover(agent->kernel, diags, &takeover);
	if (!err)
		log_line(LOG_LEVEL_NOTE,
			 "took over from ABI %u: %u connections moved, %u could not be, %u "
			 "interfaces, %llu ms",
			 takeover.abi, takeover.moved, takeover.misfit, takeover.devices,
			 (unsigned long long)takeover.ms);
	return err;
}

static int start_work(struct agent *agent, struct node *node, struct diags *diags)
{
	int err;

	if (!kernel_has_other(agent->kernel))
		return check_work(agent, node, diags);
	err = node_reconcile(node, true, diags);
	if (err >= 0)
		err = takeover_work(agent, node, diags);
	return err < 0 ? err : kernel_flows_sweep(agent->kernel, KERNEL_TCP_IDLE_S);
}

static int seed_read(const char *path, char ret_hex[64])
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file || !fgets(ret_hex, 64, file)) {
		log_line(LOG_LEVEL_ERROR, "%s: cannot read the seed: %s", path,
			 file ? "it is empty" : strerror(errno));
		return -EINVAL;
	}
	ret_hex[strcspn(ret_hex, " \r\n")] = 0;
	return 0;
}

/*
 * One agent a state folder, for as long as it lives: two with other --device would take each
 * other's doors off. A new one waits a while for an old one that is ending, as in a rolling update.
 */
#define AGENT_WAIT_MS 15000

static int agent_alone(const char *state_dir, struct diags *diags)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	char path[512], holder[32] = "";
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/agent.lock", state_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* As with the other lock: a folder that a failing disk made read-only can be served. */
	if (fd < 0 && errno == EROFS) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		errno = EROFS; /* where there is none: why it cannot be made */
	}
	if (fd < 0) {
		diag_add(diags, DIAG_ERROR, path, 0, 0, NULL, "cannot be opened: %s",
			 strerror(errno));
		return -errno;
	}
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += 50) {
		if (errno != EWOULDBLOCK || waited >= AGENT_WAIT_MS) {
			if (pread(fd, holder, sizeof(holder) - 1, 0) > 0)
				holder[strcspn(holder, "\n")] = 0;
			diag_add(diags, DIAG_ERROR, path, 0, 0, NULL,
				 "another sluiced (pid %s) serves this state folder: end it first, "
				 "or "
				 "give this one a --state and --pins of its own",
				 *holder ? holder : "unknown");
			return -EBUSY;
		}
		nanosleep(&pause, NULL);
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		log_line(LOG_LEVEL_WARNING, "%s: cannot say who holds it", path);
	return TAKE_FD(fd);
}

/* Under the lock, because pins and maps are made here, and a CLI must see all of them or none. */
static int agent_start(struct agent *agent, const struct options *options, struct diags *diags)
{
	struct kernel_settings settings = options->settings;
	_cleanup_talloc_ struct store *store = NULL;
	char hex[64];
	int err = store_open(NULL, options->state_dir, true, diags, &store);

	if (!err)
		err = agent->alone = agent_alone(options->state_dir, diags);
	if (err >= 0)
		err = store_lock(store, 5000, "sluiced start", diags);
	if (!err && options->seed_file)
		err = seed_read(options->seed_file, hex);
	if (!err)
		err = store_seed(store, options->seed_file ? hex : NULL, diags, settings.seed);
	return err ? err : kernel_create(options->pin_dir, &settings, diags, &agent->kernel);
}

static int agent_bring_up(struct agent *agent)
{
	int err = agent_locked(agent, "start", start_work);

	if (!err)
		err = devices_sync(agent, true);
	if (!err)
		err = agent_confine(agent);
	if (!err && agent->options->config_dir) {
		int config_err = config_apply(agent);

		/* An agent goes on: the last good revision holds, and the next file may be good. */
		err = agent->options->once ? config_err : 0;
	}
	return err;
}

/* --- loop --- */

static int loop_add(struct loop *loop, enum source source, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (fd < 0)
		return fd;
	loop->fd[source] = fd;
	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int timer_make(unsigned first_ms, unsigned every_s)
{
	struct itimerspec when = {
		.it_value = { first_ms / 1000, first_ms % 1000 * 1000000L },
		.it_interval = { every_s, 0 },
	};
	_cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &when, NULL))
		return -errno;
	return TAKE_FD(fd);
}

static int signals_make(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int loop_open(struct loop *loop, struct agent *agent)
{
	const struct options *options = agent->options;
	unsigned every = options->check_interval_s;
	int err;

	loop->is_look_due = loop->are_links_due = false;
	for (int i = 0; i < SOURCE_COUNT; i++)
		loop->fd[i] = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return -errno;
	err = loop_add(loop, SOURCE_SIGNAL, signals_make());
	if (!err)
		err = loop_add(loop, SOURCE_CHECK, timer_make(every * 1000, every));
	if (!err)
		err = loop_add(loop, SOURCE_LINKS, devices_watch());
	if (!err)
		err = loop_add(loop, SOURCE_SETTLE, timer_make(0, 0));
	if (!err && options->config_dir)
		err = loop_add(loop, SOURCE_CONFIG, config_watch(options->config_dir));
	if (!err && options->settings.route_cache)
		err = loop_add(loop, SOURCE_ROUTES, routes_watch(agent));
	if (!err)
		err = loop_add(loop, SOURCE_LOOK, timer_make(0, 0));
	if (!err && options->settings.redirect)
		err = loop_add(loop, SOURCE_NEIGHBOURS,
			       timer_make(KERNEL_VERIFY_S * 1000, KERNEL_VERIFY_S));
	return err;
}

static void timer_read(int fd)
{
	uint64_t ticks;

	if (read(fd, &ticks, sizeof(ticks)) < 0)
		return;
}

static void settle_start(const struct loop *loop)
{
	struct itimerspec when = { .it_value = { 0, CONFIG_SETTLE_MS * 1000000L } };

	timerfd_settime(loop->fd[SOURCE_SETTLE], 0, &when, NULL);
}

/* News that go on and on put no look off: one that is due stays so. */
static void look_start(struct loop *loop)
{
	struct itimerspec when = { .it_value = { ROUTES_SETTLE_MS / 1000,
						 ROUTES_SETTLE_MS % 1000 * 1000000L } };

	if (!loop->is_look_due)
		loop->is_look_due = !timerfd_settime(loop->fd[SOURCE_LOOK], 0, &when, NULL);
}

/* One that failed is tried again. */
static void look_take(struct loop *loop, struct agent *agent)
{
	loop->is_look_due = false;
	if (!routes_look(agent))
		look_start(loop);
}

/* News come once: who finds the folder locked for too long asks again soon. */
static void links_take(struct loop *loop, struct agent *agent)
{
	loop->are_links_due = devices_sync(agent, false) == -ETIMEDOUT;
	if (loop->are_links_due)
		settle_start(loop);
}

static void config_take(struct loop *loop, struct agent *agent)
{
	if (!agent->options->config_dir)
		return;
	config_watch_again(loop->fd[SOURCE_CONFIG], agent->options->config_dir);
	if (config_apply(agent) == -ETIMEDOUT)
		settle_start(loop);
}

/* What events tell is looked at again by the clock: an event may be lost, or never have come. */
static void everything_check(struct loop *loop, struct agent *agent)
{
	agent_locked(agent, "check", check_work);
	devices_sync(agent, true);
	look_take(loop, agent);
	config_take(loop, agent);
}

/* True when the signal ends the agent. */
static bool signal_take(struct loop *loop, struct agent *agent, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGHUP)
		return true;
	service_notify("RELOADING=1");
	everything_check(loop, agent);
	service_notify("READY=1");
	return false;
}

static bool loop_take(struct loop *loop, struct agent *agent, enum source source)
{
	int fd = loop->fd[source];

	switch (source) {
	case SOURCE_SIGNAL:
		return signal_take(loop, agent, fd);
	case SOURCE_CHECK:
		timer_read(fd);
		everything_check(loop, agent);
		break;
	case SOURCE_LINKS:
		if (devices_news(fd))
			links_take(loop, agent);
		break;
	case SOURCE_CONFIG:
		config_news(fd);
		settle_start(loop);
		break;
	case SOURCE_SETTLE:
		timer_read(fd);
		if (loop->are_links_due)
			links_take(loop, agent);
		config_take(loop, agent);
		break;
	case SOURCE_ROUTES:
		if (routes_news(agent))
			look_start(loop);
		break;
	case SOURCE_LOOK:
		timer_read(fd);
		look_take(loop, agent);
		break;
	case SOURCE_NEIGHBOURS:
		timer_read(fd);
		neighbours_verify(agent);
		break;
	default:
		break;
	}
	return false;
}

static int loop_run(struct loop *loop, struct agent *agent)
{
	for (;;) {
		struct epoll_event event;
		int count = epoll_wait(loop->epoll, &event, 1, -1);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count == 1 && loop_take(loop, agent, event.data.u32))
			return 0;
	}
}

static int agent_run(struct agent *agent)
{
	struct loop loop;
	int err;

	/* Watched before the first look, so that nothing comes between. */
	err = loop_open(&loop, agent);
	if (err) {
		log_line(LOG_LEVEL_ERROR, "cannot watch%s%s: %s",
			 agent->options->config_dir ? " " : "",
			 agent->options->config_dir ? agent->options->config_dir : "",
			 strerror(-err));
		return err;
	}
	look_take(&loop, agent);
	err = agent_bring_up(agent);
	if (err)
		return err;
	log_line(LOG_LEVEL_NOTE, "ready, revision %u is active", kernel_obeyed(agent->kernel));
	service_notify("READY=1");
	err = loop_run(&loop, agent);
	service_notify("STOPPING=1");
	log_line(LOG_LEVEL_NOTE, "stopping; traffic goes on by revision %u",
		 kernel_obeyed(agent->kernel));
	return err;
}

static int detach_run(const struct options *options, struct diags *diags)
{
	_cleanup_talloc_ struct store *store = NULL;
	int err = store_open(NULL, options->state_dir, true, diags, &store);

	if (!err)
		err = store_lock(store, 5000, "sluiced --detach", diags);
	if (!err)
		err = kernel_detach_all(options->pin_dir, diags);
	if (!err)
		log_line(LOG_LEVEL_NOTE, "detached; the revisions in the state folder stay");
	return err;
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	_cleanup_talloc_ struct diags *diags = diags_new(NULL);
	struct options options;
	struct agent agent = { .options = &options };
	int err;

	log_open();
	err = options_parse(argc, argv, &options);
	if (err)
		return err < 0 ? 2 : 0;
	if (!options.state_dir)
		options.state_dir = STORE_DIR_DEFAULT;
	/* Whoever reads the log may end, and the agent must not end with it. */
	signal(SIGPIPE, SIG_IGN);
	/* Kernels before 5.11 count maps against it. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* From the first moment: there is nothing that it would ever execute. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!diags)
		return 1;
	err = options.detach ? detach_run(&options, diags) : agent_start(&agent, &options, diags);
	log_diags(diags);
	if (err && !diags->errors)
		log_line(LOG_LEVEL_ERROR, "cannot %s: %s", options.detach ? "detach" : "start",
			 strerror(-err));
	if (!err && !options.detach)
		err = options.once ? agent_bring_up(&agent) : agent_run(&agent);
	kernel_routes_close(agent.routes);
	kernel_close(agent.kernel);
	return err ? 1 : 0;
}
