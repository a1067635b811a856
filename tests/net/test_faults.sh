#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What stands in the way of a command or of the agent, put there on purpose: pins that are gone or another's, files that
# cannot be written, outputs that nobody reads, an interface that takes no XDP.
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

active_is() { [ "$(active)" = "$1" ]; }
split_is() { # WEIGHT... in ascending order
	sluice get splits reviews -o json >"$tmp/json" &&
		is "weights" "$*" "$(jq -r '[.splits[].weight] | unique | map(tostring) | join(" ")' "$tmp/json")"
}
serves() { ask open --to "$vip4" --port 80 --count 100 && is "connections" 100 "$(field ok)"; }
word_now() { bpftool -j map dump pinned "$pins/active"; }

# --- numbers ---

# The kernel keeps a revision at its number's place, and the next number would have the active one's.
number_jumps() {
	is "the active revision" 1 "$(active)" || return 1
	mkdir -p "$state/damaged" && touch "$state/damaged/0000001024.yaml.1"
	weight 1 2 3 && is "the active revision" 1026 "$(active)" && split_is 1 2 3 && serves
}

# --- pins ---

pin_gone() {
	local word before

	agent_end TERM
	weight 90 10 0 && weight 50 30 20 || return 1
	word=$(word_now) before=$(active)
	rm "$pins/exits"
	exits 1 "start sluiced" sluice rollback && exits 1 "start sluiced" weight_shown 1 1 1 &&
		is "the active word" "$word" "$(word_now)" && serves || return 1
	agent_start || return 1
	[ -e "$pins/exits" ] || { echo "the pin is not there again" && return 1; }
	is "the active revision" "$before" "$(active)" && sluice rollback >"$tmp/deed" && split_is 0 10 90 && serves &&
		weight 50 30 20 && split_is 20 30 50 && serves && sluice status >"$tmp/deed"
}

weight_shown() { sluice weight reviews "v1=$1" "v2=$2" "v3=$3"; }

other_pins() {
	bpftool map create "$1/another" type array key 4 value 4 entries 1 name another &&
		bpftool prog load "$build/tests/prog/other.bpf.o" "$1/prog_another" type xdp
}

others_pins_stay() {
	agent_end TERM
	other_pins "$pins" && exits 0 "would be removed: $pins/members" sluice detach --dry-run || return 1
	! grep another "$tmp/said" || { echo "that is somebody else's" && return 1; }
	exits 0 "pins removed" sluice detach || return 1
	is "what is left" "another prog_another" "$(find "$pins" -mindepth 1 -printf '%P\n' | sort | xargs)" &&
		agent_start && serves || return 1
	agent_end TERM
	detach && is "what sluiced --detach leaves" "another prog_another" \
		"$(find "$pins" -mindepth 1 -printf '%P\n' | sort | xargs)" || return 1
	rm "$pins/another" "$pins/prog_another"
	exits 0 "" sluice detach
	[ ! -e "$pins" ] || { echo "the empty folder is left" && return 1; }
}

folder_refused() { # CHANGE...
	local folder=$pins-other/$1

	mkdir -p "$folder"
	"$@" "$folder" &&
		exits 1 "$folder.*not this user's alone" in_ns node "$bin/sluiced" --once --device 'n_*' \
			--state "$tmp/other" --pins "$folder" && is "what is made there" "" "$(ls -A "$folder")"
	local code=$?

	rmdir "$folder"
	return "$code"
}

without_state() {
	agent_end TERM
	exits 0 "pins removed" in_ns node "$bin/sluice" --state /nonexistent --pins "$pins" detach &&
		{ [ ! -e "$pins" ] || { echo "the pins are there" && return 1; }; }
}

# --- outputs ---

# A pipe that takes nothing more, whose reader is the shell: descriptor 9.
full_pipe() {
	rm -f "$tmp/full"
	mkfifo "$tmp/full"
	exec 9<>"$tmp/full"
	dd if=/dev/zero of="$tmp/full" oflag=nonblock bs=4096 count=4096 2>"$tmp/dd" && echo "the pipe has no end" && return 1
	return 0
}

stuck() { # COMMAND...: its output is never taken, and its end is seen by an error
	(
		trap '' PIPE
		exec nsenter --net="/run/netns/$W-node" "$bin/sluice" --state "$state" --pins "$pins" "$@"
	) >"$tmp/full" 2>"$tmp/stuck" 9<&- &
	stuck=$!
	pids="$pids $stuck"
}

stuck_end() { # CODE
	local code=0

	exec 9<&-
	wait "$stuck" || code=$?
	pids=${pids/ $stuck/}
	cat "$tmp/stuck"
	is "exit code when the output fails" "$1" "$code"
}

newest() { find "$state/revisions" -name '*.yaml' -printf '%f\n' | sort | sed -n '$s/^0*\([0-9]*\).yaml/\1/p'; }

# Its work is done when a command waits for its output, and others need not wait.
others_go_on() { # COMMAND... : makes another revision active
	local before code

	before=$(active)
	full_pipe || return 1
	stuck "$@"
	wait_for "the change to be active" active_differs "$before" && before=$(newest) &&
		kill -0 "$stuck" && exits 0 "" weight_shown 50 30 20 --timeout 1
	code=$?
	stuck_end 1 && [ "$code" = 0 ] && is "the active revision" $((before + 1)) "$(active)" && split_is 20 30 50
}

active_differs() { [ "$(active)" != "$1" ]; }

others_go_on_drained() {
	local code

	full_pipe || return 1
	stuck endpoint drain reviews 10.77.11.2
	wait_for "the endpoint to drain" is_drained && kill -0 "$stuck" && exits 0 "" weight_shown 60 20 20 --timeout 1
	code=$?
	stuck_end 1 && [ "$code" = 0 ] && sluice endpoint drain --undo reviews 10.77.11.2 >"$tmp/deed" && weight 50 30 20
}

is_drained() { sluice get endpoints reviews -o json | jq -e '[.endpoints[].state] | index("drained")'; }

# What was committed is not tried again, over what another has committed since.
output_fails() {
	local before

	before=$(active)
	exits 1 "cannot write" eval 'weight_shown 7 7 7 2>&1 >/dev/full' &&
		is "the active revision" $((before + 1)) "$(active)" && split_is 7 && full_pipe || return 1
	stuck weight reviews v1=1 v2=1 v3=98
	wait_for "the change to be active" active_is $((before + 2)) && weight 50 30 20
	stuck_end 1 && is "the active revision" $((before + 3)) "$(active)" && split_is 20 30 50
}

# --- an address that has become another's ---

kube() {
	cat <<-END
		---
		apiVersion: v1
		kind: Service
		metadata: {name: shop, namespace: default}
		spec: {clusterIP: 10.96.0.77, ports: [{name: tcp, port: 80, targetPort: 8080}]}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: shop-1, namespace: default, labels: {app: shop, version: v1}}
		status: {podIP: 10.77.11.2}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: shop-1, namespace: default, labels: {kubernetes.io/service-name: shop}}
		addressType: IPv4
		endpoints:
		- addresses: [10.77.11.2]
		  targetRef: {kind: Pod, name: shop-1, namespace: default}
		ports: [{name: tcp, port: 8080, protocol: TCP}]
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: {name: shop, namespace: default}
		spec: {host: shop.default.svc.cluster.local, subsets: [{name: v1, labels: {version: v1}}]}
	END
}

kube_rule() {
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: shop, namespace: default}
		spec:
		  hosts: [shop.default.svc.cluster.local]
		  tcp: [{route: [{destination: {host: shop.default.svc.cluster.local, subset: v1}, weight: 1}]}]
	END
}

claimant() {
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: claimant}
		spec:
		  hosts: [claimant.test]
		  resolution: STATIC
		  addresses: [10.96.0.77]
		  ports: [{number: 80, name: tcp, protocol: TCP, targetPort: 8080}]
		  endpoints: [{address: 10.77.14.2}]
	END
}

claimed() { ask open --to 10.96.0.77 --port 80 --count 50 && is "answers of $1" 50 "$(field "$1")"; }

address_taken() {
	local before

	{ config 50 30 20 && kube && kube_rule; } | apply --replace && claimed v1 &&
		{ config 50 30 20 && kube && claimant; } | apply --replace && claimed v3 || return 1
	before="$(active) $(digest)"
	{ kube && kube_rule; } >"$tmp/kube.yaml"
	exits 3 "both claim 10.96.0.77" sluice apply -f "$tmp/kube.yaml" &&
		exits 3 "both claim 10.96.0.77" sluice weight shop v1=1 &&
		is "revision and digest" "$before" "$(active) $(digest)" && claimed v3 && sluice status &&
		config 50 30 20 | apply --replace
}

# --- the agent's folder of rules ---

agent_checks() { # how often it has found the folder as it was
	grep -c "$rules: as it was applied last" "$tmp/agent.log"
}
agent_checked() { [ "$(agent_checks)" -gt "$1" ]; }

config_stays() { # the agent looks twice, and leaves what was set by hand
	local checks

	checks=$(agent_checks)
	wait_for "two checks of the folder" agent_checked $((checks + 1)) && split_is "$@"
}

digest_unwritten() {
	rules=$tmp/rules
	mkdir "$rules" && config 50 30 20 >"$rules/a.yaml"
	agent_end TERM
	rm -f "$state/config.digest"
	mkdir "$state/config.digest"
	agent_start --config "$rules" --check-interval 1 --log-level debug || return 1
	grep -q 'config.digest: cannot write' "$tmp/agent.log" || { cat "$tmp/agent.log" && return 1; }
	weight 1 2 97 && config_stays 1 2 97 || return 1
	kill -HUP "$agent"
	config_stays 1 2 97 || return 1
	config 40 35 25 >"$rules/a.yaml"
	wait_for "the folder's new rules" split_is 25 35 40
}

endpoints_lost() { # WORDS COMMAND...: which loses them
	local before words=$1

	shift
	[ ! -d "$state/config.digest" ] || rmdir "$state/config.digest"
	weight 3 4 93 || return 1
	before=$(active)
	"$@" "$state/endpoints.yaml"
	exits 0 "$words" sluice get endpoints
	wait_for "the endpoints to come back" endpoints_whole && config_stays 3 4 93 &&
		is "the active revision" "$before" "$(active)" && exits 0 "healthy" sluice status && serves &&
		weight 1 0 0 && ask open --to "$vip4" --port 80 --count 100 && is "answers of v1" 100 "$(field v1)" &&
		at_least "answers of the endpoint that was lost" 1 "$(field v1.s1)"
}

endpoints_whole() {
	sluice get endpoints -o json >"$tmp/json" 2>"$tmp/said" && ! grep -q "damaged\|is gone" "$tmp/said" &&
		grep -q '10\.77\.11\.2' "$tmp/json"
}

# --- nobody reads the log ---

log_unread() {
	agent_end TERM
	rm -f "$tmp/log" && mkfifo "$tmp/log"
	cat "$tmp/log" >"$tmp/unread" &
	local reader=$!
	start node "$bin/sluiced" --device 'n_*' --state "$state" --pins "$pins" --config "$rules" --log-level debug \
		2>"$tmp/log"
	agent=$!
	wait_for "its first lines" grep -q 'ready, ' "$tmp/unread" || return 1
	kill "$reader"
	wait "$reader" 2>>"$tmp/end"
	kill -HUP "$agent"
	config 30 30 40 >"$rules/a.yaml"
	wait_for "the folder's rules" split_is 30 40 && kill -0 "$agent" && agent_end TERM && agent_start
}

# --- one interface takes no XDP ---

other_xdp() { # on n_c1, and no dispatcher of libxdp's
	mkdir -p "$pins-other"
	bpftool prog load "$build/tests/prog/other.bpf.o" "$pins-other/xdp" type xdp &&
		in_ns node bpftool net attach xdpdrv pinned "$pins-other/xdp" dev n_c1
}

xdp_on() { # DEVICE
	in_ns node bpftool -j net show |
		jq -r --arg dev "$1" '[.[].xdp[] | select(.devname == $dev) | .mode] | join(" ")'
}

one_without_xdp() {
	local leg

	for leg in c2 s1 s2 s3 s4; do
		leg_for_xdp "$leg"
	done
	other_xdp || return 1
	: >"$tmp/agent.log"
	door=xdp agent_start || return 1
	grep -q 'n_c1: .*cannot attach XDP' "$tmp/agent.log" || { cat "$tmp/agent.log" && return 1; }
	sluice status -o json >"$tmp/status.json"
	is "devices with doors" "n_c2 n_s1 n_s2 n_s3 n_s4" "$(jq -r '[.devices[].device] | join(" ")' "$tmp/status.json")" &&
		is "their doors" "xdp+tc" "$(jq -r '[.devices[].door] | unique | join(" ")' "$tmp/status.json")" &&
		is "the other's program" driver "$(xdp_on n_c1)" && kill -0 "$agent" && from=c2 serves
}

none_without_xdp() {
	agent_end TERM
	exits 1 "n_c1.*cannot attach XDP" in_ns node "$bin/sluiced" --once --device n_c1 --door xdp --state "$tmp/other" \
		--pins "$pins-other/pins" && is "the other's program" driver "$(xdp_on n_c1)"
	local code=$?

	in_ns node "$bin/sluiced" --detach --state "$tmp/other" --pins "$pins-other/pins" && return "$code"
}

world_up
all_worlds="$all_worlds $W-other"
agent_start || die "the agent comes up"
config 50 30 20 | apply >"$tmp/row" 2>&1 || die "the configuration is taken"
row "a number whose place the active revision has is passed over" number_jumps
row "a pin is gone: changes are refused and change nothing, and a started sluiced puts it back" pin_gone
row "apply waits for who reads its output, and holds nobody up" others_go_on apply -f <(config 1 1 98)
row "weight waits for who reads its output, and holds nobody up" others_go_on weight reviews v1=2 v2=2 v3=96
row "rollback waits for who reads its output, and holds nobody up" others_go_on rollback
row "endpoint waits for who reads its output, and holds nobody up" others_go_on_drained
row "an output that fails makes one revision, and undoes no other's" output_fails
row "weight takes a Service whose address is another's by now no more than apply does" address_taken
row "a digest that cannot be written undoes no weight that was set by hand" digest_unwritten
row "endpoints that are damaged come back from the folder, and no weight is undone" \
	endpoints_lost "endpoints.yaml is damaged" sed -i 's/10\.77\.11\.2/10.77.99.2/'
row "endpoints that are gone come back from the folder, and no weight is undone" \
	endpoints_lost "endpoints.yaml is gone" rm
row "an agent whose log nobody reads any more goes on" log_unread
row "detach leaves what others have pinned, and nothing of ours" others_pins_stay
row "a folder of pins that is another user's is refused, with its name" folder_refused chown 65534
row "a folder of pins that others may write is refused, with its name" folder_refused chmod 0777
row "one interface that takes no XDP is named, and the others have theirs" one_without_xdp
row "where no interface takes XDP, the agent says so and ends" none_without_xdp
row "detach needs no state folder" without_state
rows_end
