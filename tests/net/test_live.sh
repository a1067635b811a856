#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Promises 7 and 8: what happens to connections and to Sluice's own processes while they live.
. "$(dirname "$0")/lib.sh"

# Connections held before and after a deed: TCP and UDP, IPv4 and IPv6.
holding() { # DEED...
	local holds=''

	hold_start tcp4 --to "$vip4" --port 80 --count 100 || return 1
	holds="tcp4:$hold"
	hold_start tcp6 --to "$vip6" --port 80 --count 100 || return 1
	holds="$holds tcp6:$hold"
	hold_start udp4 --to "$vip4" --port 53 --udp --count 100 || return 1
	holds="$holds udp4:$hold"
	hold_start udp6 --to "$vip6" --port 53 --udp --count 100 || return 1
	holds="$holds udp6:$hold"
	"$@" || return 1
	sleep 0.3
	for hold in $holds; do
		local name=${hold%:*}

		hold=${hold#*:}
		hold_end "$name" 100 || { echo "$name" && return 1; }
	done
}

weights_move() { weight 0 0 1 && sleep 0.2 && weight 0 1 0 && sleep 0.2 && weight 50 30 20; }
back_and_forth() { sluice rollback >"$tmp/deed" && sleep 0.2 && sluice rollback >"$tmp/deed"; }
endpoint_comes() { entry "s1 s3 s4" | apply >"$tmp/deed" && sleep 0.2 && entry | apply >"$tmp/deed"; }
endpoint_drains() {
	sluice endpoint drain reviews 10.77.11.2 >"$tmp/deed" && sluice endpoint drain reviews fd77:11::2 >"$tmp/deed" &&
		sleep 0.2 && ask open --to "$vip4" --port 80 --count 300 &&
			is "new connections of a draining endpoint" 0 "$(field v1.s1)" &&
		sluice endpoint drain --undo reviews 10.77.11.2 >"$tmp/deed" &&
		sluice endpoint drain --undo reviews fd77:11::2 >"$tmp/deed"
}
version_loses_all() { entry "s4" | apply >"$tmp/deed" && sleep 0.3 && entry | apply >"$tmp/deed"; }
agent_dies() { agent_end KILL && sleep 0.3 && agent_start; }
agent_stops() { agent_end TERM && sleep 0.2 && agent_start; }
# By links, and by filters of tc for where the kernel has no tcx.
programs_attached() {
	{ bpftool -j link show | grep -o '"prog_id":[0-9]*'; in_ns node bpftool -j net show | grep -o '"id":[0-9]*'; } |
		sort | tr '\n' ' '
}

programs_replaced() {
	local before after

	before=$(programs_attached)
	agent_end TERM
	agent_start --forward stack && sleep 0.2 || return 1
	after=$(programs_attached)
	[ -n "$before" ] || { echo "no program is seen at a door" && return 1; }
	[ "$before" != "$after" ] || { echo "the doors run the same programs as before: $before" && return 1; }
	agent_end TERM
	agent_start
}

# One source port, again and again, while the weights move: every SYN obeys those of now.
port_reuse() { # VIP CLOSE
	local turn want

	for turn in 1 2 3 4 5 6; do
		[ $((turn % 2)) = 0 ] && want=v1 || want=v3
		if [ "$want" = v1 ]; then weight 1 0 0; else weight 0 0 1; fi || return 1
		ask open --to "$1" --port 80 --source-port 5000 --close "$2" --concurrency 1 --count 3 --timeout 2000
		is "turn $turn: answers of $want on the port" 3 "$(field "$want")" || return 1
	done
	weight 50 30 20
}

# --- promise 8 ---

under_load() { # DEED...: none of the connections that are opened meanwhile fails
	start c1 "$tools/client" open --to "$vip4" --port 80 --rate $((2000 / times)) --for $((3 * times)) \
		--concurrency 256 >"$tmp/load"
	local load=$!

	nap 0.5
	"$@" || return 1
	wait "$load"
	cp "$tmp/load" "$tmp/answer"
	is "failed connections" 0 "$(field failed)" && at_least "connections" 4000 "$(field ok)"
}

killed_and_back() {
	local revision

	revision=$(active)
	agent_end KILL
	sleep 0.5
	ask open --to "$vip6" --port 80 --count 1000 && is "connections without an agent" 1000 "$(field ok)" &&
		shares 4.5 50 30 20 || return 1
	agent_start || return 1
	is "the revision that the next agent adopts" "$revision" "$(active)"
}

only_adopted() {
	agent_end KILL
	: >"$tmp/agent.log"
	agent_start --check-interval 1 || return 1
	sleep 2.2
	is "what the next agent had to repair or attach" "" \
			"$(grep -i 'repair\|differ\|attached\|warning\|error' "$tmp/agent.log")" &&
		sluice status >"$tmp/status"
}

cli_without_agent() {
	agent_end KILL
	weight 1 0 0 && ask open --to "$vip4" --port 80 --count 300 && is "answers of v1" 300 "$(field v1)" &&
		weight 50 30 20 && agent_start
}

# Commands killed at any moment: what is there stays whole.
killed_commands() {
	local i command

	for ((i = 0; i < 60; i++)); do
		nsenter --net="/run/netns/$W-node" "$bin/sluice" --state "$state" --pins "$pins" \
			weight reviews "v1=$((i + 1))" v2=30 v3=20 >"$tmp/killed" 2>&1 &
		command=$!
		nap "0.0$(printf %02d $((i * 7 % 23)))"
		kill -KILL "$command" 2>"$tmp/kill"
		wait "$command" 2>"$tmp/kill"
	done
	return 0 # and not what the last one ended with
}

killed_agents() {
	local i

	for ((i = 0; i < 12; i++)); do
		agent_end KILL
		start node "$bin/sluiced" --device 'n_*' --door "$door" --state "$state" --pins "$pins" >>"$tmp/agent.log" 2>&1
		agent=$!
		nap "0.$(printf %02d $((i * 13 % 29)))"
	done
	agent_end KILL
	agent_start
}

whole_after() {
	sluice status >"$tmp/status" 2>&1 || { cat "$tmp/status" && return 1; }
	ask open --to "$vip4" --port 80 --count 300 && is "connections" 300 "$(field ok)"
}

# What a second agent does to the same pins and state.
second_agent() { # STATE PINS
	local code=0

	timeout $((20 * times)) ip netns exec "$W-node" "$bin/sluiced" --device 'n_*' --door "$door" --state "$1" --pins "$2" \
		--flows 65536 --services 1024 --versions 256 --endpoints 1024 >"$tmp/second" 2>&1 </dev/null || code=$?
	cat "$tmp/second"
	is "the second agent's exit code" 1 "$code"
}
second_is_refused() { # STATE PINS
	local links

	links=$(ls "$pins/links")
	second_agent "$1" "$2" || return 1
	grep -q "agent" "$tmp/second" || { echo "it does not say that an agent is there" && return 1; }
	is "the links" "$links" "$(ls "$pins/links")" && kill -0 "$agent"
}

for door in tc xdp; do
	world_up
	agent_start || die "the agent comes up"
	config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
	live="promise_7_live_connections_stay:"
	row "$live while weights move" holding weights_move
	row "$live through rollbacks" holding back_and_forth
	row "$live while an endpoint leaves and comes back" holding endpoint_comes
	row "$live while an endpoint drains" holding endpoint_drains
	row "$live while every other endpoint is taken away" holding version_loses_all
	row "$live while the agent is killed and starts again" holding agent_dies
	row "$live while the agent is stopped and starts again" holding agent_stops
	row "$live while the programs are replaced" holding programs_replaced
	for close in server rst; do
		row "$live a SYN on a used port obeys the weights of now (IPv4, closed by $close)" port_reuse "$vip4" $close
		row "$live a SYN on a used port obeys the weights of now (IPv6, closed by $close)" port_reuse "$vip6" $close
	done
	row "$live while a second agent starts and is refused" holding second_is_refused "$state" "$pins"
	static="promise_8_fail_static:"
	row "$static the agent is killed under load, no connection fails, the next one adopts" under_load killed_and_back
	row "$static the next agent finds nothing to repair or to attach" only_adopted
	row "$static the CLI changes weights while the agent is dead" cli_without_agent
	row "$static commands killed at any moment under load" under_load killed_commands
	row "$static after that the node is whole" whole_after
	row "$static agents killed while they start, under load" under_load killed_agents
	row "$static after that the node is whole too" whole_after
	world_end
done
rows_end
