#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Promises 9, 10 and 11: what is not ours passes, what is ours is sent or refused, everything is counted, bad input changes
# nothing.
. "$(dirname "$0")/lib.sh"

# --- promise 9 ---

passes() { # ADDRESS PORT WHO OPTION...
	local to=$1 port=$2 who=$3

	shift 3
	ask open --to "$to" --port "$port" --count 50 "$@" && is "answers of $who" 50 "$(field "$who")"
}

pings() { # ADDRESS...
	local to

	for to; do
		ask ping --to "$to" --count 5 && is "echoes from $to" 5 "$(field ok)" || return 1
	done
}

# An endpoint's own connections to others, and to a VIP. Not to itself by way of a VIP: that would need its source changed.
endpoint_as_client() {
	weight 1 0 1 || return 1
	from=s3 ask open --to 10.77.11.2 --port 8080 --count 50 && is "answers of s1 to s3" 50 "$(field v1.s1)" &&
		from=s3 ask open --to "$vip4" --port 80 --count 50 && is "answers of the VIP to s3" 50 "$(field ok)"
}

# v2 has no endpoint: its share is refused at once, the rest is served.
refuses() { # VIP PORT OPTION...
	local vip=$1 port=$2 before

	shift 2
	before=$(verdict refuse_empty)
	ask open --to "$vip" --port "$port" --count 1000 --timeout 1500 "$@"
	is "connections that got no answer at all" 0 "$(field timeout)" &&
		is "connections that ended another way" 1000 $(($(field ok) + $(field refused))) || return 1
	awk -v refused="$(field refused)" 'BEGIN { exit !(refused > 430 && refused < 570) }' ||
		is "refused connections of 1000 at one half" "430 to 570" "$(field refused)" || return 1
	is "counted as refused" $((before + $(field refused))) "$(verdict refuse_empty)" &&
		is "refusals that could not be answered" 0 "$(verdict drop_refused)"
}

refuses_all() {
	weight 50 50 0 || return 1
	entry "s1 s2 s4" | apply >"$tmp/apply" || return 1
	refuses "$@"
}

spills() { # VIP PORT OPTION...
	local vip=$1 port=$2

	shift 2
	entry "s1 s2 s4" "sluice.dev/empty-version: spill" | apply >"$tmp/apply" || return 1
	ask open --to "$vip" --port "$port" --count 500 "$@"
	is "connections served by the version that is left" 500 "$(field v1)" &&
		at_least "spilled" 1 "$(verdict note_spilled)"
}

# --- promise 10 ---

verdicts_named() {
	local name dump

	dump=$(bpftool map dump pinned "$pins/verdicts")
	for name in $(sed -n '/define SL_VERDICTS/,/^$/s/.*X(\([a-z_0-9]*\)).*/\1/p' "$root/bpf/abi.h") \
		$(sed -n '/define SL_NOTES/,/^$/s/.*X(\([a-z_0-9]*\)).*/\1/p' "$root/bpf/abi.h"); do
		grep -q "\"$name\"" <<<"$dump" || { echo "bpftool does not show $name" && return 1; }
	done
}

every_packet_counted() {
	local before after

	before=$(bpftool -j map dump pinned "$pins/verdicts" | counted)
	ask ping --to 10.77.11.2 --count 100
	after=$(bpftool -j map dump pinned "$pins/verdicts" | counted)
	# In and out, there and back: an echo meets four doors.
	at_least "verdicts for 100 echoes and their replies" 400 $((after - before))
}

counted() { grep -o '"[a-z]*_[a-z_]*":[0-9]*' | grep -v note_ | awk -F: '{ sum += $2 } END { print sum }'; }

stats_named() {
	sluice stats --all -o json >"$tmp/stats" && grep -q refuse_empty "$tmp/stats" && grep -q forward_ "$tmp/stats"
}

# --- promise 11 ---

refused() { # WANTED TEXT...: exit 3, the place in the message, and nothing changed
	local wanted=$1 before code=0

	shift
	before="$(active) $(digest) $(sluice history -o json | grep -c '"revision"') $(sluice export --endpoints | cksum)"
	printf '%b' "$*" >"$tmp/bad.yaml"
	sluice apply -f "$tmp/bad.yaml" >"$tmp/refused" 2>&1 || code=$?
	cat "$tmp/refused"
	is "exit code" 3 "$code" || return 1
	grep -q "bad.yaml:$wanted" "$tmp/refused" || { echo "wanted a message at $wanted" && return 1; }
	is "revision, digest, history, endpoints" "$before" \
		"$(active) $(digest) $(sluice history -o json | grep -c '"revision"') $(sluice export --endpoints | cksum)"
}

broken_half() { # a good object first, a bad one after
	local bad="apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec:\n  hostz: [x]\n"

	refused "$(config 1 1 1 | wc -l | awk '{ print $1 + 6 }')" "$(config 1 1 1)\n---\n$bad"
}

head="apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec:\n  hosts: [reviews.test]\n"

for door in xdp tc; do
	[ -z "$W" ] || world_end
	world_up
	agent_start || die "the agent comes up"
	config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
	open="promise_9_open_until_ours:"
	row "$open another port of the VIP reaches the host behind it, TCP" passes "$vip4" 8080 v3.s4
	row "$open another port of the VIP reaches the host behind it, UDP and IPv6" passes "$vip6" 8080 v3.s4 --udp
	row "$open the service's TCP port by UDP is not ours" passes "$vip4" 8080 v3.s4 --udp
	row "$open a direct connection to an endpoint passes" passes 10.77.13.2 8080 v2.s3
	row "$open a direct IPv6 connection to an endpoint passes" passes fd77:13::2 8080 v2.s3
	row "$open pings pass, also those of a VIP and of the node" \
			pings 10.77.11.2 fd77:11::2 "$vip4" "$vip6" 10.77.1.1 10.77.2.2
	row "$open an endpoint is a client too" endpoint_as_client
	row "$open an empty version refuses its share by RST" refuses_all "$vip4" 80
	row "$open an empty version refuses its share by RST, IPv6" refuses "$vip6" 80
	row "$open an empty version refuses its share by port unreachable" refuses "$vip4" 53 --udp
	row "$open an empty version refuses its share by port unreachable, IPv6" refuses "$vip6" 53 --udp
	row "$open with the policy spill nothing is refused" spills "$vip4" 80
	row "$open with the policy spill nothing is refused, IPv6" spills "$vip6" 80
	entry | apply >"$tmp/row" || die "the endpoints come back"
	counter="promise_10_every_exit_a_verdict:"
	row "$counter bpftool shows every verdict by name" verdicts_named
	row "$counter every packet through a door is counted" every_packet_counted
	row "$counter sluice stats shows them by name" stats_named
done
entry_head="apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n"
bad="promise_11_bad_input_changes_nothing:"
row "$bad an unknown field" refused "6:3" "${head}  tpc: []\n"
row "$bad a negative weight" refused "8:63" \
	"${head}  tcp:\n  - route:\n    - {destination: {host: reviews.test, subset: v1}, weight: -1}\n"
row "$bad a broken document" refused "" "${head}  tcp: [{route: [\n"
row "$bad no YAML at all" refused "" '\0001\0002\0377{{{'
row "$bad a good object before a bad one" broken_half
row "$bad an endpoint without an address" refused "" \
	"${entry_head}  hosts: [a.test]\n  resolution: STATIC\n  endpoints: [{address: nowhere}]\n"
rows_end
