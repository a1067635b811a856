#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command in its forms on a live node: what it prints as table, JSON and YAML, and what it says of wrong usage.
. "$(dirname "$0")/lib.sh"

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

# The three ways of printing say the same thing; the JSON one is JSON.
printed() { # WORD JQ-FILTER COMMAND...
	local word=$1 filter=$2

	shift 2
	exits 0 "$word" "$@" && exits 0 "" "$@" -o yaml && "$@" -o json >"$tmp/json" || return 1
	jq -e "$filter" "$tmp/json" >"$tmp/jq" && return
	echo "$filter of:"
	cat "$tmp/json"
	return 1
}

agent_says() { # CODE WORD OPTION...
	local code=$1 word=$2

	shift 2
	exits "$code" "$word" in_ns node timeout 10 "$bin/sluiced" --state "$tmp/none" --pins "$pins.none" "$@"
}

stats_watched() {
	exits 0 "RATE" watched_until_seen && [ "$(grep -c '^COUNTER' "$tmp/said")" -ge 2 ]
}

watched_until_seen() {
	local pid

	start node "$bin/sluice" --state "$state" --pins "$pins" stats --watch 0.2
	pid=$!
	wait_for "two looks" looked_twice
	kill -INT "$pid"
	wait "$pid"
}

looked_twice() { [ "$(grep -c '^COUNTER' "$tmp/said")" -ge 2 ]; }

splits_measured() {
	sluice get splits reviews --for 1 -o json >"$tmp/json" &
	local pid=$!

	# From before it looks first until it has looked again, whenever that is.
	while kill -0 "$pid" 2>>"$tmp/end"; do
		ask open --to "$vip4" --port 80 --count 50
	done
	wait "$pid" && jq -e '[.splits[].opened // 0] | add >= 50' "$tmp/json"
}

# What the shell would offer for the words so far.
completes() { # WANTED WORD...
	local wanted=$1

	shift
	# shellcheck disable=SC2016 # the inner shell's
	PATH=$bin:$PATH in_ns node bash -c '
		compopt() { :; }
		source <(sluice completion bash)
		COMP_WORDS=(sluice "$@") COMP_CWORD=$#
		_sluice
		printf "%s\n" "${COMPREPLY[@]}"' bash --state "$state" --pins "$pins" "$@" >"$tmp/said" 2>&1
	cat "$tmp/said"
	is "what is offered" "$wanted" "$(sort "$tmp/said" | xargs)"
}

endpoint_life() {
	exits 0 "members_changed" sluice endpoint add reviews 10.77.12.2:8080 --label version=v1 --weight 2 -o json &&
		printed 10.77.12.2 '[.endpoints[] | select(.address == "10.77.12.2")] | length > 0' sluice get endpoints &&
		exits 0 "" sluice endpoint drain reviews 10.77.12.2:8080 -o yaml &&
		exits 0 "drained already" sluice endpoint drain reviews 10.77.12.2:8080 &&
		exits 0 "" sluice endpoint drain --undo reviews 10.77.12.2:8080 &&
		exits 0 "not drained" sluice endpoint drain --undo reviews 10.77.12.2:8080
}

endpoint_mistakes() {
	exits 2 "takes no --undo" sluice endpoint add reviews 10.0.0.1 --undo &&
		exits 2 "takes no --label" sluice endpoint drain reviews 10.0.0.1 --label a=b &&
		exits 2 "is no endpoint" sluice endpoint add reviews nowhere &&
		exits 2 "given twice" sluice endpoint add reviews 10.0.0.1 --label a=b --label a=c &&
		exits 2 "" sluice endpoint add reviews 10.0.0.1 --label ab &&
		exits 2 "allowed are letters" sluice endpoint add reviews 10.0.0.1 --label 'a b=c' &&
		exits 2 "allowed are letters" sluice endpoint add reviews 10.0.0.1 --label 'a=b c' &&
		exits 2 "" sluice endpoint add reviews 10.0.0.1 --weight x &&
		exits 3 "" sluice endpoint drain reviews 10.9.9.9 &&
		exits 3 "" sluice endpoint remove reviews 10.9.9.9 &&
		exits 3 "endpoint drain" sluice endpoint remove reviews 10.77.11.2:8080 &&
		exits 3 "its ports are 8080" sluice endpoint drain reviews 10.77.11.2:80 &&
		exits 0 "not drained" sluice endpoint drain --undo reviews 10.77.11.2:80 &&
		exits 3 "its ports are 8080" sluice endpoint remove reviews 10.77.11.2:80 &&
		exits 3 "several ports" sluice endpoint add reviews 10.0.0.1:9 --label version=v1
}

# The variable alone says nothing: it is inherited by who writes elsewhere.
journal_known() {
	local stream

	JOURNAL_STREAM=1:1 agent_says 1 "Z error: .*cannot read the seed" --device x --once --seed-file /no-such || return 1
	: >"$tmp/journal"
	stream=$(stat -c %d:%i "$tmp/journal")
	JOURNAL_STREAM=$stream in_ns node "$bin/sluiced" --state "$tmp/none" --pins "$pins.none" \
		--device x --once --seed-file /no-such 2>"$tmp/journal"
	cat "$tmp/journal"
	grep -q '^<3>.*cannot read the seed' "$tmp/journal"
}

agent_mistakes() {
	agent_says 2 "no --device" && agent_says 2 "wants one of: auto xdp tc" --device x --door up &&
		agent_says 2 "power of two" --device x --slots 1000 && agent_says 2 "" --device x --flows 1x &&
		agent_says 2 "" --device x --flows 1 && agent_says 2 "wants one of" --device x --forward away &&
		agent_says 2 "wants one of" --device x --log-level loud && agent_says 2 "unexpected" --device x word &&
		agent_says 2 "" --device x --udp-idle 0 && agent_says 2 "" --device x --check-interval -1 &&
		agent_says 0 "Usage: sluiced" --help && agent_says 0 "ABI" --version &&
		agent_says 1 "cannot read the seed" --device x --once --seed-file /no-such
}

many() { # ADDRESSES
	cat <<-END
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: many}
		spec:
		  hosts: [many.test]
		  resolution: STATIC
		  addresses: [$(seq -s, -f '"fd98::%g"' "$1")]
		  ports: [{number: 80, name: tcp, protocol: TCP}]
		  endpoints: [{address: 10.77.11.2}]
	END
}

# A pipeline reads why on standard output, whatever it is that fails.
failed_in_json() { # CODE WORD COMMAND...
	local wanted=$1 word=$2 code=0

	shift 2
	"$@" -o json >"$tmp/json" 2>"$tmp/said" || code=$?
	cat "$tmp/json" "$tmp/said"
	is "exit code of $*" "$wanted" "$code" &&
		jq -e --arg word "$word" '.applied == false and ([.diagnostics[].text] | any(contains($word)))' "$tmp/json"
}

apply_failures() {
	many 1100 >"$tmp/many.yaml" && echo 'kind: [' >"$tmp/torn.yaml"
	failed_in_json 3 "" sluice apply -f "$tmp/torn.yaml" &&
		failed_in_json 1 "cannot" sluice apply -f "$tmp/no-such" &&
		failed_in_json 1 "VIPs and ports in one revision, room for 1024" sluice apply -f "$tmp/many.yaml" &&
		failed_in_json 1 "" sluice apply -f "$tmp/many.yaml" --state /dev/null
}

crowded() { # ENDPOINTS
	cat <<-END
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: crowded}
		spec:
		  hosts: [crowded.test]
		  resolution: STATIC
		  addresses: ["fd99::1"]
		  ports: [{number: 80, name: tcp, protocol: TCP}]
		  endpoints: [$(seq -s, -f '{address: "fd98::%g"}' "$1")]
	END
}

# The same words and code with and without --dry-run.
both_refuse() { # WORD FILE
	exits 1 "$1" sluice apply -f "$2" --dry-run || return 1
	cp "$tmp/said" "$tmp/dry"
	exits 1 "$1" sluice apply -f "$2" && grep 'error: ' "$tmp/dry" >"$tmp/wanted" && grep -xFf "$tmp/wanted" "$tmp/said"
}

dry_run_has_no_room() {
	many 1100 >"$tmp/many.yaml" && crowded 1100 >"$tmp/crowded.yaml"
	both_refuse "VIPs and ports in one revision, room for 1024" "$tmp/many.yaml" || return 1
	exits 1 "the map 'endpoints' is full" sluice apply -f "$tmp/crowded.yaml" --dry-run &&
		exits 1 "the map 'endpoints' is full" sluice apply -f "$tmp/crowded.yaml" &&
		crowded 1020 >"$tmp/crowded.yaml" &&
		exits 0 "there may be no room" sluice apply --replace -f "$tmp/crowded.yaml" --dry-run
}

agent_beside() { # SECONDS OPTION...: another's state and pins
	local seconds=$1

	shift
	in_ns node timeout --preserve-status "$((seconds * times))" "$bin/sluiced" --state "$tmp/beside" --pins "$pins-beside" \
		--flows 65536 --services 1024 --versions 256 --endpoints 1024 "$@"
}
beside_gone() { in_ns node "$bin/sluiced" --detach --state "$tmp/beside" --pins "$pins-beside" 2>"$tmp/end"; }

# Whoever calls it in a script hears of a folder that was not taken.
once_refused() {
	local code

	mkdir "$tmp/rules" && echo 'kind: [' >"$tmp/rules/a.yaml"
	exits 1 "a.yaml" agent_beside 60 --once --device lo --config "$tmp/rules" &&
		exits 1 "no-such" agent_beside 60 --once --device lo --config "$tmp/no-such" &&
		config 1 1 1 >"$tmp/rules/a.yaml" && exits 0 "applied" agent_beside 60 --once --device lo --config "$tmp/rules"
	code=$?
	beside_gone && return "$code"
}

# Said once, not by each check.
none_matches() {
	local code

	exits 0 "ready, " agent_beside 5 --device 'eth_*' --check-interval 1 && is "warnings" 1 "$(grep -c \
		'warning: no interface has a name that --device gives' "$tmp/said")"
	code=$?
	beside_gone && return "$code"
}

detached() {
	agent_end TERM
	printed "would be removed" '.dry_run and (.pins | length > 5)' sluice detach --dry-run &&
		exits 0 "pins removed" sluice detach && exits 0 "there was no data plane" sluice detach &&
		printed "" '.pins == []' sluice detach && [ ! -e "$pins" ] &&
		exits 1 "cannot look below $tmp/said: Not a directory" in_ns node "$bin/sluice" --pins "$tmp/said" \
			detach --dry-run
}

without_kernel() {
	exits 1 "no data plane" sluice stats && exits 1 "" sluice explain 10.77.1.2:1 "$vip4:80" &&
		exits 0 "reviews" sluice get services && exits 0 "" sluice get versions &&
		exits 0 "" sluice get endpoints && exits 0 "" sluice get splits
}

world_up
all_worlds="$all_worlds $W-beside"
agent_start || die "the agent comes up"
config 50 30 20 | apply >"$tmp/said" 2>&1 || die "the configuration is taken: $(cat "$tmp/said")"
ask open --to "$vip4" --port 80 --count 100

row "stats: verdicts and versions" printed "COUNTER" '[.versions[].opened] | add >= 100' sluice stats
row "stats: one service, zeros too" printed "open_" '.counters | length > 20' sluice stats reviews --all
row "stats: watched until interrupted" stats_watched
row "stats: an interval that is none" exits 2 "0.1 to 86400" sluice stats --watch 0
row "stats: an interval that is no number" exits 2 "0.1 to 86400" sluice stats --watch=nan
row "stats: an interval with more behind it" exits 2 "0.1 to 86400" sluice stats --watch=2x
row "stats: an unknown service" exits 3 "nobody" sluice stats nobody
row "get services" printed "reviews" '.services | length == 1' sluice get services
row "get versions" printed "v3" '[.versions[].version] | unique == ["v1", "v2", "v3"]' sluice get versions
row "get endpoints" printed "10.77.11.2" '.endpoints | length == 8' sluice get endpoints reviews
row "get splits" printed "v3" '[.splits[].weight] | unique == [20, 30, 50]' sluice get splits
row "get splits: measured from now on" splits_measured
row "get: --for is for splits" exits 2 "splits alone" sluice get services --for 1
row "get: a time that is none" exits 2 "1 to 86400" sluice get splits --for x
row "explain: by the kernel's tables" printed "rule" '.version | test("v[123]")' sluice explain 10.77.1.2:7 "$vip4:80"
row "explain: an IPv6 UDP flow" printed "endpoint" '.endpoint | length > 0' \
	sluice explain '[fd77:1::2]:7' "[$vip6]:53" udp
row "explain: what is not ours" printed "passed untouched" '.verdict | test("passed")' \
	sluice explain 10.77.1.2:7 10.9.9.9:80
row "explain: a source that is none" exits 2 "ADDRESS:PORT" sluice explain here "$vip4:80"
row "explain: a destination without a port" exits 2 "ADDRESS:PORT" sluice explain 10.0.0.1:5 "$vip4"
row "explain: two families" exits 2 "" sluice explain 10.0.0.1:5 "[$vip6]:80"
row "explain: another protocol" exits 2 "" sluice explain 10.0.0.1:5 "$vip4:80" sctp
row "completion: commands" completes "weight" weig
row "completion: services" completes "reviews" rollback rev
row "completion: versions, with their weights to come" completes "v1= v2= v3=" weight reviews v
row "completion: formats" completes "json" status -o js
row "apply: what fails is said in JSON" apply_failures
row "apply --dry-run: what has no room is refused as without it" dry_run_has_no_room
row "endpoint: added, drained, taken back" endpoint_life
row "endpoint: what is refused" endpoint_mistakes
row "sluiced: what is refused" agent_mistakes
row "sluiced --once: a folder that is refused or missing" once_refused
row "sluiced: no interface that --device names is said once" none_matches
row "sluiced: lines for the journal, where it is the journal that reads them" journal_known
row "detach: what would go, and that it is gone" detached
row "without a data plane what is on disk is shown" without_kernel
rows_end
