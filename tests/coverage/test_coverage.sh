#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many lines of user/ the tests reach, by a build of its own that counts. What the rows of those tests say is their own
# levels' business: here only what they reach is looked at. LEAST is the least share, in percent; HTML names a folder for a
# report by lines.
. "$(dirname "$0")/../static/lib.sh"

least=${LEAST:-85}
cov=$build/cov
profiles=$tmp/profiles
[[ $cov = /* ]] || cov=$root/$cov

built() {
	needs clang llvm-cov llvm-profdata bpftool || return
	[ "$(id -u)" = 0 ] || { echo "programs and namespaces are for root" && return 77; }
	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s -j"$jobs" B="$build" coverage-build
}

# One after another, beside the other lists; each by its own time limit. %m tells programs apart by the sizes of their counters
# alone, and two tests of one library have the same: so each test has files of its own.
some() { # LOG COMMAND...
	local log=$1 test

	shift
	for test; do
		LLVM_PROFILE_FILE=$profiles/$(basename "$test")-%m%c.profraw timeout 150 "$test"
	done >"$tmp/$log" 2>&1 </dev/null &
}

ran() {
	local units

	export BUILD=$cov
	unset V
	mapfile -t units < <(find "$cov/tests/unit" -name 'test_*' -type f -perm -u+x)
	# Others run the same lines: those of connections and of crashes, which take the longest, reach 0.4 % more.
	some unit "${units[@]}" "$cov"/tests/prog/test_{attach,features,kernel,migrate,node_kernel,part,routes,share,tables}
	some cli tests/net/test_cli.sh
	some commands tests/net/test_{commands,faults}.sh
	wait
	ls "$profiles"/*.profraw >"$tmp/list" && llvm-profdata merge -o "$tmp/all.profdata" "$profiles"/*.profraw
}

programs() {
	local program

	find "$cov/sluice" "$cov/sluiced" "$cov/tests/unit" "$cov/tests/prog" -type f -perm -u+x |
		while read -r program; do echo -object "$program"; done
}

report() { # ARGUMENT...
	local objects

	read -r -d '' -a objects < <(programs | tr '\n' ' ')
	llvm-cov "$@" -instr-profile="$tmp/all.profdata" "${objects[@]:1}" "$root/user"
}

# Lines of "FILE LINES REACHED", then a sum.
sums() {
	report export -summary-only -format=text 2>"$tmp/errors" |
		jq -r --arg root "$root/" '.data[0].files[] | select(.filename | contains("/user/"))
			| [(.filename | ltrimstr($root)), .summary.lines.count, .summary.lines.covered] | @tsv'
}

share() { # PATTERN: of the lines of those files
	awk -v pattern="$1" '
		$1 ~ pattern { lines += $2; reached += $3 }
		END { printf "%.1f", lines ? 100 * reached / lines : 0 }' "$tmp/sums"
}

reached() {
	sums >"$tmp/sums"
	[ -s "$tmp/sums" ] || {
		cat "$tmp/errors"
		return 1
	}
	[ -z "${HTML-}" ] || report show -format=html -output-dir="$HTML" >"$tmp/html" 2>&1
	awk -v share="$(share .)" -v least="$least" 'BEGIN { exit !(share >= least) }'
}

mkdir "$profiles"
row "user/ and the tests are built with counters" built
[[ $rows_failed = 0 && -d $cov ]] || rows_end
row "unit, packet and network tests run with counters" ran
reached >"$tmp/row" 2>&1
row_end "$(share .) % of the lines of user/ are reached, at least $least % is wanted" $? "$tmp/row"
for room in user/*/; do
	room=${room%/}
	echo "# $room $(share "^$room/") %"
done
awk '{ print "# " $2 - $3 " lines of " $2 " not reached in " $1 }' "$tmp/sums" | sort -k2rn | head -n 20
rows_end
