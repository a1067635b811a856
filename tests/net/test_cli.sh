#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line on a live node: exit codes, the lock, history, files that were torn.
. "$(dirname "$0")/lib.sh"

# With sanitizers, where they are built: their complaint ends a command with an exit code that no row wants.
[ ! -x "$build/san/sluice" ] || bin=$build/san
export ASAN_OPTIONS=exitcode=66 UBSAN_OPTIONS=exitcode=66 LSAN_OPTIONS=exitcode=66

exits() { # CODE WORD-IN-THE-MESSAGE COMMAND...
	local wanted=$1 word=$2 code=0

	shift 2
	"$@" >"$tmp/said" 2>&1 || code=$?
	cat "$tmp/said"
	is "exit code of $*" "$wanted" "$code" || return 1
	grep -q -- "$word" "$tmp/said" || { echo "wanted \"$word\" in the message" && return 1; }
}

# Somebody holds the lock: changes wait, then name the holder; looking needs no lock.
lock_held() {
	local holder

	flock "$state/lock" sh -c "echo 4711 somebody >$state/lock; exec sleep 20" &
	holder=$!
	pids="$pids $holder"
	sleep 0.2
	exits 1 "pid 4711 (somebody)" sluice --timeout 0.3 weight reviews v1=1 &&
		exits 0 "reviews" sluice get services && exits 0 "of two moments" sluice status && exits 0 "" sluice history
	local code=$?

	kill_tree "$holder"
	return "$code"
}

# flock keeps the lock in its child too.
kill_tree() {
	local child

	for child in $(ps -o pid= --ppid "$1"); do
		kill "$child"
	done
	kill "$1" 2>>"$tmp/end"
	wait "$1" 2>>"$tmp/end"
}

# How each device is attached, and what is done in place of what the kernel lacks.
status_names() {
	local hook

	sluice status -o json >"$tmp/status.json" || return 1
	hook=$(jq -r '.features[] | select(.feature == "tcx links") | if .there then "tcx link" else "clsact netlink" end' \
		"$tmp/status.json")
	is "how devices are attached" "$hook" \
		"$(jq -r '[.devices[] | .tc_hook + " " + .tc_by] | unique | join(", ")' "$tmp/status.json")" &&
		is "the kernel" "$(uname -r)" "$(jq -r .kernel "$tmp/status.json")" &&
		is "features that lack and have nothing in their place" "" \
			"$(jq -r '.features[] | select((.there or .fallback) | not) | .feature' "$tmp/status.json")" &&
		exits 0 "INSTEAD" sluice status && exits 0 "${hook% *} *${hook#* }" sluice status
}

device_says() { # DEVICE FIELD WANTED
	sluice status -o json >"$tmp/status.json" &&
		is "$2 of $1" "$3" "$(jq -r ".devices[] | select(.device == \"$1\") | .$2" "$tmp/status.json")"
}

# Each of the node's devices has its bare peer in another namespace, until it gets a queue of its own.
status_names_peers() {
	device_says n_c1 to_peer true && exits 0 "TO PEER" sluice status &&
		in_ns node tc qdisc add dev n_c1 root pfifo limit 1000 && kill -HUP "$agent" &&
		wait_for "a device that is not bare" device_says n_c1 to_peer false && device_says n_c2 to_peer true || return 1
	in_ns node tc qdisc del dev n_c1 root && kill -HUP "$agent" &&
		wait_for "a device that is bare again" device_says n_c1 to_peer true
}

# No driver is behind the loopback: the kernel runs XDP in its place, and who looks is told.
status_names_generic() {
	agent_end TERM
	door=xdp agent_start --device lo || return 1
	device_says lo xdp_mode generic && device_says lo door xdp+tc && device_says lo xdp_target false &&
		device_says n_c1 xdp_mode native && exits 0 "lo .*generic .*single" sluice status || return 1
	agent_end TERM
	agent_start && device_says n_c1 xdp_mode null
}

# Many at once: each waits its turn, none is lost.
crowd() {
	local i before waiting=''

	before=$(active)
	for ((i = 1; i <= 20; i++)); do
		sluice weight reviews "v1=$i" v2=100 --timeout $((5 * times)) >"$tmp/crowd.$i" 2>&1 &
		waiting="$waiting $!"
	done
	for i in $waiting; do
		wait "$i" || { cat "$tmp"/crowd.* && return 1; }
	done
	is "the revision after twenty at once" $((before + 20)) "$(active)"
}

# A probe asks for it: it must not blame the node for a change that is under way.
steady_status() {
	local i changes

	for ((i = 1; i <= 150; i++)); do
		sluice weight reviews "v1=$i" v2=100 --timeout $((5 * times)) || return 1
	done >"$tmp/changes" 2>&1 &
	changes=$!
	pids="$pids $changes"
	while kill -0 "$changes" 2>"$tmp/kill"; do
		sluice status --timeout $((5 * times)) >"$tmp/status" 2>&1 || { cat "$tmp/status" && return 1; }
		if grep warning "$tmp/status"; then return 1; fi
	done
	wait "$changes" || { cat "$tmp/changes" && return 1; }
	weight 50 30 20
}

export_apply() {
	local before

	before="$(active) $(digest)"
	sluice export >"$tmp/export" && apply --replace <"$tmp/export" >"$tmp/said" &&
		is "revision and digest" "$before" "$(active) $(digest)" || return 1
	sluice export -o json >"$tmp/export.json" && sluice apply --replace -f "$tmp/export.json" >"$tmp/said" &&
		is "revision and digest" "$before" "$(active) $(digest)" &&
		ask open --to "$vip4" --port 80 --count 100 && is "connections after it" 100 "$(field ok)"
}

history_and_diff() {
	weight 90 10 0 && weight 80 20 0 && exits 0 "v2 20" sluice history && exits 0 "weight: 20" sluice diff &&
		exits 0 "same intents" sluice diff "$(active)" "$(active)"
}

service_toggles() {
	weight 1 0 0 && weight 0 0 1 && sluice rollback reviews >"$tmp/said" &&
		ask open --to "$vip4" --port 80 --count 100 && is "answers after one rollback" 100 "$(field v1)" &&
		sluice rollback reviews >"$tmp/said" &&
		ask open --to "$vip4" --port 80 --count 100 && is "answers after two" 100 "$(field v3)"
}

dry_run() {
	local before

	before="$(active) $(digest)"
	exits 0 "v1 7" sluice weight reviews v1=7 --dry-run && config 9 9 9 | exits 0 "" sluice apply --dry-run -f - &&
		is "revision and digest" "$before" "$(active) $(digest)"
}

# A file that a crash tore: named, set aside, and everything else goes on.
torn_revision() {
	local victim file

	weight 3 2 1 || return 1
	victim=$(active)
	weight 1 2 3 || return 1
	file=$state/revisions/$(printf %010d "$victim").yaml
	truncate -s 200 "$file"
	exits 1 "$(basename "$file").*damaged" sluice rollback --to "$victim" || return 1
	ls "$state/damaged" >"$tmp/damaged" 2>&1
	cat "$tmp/damaged"
	grep -q "$(basename "$file")" "$tmp/damaged" || { echo "it was not set aside" && return 1; }
	ask open --to "$vip4" --port 80 --count 100 && is "connections" 100 "$(field ok)" && sluice history >"$tmp/said"
}

explain_flow() {
	hold_start one --to "$vip4" --port 80 --count 1 --source-port 7777 || return 1
	exits 0 '"has_live_flow": true' sluice explain "10.77.1.2:7777" "$vip4:80" -o json
	local code=$?

	hold_end one 1 && return "$code"
}

# A folder of rules that another takes the place of, under its name, is read; an emptied one is not believed.
folder_replaced() {
	mkdir "$tmp/rules" && config 50 30 20 >"$tmp/rules/a.yaml"
	agent_end TERM
	agent_start --config "$tmp/rules" --check-interval 1 || return 1
	mv "$tmp/rules" "$tmp/rules.old" && mkdir "$tmp/rules" && config 10 80 10 >"$tmp/rules/a.yaml"
	wait_for "the new folder's weights" weight_is 80 || return 1
	rm "$tmp/rules/a.yaml"
	sleep 1.5
	weight_is 80 && ask open --to "$vip4" --port 80 --count 100 && is "connections" 100 "$(field ok)"
}

weight_is() { sluice get splits -o json 2>"$tmp/said" | grep -q "\"weight\": $1,"; }

second_agent() {
	exits 1 "another sluiced (pid $agent)" in_ns node "$bin/sluiced" --device 'nothing*' \
		--state "$state" --pins "$pins"
}

splits() { ask open --to "$vip4" --port 80 --count 300 && is answers 300 "$(field ok)" && shares 4.5 50 30 20; }

world_up
none="no data plane"
row "exit 1: no data plane" exits 1 "$none" sluice status
row "exit 0: a configuration is taken before there is an agent" exits 0 "" eval 'config 50 30 20 | apply'
agent_start || die "the agent comes up"
row "the agent brings up what was applied before it" splits
row "exit 0: status of a healthy node" exits 0 "healthy" sluice status
row "status names how devices are attached and what the kernel lacks" status_names
row "status names the devices whose peers are handed packets at once" status_names_peers
row "status names generic XDP where a driver has none" status_names_generic
row "exit 1: nothing to go back to" exits 1 "" sluice rollback
row "exit 2: an unknown command, with the nearest" exits 2 "rollback" sluice rolback
row "exit 2: an unknown option" exits 2 "unknown option" sluice status --colour
row "exit 2: a weight that is none" exits 2 "" sluice weight reviews v1
row "exit 3: an unknown service" exits 3 "" sluice weight nobody v1=1
row "exit 3: an unknown version" exits 3 "v9" sluice weight reviews v9=1
row "exit 3: an unknown revision" exits 3 "" sluice rollback --to 4000
row "exit 3: a file that is refused" exits 3 "stdin\|input" eval 'echo "kind: VirtualService" | apply'
row "exit 1: a file that is not there" exits 1 "no-such" sluice apply -f /no-such.yaml
row "the lock: who holds it is named, and looking needs none" lock_held
row "the lock: twenty changes at once all happen" crowd
row "status while weights move is that of a healthy node" steady_status
row "export goes back unchanged: no new revision, the same digest" export_apply
row "history and diff show what changed" history_and_diff
row "rollback of one service toggles" service_toggles
row "a dry run changes nothing" dry_run
row "explain sees the live flow" explain_flow
row "--replace with nothing is refused" exits 3 "no object" eval 'sluice apply --replace -f - </dev/null'
row "an object that is passed over is named" exits 0 "passed over: the kind Secret" eval \
	'printf "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" | apply'
# Before there is an agent that looks every second: it would be the first to find it.
row "a torn revision file is named and set aside" torn_revision
row "a folder of rules that is replaced is read, an empty one is not believed" folder_replaced
row "a second agent is refused, and the first is named" second_agent
rows_end
