#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the levels that are named, all when none is, and ends with "N passed, N failed, N skipped".
#   static tests/static/test_*.sh  what reads the source: style, compilers, clang-tidy, cppcheck; no root
#   unit  build/tests/unit/*      no root, with sanitizers
#   native build/tests/native/*  the rows of tests/prog over the doors as plain C, with sanitizers; no root
#   prog  build/tests/prog/*      programs fed with packets; root
#   net   tests/net/test_*.sh     real sockets in network namespaces; root
#   crash tests/crash/test_*.sh   commands killed before their system calls, and calls that fail; root
#   fuzz  tests/fuzz/test_*.sh    inputs made to hurt, and a minute of libFuzzer on each target; no root
#   coverage tests/coverage/test_*.sh  how much of user/ the levels reach; root
# SLUICE_TIMES gives a slow machine so many times the time for answers (1), and fewer packets to compare to prog/test_fuzz.
# ONLY names tests (shell patterns, "net/test_live.sh prog/*"); all of the levels otherwise.
# TEST_SECONDS is what one test may take before it has failed (3600).
# LANES tests that mostly wait, those of net and crash, run at a time (2); what is bound by the processor alone runs niced
# behind all of them.
# Every case and row counts. V=1 shows all of them, else those that failed. LOGS names a folder that keeps the output.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build}
logs=${LOGS:-$(mktemp -d)}
read -ra only <<<"${ONLY-*}"
mkdir -p "$logs"
limit=${TEST_SECONDS:-3600}
passed=0 failed=0 skipped=0
failures=() said='' niced=()
behind=(static/\* fuzz/test_fuzz.sh)
# By what they share, lose or time.
alone=(net/test_{dispatcher,migrate,rate,upgrade}.sh fuzz/test_bombs.sh)
paired=(net/\* crash/\*)
lanes=${LANES:-2}

# A test has a process group of its own, which no terminal's interrupt reaches.
jobs_end() {
	local running

	mapfile -t running < <(jobs -p)
	[ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null
	exit 1
}
[ -n "${LOGS-}" ] || trap 'rm -rf "$logs"' EXIT
trap jobs_end INT TERM

# What is built and still has its source.
built() { # LEVEL SOURCES
	local source name

	for source in "$here/$2"/test_*.c; do
		name=$(basename "$source" .c)
		[ ! -x "$build/tests/$1/$name" ] || echo "$build/tests/$1/$name"
	done
}

tests_of() { # LEVEL
	case $1 in
	unit | prog) built "$1" "$1" ;;
	native) built native prog ;;
	static | net | crash | fuzz | coverage) find "$here/$1" -name 'test_*.sh' | sort ;;
	*)
		echo "tests/run.sh: unknown level \"$1\"; there are static, unit, native, prog, net, crash, fuzz and coverage" >&2
		exit 2
		;;
	esac
}

# One test's output (TAP) into the sums. A test that ends badly without saying so has failed too.
take() { # NAME LOG CODE
	local skips bad good

	# cmocka's word for a skip is "not ok N # SKIP"
	skips=$(grep -ciE '^(not )?ok.*# *skip' "$2")
	good=$(grep -ciE '^ok|^not ok.*# *skip' "$2")
	bad=$(($(grep -c '^not ok' "$2") - $(grep -ci '^not ok.*# *skip' "$2")))
	[ "$3" = 0 ] || [ "$bad" -gt 0 ] || {
		bad=1
		echo "not ok - $1 ended with $3" >>"$2"
	}
	[ "$((good + bad))" -gt 0 ] || {
		bad=1
		echo "not ok - $1 ran no test" >>"$2"
	}
	passed=$((passed + good - skips)) skipped=$((skipped + skips)) failed=$((failed + bad))
	[ "$bad" = 0 ] || failures+=("$1" "$2")
	said="$((good - skips)) passed"
	[ "$bad" = 0 ] || said="$said, $bad failed"
	[ "$skips" = 0 ] || said="$said, $skips skipped"
}

is_one_of() { # NAME PATTERN...
	local name=$1 pattern

	shift
	for pattern; do
		# shellcheck disable=SC2053 # a pattern
		[[ $name != $pattern ]] || return 0
	done
	return 1
}

name_of() { # FILE: its level and its own name
	local name=${1%/*}

	echo "${name##*/}/${1##*/}"
}

log_of() { # NAME
	echo "$logs/${1/\//-}.log"
}

# Apart from `tell`, because what runs behind the others adds nothing to sums here.
run() { # FILE
	local began=$SECONDS code=0 log

	log=$(log_of "$(name_of "$1")")
	CMOCKA_MESSAGE_OUTPUT=TAP "${niced[@]}" timeout -k 10 "$limit" "$1" >"$log" 2>"$log.errors" </dev/null &
	wait $! || code=$?
	echo "$code $((SECONDS - began))" >"$log.ended"
}

tell() { # FILE
	local name log code seconds

	name=$(name_of "$1")
	log=$(log_of "$name")
	read -r code seconds <"$log.ended"
	take "$name" "$log" "$code"
	printf '%-36s %s (%d s)\n' "$name" "$said" "$seconds"
}

lane_run() { # FILE...
	local test

	trap jobs_end INT TERM
	for test; do run "$test"; done
}

first_end() {
	local pid

	wait -n -p pid "${!running[@]}"
	tell "${running[$pid]}"
	unset "running[$pid]"
}

pairs_run() { # FILE...
	local test
	local -A running=()

	for test; do
		[ ${#running[@]} -lt "$lanes" ] || first_end
		lane_run "$test" &
		running[$!]=$test
	done
	while [ ${#running[@]} -gt 0 ]; do first_end; done
}

tests_run() { # FILE...
	local test name last=() pairs=() singles=() after=()

	for test; do
		name=$(name_of "$test")
		if is_one_of "$name" "${behind[@]}"; then
			last+=("$test")
		elif is_one_of "$name" "${alone[@]}" coverage/\*; then
			after+=("$test")
		elif is_one_of "$name" "${paired[@]}"; then
			pairs+=("$test")
		else
			singles+=("$test")
		fi
	done
	(niced=(nice -n 19) && lane_run "${last[@]}") &
	for test in "${singles[@]}"; do run "$test" && tell "$test"; done
	pairs_run "${pairs[@]}"
	for test in "${after[@]}"; do run "$test" && tell "$test"; done
	wait
	for test in "${last[@]}"; do tell "$test"; done
}

# Each skip with its reason: behind the word in a shell's row, in the line before it in a program's.
skips_tell() { # LOG...
	awk '
		/^SKIP: / { why = substr($0, 7); next }
		/^ok.*# *(SKIP|skip)/ { sub(/^ok[ 0-9]*-* */, ""); print "skipped: " $0; next }
		/^not ok.*# *(SKIP|skip)/ { print "skipped: " $NF " # SKIP " why }
	' "$@"
}

report() {
	local i

	for ((i = 0; i < ${#failures[@]}; i += 2)); do
		echo
		echo "--- ${failures[i]}"
		grep -vi '^not ok.*# *skip' "${failures[i + 1]}" |
			sed -n '/^not ok/,/^ok\|^1\.\./{/^ok\|^1\.\./!p}' | head -n 60
		tail -n 20 "${failures[i + 1]}.errors"
	done
	[ "$skipped" = 0 ] || { echo && skips_tell "$logs"/*.log; }
	echo
}

[ $# -gt 0 ] || set -- static unit native prog net crash fuzz coverage
chosen=()
for level; do
	tests=$(tests_of "$level") || exit
	[ -n "$tests" ] || { echo "tests/run.sh: no tests of level $level: is it built?" >&2 && exit 1; }
	while read -r test; do
		! is_one_of "$(name_of "$test")" "${only[@]}" || chosen+=("$test")
	done <<<"$tests"
done
tests_run "${chosen[@]}"
[ "$((passed + failed + skipped))" -gt 0 ] || { echo "tests/run.sh: no test is named \"${ONLY-}\"" >&2 && exit 1; }
report
[ "${V:-0}" = 0 ] || cat "$logs"/*.log
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
