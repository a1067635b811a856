#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every target of tests/fuzz, as many at a time as there are CPUs: first the committed corpus
# (tests/data/corpus), each file once, so that whatever crashed one day is a row for ever; then new inputs for
# FUZZ_SECONDS (60) each. What is found anew stays in build/fuzz for the next run.
# TARGETS="tree json" runs those alone.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}/fuzz
corpus=$here/../data/corpus
seconds=${FUZZ_SECONDS:-60}
# A slow input is a finding as well: ten seconds, a gigabyte, and no word on standard output or error but the target's own.
limits=(-timeout=10 -rss_limit_mb=2048 -max_len=8192 -verbosity=0 -print_final_stats=1)
export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1}

[ "${1-}" != --help ] || { sed -n '4,8s/^# //p' "$0" && exit 0; }
log=$(mktemp -d)
mkdir "$log/said" "$log/rows"
trap 'rm -rf "$log"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 1' INT TERM

options_of() { # TARGET
	case $1 in
	args) echo "-dict=$here/args.dict -close_fd_mask=3" ;;
	state) echo "-only_ascii=0" ;;
	*) echo "-dict=$here/input.dict" ;;
	esac
}

# A target's two rows; what it says goes below the row that failed.
target_run() { # TARGET
	local name=$1 options units seeds=$corpus/$1

	[ -d "$seeds" ] || seeds=$corpus/input
	read -r -a options <<<"$(options_of "$name")"
	mkdir -p "$build/corpus-$name"
	if "$build/fuzz_$name" "${limits[@]}" "${options[@]}" -artifact_prefix="$build/$name-" -runs=0 \
		"$seeds" >"$log/said/$name" 2>&1; then
		echo "ok - $name: the corpus of $(find "$seeds" -type f | wc -l) files"
	else
		echo "not ok - $name: the corpus"
		tail -n 40 "$log/said/$name" | sed 's/^/#   /'
		return
	fi
	if "$build/fuzz_$name" "${limits[@]}" "${options[@]}" -artifact_prefix="$build/$name-" -max_total_time="$seconds" \
		"$build/corpus-$name" "$seeds" >"$log/said/$name" 2>&1; then
		units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log/said/$name")
		if [ "${units:-0}" -gt 0 ]; then
			echo "ok - $name: $units new inputs in $seconds seconds"
		else
			echo "not ok - $name: ran nothing"
		fi
	else
		echo "not ok - $name: new inputs. Mend it, and add the input to ${seeds#"$here/../../"}"
		tail -n 40 "$log/said/$name" | sed 's/^/#   /'
	fi
}

for name in ${TARGETS-$(cd "$here" && printf '%s\n' fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')}; do
	if [ ! -x "$build/fuzz_$name" ]; then
		echo "not ok - $name: build/fuzz/fuzz_$name is not built: make fuzz-tools" >"$log/rows/$name"
		continue
	fi
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
	target_run "$name" >"$log/rows/$name" &
done
wait
cat "$log"/rows/*
echo "1..$(cat "$log"/rows/* | grep -c '^ok\|^not ok')"
! grep -q '^not ok' "$log"/rows/*
