#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy with .clang-tidy, a row a file. Releases differ in their checks, so it is one release that counts.
. "$(dirname "$0")/lib.sh"

# The flags are of the Makefile's kind; a file that does not compile so is a finding. The analyzer gives a function up after
# so many steps (NODES; 225,000 if not told): with half of them it takes half the time.
tidy() { # FILE
	"$tidy" --quiet "$1" -- -std=gnu11 -D_GNU_SOURCE -DSLUICE_VERSION='"check"' -I. -I"$build" -I"$build/tests/prog" \
		-Xclang -analyzer-config -Xclang "max-nodes=${NODES:-100000}" \
		-Wall -Wextra -Wno-unused-parameter 2>"$tmp/${1//\//+}.count" && return
	cat "$tmp/${1//\//+}.count"
	return 1
}

for tidy in clang-tidy-14 clang-tidy none; do
	"$tidy" --version 2>&1 | grep -q 'version 14\.' && break
done
skeletons_made() {
	[ "$tidy" != none ] || { echo "clang-tidy 14 is not installed" && return 77; }
	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s B="$build" skeletons
}

needs_list
row "what the source includes is generated" skeletons_made
if [ "$tidy" != none ]; then
	export -f tidy
	export tidy build tmp
	# The longest first, so that the last one does not keep everybody waiting.
	# shellcheck disable=SC2016 # the inner shell's
	rows_each "clang-tidy:" bash -c 'tidy "$1"' bash < <(
		git ls-files 'user/*.c' 'tests/*.c' | grep -v '\.bpf\.c$' | xargs wc -c | sort -rn |
			awk '$2 != "total" { print $2 }'
	)
fi
rows_end
