#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs in a guest whose kernel cannot run the data plane: the agent says so, by the feature's name, and leaves nothing.
# Writes what it said into the file that is named, and ends with "N passed, N failed, N skipped".
set -u
said=$1
pins=/sys/fs/bpf/refused state=$(mktemp -d)
good=0 bad=0

row() { # SENTENCE COMMAND...
	local sentence=$1

	shift
	if "$@"; then
		good=$((good + 1))
		echo "ok - $sentence"
	else
		bad=$((bad + 1))
		echo "not ok - $sentence"
	fi
}

agent_ends() { timeout 120 build/sluiced --device lo --state "$state" --pins "$pins" >"$said" 2>&1; [ $? = 1 ]; }
names_the_feature() { grep -q "this kernel ($(uname -r)) lacks .*, which came with Linux [0-9]" "$said"; }
leaves_no_pin() { [ ! -e "$pins" ]; }
leaves_no_program() { ! bpftool prog show | grep -q 'name sl_'; }
leaves_no_map() { sleep 2 && ! bpftool map show | grep -q 'name sl_'; }
leaves_no_filter() { [ -z "$(tc filter show dev lo ingress; tc filter show dev lo egress)" ]; }
status() { timeout 60 build/sluice --state "$state" --pins "$pins" status "$@" 2>&1; }
status_says_none() { status | grep -q 'no data plane'; }
status_names_features() { status -o json | grep -q '"there": *false'; }

row "the agent ends with 1" agent_ends
row "it names the feature that lacks, the version that brought it and the kernel" names_the_feature
row "it leaves no pin" leaves_no_pin
row "it leaves no program" leaves_no_program
row "it leaves no map" leaves_no_map
row "it leaves no filter" leaves_no_filter
row "sluice status says that there is no data plane" status_says_none
row "sluice status says which features are there and which are not" status_names_features
cat "$said"
echo "$good passed, $bad failed, 0 skipped"
[ "$bad" = 0 ]
