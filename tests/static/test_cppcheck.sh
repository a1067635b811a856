#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck over each folder; what it is told to leave alone stands in tests/static/cppcheck.suppressions, with reasons.
. "$(dirname "$0")/lib.sh"

checked() { # FOLDER
	needs cppcheck || return
	cppcheck --quiet --error-exitcode=1 --std=c11 -j"$jobs" --inline-suppr --library=posix,gnu \
		--library=tests/static/cppcheck.cfg --enable=warning,style,performance,portability \
		--suppressions-list=tests/static/cppcheck.suppressions -D_GNU_SOURCE -DSLUICE_VERSION='"check"' -I. "$1"
}

for folder in user/*/ tests/unit/ tests/net/ tests/crash/ tests/fuzz/ tests/bench/; do
	row "cppcheck finds nothing in ${folder%/}" checked "${folder%/}"
done
rows_end
