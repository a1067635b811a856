// SPDX-License-Identifier: Apache-2.0
/*
 * What the doors remember of routes: it is used, it is forgotten when the kernel tells of a change,
 * it lives for a second when nobody listens, and there is none where routing looks at more than
 * destination and incoming device.
 */
#include "trial.h"

#include <poll.h>
#include <sys/resource.h>
#include <time.h>

#include "user/base/cleanup.h"
#include "user/kernel/internal.h"

#define MAC_USUAL 0x0102 /* last bytes of whoever is on the endpoints' link */
#define MAC_OTHER 0x0202

static struct world the_world;
static struct kernel view; /* of the world: `control` alone */
static struct kernel_routes *routes;

/* --- the node changes --- */

static void node_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void node_run(const char *format, ...)
{
	char command[1024] = "exec >/dev/null; ";
	size_t length = strlen(command);
	va_list args;
	int code;

	va_start(args, format);
	vsnprintf(command + length, sizeof(command) - length, format, args);
	va_end(args);
	code = system(command);
	if (code)
		fprintf(stderr, "  failed: %s\n", command);
	assert_int_equal(code, 0);
}

static const char *address(enum who who, int family)
{
	return wire_addresses[who][family == 6];
}

static void neighbour_set(enum who who, int family, unsigned mac)
{
	node_run("ip neigh replace %s lladdr 02:00:00:00:%02x:%02x dev ep0 nud permanent",
		 address(who, family), mac >> 8, mac & 0xff);
}

static uint32_t off_now(void)
{
	return control_of(&view)->exits_off;
}

static uint32_t epoch_now(void)
{
	return control_of(&view)->exits_epoch;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Until the links have told everything about themselves. */
static void news_settle(void)
{
	struct pollfd news = { .fd = kernel_routes_fd(routes), .events = POLLIN };

	do
		kernel_routes_news(&view, routes);
	while (poll(&news, 1, 1500) > 0);
}

/* --- packets --- */

/* A flow that goes straight; both of its answers are remembered from here on. */
static void world_begin(struct trial *trial)
{
	/* The doors' number goes on, or an old answer would be true again. */
	trial->world->control = *control_of(&view);
	world_reset(trial->world);
	world_links(trial);
	world_one(trial, EP_A);
	while (kernel_routes_news(&view, routes))
		;
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
}

/* Opens a connection that goes straight, or (with ACK) goes on with it. Returns the MAC address
 * that it is sent to. */
static unsigned sent_to(struct trial *trial, enum who from, __u8 flags)
{
	struct wire wire = tcp(trial, flags);
	struct run *run = &trial->run;

	wire.src = from;
	run->in_len = wire_build(&wire, run->in);
	run_door(trial->world, trial->door, if_nametoindex("cl0"), 0, run);
	if (run->err || run_verdict(run) != (flags & SYN ? SL_open_redirect : SL_forward_redirect))
		step_fail(trial, NULL, flags & SYN ? SL_open_redirect : SL_forward_redirect,
			  "a packet that goes straight");
	return run->out[4] << 8 | run->out[5];
}

static void mac_wants(struct trial *trial, unsigned wanted, unsigned got, const char *what)
{
	if (wanted != got)
		fprintf(stderr, "  [%s v%d] %s: wanted MAC %04x, got %04x\n",
			door_names[trial->door], trial->family, what, wanted, got);
	assert_int_equal(wanted, got);
}

/*
 * The neighbour changes while the doors remember the old one. Returns a time at which they had
 * asked. A machine that was too slow for the second tries again.
 */
static uint64_t change_unheard(struct trial *trial)
{
	unsigned got = 0;

	for (int i = 0; i < 10; i++) {
		uint64_t began = now_ms(), asked;

		neighbour_set(EP_A, trial->family, MAC_USUAL);
		exits_forget(&view);
		mac_wants(trial, MAC_USUAL, sent_to(trial, CLIENT, ACK), "before the change");
		asked = now_ms();
		neighbour_set(EP_A, trial->family, MAC_OTHER);
		got = sent_to(trial, CLIENT, ACK);
		if (now_ms() - began < 800) {
			mac_wants(trial, MAC_USUAL, got, "what is remembered");
			return asked;
		}
	}
	fail_msg("no change of a neighbour took less than the second that routes are remembered");
	return 0;
}

static void each_door(void (*steps)(struct trial *trial))
{
	for (__u32 door = 0; door < SL_DOOR_OUT; door++) {
		for (int family = 4; family <= 6; family += 2) {
			struct row row = { .sentence = "routes" };
			struct trial trial = {
				.row = &row, .door = door, .family = family, .world = &the_world
			};

			world_begin(&trial);
			sent_to(&trial, CLIENT, SYN);
			steps(&trial);
			neighbour_set(EP_A, family, MAC_USUAL);
		}
	}
}

static void heard_steps(struct trial *trial)
{
	change_unheard(trial);
	kernel_routes_news(&view, routes);
	mac_wants(trial, MAC_OTHER, sent_to(trial, CLIENT, ACK), "once the news are taken");
}

static void a_change_is_obeyed_at_once(void **state)
{
	each_door(heard_steps);
}

static void unheard_steps(struct trial *trial)
{
	uint64_t asked = change_unheard(trial), took = 0, sent = now_ms();
	const struct timespec pause = { .tv_nsec = 5000000 };

	/* Counted to where a packet begins: how long one takes is the machine's. */
	while (sent_to(trial, CLIENT, ACK) != MAC_OTHER) {
		took = sent - asked;
		if (took > 5000)
			fail_msg("the old MAC address is used for more than five seconds");
		nanosleep(&pause, NULL);
		sent = now_ms();
	}
	/* The doors' clock is the tick, which a machine that is not let run has late. */
	if (took > 1300)
		fail_msg("the old MAC address was used for %llu ms", (unsigned long long)took);
}

static void unheard_a_change_is_obeyed_within_a_second(void **state)
{
	each_door(unheard_steps);
}

/* Nobody listens, and the new address is used all the same: nothing was remembered. */
static void nothing_kept_steps(struct trial *trial)
{
	neighbour_set(EP_A, trial->family, MAC_USUAL);
	kernel_routes_news(&view, routes);
	node_run("ip -%d rule add from %s lookup 100", trial->family,
		 address(STRANGER, trial->family));
	kernel_routes_news(&view, routes);
	assert_int_equal(off_now(), SL_EXITS_POLICY);
	for (int i = 0; i < 3; i++) {
		mac_wants(trial, MAC_USUAL, sent_to(trial, CLIENT, ACK), "with a rule");
		neighbour_set(EP_A, trial->family, MAC_OTHER);
		mac_wants(trial, MAC_OTHER, sent_to(trial, CLIENT, ACK), "with a rule, changed");
		neighbour_set(EP_A, trial->family, MAC_USUAL);
	}
	node_run("ip -%d rule del from %s lookup 100", trial->family,
		 address(STRANGER, trial->family));
	assert_true(kernel_routes_news(&view, routes));
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
	change_unheard(trial);
}

static void nothing_is_remembered_with_a_rule_and_again_without(void **state)
{
	each_door(nothing_kept_steps);
}

/*
 * Two clients of one link, and a rule that sends one of them by another next hop. Before the news
 * are taken it follows the other's answer: so the rest of the row is not true by chance.
 */
static void rule_steps(struct trial *trial)
{
	const char *friend = address(FRIEND, trial->family);
	uint64_t asked = now_ms();
	unsigned got;

	neighbour_set(EP_B, trial->family, MAC_OTHER);
	node_run("ip -%d route add default via %s dev ep0 table 100", trial->family,
		 address(EP_B, trial->family));
	kernel_routes_news(&view, routes);
	asked = now_ms();
	mac_wants(trial, MAC_USUAL, sent_to(trial, CLIENT, ACK), "the first client");
	mac_wants(trial, MAC_USUAL, sent_to(trial, FRIEND, SYN), "the second, without a rule");
	node_run("ip -%d rule add from %s lookup 100", trial->family, friend);
	got = sent_to(trial, FRIEND, ACK);
	if (now_ms() - asked < 800)
		mac_wants(trial, MAC_USUAL, got, "the rule, unheard of");
	kernel_routes_news(&view, routes);
	for (int i = 0; i < 5; i++) {
		mac_wants(trial, MAC_OTHER, sent_to(trial, FRIEND, ACK), "by the rule");
		mac_wants(trial, MAC_USUAL, sent_to(trial, CLIENT, ACK), "not by the rule");
	}
	node_run("ip -%d rule del from %s lookup 100; ip -%d route flush table 100", trial->family,
		 friend, trial->family);
	neighbour_set(EP_B, trial->family, MAC_USUAL);
	assert_true(kernel_routes_news(&view, routes));
	assert_true(kernel_routes_look(&view));
	mac_wants(trial, MAC_USUAL, sent_to(trial, FRIEND, ACK), "the rule is gone");
}

static void a_rule_by_source_is_obeyed(void **state)
{
	each_door(rule_steps);
}

/* --- what stops the memory --- */

struct oddity {
	const char *sentence, *add, *del;
	uint32_t wanted;
	const char *lacks; /* what the kernel may lack, so that it cannot be added; NULL: it must */
};

#define RULE(sentence, rule, wanted)                                                               \
	{                                                                                          \
		sentence, "ip rule add " rule, "ip rule del " rule, wanted, NULL                   \
	}
#define RULE6(sentence, rule, wanted)                                                              \
	{                                                                                          \
		sentence, "ip -6 rule add " rule, "ip -6 rule del " rule, wanted, NULL             \
	}
#define ROUTE(sentence, route, wanted)                                                             \
	{                                                                                          \
		sentence, "ip route add " route, "ip route del " route, wanted, NULL               \
	}

static const struct oddity oddities[] = {
	RULE("a rule by source", "from 192.0.2.77 lookup 100", SL_EXITS_POLICY),
	RULE6("a rule by source, IPv6", "from 2001:db8:1::/64 lookup 100", SL_EXITS_POLICY),
	RULE("a rule by source to the main table", "from 192.0.2.0/24 lookup main",
	     SL_EXITS_POLICY),
	RULE("a rule by mark", "fwmark 7 lookup 100", SL_EXITS_POLICY),
	RULE6("a rule by mark, IPv6", "fwmark 7 lookup 100", SL_EXITS_POLICY),
	RULE("a rule by type of service", "tos 0x10 lookup 100", SL_EXITS_POLICY),
	RULE("a rule by outgoing device", "oif ep0 lookup 100", SL_EXITS_POLICY),
	RULE("a rule by protocol", "ipproto tcp lookup 100", SL_EXITS_POLICY),
	RULE("a rule by port", "ipproto tcp dport 8080 lookup 100", SL_EXITS_POLICY),
	RULE("a rule by user", "uidrange 0-0 lookup 100", SL_EXITS_POLICY),
	RULE("a rule for all but a source", "not from 192.0.2.77 lookup 100", SL_EXITS_POLICY),
	RULE("a rule that drops by source", "from 192.0.2.77 blackhole", SL_EXITS_POLICY),
	RULE("a rule by destination", "to 10.0.0.0/24 lookup 100", SL_EXITS_KEPT),
	RULE6("a rule by destination, IPv6", "to fd00::/64 lookup 100", SL_EXITS_KEPT),
	RULE("a rule by incoming device", "iif cl0 lookup 100", SL_EXITS_KEPT),
	RULE("a rule for all", "from all lookup 100 pref 500", SL_EXITS_KEPT),
	RULE6("a rule for all to the main table, IPv6", "from all lookup main pref 500",
	      SL_EXITS_KEPT),
	RULE("a rule that passes the default route over", "lookup main suppress_prefixlength 0",
	     SL_EXITS_KEPT),
	{ "a route of several next hops",
	  "ip route add 198.18.0.0/15 nexthop via 10.0.0.11 nexthop via 10.0.0.12",
	  "ip route del 198.18.0.0/15", SL_EXITS_MULTIPATH, NULL },
	{ "a route of several next hops, IPv6",
	  "ip -6 route add 2001:db8:9::/48 nexthop via fd00::11 nexthop via fd00::13",
	  "ip -6 route del 2001:db8:9::/48", SL_EXITS_MULTIPATH, NULL },
	{ "a second next hop that is appended, IPv6",
	  "ip -6 route add 2001:db8:9::/48 via fd00::11; ip -6 route append 2001:db8:9::/48 via "
	  "fd00::13",
	  "ip -6 route del 2001:db8:9::/48 via fd00::11", SL_EXITS_MULTIPATH, NULL },
	{ "a route of several next hops in another table",
	  "ip route add 198.18.0.0/15 table 100 nexthop via 10.0.0.11 nexthop via 10.0.0.12",
	  "ip route del 198.18.0.0/15 table 100", SL_EXITS_MULTIPATH, NULL },
	{ "several next hops that one replaces",
	  "ip route add 198.18.0.0/15 nexthop via 10.0.0.11 nexthop via 10.0.0.12",
	  "ip route replace 198.18.0.0/15 via 10.0.0.11", SL_EXITS_MULTIPATH, NULL },
	ROUTE("a route of one next hop", "198.20.0.0/15 via 10.0.0.11", SL_EXITS_KEPT),
	{ "two routes of which one is better",
	  "ip route add 198.22.0.0/15 via 10.0.0.11; ip route add 198.22.0.0/15 via 10.0.0.12 "
	  "metric 9",
	  "ip route del 198.22.0.0/15; ip route del 198.22.0.0/15", SL_EXITS_KEPT, NULL },
	ROUTE("a route by type of service", "198.24.0.0/15 tos 0x10 via 10.0.0.11",
	      SL_EXITS_POLICY),
	{ "a route by source, IPv6", "ip -6 route add 2001:db8:a::/48 from fd00::/64 via fd00::11",
	  "ip -6 route del 2001:db8:a::/48 from fd00::/64 via fd00::11", SL_EXITS_POLICY,
	  "routes by source (CONFIG_IPV6_SUBTREES)" },
	{ "a group of next hops",
	  "ip nexthop add id 1 via 10.0.0.11 dev ep0; ip nexthop add id 2 via 10.0.0.12 dev ep0; "
	  "ip nexthop add id 3 group 1/2; ip route add 198.26.0.0/15 nhid 3",
	  "ip route del 198.26.0.0/15; ip nexthop flush", SL_EXITS_MULTIPATH,
	  "next hops as objects (5.3)" },
	{ "a group of next hops that routes do not spell out",
	  "sysctl -qw net.ipv4.nexthop_compat_mode=0; ip nexthop add id 1 via 10.0.0.11 dev ep0; "
	  "ip nexthop add id 2 via 10.0.0.12 dev ep0; ip nexthop add id 3 group 1/2; "
	  "ip route add 198.26.0.0/15 nhid 3",
	  "ip route del 198.26.0.0/15; ip nexthop flush; sysctl -qw net.ipv4.nexthop_compat_mode=1",
	  SL_EXITS_MULTIPATH, "next hops as objects that routes do not spell out (5.8)" },
	{ "a next hop as an object, alone",
	  "ip nexthop add id 1 via 10.0.0.11 dev ep0; ip route add 198.26.0.0/15 nhid 1",
	  "ip route del 198.26.0.0/15; ip nexthop flush", SL_EXITS_KEPT,
	  "next hops as objects (5.3)" },
	{ "a group of next hops for a bridge",
	  "ip nexthop add id 1 via 10.0.0.11 fdb; ip nexthop add id 2 via 10.0.0.12 fdb; "
	  "ip nexthop add id 3 group 1/2 fdb",
	  "ip nexthop flush", SL_EXITS_KEPT, "next hops of bridges (5.8)" },
};

#define ODDITIES (sizeof(oddities) / sizeof(oddities[0]))

static bool is_added(const struct oddity *oddity)
{
	char command[1024];

	snprintf(command, sizeof(command), "set -e; { %s; } >/dev/null %s", oddity->add,
		 oddity->lacks ? "2>&1" : "");
	if (!system(command))
		return true;
	if (!oddity->lacks)
		fail_msg("cannot be added: %s", oddity->add);
	snprintf(command, sizeof(command), "{ %s; } >/dev/null 2>&1", oddity->del);
	(void)!system(command);
	return false;
}

/* The news alone find it at once, and a look finds it too; when it goes, the news ask for a look.
 */
static void oddity_run(void **state)
{
	const struct oddity *oddity = *state;
	uint32_t epoch;

	while (kernel_routes_news(&view, routes))
		;
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
	epoch = epoch_now();
	if (!is_added(oddity)) {
		print_message("SKIP: this kernel or ip(8) lacks %s\n", oddity->lacks);
		kernel_routes_news(&view, routes);
		skip();
	}
	kernel_routes_news(&view, routes);
	assert_int_equal(off_now(), oddity->wanted);
	assert_int_not_equal(epoch_now(), epoch);
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), oddity->wanted);
	epoch = epoch_now();
	node_run("%s", oddity->del);
	assert_int_equal(kernel_routes_news(&view, routes), oddity->wanted != SL_EXITS_KEPT);
	assert_int_equal(off_now(), oddity->wanted);
	assert_int_not_equal(epoch_now(), epoch);
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
}

/* --- news --- */

static bool bumps(const char *command)
{
	uint32_t before = epoch_now();

	node_run("%s", command);
	kernel_routes_news(&view, routes);
	return epoch_now() != before;
}

#define NEIGHBOUR "ip neigh replace 10.0.0.50 dev ep0 lladdr "

static void a_neighbour_counts_when_its_address_changes(void **state)
{
	news_settle();
	assert_true(bumps(NEIGHBOUR "02:00:00:00:05:01 nud reachable"));
	assert_false(bumps(NEIGHBOUR "02:00:00:00:05:01 nud stale"));
	assert_false(bumps(NEIGHBOUR "02:00:00:00:05:01 nud reachable"));
	assert_true(bumps(NEIGHBOUR "02:00:00:00:05:02 nud reachable"));
	assert_true(bumps("ip neigh change 10.0.0.50 dev ep0 nud failed"));
	assert_true(bumps(NEIGHBOUR "02:00:00:00:05:02 nud stale"));
	assert_true(bumps("ip neigh del 10.0.0.50 dev ep0"));
}

static void what_a_bridge_learns_does_not_count(void **state)
{
	struct pollfd news = { .fd = kernel_routes_fd(routes), .events = POLLIN };
	uint32_t before;

	news_settle();
	before = epoch_now();
	node_run("bridge fdb add 02:00:00:00:09:09 dev plain0p self permanent");
	assert_int_equal(poll(&news, 1, 1000), 1); /* it was told */
	kernel_routes_news(&view, routes);
	assert_int_equal(epoch_now(), before);
	node_run("bridge fdb del 02:00:00:00:09:09 dev plain0p self permanent");
	kernel_routes_news(&view, routes);
}

static void whatever_else_changes_a_route_counts(void **state)
{
	news_settle();
	assert_true(bumps("ip link set ep0 mtu 1400"));
	assert_true(bumps("ip link set ep0 mtu 1500"));
	assert_true(bumps("ip address add 10.0.9.1/24 dev plain0"));
	assert_true(bumps("ip address del 10.0.9.1/24 dev plain0"));
	assert_true(bumps("ip -6 address add fd00:9::1/64 dev plain0 nodad"));
	assert_true(bumps("ip -6 address del fd00:9::1/64 dev plain0"));
	assert_true(bumps("ip route add 198.18.0.0/15 via 10.0.0.11"));
	assert_true(bumps("ip route del 198.18.0.0/15"));
	assert_true(bumps("sysctl -qw net.ipv4.conf.plain0.forwarding=0"));
	assert_true(bumps("sysctl -qw net.ipv4.conf.plain0.forwarding=1"));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
}

/* More than the socket holds: a rule may have been among them. */
static void lost_news_stop_the_memory_until_a_look(void **state)
{
	struct kernel_routes *small;
	int size = 4096;
	uint32_t before;

	assert_int_equal(kernel_routes_open(&small), 0);
	assert_int_equal(setsockopt(kernel_routes_fd(small), SOL_SOCKET, SO_RCVBUFFORCE, &size,
				    sizeof(size)),
			 0);
	assert_true(kernel_routes_look(&view));
	before = epoch_now();
	node_run("for i in $(seq 200); do echo \"route add 198.19.$i.0/24 via 10.0.0.11\"; done | "
		 "ip -batch -");
	assert_true(kernel_routes_news(&view, small));
	assert_int_equal(off_now(), SL_EXITS_UNKNOWN);
	assert_int_not_equal(epoch_now(), before);
	assert_string_equal(kernel_routes_off(&view), "unknown");
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
	kernel_routes_close(small);
	node_run("for i in $(seq 200); do echo \"route del 198.19.$i.0/24\"; done | ip -batch -");
	kernel_routes_news(&view, routes);
}

static void a_look_that_fails_stops_the_memory(void **state)
{
	struct rlimit usual, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = usual.rlim_max };
	assert_true(kernel_routes_look(&view));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_false(kernel_routes_look(&view));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_int_equal(off_now(), SL_EXITS_UNKNOWN);
	assert_true(kernel_routes_look(&view));
	assert_int_equal(off_now(), SL_EXITS_KEPT);
}

/* --- starts --- */

static struct kernel_settings start_settings = {
	.flows = 4096,
	.services = 4,
	.versions = 64,
	.endpoints = 128,
	.slots = 64,
	.udp_idle_ms = 30000,
	.redirect = true,
	.route_cache = true,
	.seed = { 1, 2 },
};

static char start_pins[64];

/* Also after a row that failed. */
static int start_clear(void **state)
{
	(void)!system("{ ip rule del from 192.0.2.77 lookup 100; ip route flush 198.18.0.0/15; } "
		      ">/dev/null 2>&1");
	return kernel_detach_all(start_pins, NULL);
}

/* What a start leaves, and after it a look. */
static void start_leaves(bool is_wanted, const char *wanted)
{
	struct diags *diags = diags_new(NULL);
	struct kernel *kernel = NULL;
	int err;

	start_settings.route_cache = is_wanted;
	err = kernel_create(start_pins, &start_settings, diags, &kernel);
	if (err)
		diags_print(diags, stderr, false);
	assert_int_equal(err, 0);
	for (int i = 0; i < 2; i++) {
		const char *off = kernel_routes_off(kernel);

		assert_int_equal(!off, !wanted);
		if (off)
			assert_string_equal(off, wanted);
		assert_true(kernel_routes_look(kernel));
	}
	kernel_close(kernel);
	talloc_free(diags);
}

static void a_start_looks(void **state)
{
	struct sl_control control;

	control_fill(&start_settings, &control);
	assert_int_equal(control.exits_off, SL_EXITS_UNKNOWN);
	node_run("ip route add 198.18.0.0/15 nexthop via 10.0.0.11 nexthop via 10.0.0.12");
	start_leaves(true, "multipath"); /* new maps */
	node_run("ip route del 198.18.0.0/15");
	start_leaves(true, NULL); /* adopted ones */
	node_run("ip rule add from 192.0.2.77 lookup 100");
	start_leaves(true, "policy rules");
	start_leaves(false, "asked for");
	node_run("ip rule del from 192.0.2.77 lookup 100");
	start_leaves(false, "asked for");
	start_leaves(true, NULL);
}

/* A row that failed must not take the next ones along. */
static int oddity_clear(void **state)
{
	const struct oddity *oddity = *state;
	char command[1024];

	snprintf(command, sizeof(command), "{ %s; ip route flush 198.18.0.0/15; } >/dev/null 2>&1",
		 oddity->del);
	(void)!system(command);
	return 0;
}

int main(void)
{
	static struct CMUnitTest tests[ODDITIES + 32];
	size_t count = 0;

#define TEST(name) tests[count++] = (struct CMUnitTest)cmocka_unit_test(name)
	TEST(a_change_is_obeyed_at_once);
	TEST(unheard_a_change_is_obeyed_within_a_second);
	TEST(nothing_is_remembered_with_a_rule_and_again_without);
	TEST(a_rule_by_source_is_obeyed);
	for (size_t i = 0; i < ODDITIES; i++)
		tests[count++] = (struct CMUnitTest){ oddities[i].sentence, oddity_run, NULL,
						      oddity_clear, (void *)&oddities[i] };
	TEST(a_neighbour_counts_when_its_address_changes);
	TEST(what_a_bridge_learns_does_not_count);
	TEST(whatever_else_changes_a_route_counts);
	TEST(lost_news_stop_the_memory_until_a_look);
	TEST(a_look_that_fails_stops_the_memory);
	snprintf(start_pins, sizeof(start_pins), "/sys/fs/bpf/sl_routes_%d", getpid());
	tests[count++] = (struct CMUnitTest)cmocka_unit_test_teardown(a_start_looks, start_clear);
#undef TEST
	node_open();
	world_open(&the_world, &(struct world_options){ 0 });
	view.map[MAP_CONTROL].data = world_map(the_world.tc->maps.sl_control);
	if (kernel_routes_open(&routes))
		world_die("hear of routes");
	return _cmocka_run_group_tests("routes", tests, count, NULL, NULL);
}
