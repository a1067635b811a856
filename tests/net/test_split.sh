#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Splits through both doors, up the stack and straight to the device, IPv4 and IPv6, TCP and UDP.
. "$(dirname "$0")/lib.sh"

# Connection tracking that judges: what it cannot follow is dropped, and counted.
filter_up() {
	in_ns node nft -f - <<-END
		table inet judge {
			counter invalid { }
			chain forward {
				type filter hook forward priority 0;
				ct state invalid counter name invalid drop
			}
		}
	END
}

invalid_drops() { in_ns node nft list counter inet judge invalid | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

# Entries of conntrack for a protocol; those that saw one way only are of no use to anybody.
tracked() { in_ns node conntrack -L -p "$2" -f "$1" 2>>"$tmp/end" | grep -c dport=; }
one_sided() { in_ns node conntrack -L -p "$2" -f "$1" 2>>"$tmp/end" | grep -c UNREPLIED; }

open_all() { # VIP PORT WEIGHTS... OPTION
	local vip=$1 port=$2 w1=$3 w2=$4 w3=$5

	shift 5
	ask open --to "$vip" --port "$port" --count 2000 "$@" &&
		is answers 2000 "$(field ok)" && shares 4.5 "$w1" "$w2" "$w3"
}

judged() { # FAMILY PROTOCOL WAY
	is "packets that connection tracking calls invalid" 0 "$(invalid_drops)" || return 1
	is "connections tracked in one direction alone" 0 "$(one_sided "$1" "$2")" || return 1
	if [ "$3" = stack ]; then
		at_least "tracked connections" 1 "$(tracked "$1" "$2")"
	else
		is "tracked connections" 0 "$(tracked "$1" "$2")"
	fi
}

through() { # WAY: which verdict must have grown
	is "connections opened by the other way" 0 "$(verdict "open_$([ "$1" = stack ] && echo redirect || echo stack)")" &&
		at_least "connections opened this way" 8000 "$(verdict "open_$1")"
}

held() { # VIP PORT OPTION...
	local vip=$1 port=$2

	shift 2
	hold_start held --to "$vip" --port "$port" --count 50 "$@" || return 1
	weight 0 0 1 || return 1
	sleep 0.3
	weight 50 30 20 || return 1
	hold_end held 50
}

bulk() { # VIP
	ask open --to "$1" --port 80 --count 4 --get 5000000 && is "large answers" 4 "$(field ok)" &&
		ask open --to "$1" --port 80 --count 4 --size 3000000 && is "large questions" 4 "$(field ok)"
}

door_rows() { # WAY
	local way=$1 family vip forward=auto

	[ "$way" = redirect ] || forward=stack
	if ! agent_start --forward "$forward" || ! config 50 30 20 | apply >"$tmp/row"; then
		cat "$tmp/agent.log" "$tmp/row"
		die "the $door door ($way) comes up"
	fi
	for family in 4 6; do
		vip=$vip4
		[ "$family" = 4 ] || vip=$vip6
		in_ns node conntrack -F 2>>"$tmp/end"
		row "$way IPv$family: new TCP connections are shared by weight" open_all "$vip" 80 50 30 20
		row "$way IPv$family: connection tracking sees TCP alike in both directions or not at all" \
			judged "ipv$family" tcp "$way"
		row "$way IPv$family: UDP flows are shared by weight" open_all "$vip" 53 50 30 20 --udp
		row "$way IPv$family: connection tracking sees UDP alike in both directions or not at all" \
			judged "ipv$family" udp "$way"
		row "$way IPv$family: large answers and questions arrive whole" bulk "$vip"
		row "$way IPv$family: live TCP connections stay while the weights move" held "$vip" 80
		row "$way IPv$family: live UDP flows stay while the weights move" held "$vip" 53 --udp
	done
	row "$way: every connection went the way that was asked for" through "$way"
	agent_end TERM
	detach
}

for door in tc xdp; do
	world_up
	filter_up
	door_rows stack
	door_rows redirect
	world_end
done
rows_end
