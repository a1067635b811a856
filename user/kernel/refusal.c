// SPDX-License-Identifier: Apache-2.0
/*
 * Why the kernel would not have the data plane. libbpf hands over a verifier's log in one piece of
 * up to megabytes, of which the end says what is wrong.
 */
#include "internal.h"

#include "../base/cleanup.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KEPT_LINES 20
#define KEPT_SIZE 4096
/* What libbpf writes around the verifier's words, and repeats to whoever asks for the object. */
#define LOG_END "-- END PROG LOAD LOG --"

static char kept[KEPT_SIZE];

void refusal_forget(void)
{
	kept[0] = 0;
}

/* Where the last lines of a text begin. */
static const char *last_lines(const char *text, int lines)
{
	const char *at = text + strlen(text);

	while (at > text && (at[-1] != '\n' || !at[0] || lines-- > 1))
		at--;
	return at;
}

static void keep(const char *text)
{
	size_t length = strlen(kept), more = strlen(text);

	if (more >= KEPT_SIZE) {
		text += more - (KEPT_SIZE - 1);
		more = KEPT_SIZE - 1;
	}
	if (length + more >= KEPT_SIZE) {
		size_t excess = length + more - (KEPT_SIZE - 1);

		memmove(kept, kept + excess, length - excess + 1);
		length -= excess;
	}
	memcpy(kept + length, text, more + 1);
}

int refusal_keep(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text, *end;

	if (level > LIBBPF_WARN || vasprintf(&text, format, args) < 0)
		return 0;
	end = strstr(text, LOG_END);
	/* A verifier's log: what was said before it says less. */
	if (end) {
		refusal_forget();
		*end = 0;
	}
	keep(text);
	free(text);
	return 0;
}

const char *refusal_text(void)
{
	return last_lines(kept, KEPT_LINES);
}

/* Before CAP_BPF and CAP_PERFMON there was CAP_SYS_ADMIN, which still stands for both. */
static const struct {
	uint32_t capability;
	bool is_in_admin;
	const char *name;
} loading[] = {
	{ CAP_BPF, true, "CAP_BPF" },
	{ CAP_PERFMON, true, "CAP_PERFMON" },
	{ CAP_NET_ADMIN, false, "CAP_NET_ADMIN" },
};

/* What this process may not do, the kernel refuses in the words of one that cannot. */
static bool capabilities_say(struct diags *diags)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	char lacking[64] = "";
	uint64_t has;

	if (syscall(SYS_capget, &header, data))
		return false;
	has = data[0].effective | (uint64_t)data[1].effective << 32;
	for (size_t i = 0; i < ARRAY_SIZE(loading); i++) {
		if (has & 1ull << loading[i].capability ||
		    (loading[i].is_in_admin && has & 1ull << CAP_SYS_ADMIN))
			continue;
		snprintf(lacking + strlen(lacking), sizeof(lacking) - strlen(lacking), "%s%s",
			 *lacking ? ", " : "", loading[i].name);
	}
	if (*lacking)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "this process lacks %s, which it takes to load the data plane: run it as "
			 "root, with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
			 lacking);
	return *lacking;
}

void refusal_say(struct diags *diags, int err)
{
	struct kernel_feature features[KERNEL_FEATURES];
	size_t count = kernel_features(features);
	struct utsname kernel = {};
	bool is_told = (err == -EPERM || err == -EACCES) && capabilities_say(diags);

	if (is_told)
		return;
	uname(&kernel);
	for (size_t i = 0; i < count; i++) {
		if (!features[i].is_needed || features[i].is_there)
			continue;
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "this kernel (%s) lacks %s, which came with Linux %s: the data plane "
			 "cannot run on it",
			 kernel.release, features[i].name, features[i].since);
		is_told = true;
	}
	if (!is_told)
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, NULL,
			 "the kernel (%s) refused the data plane: %s; its last words:\n%s",
			 kernel.release, strerror(-err), refusal_text());
}
