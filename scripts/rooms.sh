#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may know whom: arrows between the rooms go downward only. Prints each breach; exits 1 when there is one.
# Usage: scripts/rooms.sh
set -euo pipefail
case ${1-} in -h | --help) sed -n '3,4s/^# //p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."

declare -A may=(
	[base]="base"
	[model]="model base"
	[plan]="plan model base"
	[store]="store base"
	[input]="input model base"
	[kernel]="kernel plan model base"
	[node]="node input kernel store plan model base"
	[cli]="cli node input kernel store plan model base"
	[agent]="agent node input kernel store plan model base"
)
pure="abi.h pick.h csum.h way.h settings.h layout.h"
breaches=0

breach() {
	echo "rooms: $1" >&2
	breaches=$((breaches + 1))
}

for file in user/*/*.[ch]; do
	room=$(basename "$(dirname "$file")")
	while read -r header; do
		case $header in
		../../bpf/*)
			[[ " $pure " == *" ${header##*/} "* ]] || breach "$file: $header is the kernel half's own"
			;;
		../*)
			other=${header#../}
			other=${other%%/*}
			[[ " ${may[$room]} " == *" $other "* ]] || breach "$file: '$room' may not know '$other'"
			;;
		esac
	done < <(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file")
	if [[ $room != kernel ]] && grep -qE '#include (<bpf/|<xdp/|"sluice_.*skel)' "$file"; then
		breach "$file: libbpf and skeletons are for 'kernel' alone"
	fi
	if [[ $room =~ ^(model|plan|input)$ ]] && grep -qE '#include <sys/socket.h>' "$file"; then
		breach "$file: '$room' knows no sockets"
	fi
done

for file in bpf/*; do
	if grep -q '#include "\.\./' "$file"; then
		breach "$file: the kernel half includes nothing of the user half"
	fi
done
for header in pick.h csum.h way.h settings.h layout.h; do
	if grep '^#include' "bpf/$header" | grep -qvE '"(abi|way).h"'; then
		breach "bpf/$header: a pure header includes abi.h and way.h alone"
	fi
done

if grep '^#include' bpf/abi.h | grep -qv '<linux/types.h>'; then
	breach "bpf/abi.h: the contract includes <linux/types.h> alone"
fi

# The first include shows that the header stands on its own feet.
for file in user/*/*.c; do
	header=$(basename "$file" .c).h
	[[ -e $(dirname "$file")/$header ]] || continue
	first=$(grep -m 1 '^#include' "$file")
	[[ $first == "#include \"$header\"" ]] || breach "$file: its own header comes first"
done

# A command never includes another.
if grep -nE '#include "cmd_' user/cli/*.c; then
	breach "commands include each other"
fi

while read -r file; do
	head -3 "$file" | grep -q 'SPDX-License-Identifier' || breach "$file: no SPDX line"
done < <(git ls-files '*.c' '*.h' '*.sh' Makefile)
exit $((breaches > 0))
