#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may know whom: arrows between the rooms go downward only. Prints each breach; exits 1 when there is one.
set -euo pipefail
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
pure="abi.h pick.h csum.h settings.h"
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
for header in pick.h csum.h settings.h; do
	if grep '^#include' "bpf/$header" | grep -qv '"abi.h"'; then
		breach "bpf/$header: a pure header includes abi.h alone"
	fi
done

# A command never includes another, and a source file includes its own header first.
if grep -nE '#include "cmd_' user/cli/*.c; then
	breach "commands include each other"
fi

while read -r file; do
	head -3 "$file" | grep -q 'SPDX-License-Identifier' || breach "$file: no SPDX line"
done < <(git ls-files '*.c' '*.h' '*.sh' Makefile)
while read -r file; do
	lines=$(wc -l <"$file")
	[[ $file == bpf/* && $lines -gt 420 ]] && breach "$file: $lines lines"
	[[ $file == user/* && $lines -gt 600 ]] && breach "$file: $lines lines"
done < <(git ls-files 'bpf/*.[ch]' 'user/*.[ch]')

exit $((breaches > 0))
