// SPDX-License-Identifier: Apache-2.0
/*
 * Why the kernel would not have the data plane. libbpf hands over a verifier's log in one piece of
 * up to megabytes, of which the end says what is wrong.
 */
#include "internal.h"

#include "../base/cleanup.h"

#include <bpf/libbpf.h>
#include <string.h>
#include <sys/utsname.h>

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

void refusal_say(struct diags *diags, int err)
{
	struct kernel_feature features[KERNEL_FEATURES];
	size_t count = kernel_features(features);
	struct utsname kernel = {};
	bool is_told = false;

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
