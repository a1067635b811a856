#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Revisions as connections see them: one flip, rollback by hand, endpoints that stay gone, ramps, nodes that agree.
. "$(dirname "$0")/lib.sh"

# --- promise 1 ---

hundred() { # VERSION: a hundred services, all to it
	local i

	for ((i = 0; i < 100; i++)); do
		cat <<-END
			---
			apiVersion: networking.istio.io/v1
			kind: ServiceEntry
			metadata: {name: many$i}
			spec:
			  hosts: [many$i.test]
			  resolution: STATIC
			  addresses: [10.97.0.$i]
			  ports: [{number: 80, name: tcp, protocol: TCP, targetPort: 8080}]
			  endpoints:
			  - {address: 10.77.11.2, labels: {version: v1}}
			  - {address: 10.77.13.2, labels: {version: v2}}
			---
			apiVersion: networking.istio.io/v1
			kind: DestinationRule
			metadata: {name: many$i}
			spec:
			  host: many$i.test
			  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
			---
			apiVersion: networking.istio.io/v1
			kind: VirtualService
			metadata: {name: many$i}
			spec:
			  hosts: [many$i.test]
			  tcp: [{route: [{destination: {host: many$i.test, subset: $1}}]}]
		END
	done
}

versions_in_order() {
	sed 's/.*"answers":\[//; s/\].*//; s/"//g; s/\.[^,]*//g' "$tmp/answer" | tr ',' '\n' | uniq | tr '\n' ' '
}

# One reader walks over the services, one connection after the other, while the node flips once.
one_flip() {
	local turn to from one two

	hundred v1 | apply >"$tmp/apply" && one=$(active) && hundred v2 | apply >"$tmp/apply" &&
		two=$(active) || return 1
	is "revisions of a hundred services" $((one + 1)) "$two" || return 1
	from=v2
	for ((turn = 0; turn < 8; turn++)); do
		[ "$from" = v2 ] && to=v1 || to=v2
		start c1 "$tools/client" open --to 10.97.0.0 --targets 100 --port 80 --count 2000 --rate 1800 --concurrency 1 \
			--list >"$tmp/answer"
		local reader=$!

		sleep 0.1
		[ "$to" = v1 ] && flip_by_hand "$one" || sluice rollback --to "$two" >"$tmp/rollback" || return 1
		wait "$reader"
		is "connections" 2000 "$(field ok)" && is "versions in the order of asking" "$from $to " "$(versions_in_order)" ||
			return 1
		from=$to
	done
}

# --- promise 2 ---

bytes_of() { # NUMBER: four bytes, as bpftool takes them
	local i

	for i in 0 8 16 24; do
		echo -n "$(($1 >> i & 255)) "
	done
}

flip_by_hand() { # REVISION
	# shellcheck disable=SC2046
	bpftool map update pinned "$pins/active" key 0 0 0 0 value $(bytes_of "$1")
}

only() { # VERSION: every new connection goes there
	ask open --to "$vip4" --port 80 --count 200 && is "answers of $1" 200 "$(field "$1")" &&
		ask open --to "$vip6" --port 80 --count 200 && is "answers of $1" 200 "$(field "$1")"
}

rollback_without_agent() {
	local old new

	config 1 0 0 | apply >"$tmp/apply" && old=$(active) && weight 0 0 1 && new=$(active) || return 1
	agent_end KILL
	only v3 && flip_by_hand "$old" && only v1 || return 1
	is "the active revision as the CLI sees it" "$old" "$(active)" || return 1
	sluice rollback >"$tmp/rollback" && only v3 && is "the active revision" "$new" "$(active)" || return 1
	sluice rollback >"$tmp/rollback" && only v1 && is "the active revision" "$old" "$(active)"
}

agent_keeps_hand_flip() {
	local old

	old=$(active)
	agent_start || return 1
	is "the active revision after the agent came back" "$old" "$(active)" && only v1
}

sixteen_hot() {
	local first i

	weight 2 0 0 || return 1
	first=$(active)
	for ((i = 1; i < 16; i++)); do
		weight 0 "$i" 1000 || return 1
	done
	is "the active revision" $((first + 15)) "$(active)" && flip_by_hand "$first" && only v1
}

unknown_word() {
	local good

	weight 1 0 0 || return 1
	good=$(active)
	flip_by_hand 999999
	only v1 || return 1
	at_least "note_active_unknown" 1 "$(verdict note_active_unknown)" || return 1
	sluice rollback --to "$good" >"$tmp/rollback" && only v1 && is "the active revision" "$good" "$(active)"
}

# --- promise 3 ---

stays_gone() {
	local before

	{ entry && subsets && split 1 0 0; } | apply >"$tmp/apply" && weight 1 1 0 || return 1
	before=$(active)
	entry "s2 s3 s4" | apply >"$tmp/apply" || return 1
	is "the revision after an endpoint went" "$before" "$(active)" || return 1
	sluice rollback >"$tmp/rollback" || return 1
	ask open --to "$vip4" --port 80 --count 500 && is "answers of the endpoint that is left" 500 "$(field v1.s2)" || return 1
	entry | apply >"$tmp/apply" && is "the revision after it came back" $((before - 1)) "$(active)" &&
		ask open --to "$vip4" --port 80 --count 500 &&
			at_least "answers of the endpoint that came back" 150 "$(field v1.s1)"
}

# --- promise 5 ---

# The line numbers of the addresses that v3 has.
at_v3() { sed 's/.*"answers":\[//; s/\].*//' "$tmp/answer" | tr ',' '\n' | grep -n v3 | cut -d: -f1 | sort; }

ramp() {
	local share lost

	subsets "loadBalancer: {consistentHash: {useSourceIp: true}}" | apply >"$tmp/apply" || return 1
	: >"$tmp/had"
	for share in 0 1 5 10 25 50 75 99 100; do
		weight $((100 - share)) 0 "$share" || return 1
		for _ in 1 2; do
			ask open --to "$vip4" --port 80 --from 10.78.5.0 --sources 500 --count 500 --list &&
				is "answers" 500 "$(field ok)" || return 1
			at_v3 >"$tmp/has"
			lost=$(comm -23 "$tmp/had" "$tmp/has" | wc -l)
			is "clients that left v3 at $share %" 0 "$lost" || return 1
			cp "$tmp/has" "$tmp/had"
		done
	done
	is "clients that v3 has in the end" 500 "$(wc -l <"$tmp/has")" || return 1
	subsets | apply >"$tmp/apply"
}

# --- promise 6 ---

thousand() { # FILE: who answers each of 1,000 connections
	ask open --to "$vip4" --port 80 --from 10.78.0.1 --sources 1000 --source-port "$3" --count 1000 --list &&
		is answers 1000 "$(field ok)" && sed 's/.*"answers"//' "$tmp/answer" >"$2"
}

second_node() {
	cp "$tmp/seed" "/tmp/$W.seed" && thousand - "/tmp/$W.one" 4001 || return 1
	first=/tmp/$W
	world_up
	cp "$first.seed" "$tmp/seed"
	agent_start --seed-file "$tmp/seed" || return 1
	# Another order of objects and endpoints, another history: the same configuration.
	config 5 0 0 | apply >"$tmp/apply" && { split 60 30 10 && subsets && echo --- && entry "s4 s3 s2 s1"; } |
		apply >"$tmp/apply" || return 1
	thousand - "$tmp/two" 4001 && cmp "$first.one" "$tmp/two"
}

restarted_node() {
	agent_end KILL
	detach
	rm -r "$state"
	agent_start --seed-file "$tmp/seed" && config 60 30 10 | apply >"$tmp/apply" &&
		thousand - "$tmp/three" 4001 && cmp "$tmp/two" "$tmp/three"
}

explains() {
	local i wanted got

	thousand - "$tmp/four" 4002 || return 1
	for ((i = 0; i < 60; i++)); do
		wanted=$(sed 's/.*\[//; s/\].*//; s/"//g' "$tmp/four" | cut -d, -f$((i + 1)))
		got=$(sluice explain "10.78.0.$((i + 1)):7000" "$vip4:80" -o json | sed -n 's/.*"version": *"\(.*\)".*/\1/p')
		# Another source port than any flow's, asked of the wire afterwards.
		ask open --to "$vip4" --port 80 --from "10.78.0.$((i + 1))" --source-port 7000
		is "version of key $i" "$got" "$(sed -n 's/.*"by":{"\(v.\)".*/\1/p' "$tmp/answer")" || return 1
		[ -n "$wanted" ] || return 1
	done
}

world_up
echo 00112233445566778899aabbccddeeff >"$tmp/seed"
ip -n "$W-node" route add 10.97.0.0/24 via 10.77.14.2
agent_start --seed-file "$tmp/seed" || die "the agent comes up"
row "promise_1_one_flip: a hundred services flip at once, no reader ever goes back" one_flip
row "promise_2_rollback_needs_nobody: without an agent, by bpftool and by the CLI" rollback_without_agent
row "promise_2_rollback_needs_nobody: an agent that comes back keeps what was flipped by hand" agent_keeps_hand_flip
row "promise_2_rollback_needs_nobody: the sixteenth last revision is one store away" sixteen_hot
row "promise_2_rollback_needs_nobody: a number that names no revision turns nothing off" unknown_word
row "promise_3_intents_not_endpoints: a rollback does not bring an endpoint back that is gone" stays_gone
row "promise_5_monotone_ramp: no client leaves a version that grows" ramp
weight 60 30 10
row "promise_6_same_on_every_node: a second node with the seed sends 1,000 connections to the same endpoints" second_node
row "promise_6_same_on_every_node: so does a node that lost everything but the seed" restarted_node
row "promise_6_same_on_every_node: explain says what the wire does" explains
rm -f "${first-/tmp/none}.one" "${first-/tmp/none}.seed"
rows_end
