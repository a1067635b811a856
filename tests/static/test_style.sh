#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How the source looks, and who may know whom.
. "$(dirname "$0")/lib.sh"

scripts_checked() {
	local files

	needs shellcheck || return
	mapfile -t files < <(git ls-files '*.sh' .ci/run)
	shellcheck "${files[@]}"
}

needs_list
row "who may include whom, licences (scripts/rooms.sh)" scripts/rooms.sh
row "C is as clang-format writes it" scripts/style.sh format
row "lines are not too long" scripts/style.sh lines
row "functions are not too long" scripts/style.sh functions
row "files are not too long" scripts/style.sh files
row "docs/benchmark.md and its drawings are what their figures give" tests/bench/report.py --check
row "shellcheck finds nothing in the scripts" scripts_checked
rows_end
