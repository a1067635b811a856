#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots kernels of kernels.txt and runs tests/run.sh in each. At the end a table; exit code 0 when every kernel did what it
# must, and ran the rows of must_run.txt. One of `may_refuse` may lack what the data plane needs: there the agent must say
# which feature, and leave nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
build=${BUILD:-$root/build}
export VM_CACHE=${VM_CACHE:-$build/vm-test}
outs=${VM_OUT:-$VM_CACHE/out}
levels=${LEVELS-prog net}
only=${ONLY-*}
times=${SLUICE_TIMES:-}
may_refuse="5.10"
record=''
failed=0

usage() {
	cat <<-END
		Usage: vm-test/run.sh [--record] [KERNEL...]
		  KERNEL        $(awk '/^[0-9]/ { print $1 }' "$here/kernels.txt" | uniq | xargs) (all)
		  --record      write the programs' verified instructions down in insns.txt
		  LEVELS        levels of tests/run.sh to run inside ("$levels"); none, and the programs are only verified
		  ONLY          tests of them, as patterns: "net/test_live.sh prog/*" (all)
		  SLUICE_TIMES  what time limits in the tests are multiplied with (10 without KVM)
		  VM_CACHE      where packages and disks are kept (build/vm-test); VM_OUT: what guests said (out there)
		  VM_ACCEL, VM_MEMORY, VM_MIRROR...: see fetch.sh --help and boot.sh --help
	END
}

# What runs inside, as a disk of its own.
work_disk() { # FILE
	local tree

	tree=$(mktemp -d)
	mkdir -p "$tree"/build/{tests,other,vm-test} "$tree/vm-test"
	cp -a "$root"/{tests,scripts,deploy,bpf} "$tree/"
	cp -a "$build"/{sluice,sluiced} "$build"/*.bpf.o "$tree/build/"
	cp -a "$build"/tests/{prog,net,crash} "$tree/build/tests/"
	cp -a "$build"/other/{sluice,sluiced} "$tree/build/other/"
	cp -a "$build/vm-test/verify" "$tree/build/vm-test/"
	cp "$here"/{guest.sh,test_refused.sh} "$tree/vm-test/"
	cat >"$tree/vm-test/settings" <<-END
		levels="$levels"
		export TEST_SECONDS=1500 ONLY="$only"
		export SLUICE_TIMES=${times:-\$([ "\$accel" = kvm ] && echo 1 || echo 10)}
	END
	rm -f "$1"
	truncate -s 1G "$1"
	mke2fs -q -t ext4 -O ^has_journal -d "$tree" "$1"
	rm -rf "$tree"
}

insns_of() { awk -v program="$2" '$1 == program { print $2 }' "$1/insns" 2>/dev/null; }

insns_recorded() { awk -v kernel="$1" '$1 == kernel { print $2 }' "$here/insns.txt"; } # KERNEL: its programs

# A program that needs a fifth more than was written down is on the way to the verifier's limit; one that the guest does
# not name was not verified.
insns_check() { # KERNEL OUT
	local program now before

	for program in $(insns_recorded "$1"); do
		[ -n "$(insns_of "$2" "$program")" ] || echo "$program was not verified: $2/insns"
	done
	[ -s "$2/insns" ] || is_excused "$1" || echo "no program was verified: $2/insns"
	while read -r program now; do
		before=$(awk -v kernel="$1" -v program="$program" '$1 == kernel && $2 == program { print $3 }' "$here/insns.txt")
		if [ -z "$before" ]; then
			echo "$program is not in insns.txt (--record)"
		elif [ $((now * 100)) -gt $((before * 120)) ]; then
			echo "$program: $now instructions, $before were written down"
		fi
	done <"$2/insns"
}

insns_record() { # KERNEL OUT
	local rest

	rest=$(awk -v kernel="$1" '$1 != kernel' "$here/insns.txt")
	{
		echo "$rest"
		sed "s/^/$1 /" "$2/insns"
	} >"$here/insns.txt.part"
	mv "$here/insns.txt.part" "$here/insns.txt"
}

word() { # OUT FILE
	cat "$1/$2" 2>/dev/null || echo -
}

skips() { # FILE: not there when no level ran
	[ -e "$1" ] || return 0
	sed -n 's/^skipped:.*# *SKIP */skipped: /Ip' "$1" | sort | uniq -c | sort -rn |
		sed 's/^ *\([0-9]*\) skipped: /\1 x /' | paste -sd';'
}

is_asked() { # TEST: by LEVELS and ONLY
	local pattern patterns

	[[ " $levels " == *" ${1%%/*} "* ]] || return 1
	read -ra patterns <<<"$only"
	for pattern in "${patterns[@]}"; do
		# shellcheck disable=SC2053 # a pattern
		[[ $1 != $pattern ]] || return 0
	done
	return 1
}

is_since() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # VERSION KERNEL

# A skip is right where a kernel lacks something; where it has it, a row that did not run has shown nothing.
rows_check() { # KERNEL OUT
	local since test row log

	while read -r since test row; do
		if [[ $since != [0-9]* ]] || ! is_since "$since" "$1" || ! is_asked "$test"; then
			continue
		fi
		log=$2/logs/${test/\//-}.log
		[ -e "$log" ] || log=/dev/null
		awk -v row="- $row" -v name="$test: $row" '
			/^ok/ && index($0, row) { ran = 1; if (tolower($0) ~ /# *skip/) skipped = 1 }
			END { if (!ran || skipped) print (ran ? "was skipped: " : "did not run: ") name }' "$log"
	done <"$here/must_run.txt"
}

is_excused() { [[ " $may_refuse " == *" $1 "* ]]; }

# One kernel's line of the table, and whether it is as it must be.
judge() { # KERNEL OUT CODE
	local why='' sums good bad skipped

	sums=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$2/tests" 2>/dev/null | tail -n 1 || true)
	read -r good _ bad _ skipped _ <<<"${sums:-- - - - - -}"
	[ "$3" = 0 ] || why="the guest did not end: $2/console"
	[ -n "$why" ] || [ "$(word "$2" code)" = 0 ] || why="tests failed: $2/tests"
	if [ -z "$why" ] && [ -s "$2/refused" ]; then
		is_excused "$1" || why="the verifier refused: $2/refused"
	elif [ -z "$why" ] && [ -n "$record" ]; then
		insns_record "$1" "$2"
	fi
	# `head` would end who writes to it, and so this script.
	[ -n "$why" ] || why=$(insns_check "$1" "$2" | sed -n 1p)
	[ -n "$why" ] || why=$(rows_check "$1" "$2" | sed -n 1p)
	[ -z "$why" ] || failed=1
	[ -n "$why" ] || why=$(sed -n 's/.*\(lacks .*\)/\1/p' "$2/said" 2>/dev/null | sed -n 1p || true)
	[ -n "$why" ] || why=$(skips "$2/tests")
	printf '%-6s %-24s %6s %7s %7s %7s %9s %9s %9s  %s\n' "$1" "$(word "$2" release)" "$(word "$2" boot)" \
		"${good%,}" "${bad%,}" "${skipped%,}" "$(insns_of "$2" sl_tc_in)" "$(insns_of "$2" sl_tc_out)" \
		"$(insns_of "$2" sl_xdp)" "${why:--}" >>"$table"
}

while [ $# -gt 0 ]; do
	case $1 in
	--record) record=1 ;;
	-h | --help) usage && exit ;;
	-*) usage >&2 && exit 2 ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || read -r -a kernels <<<"$(awk '/^[0-9]/ { print $1 }' "$here/kernels.txt" | uniq | xargs)"
[ $# = 0 ] || kernels=("$@")
for kernel in "${kernels[@]}"; do
	grep -q "^$kernel " "$here/kernels.txt" || { usage >&2 && exit 2; }
done
mkdir -p "$outs"
scratch=$(mktemp -d)
table=$scratch/table
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
printf '%-6s %-24s %6s %7s %7s %7s %9s %9s %9s  %s\n' kernel release boot_s passed failed skipped sl_tc_in sl_tc_out \
	sl_xdp why >"$table"
disk=$("$here/image.sh")
work_disk "$scratch/work.img"
for kernel in "${kernels[@]}"; do
	folder=$("$here/fetch.sh" "$kernel")
	echo "  BOOT    $kernel ($(cat "$folder/version"))" >&2
	rm -rf "${outs:?}/$kernel"
	code=0
	"$here/boot.sh" "$folder" "$disk" "$scratch/work.img" "$outs/$kernel" || code=$?
	judge "$kernel" "$outs/$kernel" "$code"
	[ "$(word "$outs/$kernel" code)" = 0 ] || sed -n '/^--- /,$p' "$outs/$kernel/tests" 2>/dev/null | sed -n 1,80p
done
cat "$table"
exit "$failed"
