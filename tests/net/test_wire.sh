#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What networks do to packets: fragments, path MTUs, tags, silence, interfaces that come and go; and leaving.
. "$(dirname "$0")/lib.sh"

fragments() { # VIP: datagrams of three fragments, both ways
	local before

	before=$(($(verdict fragment_stack) + $(verdict fragment_redirect)))
	ask open --to "$1" --port 53 --udp --size 4000 --count 200 --concurrency 8 &&
			is "answers of 4,000 bytes" 200 "$(field ok)" &&
		shares 4.5 50 30 20 &&
		at_least "later fragments carried" 400 $(($(verdict fragment_stack) + $(verdict fragment_redirect) - before))
}

# A machine behind another: NAME VIA NUMBER MTU, where the MTU is that of the device that leads to it.
behind() {
	local name=$1 via=$2 i=$3

	machines="$machines $name:$i"
	space_up "$name"
	ip link add "n_$name" netns "$W-$via" type veth peer name port netns "$W-$name"
	in_ns "$via" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n "$W-$name" -batch - <<-END
		link set port up
		address add 10.77.$i.2/24 dev port
		address add fd77:$i::2/64 dev port nodad
		route add default via 10.77.$i.1
		route add default via fd77:$i::1
	END
	ip -n "$W-$via" -batch - <<-END
		link set n_$name up mtu $4
		address add 10.77.$i.1/24 dev n_$name
		address add fd77:$i::1/64 dev n_$name nodad
	END
	ip -n "$W-node" route add "10.77.$i.0/24" via "10.77.${via_number[$via]}.2"
	ip -n "$W-node" route add "fd77:$i::/64" via "fd77:${via_number[$via]}::2"
}
declare -A via_number=([c1]=1 [s1]=11)

path() { # WHAT, then options of the question: it goes through, and routers' errors were translated
	local before

	before=$(($(verdict icmp_stack) + $(verdict icmp_redirect)))
	ask open --port 80 --count 3 --timeout 8000 "$@" && is "whole answers" 3 "$(field ok)" &&
		at_least "translated ICMP errors" 1 $(($(verdict icmp_stack) + $(verdict icmp_redirect) - before))
}

small_device() { # VIP: the node's own device to the endpoints is the narrow one
	local name

	for name in s1 s2 s3 s4; do
		ip -n "$W-node" link set "n_$name" mtu 1300
	done
	path --to "$1" --size 1000000
	local code=$?

	for name in s1 s2 s3 s4; do
		ip -n "$W-node" link set "n_$name" mtu 1500
	done
	flush
	return "$code"
}

flush() {
	local machine

	for machine in $machines; do
		ip -n "$W-${machine%:*}" route flush cache
		ip -n "$W-${machine%:*}" -6 route flush cache
	done
}

udp_idle() { # VIP
	weight 1 0 0 && ask open --to "$1" --port 53 --udp --source-port 6000 &&
			is "the flow's version" 1 "$(field v1)" || return 1
	weight 0 0 1 && sleep 0.5 || return 1
	ask open --to "$1" --port 53 --udp --source-port 6000 &&
			is "the version of a flow that is in use" 1 "$(field v1)" || return 1
	nap 3
	ask open --to "$1" --port 53 --udp --source-port 6000 && is "the version after silence" 1 "$(field v3)"
}

# Questions come more often than the idle time: the flow never ends.
udp_busy() { # VIP
	weight 1 0 0 && hold_start busy --to "$1" --port 53 --udp --count 20 --every $((300 * times)) || return 1
	weight 0 0 1 && nap 4 && hold_end busy 20
}

later() {
	leg_up c3 3
	machines="$machines c3:3"
	wait_for "the door of n_c3" in_ns node bash -c "'$bin/sluice' --pins '$pins' --state '$state' status | grep -q n_c3" &&
		weight 50 30 20 &&
		from=c3 ask open --to "$vip4" --port 80 --count 300 && is "answers through a later interface" 300 "$(field ok)" &&
		shares 4.5 50 30 20
}

comes_again() {
	ip -n "$W-node" link delete n_c3
	ip netns del "$W-c3"
	later
}

# Errors as somebody makes them who knows a connection's addresses and ports, but not where it is: "does not fit" and
# "port unreachable", which quote sequence numbers far from each other, so that one at most is near the right one.
forged='
import socket, struct, sys
to, source, source_port, target, target_port = sys.argv[1:6]
is_6 = ":" in to
family = socket.AF_INET6 if is_6 else socket.AF_INET
def checksum(data):
    sum = 0
    for (word,) in struct.iter_unpack("!H", data):
        sum += word
    while sum >> 16:
        sum = (sum & 0xffff) + (sum >> 16)
    return ~sum & 0xffff
def quoted(sequence):
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    tcp = struct.pack("!HHIIBBHHH", int(source_port), int(target_port), sequence, 1, 0x50, 0x10, 500, 0, 0)
    if is_6:
        return struct.pack("!IHBB", 6 << 28, 1420, 6, 60) + ends + tcp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 1440, 1, 0x4000, 60, 6, 0)
    return ip + ends + tcp
def error(kind, code, mtu, sequence):
    rest = (struct.pack("!I", mtu) if is_6 else struct.pack("!HH", 0, mtu)) + quoted(sequence)
    head = struct.pack("!BBH", kind, code, 0) + rest
    return head if is_6 else struct.pack("!BBH", kind, code, checksum(head)) + rest
sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if is_6 else socket.IPPROTO_ICMP)
for i in range(50):
    for kind, code, mtu in [(2, 0, 1280), (1, 4, 0)] if is_6 else [(3, 4, 600), (3, 3, 0)]:
        sock.sendto(error(kind, code, mtu, (0x1234567 + (i << 26)) & 0xffffffff), (to, 0))
'
# What a machine's own TCP found to be of a connection of its own, but not of what is under way in it.
out_of_window() { in_ns "$1" nstat -asz TcpExtOutOfWindowIcmps | awk '/OutOfWindow/ { print $2 }'; }

# To the endpoint as from a router before the client, and to the client as from one before the endpoint.
forged_errors() { # VIP CLIENT ENDPOINT
	local c1 s3 before port=$((7200 + ${#1}))

	needs python3 nstat || return
	weight 0 1 0 && hold_start forged --to "$1" --port 80 --source-port "$port" --get 50000 --every 20 || return 1
	c1=$(out_of_window c1) s3=$(out_of_window s3) before=$(($(verdict icmp_stack) + $(verdict icmp_redirect)))
	in_ns c2 python3 -c "$forged" "$1" "$1" 80 "$2" "$port" &&
		in_ns s4 python3 -c "$forged" "$2" "$2" "$port" "$3" 8080 || return 1
	sleep 0.5
	hold_end forged 1 &&
		at_least "translated ICMP errors" 190 $(($(verdict icmp_stack) + $(verdict icmp_redirect) - before)) &&
		at_least "errors that the endpoint's TCP did not believe" 95 $(($(out_of_window s3) - s3)) &&
		at_least "errors that the client's TCP did not believe" 95 $(($(out_of_window c1) - c1)) &&
		is "MTUs that the client learned" 0 "$(in_ns c1 ip route get "$1" | grep -c mtu)" &&
		is "MTUs that the endpoint learned" 0 "$(in_ns s3 ip route get "$2" | grep -c mtu)"
}

vlan() { # VIP
	ip -n "$W-c2" link add link port name tagged type vlan id 5 2>"$tmp/vlan" || {
		echo "the kernel has no VLAN devices (8021q): $(tail -n 1 "$tmp/vlan")"
		return 77
	}
	ip -n "$W-node" link add link n_c2 name n_c2.5 type vlan id 5 || return 1
	ip -n "$W-c2" address add 10.77.25.2/24 dev tagged
	ip -n "$W-node" address add 10.77.25.1/24 dev n_c2.5
	ip -n "$W-c2" link set tagged up
	ip -n "$W-node" link set n_c2.5 up
	ip -n "$W-c2" route replace default via 10.77.25.1
	sleep 0.5
	from=c2 ask open --to "$1" --port 80 --count 300 --from 10.77.25.2 && is "answers through a tag" 300 "$(field ok)" &&
		shares 4.5 50 30 20
}

links_gone() { ! bpftool link show | grep -f "$tmp/links"; }

nothing_left() {
	agent_end TERM
	at_least "doors before" 12 "$(wc -l <"$tmp/doors")" && at_least "programs before" 3 "$(wc -l <"$tmp/programs")" &&
		detach || return 1
	is "pins" "" "$(ls -d "$pins" 2>>"$tmp/end")" &&
		wait_for "the links to go, which the kernel does a moment later" links_gone &&
		is "filters and doors of XDP" "" "$(in_ns node bpftool net show | grep -i 'sl_\|n_')" &&
		is "clsact" "" "$(in_ns node tc qdisc show | grep clsact)" &&
		is "programs still loaded" "" "$(bpftool prog show | grep -f "$tmp/programs")" || return 1
	ask open --to 10.77.11.2 --port 8080 --count 50 && is "direct connections" 50 "$(field ok)" &&
		ask open --to "$vip4" --port 8080 --count 50 && is "connections to the host at the VIP" 50 "$(field v3.s4)" &&
		ask open --to "$vip4" --port 80 --count 20 && is "connections that the host itself refuses" 20 "$(field refused)"
}

# By their ids: others on this machine may have programs of the same names. Doors are links, or on kernels without tcx
# filters, of which the kernel's list shows by itself that they have gone.
doors_note() {
	local program

	for program in prog_tc_in prog_tc_out prog_xdp; do
		bpftool prog show pinned "$pins/$program" | sed -n 's/^\([0-9]*:\) .*/^\1/p'
	done >"$tmp/programs"
	link_ids | sed 's/.*/^&:/' >"$tmp/links"
	{ cat "$tmp/links" && in_ns node bpftool net show | grep sl_tc_; } >"$tmp/doors"
}

comes_back() {
	agent_start && sluice status >"$tmp/status" && ask open --to "$vip4" --port 80 --count 300 &&
		is "connections after the agent came back" 300 "$(field ok)" && shares 4.5 50 30 20
}

for door in tc xdp; do
	world_up
	for way in stack auto; do
		agent_start --forward "$way" --udp-idle "$times" || die "the agent comes up"
		config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
		row "$way: UDP datagrams of 4,000 bytes both ways, IPv4" fragments "$vip4"
		row "$way: UDP datagrams of 4,000 bytes both ways, IPv6" fragments "$vip6"
		row "$way: a narrow device of the node, IPv4: the client learns the path's MTU" small_device "$vip4"
		row "$way: a narrow device of the node, IPv6: the client learns the path's MTU" small_device "$vip6"
		agent_end TERM
	done
	behind far c1 31 1300
	behind deep s1 32 1300
	agent_start --udp-idle "$times" || die "the agent comes up"
	from=far
	row "a narrow path beyond the client, IPv4: the endpoint learns its MTU" path --to "$vip4" --get 1000000
	row "a narrow path beyond the client, IPv6: the endpoint learns its MTU" path --to "$vip6" --get 1000000
	from=c2
	server_start deep v1.deep
	entry "" | sed 's/\[\]//' >"$tmp/deep"
	cat >>"$tmp/deep" <<END
  - {address: 10.77.32.2, labels: {version: v1}}
  - {address: "fd77:32::2", labels: {version: v1}}
END
	apply <"$tmp/deep" >"$tmp/row" && weight 1 0 0
	row "a narrow path beyond the endpoint's router, IPv4: the client learns its MTU" path --to "$vip4" --size 1000000
	row "a narrow path beyond the endpoint's router, IPv6: the client learns its MTU" path --to "$vip6" --size 1000000
	from=c1
	config 50 30 20 | apply >"$tmp/row"
	row "a forged ICMP error with a wrong sequence number ends no connection" forged_errors "$vip4" 10.77.1.2 10.77.13.2
	row "a forged ICMPv6 error with a wrong sequence number ends no connection" forged_errors "$vip6" fd77:1::2 fd77:13::2
	row "a UDP flow ends after silence, IPv4" udp_idle "$vip4"
	row "a UDP flow ends after silence, IPv6" udp_idle "$vip6"
	row "a UDP flow that is in use does not end" udp_busy "$vip4"
	row "an interface that comes later gets its door" later
	row "an interface that goes and comes again gets its door" comes_again
	row "packets with a VLAN tag are split" vlan "$vip4"
	doors_note
	row "sluiced --detach leaves no pin, no door, no program, and traffic passes" nothing_left
	row "an agent after that brings the last revision back" comes_back
	world_end
done
rows_end
