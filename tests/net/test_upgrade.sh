#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The agent is replaced under load: every start loads its programs anew and puts them into the links that are there.
# Not one numbered datagram may be lost, and no connection may break or move.
. "$(dirname "$0")/lib.sh"

# What a slow machine cannot carry it would lose by itself, so it gets as much less as it gets more time.
rate=$((2000 / times)) # datagrams a second and family

numbers_config() {
	config 50 30 20 | sed '/number: 53,/a\  - {number: 54, name: numbers, protocol: UDP, targetPort: 8081}'
}

echoes_start() {
	local name

	for name in s1 s2 s3 s4; do
		start "$name" "$tools/numbered" echo 8081 "$name"
	done
}

# NAME ADDRESS: returns once each socket has been answered.
numbers_start() {
	rm -f "$tmp/$1.ready"
	start c1 "$tools/numbered" send "$2" 54 "$rate" 60 32 "$tmp/$1.ready" >"$tmp/$1"
	sender=$!
	wait_for "answers to numbered datagrams" test -e "$tmp/$1.ready"
}

numbers_end() { # NAME LEAST
	kill -TERM "$sender"
	wait "$sender"
	pids=${pids/ $sender/}
	cp "$tmp/$1" "$tmp/answer"
	cat "$tmp/answer" >>"$tmp/figures"
	at_least "datagrams of $1" "$2" "$(field sent)" && is "datagrams lost of $1" 0 "$(field lost)" &&
		is "datagrams of $1 that came twice" 0 "$(field twice)" &&
		is "datagrams of $1 that another endpoint answered" 0 "$(field moved)" &&
		is "datagrams of $1 that were refused" 0 "$(field refused)"
}

connections_end() { # NAME WANTED LEAST: so many exchanges at least
	hold_end "$1" "$2" || return 1
	cat "$tmp/answer" >>"$tmp/figures"
	at_least "exchanges of $1" "$3" "$(field exchanges)"
}

# Which programs there are: those that are pinned, and those in the links.
program_ids() {
	local program

	for program in prog_tc_in prog_tc_out prog_xdp; do
		bpftool -j prog show pinned "$pins/$program" | sed -n 's/^{"id": *\([0-9]*\),.*/\1/p'
	done
	links_show | sed -n 's/.*"prog_id": *\([0-9]*\).*/\1/p' | sort -nu
}

# None of the programs of before may be in use, and each link must be the one of before.
replaced() { # LINKS PROGRAMS
	local kept

	is "the links" "$1" "$(link_ids)" || return 1
	kept=$(comm -12 <(sort <<<"$2") <(program_ids | sort))
	at_least "programs before" 3 "$(wc -l <<<"$2")" && is "programs of before that still run" "" "$kept"
}

# Frames that a device had no room for: what is lost there is not the doors'.
queues_dropped() {
	local space

	for space in node c1 s1 s2 s3 s4; do
		ip -n "$W-$space" -s -j link show
	done | grep -o '"tx":{[^}]*}' | sed -n 's/.*"dropped":\([0-9]*\).*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'
}

under_numbers() { # DEED...
	local links programs four six tcp bulk dropped

	dropped=$(queues_dropped)
	links=$(link_ids)
	programs=$(program_ids)
	numbers_start four "$vip4" && four=$sender || return 1
	numbers_start six "$vip6" && six=$sender || return 1
	hold_start tcp --to "$vip4" --port 80 --count 100 --every $((10 * times)) && tcp=$hold || return 1
	# A veth's queue holds 256 frames: all that may be under way at once must fit, or a burst of these loses a datagram.
	hold_start bulk --to "$vip6" --port 80 --count 2 --every $((10 * times)) --get $((50000 / times)) &&
		bulk=$hold || return 1
	"$@" || return 1
	nap 0.3
	echo "frames that found a queue full: $(($(queues_dropped) - dropped))"
	sender=$four && numbers_end four $((rate / 2)) || return 1
	sender=$six && numbers_end six $((rate / 2)) || return 1
	hold=$tcp && connections_end tcp 100 1000 || return 1
	hold=$bulk && connections_end bulk 2 50 || return 1
	replaced "$links" "$programs"
}

stop_start() { agent_end TERM && nap 0.3 && agent_start; }
kill_start() { agent_end KILL && nap 0.3 && agent_start; }
five_starts() {
	local i

	for i in TERM KILL TERM KILL TERM; do
		agent_end "$i" && agent_start || return 1
	done
}
other_settings() { agent_end TERM && agent_start --udp-idle 60 && nap 0.3 && agent_end TERM && agent_start; }

for door in tc xdp; do
	world_up
	echoes_start
	agent_start || die "the agent comes up"
	numbers_config | apply >"$tmp/row" || die "the configuration is taken"
	upgrade="upgrade_under_load: no datagram lost, no connection broken:"
	row "$upgrade the agent is stopped, the next one starts" under_numbers stop_start
	row "$upgrade the agent is killed, the next one starts" under_numbers kill_start
	row "$upgrade five starts in a row" under_numbers five_starts
	row "$upgrade a start with another idle time, and one back" under_numbers other_settings
	[ ! -s "$tmp/figures" ] || while read -r line; do note "$line"; done <"$tmp/figures"
	world_end
done
rows_end
