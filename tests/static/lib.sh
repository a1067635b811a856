# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Rows of checks that read the tree and run nothing of it. A test file sources this, calls `row` or `rows_each`, and ends with
# rows_end. What a check lets pass stands in scripts/style.exceptions.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
export build=${BUILD:-build}
jobs=${JOBS:-$(nproc)}
rows=0 rows_failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

row_end() { # SENTENCE CODE FILE-WITH-OUTPUT: 77 is a skip, whose reason is the last line
	rows=$((rows + 1))
	case $2 in
	0) echo "ok - $1" ;;
	77) echo "ok - $1 # SKIP $(tail -n 1 "$3")" ;;
	*)
		rows_failed=$((rows_failed + 1))
		echo "not ok - $1"
		sed 's/^/#   /' "$3"
		;;
	esac
}

row() { # SENTENCE COMMAND...
	local sentence=$1 code=0

	shift
	"$@" >"$tmp/row" 2>&1 || code=$?
	row_end "$sentence" "$code" "$tmp/row"
}

# A row for each file; the command gets the file last. As many at once as there are processors.
rows_each() { # SENTENCE COMMAND... < FILES
	local sentence=$1 file

	shift
	cat >"$tmp/files"
	# shellcheck disable=SC2016 # the inner shell's
	xargs -P "$jobs" -I '{}' bash -c '
		out=$1/$(echo "{}" | tr / +)
		shift
		"$@" "{}" >"$out" 2>&1
		echo $? >"$out.code"' bash "$tmp" "$@" <"$tmp/files"
	while read -r file; do
		row_end "$sentence $file" "$(cat "$tmp/${file//\//+}.code")" "$tmp/${file//\//+}"
	done <"$tmp/files"
}

needs() { # PROGRAM...
	local program

	for program; do
		command -v "$program" >"$tmp/needs" || {
			echo "$program is not installed"
			return 77
		}
	done
}

# For what goes through git's list of files: an empty one would pass every check.
listed() {
	git ls-files --error-unmatch Makefile && return
	[ -e .git ] && return 1
	echo "this tree is no clone"
	return 77
}

needs_list() {
	listed >"$tmp/listed" 2>&1 && return
	row "git lists the files" listed
	rows_end
}

rows_end() {
	echo "1..$rows"
	[ "$rows_failed" = 0 ]
	exit
}
