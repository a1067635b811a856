#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hours in small: everything that changes changes at once, for long. See usage.
usage() {
	cat <<-END
		Usage: soak.sh [tc|xdp]      both doors, one after the other, when none is named
		A node of network namespaces under load: weights move ten times a second, an endpoint leaves or comes back every
		second, connections are opened and held, a SYN flood of random keys runs beside many live connections.
		Every ten seconds and at the end: no connection failed or moved, the agent's memory and the maps' stay as they
		were, the verdicts add up to the packets that the doors saw. At the end: at least nine in ten of the changes of
		weights, eight in ten of the endpoints' and of the flood's SYNs took place. Needs root. Exit codes: 0 well, 1 not,
		2 wrong usage.
		  SOAK_SECONDS  how long, each door (1800)
		  SOAK_FLOWS    live connections made by BPF_PROG_RUN (1000000)
		  SOAK_FLOOD    SYNs of random keys a second (5000)
		  SOAK_RATE     new connections a second by sockets (200)
		  BUILD         the build folder (build)
	END
}
case ${1-} in
-h | --help) usage && exit ;;
'' | tc | xdp) ;;
*) usage >&2 && exit 2 ;;
esac
if [ -z "${1-}" ]; then
	bad=0
	"$0" tc || bad=1
	"$0" xdp || bad=1
	exit "$bad"
fi
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # or the disk is what is tested
. "$(dirname "$0")/../net/lib.sh"

door=$1
seconds=${SOAK_SECONDS:-1800} flows=${SOAK_FLOWS:-1000000} flood_rate=${SOAK_FLOOD:-5000} rate=${SOAK_RATE:-200}
counter=1 # of `verdicts`: the tc door
program=prog_tc_in
[ "$door" = tc ] || { counter=0 && program=prog_xdp; }
rss_first='' maps_first=''

# --- what the doors saw, and what they counted ---

# One packet of the wire must be one of the door's.
segments_off() {
	local name

	for name in c1 c2 s1 s2 s3 s4; do
		in_ns "$name" ethtool -K port tso off gso off >>"$tmp/ethtool" 2>&1
		in_ns node ethtool -K "n_$name" tso off gso off gro off >>"$tmp/ethtool" 2>&1
	done
	return 0 # an offload that a kernel lets nobody change is seen by the sums
}

runs() { od -An -tu8 -w48 "$tmp/counts" 2>>"$tmp/end" | awk '{ print $1 + 0; found = 1 } END { if (!found) print 0 }'; }
flood_count() { od -An -tu8 -w48 "$tmp/counts" | awk -v at="$1" '{ print $at }'; } # runs made flood asked moved lost
received() {
	# shellcheck disable=SC2016
	in_ns node sh -c 'cat /proc/net/dev' | awk '/^ *n_/ { sub(":", " "); sum += $3 } END { print sum + 0 }'
}
seen() { echo $(($(received) + $(runs))); }

verdicts() { # notes are no verdicts
	bpftool -j map dump pinned "$pins/verdicts" | jq --argjson door "$counter" '
		[.[] | select(.formatted.key == $door) | .formatted.values[].value | to_entries[] |
			select(.key | startswith("note_") | not) | .value] | add'
}

# A packet may be between its device's counter and the door: so many wait at most on each CPU.
verdicts_add_up() { # SLACK
	local before count after slack=$1 try

	for try in 1 2 3 4 5; do
		before=$(seen)
		count=$(verdicts)
		after=$(seen)
		verdict_sums="verdicts $((count - verdicts_first)), packets $((before - seen_first)) to $((after - seen_first))"
		[ $((count - verdicts_first)) -ge $((before - seen_first - slack)) ] &&
			[ $((count - verdicts_first)) -le $((after - seen_first)) ] &&
			{ [ "$slack" != 0 ] || [ "$before" = "$after" ]; } && return
		sleep 1
	done
	echo "the verdicts do not add up after $try looks: $verdict_sums"
	return 1
}

# --- memory ---

# The least of some looks: while the agent compares everything, it holds a plan of it for a moment.
rss() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		awk '/^VmRSS/ { print $2 }' "/proc/$agent/status"
		sleep 0.05
	done | sort -n | head -n 1
}
maps_kb() {
	local map

	for map in "$pins"/*; do
		[ -f "$map" ] && bpftool -j map show pinned "$map" 2>>"$tmp/end"
	done | jq -s '[.[].bytes_memlock // 0] | add / 1024 | floor'
}
slab_kb() { awk '/^Slab/ { print $2 }' /proc/meminfo; }

# A twentieth and two megabytes more than at the first look are as flat as an allocator is.
memory_is_flat() {
	local now_rss now_maps

	now_rss=$(rss) now_maps=$(maps_kb)
	rss_first=${rss_first:-$now_rss} maps_first=${maps_first:-$now_maps}
	memory="agent $now_rss kB, maps $now_maps kB, slab of the machine $(slab_kb) kB"
	[ "$now_rss" -le $((rss_first + rss_first / 20 + 2048)) ] &&
		[ "$now_maps" -le $((maps_first + maps_first / 20 + 2048)) ] && return
	echo "memory grew: at first agent $rss_first kB, maps $maps_first kB; now $memory"
	return 1
}

# --- connections ---

connections_live() {
	is "connections by BPF_PROG_RUN" "$flows" "$(flood_count 2)" &&
		is "packets of live connections that went elsewhere" 0 "$(flood_count 5)" &&
		is "packets of live connections that were not sent" 0 "$(flood_count 6)"
}

sockets_live() { # NAME PID: of those so far
	local lines

	lines=$(wc -l <"$tmp/$1")
	kill -USR1 "$2" || { echo "the client \"$1\" has ended" && return 1; }
	wait_for "the client's word" more_lines "$tmp/$1" "$lines" || return 1
	tail -n 1 "$tmp/$1" >"$tmp/answer"
	is "failed of $1" 0 "$(field failed)" && is "moved of $1" 0 "$(field moved)"
}
more_lines() { [ "$(wc -l <"$1")" -gt "$2" ]; }

churn() { # until killed: an endpoint less, and all
	local now="s1 s2 s3 s4" turn=0

	while :; do
		sleep 1 & # a change takes its own time too: of the same second
		now="s1 s2 s3 s4"
		[ $((turn % 2)) = 1 ] || now=${now/s$((turn / 2 % 2 + 1)) /}
		entry "$now" | apply >"$tmp/churn.out" 2>&1 || cat "$tmp/churn.out" >>"$tmp/churn.errors"
		turn=$((turn + 1))
		echo "$turn" >"$tmp/churn"
		wait $!
	done
}

load_start() {
	start node "$build/tests/soak/flood" "$pins/$program" "$door" n_c1 "$vip4" 80 "$flows" "$flood_rate" "$tmp/counts"
	flood=$!
	for ((i = 0; i < 1200 * times; i++)); do
		[ -e "$tmp/counts" ] && [ "$(flood_count 2)" = "$flows" ] && break
		kill -0 "$flood" || die "the live connections are made"
		sleep 0.5
	done
	hold_start held4 --to "$vip4" --port 80 --count 100 || die "held connections, IPv4"
	held4=$hold
	hold_start held6 --to "$vip6" --port 53 --udp --count 100 || die "held connections, IPv6"
	held6=$hold
	start c2 "$tools/client" open --to "$vip4" --port 80 --rate "$rate" --for $((seconds + 60)) --concurrency 256 \
		>"$tmp/opened"
	opened=$!
	start node "$tools/flipper" "$state" "$pins" reviews 10 $((10 * seconds)) >"$tmp/flips"
	flipper=$!
	: >"$tmp/churn.errors"
	flood_first=$(flood_count 3) load_began=$SECONDS
	churn &
	churner=$!
	pids="$pids $churner"
}

check() {
	memory_is_flat && connections_live && sockets_live held4 "$held4" && sockets_live held6 "$held6" &&
		sockets_live opened "$opened" && verdicts_add_up $((2000 * $(nproc)))
}

# The first ten seconds fill the history of revisions; what is there then is the measure.
soak() {
	local began=$SECONDS looks=0

	: >"$tmp/looks"
	while [ $((SECONDS - began)) -lt "$seconds" ]; do
		sleep 10
		check || { touch "$tmp/over" && return 1; }
		looks=$((looks + 1))
		echo "$((SECONDS - began)) s: $memory; $verdict_sums;" \
			"flood $(flood_count 3), asked $(flood_count 4)" >>"$tmp/looks"
	done
	at_least "looks" 1 "$looks"
}

load_end() {
	[ ! -e "$tmp/over" ] || { echo "it ended early: not counted" && return 1; }
	local took=$((SECONDS - load_began)) # the last look takes its time

	kill "$churner" "$flood"
	wait "$churner" "$flood" 2>>"$tmp/end"
	flooded=$(($(flood_count 3) - flood_first))
	wait "$flipper" || { cat "$tmp/flips" && return 1; }
	kill -TERM "$opened"
	wait "$opened"
	pids=${pids/ $churner/} pids=${pids/ $flood/} pids=${pids/ $flipper/} pids=${pids/ $opened/}
	tail -n 1 "$tmp/opened" >"$tmp/answer"
	is "failed connections" 0 "$(field failed)" && at_least "connections" $((rate * seconds / 2)) "$(field ok)" || return 1
	opened_ok=$(field ok)
	for name in held4 held6; do
		hold=${!name}
		kill -TERM "$hold"
		wait "$hold"
		pids=${pids/ $hold/}
		tail -n 1 "$tmp/$name" >"$tmp/answer"
		is "held connections of $name" 100 "$(field ok)" && is "moved of $name" 0 "$(field moved)" || return 1
	done
	cp "$tmp/flips" "$tmp/answer"
	at_least "changes of weights" $((seconds * 9)) "$(field changes)" &&
		is "endpoint changes that failed" "" "$(cat "$tmp/churn.errors")" &&
		at_least "endpoint changes" $((took * 8 / 10)) "$(cat "$tmp/churn")" &&
		at_least "SYNs of the flood" $((flood_rate * took * 8 / 10)) "$flooded"
}

needs jq ethtool bpftool || exit
world_up
ip -n "$W-node" route add 10.128.0.0/9 via 10.77.1.2
segments_off
agent_start --flows $((flows * 2 > 65536 ? flows * 2 : 65536)) || die "the agent comes up"
config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
# XDP leaves to tc what goes to a neighbour that the node does not know yet.
ask open --to "$vip4" --port 80 --count 200
is "connections before the load" 200 "$(field ok)" || die "connections before the load"
sleep 1
# A packet between the two numbers would be in one of them for ever.
for try in 1 2 3 4 5; do
	seen_first=$(seen) verdicts_first=$(verdicts)
	[ "$seen_first" != "$(seen)" ] || break
	sleep 0.2
done
load_start
soaks="soak: $seconds s, $flows live connections, $flood_rate SYNs a second beside them:"
row "$soaks every look is well" soak
row "$soaks nothing failed, nothing moved" load_end
row "$soaks the verdicts add up to the packets that the doors saw" verdicts_add_up 0
while read -r line; do note "$line"; done <"$tmp/looks"
note "flows that gave their place to another: $(verdict note_flow_evicted), without a place: $(verdict note_flow_full)"
note "${verdict_sums-}; connections opened: ${opened_ok-0}"
note "$(cat "$tmp/flips") endpoint changes: $(cat "$tmp/churn"), SYNs of the flood: ${flooded-0}"
rows_end
