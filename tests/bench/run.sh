#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the parts of the benchmark one after the other, then writes the report: what `make bench`
# and `make bench-quick` call.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
parts=(packet endtoend control fidelity memory)

usage() {
	cat <<-END
		Usage: tests/bench/run.sh [--quick]
		Measures packet, endtoend, control, fidelity and memory, one after the other, and
		writes docs/benchmark.*. Needs root.
		  -q, --quick  few rounds; the report goes to $build/bench/benchmark.*, docs/ stays as it is
		  -h, --help   this
		BUILD names the folder of what is built (build). Exit code: 0 measured and reported;
		1 a part failed (docs/ then stays as it is), or the report has a complaint (a target
		missed without a reason); 2 wrong usage.
	END
}

quick=
case ${1-} in
'') ;;
-q | --quick) quick=--quick ;;
-h | --help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac
[ $# -le 1 ] || {
	usage >&2
	exit 2
}
[ "$(id -u)" = 0 ] || {
	echo "bench: needs root: it loads BPF programs and makes network namespaces" >&2
	exit 1
}

results=$build/bench${quick:+/quick}
report=docs
[ -z "$quick" ] || report=$build/bench
mkdir -p "$results" || exit 1
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What a part is given for the short run.
arguments() { # PART
	case $quick,$1 in
	--quick,packet) echo "-n 3 -r 200000 -o $results/packet.json" ;;
	*) echo "${quick:+$quick }-o $results/$1.json" ;;
	esac
}

failed=()
for part in "${parts[@]}"; do
	# What an earlier run measured must not stand in for a part that fails now.
	rm -f "$results/$part.json"
	if ! grep -q "^bench-$part:" Makefile; then
		echo "bench: $part is not written yet: left out" >&2
		continue
	fi
	printf '\n== %s ==\n' "$part"
	start=$SECONDS
	# With flags of its own: a make above this script keeps its jobs to itself.
	env -u MAKEFLAGS -u MFLAGS make --no-print-directory "bench-$part" \
		B="$build" ARGS="$(arguments "$part")" || failed+=("$part")
	echo "$part: $((SECONDS - start)) s"
done

# Half a report must not take the place of a whole one.
if [ ${#failed[@]} -gt 0 ]; then
	report=$build/bench
	echo "bench: failed: ${failed[*]}; what is above says why; the report of the others" \
		"goes to $report" >&2
fi
printf '\n== report ==\n'
tests/bench/report.py --fresh --from "$results" --to "$report" ${quick:+$quick}
status=$?
echo "whole benchmark: $SECONDS s"
[ "$status" = 0 ] && [ ${#failed[@]} = 0 ]
