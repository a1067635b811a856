#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent beside another's XDP program, behind libxdp's dispatcher: at its start, and later, when it has given up what
# it could and its system calls are filtered. Needs a kernel that can replace a program's function.
. "$(dirname "$0")/lib.sh"

object=$build/tests/prog/other.bpf.o

# The program's number behind the interface's dispatcher, and nothing when it is not there.
program_of() { # DEVICE NAME
	in_ns node xdp-loader status "$1" 2>>"$tmp/loader" | awk -v name="$2" '$1 == "=>" && $3 == name { print $4 }'
}

other_load() { # DEVICE
	in_ns node xdp-loader load -m native -n other_xdp "$1" "$object" >>"$tmp/loader" 2>&1 || return 1
	[ -n "$(program_of "$1" other_xdp)" ]
}

other_unload() { # DEVICE
	in_ns node xdp-loader unload "$1" --id "$(program_of "$1" other_xdp)" >>"$tmp/loader" 2>&1
}

# What libxdp pins outlives an interface.
others_unload() {
	local device

	for device in n_c1 n_new n_late; do
		[ ! -e "/run/netns/$W-node" ] || in_ns node xdp-loader unload "$device" --all >>"$tmp/loader" 2>&1 || true
	done
}

other_saw() { # DEVICE: frames
	local map

	map=$(bpftool -j prog show id "$(program_of "$1" other_xdp)" | sed -n 's/.*"map_ids":\[\([0-9]*\).*/\1/p')
	bpftool -j map dump id "$map" | sed -n 's/.*"frames":\([0-9]*\).*/\1/p'
}

we_saw() { # at the XDP doors
	bpftool -j map lookup pinned "$pins/verdicts" key 0 0 0 0 |
		grep -o '"\(open\|forward\)_redirect":[0-9]*' | awk -F: '{ sum += $2 } END { print sum + 0 }'
}

place_of() { # DEVICE
	sluice status -o json | tr -d ' \n' | grep -o "\"device\":\"$1\"[^}]*" | sed -n 's/.*"xdp_place":"\([a-z]*\)".*/\1/p'
}

place_is() { [ "$(place_of "$1")" = "$2" ]; }

both_there() { # DEVICE
	is "the place of the XDP door of $1" dispatcher "$(place_of "$1")" &&
		is "the other's programs on $1" 1 "$(program_of "$1" other_xdp | wc -l)" &&
		is "our programs on $1" 1 "$(program_of "$1" sl_xdp | wc -l)"
}

serves() {
	ask open --to "$vip4" --port 80 --count 300 && is "answers of the service" 300 "$(field ok)" && shares 4.5 50 30 20
}

both_see() {
	local others ours

	others=$(other_saw n_c1) ours=$(we_saw)
	serves || return 1
	at_least "frames that the other saw" $((others + 900)) "$(other_saw n_c1)" &&
		at_least "packets that XDP sent on" $((ours + 900)) "$(we_saw)"
}

refused_nothing() { is "what the agent could not do" "" "$(grep -i 'error:\|warning:\|not permitted' "$tmp/agent.log")"; }

starts_beside() {
	both_there n_c1 && is "the place of n_c2's XDP door" single "$(place_of n_c2)" && refused_nothing
}

confined() {
	is "Seccomp (2: a filter)" 2 "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$agent/status")" &&
		is "CAP_SYS_ADMIN kept" 1 \
			"$(grep -c 'CAP_SYS_ADMIN is kept: \(the kernel has no tcx\|.* shared with another\)' "$tmp/agent.log")"
}

program_is_another() { # DEVICE NUMBER
	local now

	now=$(program_of "$1" sl_xdp)
	[ -n "$now" ] && [ "$now" != "$2" ]
}

checks_again() {
	kill -HUP "$agent"
	wait_for "the door to be put there anew" program_is_another n_c1 "$(program_of n_c1 sl_xdp)" &&
		both_there n_c1 && refused_nothing && both_see
}

# An interface that the agent sees when the other's program is there already.
interface_add() { # NAME
	ip -n "$W-node" link add "x_${1#n_}" type veth peer name "p_${1#n_}"
	other_load "x_${1#n_}" || { cat "$tmp/loader" && return 1; }
	ip -n "$W-node" link set "x_${1#n_}" name "$1" && ip -n "$W-node" link set "$1" up
}

comes_later() {
	interface_add n_new && wait_for "the XDP door on n_new" place_is n_new dispatcher && both_there n_new &&
		refused_nothing
}

starts_again() {
	agent_end TERM
	agent_start && both_there n_c1 && both_there n_new && refused_nothing && both_see
}

other_goes() {
	other_unload n_c1 || { cat "$tmp/loader" && return 1; }
	is "our programs on n_c1" 1 "$(program_of n_c1 sl_xdp | wc -l)" && serves || return 1
	kill -HUP "$agent"
	wait_for "the door to be put there anew" program_is_another n_c1 "$(program_of n_c1 sl_xdp)" && serves &&
		refused_nothing
}

detaches() {
	agent_end TERM
	detach || return 1
	is "our programs on n_c1" "" "$(program_of n_c1 sl_xdp)" && is "our programs on n_new" "" "$(program_of n_new sl_xdp)" &&
		is "the other's programs on n_new" 1 "$(program_of n_new other_xdp | wc -l)"
}

# With nobody to share with at its start it keeps no means to.
unprepared() {
	others_unload
	ip -n "$W-node" link del n_new
	agent_start && config 50 30 20 | apply >"$tmp/row" || return 1
	if grep -q 'no tcx' "$tmp/agent.log"; then
		echo "no tcx in this kernel (before 6.6): CAP_SYS_ADMIN is always kept"
		return 77
	fi
	interface_add n_late && wait_for "the advice" \
		grep -q 'n_late.*cannot attach XDP: .*another.*: start sluiced again' "$tmp/agent.log" || return 1
	kill -0 "$agent" && serves || return 1
	agent_end TERM
	agent_start && both_there n_late && serves
}

door=xdp
world_up
trap 'trap "" INT TERM; others_unload; world_end' EXIT
as="beside another's XDP program"
needs xdp-loader >"$tmp/why" || { echo "ok - the agent $as # SKIP $(cat "$tmp/why")" && echo "1..1" && exit; }
if ! other_load n_c1; then
	echo "ok - the agent $as # SKIP libxdp has no dispatcher here: the kernel cannot replace a program's function"
	echo "1..1"
	exit
fi
agent_start || die "the agent comes up $as"
config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
row "the agent starts $as" starts_beside
row "both see the service's packets, which are split" both_see
row "the agent is confined, and says why it keeps CAP_SYS_ADMIN" confined
row "confined, the agent puts its door there anew" checks_again
row "confined, the agent attaches to an interface that comes $as" comes_later
row "the agent starts again $as" starts_again
row "the other goes and the door stays" other_goes
row "--detach leaves the other" detaches
row "an agent that gave up what it takes says so, and the next one has it" unprepared
rows_end
