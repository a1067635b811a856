#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The doors remember routes, and the agent keeps that true: machines that change their address, rules that look at sources,
# routes of several next hops, and what holds while there is no agent.
. "$(dirname "$0")/lib.sh"

far4=10.78.0.5 far6=fd78::5 # c1's too, and the node tells them from its own by their source alone

off_by() { sluice status -o json | sed -n 's/.*"route_cache_off_by": *"\{0,1\}\([a-z ]*\).*/\1/p'; }
says_off_by() { [ "$(off_by)" = "$1" ]; }
is_remembered() { sluice status -o json | grep -q '"route_cache": *true'; }

redirected() { echo $(($(verdict open_redirect) + $(verdict forward_redirect))); }

# Questions from c1 all the while, so that the way to s3 is always remembered.
load_start() { # VIP
	start c1 "$tools/client" open --udp --to "$1" --port 53 --rate 300 --for 60 --timeout 300 >"$tmp/load"
	load=$!
	sleep 0.3
}

load_end() {
	kill -TERM "$load"
	wait "$load" 2>>"$tmp/end"
	pids=${pids/ $load/}
}

# s3 gets another MAC address and says so, as a machine does that takes over another's place.
mac_number=0
mac_change() {
	mac_number=$((mac_number + 1))
	ip -n "$W-s3" link set port address "$(printf '02:77:00:00:%02x:%02x' $((mac_number / 256)) $((mac_number % 256)))"
}

# Datagrams, because nobody sends them twice: each that goes to the old address is missed.
mac_turns() { # VIP WAIT
	local turn

	for turn in 1 2 3 4 5 6; do
		mac_change
		sleep "$2"
		ask open --udp --to "$1" --port 53 --count 20 --timeout 300
		is "turn $turn: answers of s3" 20 "$(field v2.s3)" || return 1
		sleep 0.2
	done
}

mac_heard() { # VIP
	local before code=0

	before=$(redirected)
	hold_start held --to "$1" --port 80 --count 50 --every 20 || return 1
	load_start "$1"
	mac_turns "$1" 0.1 || code=1
	load_end
	hold_end held 50 && at_least "redirected packets" 1000 $(($(redirected) - before)) && return "$code"
}

mac_unheard() { # VIP
	local code=0

	agent_end KILL
	load_start "$1"
	mac_turns "$1" 1.2 || code=1
	load_end
	agent_start && return "$code"
}

mac_of() { ip -n "$W-$1" -br link show dev "$2" | awk '{ print $3 }'; } # MACHINE DEVICE

# s3 gets another MAC address and neither says so nor asks for anybody, which would tell it too; the node goes by the old one.
# The node also knows two machines there that are not to be asked after.
mac_change_quietly() {
	local old node at

	in_ns s3 sysctl -qw net.ipv4.conf.port.arp_notify=0 net.ipv6.conf.port.ndisc_notify=0
	old=$(mac_of s3 port)
	node=$(mac_of node n_s3)
	mac_change
	for at in 10.77.13. fd77:13::; do
		ip -n "$W-s3" neigh replace "${at}1" lladdr "$node" dev port nud permanent
		ip -n "$W-node" neigh replace "${at}2" lladdr "$old" dev n_s3 nud stale
		ip -n "$W-node" neigh replace "${at}77" lladdr "$old" dev n_s3 nud permanent
		ip -n "$W-node" neigh replace "${at}78" lladdr "$old" dev n_s3 nud stale extern_learn
	done
}

others_unasked() {
	local at

	for at in 10.77.13. fd77:13::; do
		is "the permanent one" 1 "$(ip -n "$W-node" neigh show "${at}77" | grep -c ' PERMANENT')" &&
			is "another's" 1 "$(ip -n "$W-node" neigh show "${at}78" | grep -c ' extern_learn.* STALE')" || return 1
	done
}

exchanges() { # FILE: of the held connection, so far
	kill -USR1 "$hold"
	sleep 0.1
	tail -n 1 "$tmp/$1" | sed -n 's/.*"exchanges":\([0-9]*\).*/\1/p'
}

answered_again() { # VIP EXCHANGES
	ask open --to "$1" --port 80 --count 1 --timeout 200
	[ "$(field v2.s3)" = 1 ] && [ "$(exchanges held)" -gt "$2" ]
}

mac_unsaid() { # VIP
	local before began

	before=$(redirected)
	hold_start held --to "$1" --port 80 --every 20 --timeout 40000 || return 1
	sleep 0.5
	at_least "redirected packets" 10 $(($(redirected) - before)) || return 1
	# While s3 changes it has nothing unanswered, which it would send again.
	kill -STOP "$hold"
	sleep 0.5
	mac_change_quietly
	kill -CONT "$hold"
	before=$(exchanges held) began=$SECONDS
	# Within 11 seconds; a connection that has waited for long sends again after 13, or 26.
	until answered_again "$1" $((before + 10)); do
		[ $((SECONDS - began)) -lt $((30 * times)) ] && sleep 0.1 && continue
		echo "no answers within $((30 * times)) seconds, of $((before + 10)) there were $(exchanges held)"
		ip -n "$W-node" -s neigh show dev n_s3
		return 1
	done
	hold_end held 1 && others_unasked
}

mac_unsaid_off() { # VIP
	local code=0

	agent_end TERM
	agent_start --route-cache off && mac_unsaid "$1" || code=1
	agent_end TERM
	agent_start && return "$code"
}

answers() { # WHO VIP FROM
	ask open --to "$2" --port 80 --from "$3" --count 50 --timeout 1000
	is "answers of $1 to $3" 50 "$(field "$1")"
}

# s4 takes what is sent to s3's address, where a rule brings it.
rule_by_source() { # FAMILY VIP NEAR FAR RULE
	local code=0

	load_start "$2"
	answers v2.s3 "$2" "$4" && ip -n "$W-node" "-$1" rule add from "$5" lookup 100 && sleep 0.2 &&
		is "why no route is remembered" "policy rules" "$(off_by)" &&
		answers v3.s4 "$2" "$4" && answers v2.s3 "$2" "$3" && answers v3.s4 "$2" "$4" || code=1
	ip -n "$W-node" "-$1" rule del from "$5" lookup 100
	load_end
	[ "$code" = 0 ] && wait_for "routes that are remembered again" is_remembered &&
		answers v2.s3 "$2" "$4"
}

several_next_hops() {
	ip -n "$W-node" route add 198.18.0.0/15 nexthop via 10.77.11.2 nexthop via 10.77.12.2 && sleep 0.2 || return 1
	is "why no route is remembered" multipath "$(off_by)" || return 1
	ip -n "$W-node" route del 198.18.0.0/15 && wait_for "routes that are remembered again" is_remembered
}

# A start looks for itself, whatever the last agent left.
found_at_start() {
	agent_end KILL
	ip -n "$W-node" rule add from 192.0.2.1 lookup 100
	sleep 0.2
	is_remembered || { echo "without an agent nobody looks, and yet: $(off_by)" && return 1; }
	agent_start && is "why no route is remembered" "policy rules" "$(off_by)" || return 1
	agent_end KILL
	ip -n "$W-node" rule del from 192.0.2.1 lookup 100
	agent_start && is "why no route is remembered" null "$(off_by)"
}

asked_for() {
	agent_end TERM
	agent_start --route-cache off && is "why no route is remembered" "asked for" "$(off_by)" || return 1
	sluice status | grep -q 'route cache off by *asked for' || { sluice status && return 1; }
	several_next_hops_ignored && ask open --to "$vip4" --port 80 --count 200 && is "connections" 200 "$(field ok)" || return 1
	agent_end TERM
	agent_start && wait_for "routes that are remembered again" is_remembered
}

several_next_hops_ignored() {
	ip -n "$W-node" route add 198.18.0.0/15 nexthop via 10.77.11.2 nexthop via 10.77.12.2 && sleep 1.2
	ip -n "$W-node" route del 198.18.0.0/15
	is "why no route is remembered" "asked for" "$(off_by)"
}

for door in tc xdp; do
	world_up
	in_ns s3 sysctl -qw net.ipv4.conf.port.arp_notify=1 net.ipv6.conf.port.ndisc_notify=1
	ip -n "$W-s4" address add 10.77.13.2/32 dev lo
	ip -n "$W-s4" address add fd77:13::2/128 dev lo nodad
	ip -n "$W-node" route add default via 10.77.14.2 table 100
	ip -n "$W-node" route add default via fd77:14::2 table 100
	# A device with a queue, as hardware has: a bare one hands tc's packets to its peer whatever their MAC address.
	in_ns node tc qdisc add dev n_s3 root pfifo
	agent_start || die "the agent comes up"
	config 0 1 0 | apply >"$tmp/row" || die "the configuration is taken"
	row "routes are remembered on a plain node" is_remembered
	row "an endpoint's new MAC address is used at once (IPv4)" mac_heard "$vip4"
	row "an endpoint's new MAC address is used at once (IPv6)" mac_heard "$vip6"
	row "without an agent it is used within a second (IPv4)" mac_unheard "$vip4"
	row "without an agent it is used within a second (IPv6)" mac_unheard "$vip6"
	row "a rule by source is obeyed while it is there (IPv4)" rule_by_source 4 "$vip4" 10.77.1.2 "$far4" 10.78.0.0/16
	row "a rule by source is obeyed while it is there (IPv6)" rule_by_source 6 "$vip6" fd77:1::2 "$far6" fd78::/64
	row "a route of several next hops turns the memory off while it is there" several_next_hops
	row "a start finds a rule that came without an agent, and one that went" found_at_start
	row "--route-cache off" asked_for
	row "an endpoint's new MAC address that it does not tell is found (IPv4)" mac_unsaid "$vip4"
	# A quarter of a minute each, and the agent's work alone: not for each door.
	if [ "$door" = tc ]; then
		row "an endpoint's new MAC address that it does not tell is found (IPv6)" mac_unsaid "$vip6"
		row "an endpoint's new MAC address that it does not tell is found without a memory" mac_unsaid_off "$vip4"
	fi
	world_end
done
rows_end
