#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Promise 8 in the agent that runs: something happens to it, its folder changes or an interface comes or goes, and it is killed
# before one of the system calls that it then makes. Clients go on opening connections: none may fail. The next start is whole,
# and does what the killed one had begun.
#
# POINTS says at how many calls of each kind of news (2), ALL=1 takes each; DOORS names doors.
. "$(dirname "$0")/lib.sh"

stopper=$build/tests/crash/stopper
rules='' # the folder, once there is a world

# --- an agent that waits, to be stopped at a call ---

agent_pid() { cat "/proc/$agent/task/$agent/children"; }

stopped_start() { # STOPPER-OPTION...
	local before

	before=$(grep -c 'ready, ' "$tmp/agent.log")
	start node "$stopper" --asked --report "$tmp/report" "$@" "$bin/sluiced" --device 'n_*' --door "$door" \
		--state "$state" --pins "$pins" --flows 65536 --services 1024 --versions 256 --endpoints 1024 \
		--config "$rules" >>"$tmp/agent.log" 2>&1
	agent=$!
	wait_for "the agent" agent_says_ready "$before" && return
	tail -n 5 "$tmp/agent.log"
	return 1
}

# Its calls count from now on.
ask_now() { kill -USR1 "$agent"; }

# --- the news, and what is to be once an agent has taken them ---

turn=0
weights_change() {
	turn=$((turn % 40 + 1))
	config "$turn" 30 20 >"$tmp/new.yaml" && mv "$tmp/new.yaml" "$rules/a.yaml"
}
weights_taken() { sluice get splits -o json 2>"$tmp/said" | grep -q "\"weight\": $turn,"; }

device_comes() {
	ip -n "$W-node" link add n_new type veth peer name n_peer && ip -n "$W-node" link set n_new up
}
device_goes() { ip -n "$W-node" link del n_new; }
door_on() { sluice status -o json | tr -d '\n' | grep -q '"device": *"n_new"'; }
door_off() { ! door_on; }

undo_of() { # NEWS: what makes room for it again
	case $1 in
	device_comes) device_goes ;;
	device_goes) device_comes ;;
	esac
}

taken_is() { # NEWS
	case $1 in
	weights_change) weights_taken ;;
	device_comes) door_on ;;
	device_goes) door_off ;;
	esac
}

# Pins are named by the interface's number.
links_astray() {
	local link number

	in_ns node ip -o link >"$tmp/interfaces"
	for link in "$pins"/links/*; do
		number=${link##*/}
		grep -q "^${number%%_*}: " "$tmp/interfaces" || echo "$link"
	done
}

whole() {
	sluice status -o json >"$tmp/status" 2>&1 || { cat "$tmp/status" && return 1; }
	is "drift" "" "$(tr -d ' \n' <"$tmp/status" | sed -n 's/.*"drift":\[\([^]]*\)\].*/\1/p')" &&
		is "the revision on disk" "$(active)" "$(sed -n 's/^active \([0-9]*\) .*/\1/p' "$state/active")" &&
		is "files half written or set aside" "" "$(find "$state" -name '*.tmp' -o -path '*/damaged/*')" &&
		is "links of no interface" "" "$(links_astray)"
}

# --- killed ---

# What it does until it waits again, one call a line; without its end, which does not come where it is killed.
calls_of() { # NEWS
	stopped_start --list "$tmp/calls" || return 1
	ask_now && "$1" && wait_for "$1 to be taken" taken_is "$1" || return 1
	nap 0.3
	cp "$tmp/calls" "$tmp/list"
	kill -TERM "$(agent_pid)"
	wait "$agent"
	pids=${pids/ $agent/}
	at_least "calls after $1" 10 "$(wc -l <"$tmp/list")"
}

# Among those that change something that others see; the doors try others of them.
points() {
	if [ -n "${ALL-}" ]; then
		seq 1 "$(wc -l <"$tmp/list")"
	else
		awk -v most="${POINTS:-2}" -v offset="$([ "$door" = tc ] && echo 0 || echo 0.5)" '
			/^[a-z]/ { list[++count] = NR }
			END {
				step = count > most ? count / most : 1
				for (i = count - offset * step; i >= 1; i -= step) print list[int(i)]
			}' "$tmp/list"
	fi
}

# By the call; or it is idle, because this time it made fewer.
is_gone() { ! kill -0 "$agent" 2>>"$tmp/end"; }
is_over() { is_gone || { taken_is "$1" && nap 0.5; }; }

killed_at() { # NEWS CALL
	: >"$tmp/report"
	stopped_start --kill "$2" || return 1
	ask_now && "$1" || return 1
	wait_for "the end at call $2" is_over "$1" || return 1
	! is_gone || hits=$((hits + 1))
	agent_end KILL 2>>"$tmp/end"
	agent_start --config "$rules" && wait_for "$1 to be taken by the next start" taken_is "$1" && whole || return 1
	agent_end TERM
}

killed_after() { # NEWS...
	local news point bad=0 tried=0 hits=0

	agent_end TERM
	for news; do
		calls_of "$news" || return 1
		for point in $(points); do
			tried=$((tried + 1))
			undo_of "$news" && killed_at "$news" "$point" && continue
			echo "$news, call $point: $(cat "$tmp/report")"
			tail -n 5 "$tmp/agent.log"
			bad=1
			break
		done
	done
	note "killed at $hits of $tried calls after $*" >>"$tmp/figures"
	at_least "agents killed by a call" $(((tried + 1) / 2)) "$hits" && [ "$bad" = 0 ] && agent_start --config "$rules"
}

# Clients that open connections all the while.
under_load() { # DEED...
	local code=0 load

	[ -x "$stopper" ] || { echo "the stopper is not here (make crash-tools)" && return 77; }
	start c1 "$tools/client" open --to "$vip4" --port 80 --rate $((500 / times)) --for $((600 * times)) \
		--concurrency 64 >"$tmp/load"
	load=$!
	nap 0.3
	"$@" || code=1
	kill -TERM "$load"
	wait "$load"
	pids=${pids/ $load/}
	cp "$tmp/load" "$tmp/answer"
	is "failed connections" 0 "$(field failed)" && at_least "connections" 200 "$(field ok)" && return "$code"
}

for door in ${DOORS:-tc xdp}; do
	world_up
	rules=$tmp/rules
	mkdir "$rules" && weights_change
	agent_start --config "$rules" || die "the agent comes up"
	static="promise_8_fail_static: no connection fails and the next start is whole:"
	row "$static the agent is killed while it takes a changed folder" under_load killed_after weights_change
	row "$static the agent is killed while an interface comes, and while it goes" \
		under_load killed_after device_comes device_goes
	[ ! -s "$tmp/figures" ] || cat "$tmp/figures"
	world_end
done
rows_end
