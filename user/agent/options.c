// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
	OPT_DEVICE = 'd',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_DOOR = 256,
	OPT_STATE,
	OPT_PINS,
	OPT_CONFIG,
	OPT_SEED_FILE,
	OPT_FORWARD,
	OPT_ROUTE_CACHE,
	OPT_FLOWS,
	OPT_SERVICES,
	OPT_VERSIONS,
	OPT_ENDPOINTS,
	OPT_SLOTS,
	OPT_UDP_IDLE,
	OPT_CHECK_INTERVAL,
	OPT_LOG_LEVEL,
	OPT_DETACH,
	OPT_ONCE,
};

/* One row an option: the parser and the help are made from it. */
static const struct {
	int id;
	const char *name, *value, *help;
} rows[] = {
	{ OPT_DEVICE, "device", "GLOB",
	  "interface to guard, such as eth0 or 'veth*'; may be repeated" },
	{ OPT_DOOR, "door", "auto|xdp|tc",
	  "auto: XDP on hardware that has it natively, tc elsewhere" },
	{ OPT_STATE, "state", "DIR", "state folder (" STORE_DIR_DEFAULT ")" },
	{ OPT_CONFIG, "config", "DIR",
	  "folder of YAML, applied whole whenever its content changes" },
	{ OPT_PINS, "pins", "DIR", "folder of pinned maps (" SL_PIN_DIR ")" },
	{ OPT_FORWARD, "forward", "auto|stack",
	  "auto: straight to the device where routing allows" },
	{ OPT_ROUTE_CACHE, "route-cache", "auto|off",
	  "auto: remember routes while they go by destination alone" },
	{ OPT_SEED_FILE, "seed-file", "FILE",
	  "32 hex digits; the same on every node that must pick alike" },
	{ OPT_FLOWS, "flows", "N", "connections (1048576); 64 bytes each" },
	{ OPT_SERVICES, "services", "N", "VIPs and ports in one revision (16384)" },
	{ OPT_VERSIONS, "versions", "N", "versions of all services (4096)" },
	{ OPT_ENDPOINTS, "endpoints", "N", "endpoints of all versions (65536)" },
	{ OPT_SLOTS, "slots", "N", "slots of a split, a power of two (16384)" },
	{ OPT_UDP_IDLE, "udp-idle", "SECONDS", "a silent UDP flow ends after so long (30)" },
	{ OPT_CHECK_INTERVAL, "check-interval", "SECONDS", "kernel against disk (60)" },
	{ OPT_LOG_LEVEL, "log-level", "LEVEL", "error, warning, note or debug (note)" },
	{ OPT_ONCE, "once", NULL, "attach, repair, apply the configuration and exit" },
	{ OPT_DETACH, "detach", NULL, "remove every door, map and pin, and exit" },
	{ OPT_HELP, "help", NULL, "this text" },
	{ OPT_VERSION, "version", NULL, "version" },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void help_print(void)
{
	printf("Usage: sluiced --device GLOB [OPTION]...\n\n"
	       "The agent of Sluice: loads and pins the data plane, attaches it, adopts what an "
	       "earlier agent\n"
	       "left, follows interfaces and the configuration folder, compares kernel and disk "
	       "and repairs.\n"
	       "Stopping it leaves traffic running; sluiced --detach removes everything.\n\n");
	for (size_t i = 0; i < ROWS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s--%s%s%s",
			 rows[i].id < 256 ? (char[]){ '-', (char)rows[i].id, ',', ' ', 0 } : "    ",
			 rows[i].name, rows[i].value ? " " : "",
			 rows[i].value ? rows[i].value : "");
		printf("  %-32s %s\n", left, rows[i].help);
	}
	printf("\nExample:\n  sluiced --device eth0 --device 'veth*' --config /etc/sluice\n");
}

static int number_parse(const char *option, const char *text, uint32_t least, uint32_t most,
			uint32_t *ret_number)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || !*text || *end || *text == '-' || number < least || number > most) {
		fprintf(stderr, "sluiced: --%s: found \"%s\", wants a whole number from %u to %u\n",
			option, text, least, most);
		return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

static int word_parse(const char *option, const char *text, const char *const *words, int *ret_at)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], text)) {
			*ret_at = i;
			return 0;
		}
	}
	fprintf(stderr, "sluiced: --%s: found \"%s\", wants one of:", option, text);
	for (int i = 0; words[i]; i++)
		fprintf(stderr, " %s", words[i]);
	fprintf(stderr, "\n");
	return -EINVAL;
}

static int option_sizes(int id, const char *name, const char *text, struct options *options)
{
	struct kernel_settings *settings = &options->settings;
	uint32_t seconds;
	int err;

	switch (id) {
	case OPT_FLOWS:
		return number_parse(name, text, 64, 1u << 28, &settings->flows);
	case OPT_SERVICES:
		return number_parse(name, text, 1, 1u << 20, &settings->services);
	case OPT_VERSIONS:
		return number_parse(name, text, 1, 1u << 20, &settings->versions);
	case OPT_ENDPOINTS:
		return number_parse(name, text, 1, 1u << 24, &settings->endpoints);
	case OPT_SLOTS:
		err = number_parse(name, text, SL_SLOTS_PER_GROUP, 65536, &settings->slots);
		if (err || !(settings->slots & (settings->slots - 1)))
			return err;
		fprintf(stderr, "sluiced: --slots: found \"%s\", wants a power of two\n", text);
		return -EINVAL;
	case OPT_UDP_IDLE:
		err = number_parse(name, text, 1, 86400, &seconds);
		settings->udp_idle_ms = err ? settings->udp_idle_ms : seconds * 1000;
		return err;
	default:
		return number_parse(name, text, 1, 86400, &options->check_interval_s);
	}
}

static int option_words(int id, const char *name, const char *text, struct options *options)
{
	static const char *const doors[] = { "auto", "xdp", "tc", NULL };
	static const char *const ways[] = { "auto", "stack", NULL };
	static const char *const caches[] = { "auto", "off", NULL };
	static const char *const levels[] = { "error", "warning", "note", "debug", NULL };
	enum log_level level = LOG_LEVEL_NOTE;
	int at = 0, err;

	switch (id) {
	case OPT_DOOR:
		err = word_parse(name, text, doors, &at);
		options->door = (enum kernel_door)at; /* in the order of the enum */
		return err;
	case OPT_FORWARD:
		err = word_parse(name, text, ways, &at);
		options->settings.redirect = at == 0;
		return err;
	case OPT_ROUTE_CACHE:
		err = word_parse(name, text, caches, &at);
		options->settings.route_cache = at == 0;
		return err;
	default:
		err = word_parse(name, text, levels, &at);
		if (!err && !log_level_parse(text, &level))
			log_set_level(level);
		return err;
	}
}

static int option_take(int id, const char *name, const char *text, struct options *options)
{
	switch (id) {
	case OPT_DEVICE:
		if (options->glob_count == DEVICE_GLOBS_MAX) {
			fprintf(stderr, "sluiced: --device: at most %d\n", DEVICE_GLOBS_MAX);
			return -EINVAL;
		}
		options->globs[options->glob_count++] = text;
		return 0;
	case OPT_STATE:
		options->state_dir = text;
		return 0;
	case OPT_PINS:
		options->pin_dir = text;
		return 0;
	case OPT_CONFIG:
		options->config_dir = text;
		return 0;
	case OPT_SEED_FILE:
		options->seed_file = text;
		return 0;
	case OPT_ONCE:
		options->once = true;
		return 0;
	case OPT_DETACH:
		options->detach = true;
		return 0;
	case OPT_DOOR:
	case OPT_FORWARD:
	case OPT_ROUTE_CACHE:
	case OPT_LOG_LEVEL:
		return option_words(id, name, text, options);
	default:
		return option_sizes(id, name, text, options);
	}
}

static void table_fill(struct option table[ROWS + 1])
{
	memset(table, 0, (ROWS + 1) * sizeof(*table));
	for (size_t i = 0; i < ROWS; i++)
		table[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].value ? required_argument : no_argument,
			.val = rows[i].id,
		};
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = {
		.settings = KERNEL_SETTINGS_DEFAULT,
		.check_interval_s = 60,
	};
	struct option table[ROWS + 1];
	int id, at = -1, err = 0;

	table_fill(table);
	while (!err && (id = getopt_long(argc, argv, "d:hV", table, &at)) != -1) {
		if (id == '?')
			err = -EINVAL;
		else if (id == OPT_HELP || id == OPT_VERSION) {
			id == OPT_HELP
				? help_print()
				: (void)printf("sluiced %s (ABI %u)\n", SLUICE_VERSION, SL_ABI);
			return 1;
		} else {
			err = option_take(id, at >= 0 ? table[at].name : "device", optarg,
					  &options);
		}
		at = -1;
	}
	if (!err && optind < argc) {
		fprintf(stderr, "sluiced: unexpected \"%s\"\n", argv[optind]);
		err = -EINVAL;
	}
	if (!err && !options.glob_count && !options.detach) {
		fprintf(stderr,
			"sluiced: no --device: name the interfaces that carry service traffic\n");
		err = -EINVAL;
	}
	if (err)
		fprintf(stderr, "Try: sluiced --help\n");
	else
		*ret_options = options;
	return err;
}
