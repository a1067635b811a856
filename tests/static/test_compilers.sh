#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Both compilers take the whole tree, tests too, with every warning an error.
. "$(dirname "$0")/lib.sh"

compiled() { # COMPILER
	needs "$1" bpftool || return
	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s -j"$jobs" B="$build" "check-$1"
}

row "gcc compiles the tree without a warning" compiled gcc
row "clang compiles the tree without a warning" compiled clang
rows_end
