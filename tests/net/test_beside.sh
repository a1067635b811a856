#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a node runs beside Sluice goes on: packet filters, bridges, other programs on the same devices, neighbours, DHCP,
# jumbo frames, tcpdump. And packets skip a device's way out only as long as nobody stands there.
. "$(dirname "$0")/lib.sh"

serves() { # COUNT: connections to the VIP, split
	ask open --to "$vip4" --port 80 --count "$1" && is "answers of the service" "$1" "$(field ok)" && shares 4.5 50 30 20
}

# From addresses and ports that no connection to the VIP has had.
direct_port=9000
direct() { # COUNT
	direct_port=$((direct_port + 1))
	ask open --to 10.77.11.2 --port 8080 --count "$1" --from 10.78.0.1 --sources "$1" --source-port "$direct_port" &&
		is "answers of s1 itself" "$1" "$(field v1.s1)"
}

# Half of the service's connections are s1's: their ports then talk to s1 itself.
port_again() {
	ask open --to "$vip4" --port 80 --count 100 --from 10.78.1.1 --sources 100 --source-port 8900 || return 1
	is "answers of the service" 100 "$(field ok)"
	ask open --to 10.77.11.2 --port 8080 --count 100 --from 10.78.1.1 --sources 100 --source-port 8900 &&
		is "answers of s1 itself" 100 "$(field v1.s1)"
}

# --- nftables and connection tracking ---

filter_up() {
	in_ns node nft -f - <<-END
		table inet beside {
			counter seen { }
			counter followed { }
			counter stopped { }
			chain forward {
				type filter hook forward priority 0;
				iifname "n_c1" tcp dport 8080 counter name seen
				ct state established counter name followed
				ip daddr 10.77.13.2 udp dport 9 counter name stopped drop
			}
		}
		table ip beside_nat {
			chain out {
				type nat hook postrouting priority 100;
				ip saddr 10.77.2.2 ip daddr 10.77.12.2 masquerade
			}
		}
	END
}

counted() { in_ns node nft list counter inet beside "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

# Up the stack the rules see the service's packets too, as they go to the endpoints.
rules_count() { # CONNECTIONS COMMAND...
	local seen followed count=$1

	shift
	seen=$(counted seen) followed=$(counted followed)
	"$@" || return 1
	at_least "packets that the rule has seen" $((count * 4)) $(($(counted seen) - seen)) &&
		at_least "packets of tracked connections" $((count * 6)) $(($(counted followed) - followed))
}

rules_drop() {
	local before

	before=$(counted stopped)
	ask open --to 10.77.13.2 --port 9 --udp --count 5 --timeout 200
	is "answers through a rule that drops" 0 "$(field ok)" &&
		is "packets that it stopped" $((before + 5)) "$(counted stopped)"
}

rules_translate() {
	from=c2 ask open --to 10.77.12.2 --port 8080 --count 20 && is "answers through address translation" 20 "$(field v1.s2)" &&
		at_least "translated connections" 20 \
			"$(in_ns node conntrack -L -p tcp 2>>"$tmp/end" |
				grep -c 'src=10.77.2.2 .*src=10.77.12.2 dst=10.77.12.1 ')"
}

# --- a bridge whose ports have doors ---

bridge_up() {
	local name i=0

	ip -n "$W-node" link add beside0 type bridge || { echo "the kernel has no bridge" && return 77; }
	ip -n "$W-node" link set beside0 up
	for name in b1 b2; do
		space_up "$name"
		ip link add "n_$name" netns "$W-node" type veth peer name port netns "$W-$name"
		ip -n "$W-node" link set "n_$name" master beside0 up
		ip -n "$W-$name" link set port up
		ip -n "$W-$name" address add "10.77.40.$((++i))/24" dev port
		ip -n "$W-$name" address add "fd77:40::$i/64" dev port nodad
		[ "$door" != xdp ] || in_ns "$name" ethtool -K port tx off tso off gso off gro on >"$tmp/ethtool" 2>&1
		wait_for "the door of n_$name" has_door "n_$name" || return 1
	done
	start b2 "$tools/server" 8080 bridged
	wait_for "the server behind the bridge" in_ns b2 "$tools/client" open --to ::1 --port 8080
}

has_door() { sluice status | grep -q "$1"; }

bridges() {
	bridge_up || return
	from=b1 ask ping --to 10.77.40.2 --count 20 && is "echoes" 20 "$(field ok)" &&
		from=b1 ask ping --to fd77:40::2 --count 20 && is "IPv6 echoes" 20 "$(field ok)" &&
		from=b1 ask open --to 10.77.40.2 --port 8080 --count 100 && is "connections" 100 "$(field bridged)" &&
		from=b1 ask open --to fd77:40::2 --port 8080 --udp --count 100 && is "datagrams" 100 "$(field bridged)" &&
		at_least "addresses that the bridge has learned" 2 \
			"$(in_ns node bridge fdb show br beside0 | grep -c 'dev n_b[12] master beside0 *$')"
}

# Raw frames, because not every kernel has devices for tags (8021q): one tag and two, with priorities, around packets of
# either family and of none that we know. A receiver is handed the outer tag beside the frame, and puts it back.
tagged='
import socket, struct, sys, time
TAGS = [struct.pack("!HH", 0x8100, 0x6005), struct.pack("!HHHH", 0x88a8, 0x2007, 0x8100, 0x6005)]
def checksum(data):
    sum = 0
    for (word,) in struct.iter_unpack("!H", data):
        sum += word
    while sum >> 16:
        sum = (sum & 0xffff) + (sum >> 16)
    return ~sum & 0xffff
def packets(i):
    text = b"frame %08d" % i + bytes(50)
    udp = struct.pack("!HHHH", 4000, 9, 8 + len(text), 0) + text
    ends = socket.inet_aton("10.77.40.1") + socket.inet_aton("10.77.40.2")
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), i, 0, 64, 17, 0) + ends
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    ends = socket.inet_pton(socket.AF_INET6, "fd77:40::1") + socket.inet_pton(socket.AF_INET6, "fd77:40::2")
    yield struct.pack("!H", 0x0800) + ip + udp
    yield struct.pack("!HIHBB", 0x86dd, 6 << 28, len(udp), 59, 64) + ends + udp
    yield struct.pack("!H", 0x88b5) + text
def frames(source, target):
    for i in range(100):
        for packet in packets(i):
            for tag in TAGS:
                yield target + source + tag + packet
def whole(frame, aux):
    for level, kind, data in aux:
        status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
        if status & 0x10:
            return frame[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + frame[12:]
    return frame
source, target = (bytes.fromhex(name.replace(":", "")) for name in sys.argv[2:4])
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("port", 3))
if sys.argv[1] == "send":
    for frame in frames(source, target):
        sock.send(frame)
        time.sleep(0.0005)
else:
    wanted = set(frames(source, target))
    sock.setsockopt(263, 8, 1)
    sock.settimeout(float(sys.argv[4]))
    open(sys.argv[5], "w").close()
    try:
        while wanted:
            frame, aux, _, _ = sock.recvmsg(2000, 100)
            wanted.discard(whole(frame, aux))
    except socket.timeout:
        pass
    print("%d frames missing" % len(wanted))
'
mac_of() { ip -n "$W-$1" link show dev port | sed -n 's,.*link/ether \([^ ]*\) .*,\1,p'; }

tags_pass() {
	local receiver source target

	needs python3 || return
	[ -e "/run/netns/$W-b2" ] || { echo "the kernel has no bridge" && return 77; }
	rm -f "$tmp/tagged.ready"
	source=$(mac_of b1) target=$(mac_of b2)
	start b2 python3 -c "$tagged" receive "$source" "$target" $((15 * times)) "$tmp/tagged.ready" >"$tmp/tagged" 2>&1
	receiver=$!
	wait_for "the receiver" test -e "$tmp/tagged.ready" || { cat "$tmp/tagged" && return 1; }
	in_ns b1 python3 -c "$tagged" send "$source" "$target" || return 1
	wait "$receiver"
	pids=${pids/ $receiver/}
	is "of 600 tagged frames" "0 frames missing" "$(cat "$tmp/tagged")"
}

# --- other programs on our devices ---

# A program at tc that counts: before ours, or behind with a priority above that of our filters (81). Its pins go with
# the worlds'.
filter_add() { # DEVICE ingress|egress [PRIORITY]
	local there=/sys/fs/bpf/$W-beside name=$1_$2_${3:-7}

	[ -d "$there" ] || { mkdir "$there" && all_worlds="$all_worlds $W-beside"; }
	rm -f "$there/${name}"_*
	"$tools/counter" --pin "$there/${name}_program" "$there/${name}_packets" || return 1
	in_ns node tc qdisc show dev "$1" | grep -q clsact || in_ns node tc qdisc add dev "$1" clsact
	in_ns node tc filter add dev "$1" "$2" prio "${3:-7}" bpf da pinned "$there/${name}_program"
}

# The qdisc stays: our doors are there too on a kernel without tcx.
filter_remove() { in_ns node tc filter del dev "$1" "$2" prio "${3:-7}"; } # DEVICE ingress|egress [PRIORITY]

filters_each() { # COMMAND: before ours and behind, in and out
	local way priority

	for way in ingress egress; do
		for priority in 7 200; do
			"$1" n_c1 "$way" "$priority" || return 1
		done
	done
}

filter_count() { "$tools/counter" --read "/sys/fs/bpf/$W-beside/$1_$2_${3:-7}_packets"; }

filters_count() { # COMMAND...: to and from the client, by each of the filters
	local before now i names=("before ours, in" "behind ours, in" "before ours, out" "behind ours, out")

	mapfile -t before < <(filters_each filter_count)
	"$@" || return 1
	mapfile -t now < <(filters_each filter_count)
	for i in 0 1 2 3; do
		at_least "packets ${names[i]}" 300 $((now[i] - before[i])) || return 1
	done
}

program_began() { [ -e "$tmp/tcx.$1.ready" ] || grep -q 'no tcx' "$tmp/tcx.$1"; }

programs_start() { # in|out
	local place

	programs=''
	for place in first last; do
		rm -f "$tmp/tcx.$place.ready"
		start node "$tools/counter" "${2:-n_c1}" "$1" "$place" "$tmp/tcx.$place.ready" >"$tmp/tcx.$place" 2>&1
		programs="$programs $!"
	done
	for place in first last; do
		wait_for "a program of tcx" program_began "$place" && [ -e "$tmp/tcx.$place.ready" ] && continue
		cat "$tmp/tcx.$place"
		! grep -q 'no tcx' "$tmp/tcx.$place" || return 77
		return 1
	done
}

programs_end() {
	local pid

	for pid in $programs; do
		kill -TERM "$pid" && wait "$pid"
		pids=${pids/ $pid/}
	done
}

programs_count() { # in|out COMMAND...
	local way=$1 code=0

	shift
	programs_start "$way" || return
	"$@" || code=1
	programs_end
	[ "$code" = 0 ] || return 1
	at_least "packets of the program before ours" 300 "$(cat "$tmp/tcx.first")" &&
		at_least "packets of the program behind ours" 300 "$(cat "$tmp/tcx.last")"
}

# --- neighbours, broadcasts, jumbo frames, tcpdump ---

neighbours_found() { # FAMILY DIRECT VIP
	local machine

	for machine in $machines; do
		in_ns "${machine%:*}" ip "$1" neigh flush all
	done
	in_ns node ip "$1" neigh flush all
	ask open --to "$2" --port 8080 --count 20 && is "answers of s1 itself" 20 "$(field v1.s1)" &&
		ask open --to "$3" --port 80 --count 100 && is "answers of the service" 100 "$(field ok)" &&
		at_least "neighbours that the node has found" 4 "$(in_ns node ip "$1" neigh show | grep -c 'n_[cs].*lladdr')"
}

# As DHCP does it: from no address to all, and the answer to all.
dhcp_like='
import socket, sys
def sock(device, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    s.bind(("", port))
    s.settimeout(float(sys.argv[2]))
    return s
if sys.argv[1] == "server":
    s = sock("n_c1", 67)
    open(sys.argv[3], "w").close()
    for i in range(10):
        data, who = s.recvfrom(2000)
        s.sendto(b"offer " + data, ("255.255.255.255", 68))
else:
    s = sock("port", 68)
    for i in range(10):
        s.sendto(b"discover %d" % i, ("255.255.255.255", 67))
        assert s.recv(2000) == b"offer discover %d" % i
    print("10 offers")
'

broadcasts() {
	needs python3 || return
	rm -f "$tmp/dhcp.ready"
	start node python3 -c "$dhcp_like" server $((10 * times)) "$tmp/dhcp.ready" >"$tmp/dhcp" 2>&1
	wait_for "the server" test -e "$tmp/dhcp.ready" &&
		is "answers to broadcasts" "10 offers" "$(in_ns c1 python3 -c "$dhcp_like" client $((5 * times)) 2>&1)"
}

mtu_set() { # MTU
	local machine

	for machine in $machines; do
		ip -n "$W-${machine%:*}" link set port mtu "$1" && ip -n "$W-node" link set "n_${machine%:*}" mtu "$1" || return 1
	done
}

jumbo() {
	local code=0 later

	later=$(($(verdict fragment_stack) + $(verdict fragment_redirect)))
	mtu_set 9000 2>"$tmp/mtu" || {
		mtu_set 1500
		echo "a device with a door takes no MTU of 9,000: $(cat "$tmp/mtu")"
		return 1
	}
	{
		ask open --to "$vip4" --port 53 --udp --size 8900 --count 100 && is "answers of 8,900 bytes" 100 "$(field ok)" &&
			ask open --to "$vip6" --port 53 --udp --size 8900 --count 100 && is "IPv6 answers" 100 "$(field ok)" &&
			ask open --to "$vip4" --port 80 --get 300000 --count 20 && is "long answers" 20 "$(field ok)" &&
			is "fragments" "$later" $(($(verdict fragment_stack) + $(verdict fragment_redirect)))
	} || code=1
	mtu_set 1500 && return "$code"
}

# Of what XDP sends on by itself no tap of the node's sees anything; of all else it does.
dump_sees() { # FILTER COMMAND...
	needs tcpdump || return
	local filter=$1 pid code=0

	shift
	rm -f "$tmp/dump.pcap"
	start node tcpdump -p -n -U --immediate-mode -s 128 -B 4096 -i n_c1 -w "$tmp/dump.pcap" "$filter" 2>"$tmp/dump"
	pid=$!
	wait_for "tcpdump" grep -q 'listening on' "$tmp/dump" || return 1
	"$@" || code=1
	sleep 0.3
	kill -INT "$pid" && wait "$pid"
	pids=${pids/ $pid/}
	cat "$tmp/dump"
	[ "$code" = 0 ] &&
		at_least "packets that tcpdump has seen" 300 "$(sed -n 's/^\([0-9]*\) packets captured/\1/p' "$tmp/dump")"
}

# --- straight to the peer ---

sent_by() { in_ns node ip -s -j link show dev "$1" | sed -n 's/.*"tx":{[^}]*"packets":\([0-9]*\).*/\1/p'; }
got_by() { in_ns "$1" ip -s -j link show dev port | sed -n 's/.*"rx":{[^}]*"packets":\([0-9]*\).*/\1/p'; }

# Packets that left s1's device, of some hundreds that s1 got.
passed_out() {
	local sent got

	sent=$(sent_by n_s1) got=$(got_by s1)
	ask open --to "$vip4" --port 80 --count 200
	is "answers of s1" 200 "$(field v1.s1)" && at_least "packets that s1 got" 800 $(($(got_by s1) - got)) || return 1
	passed=$(($(sent_by n_s1) - sent))
}

# Neighbour discovery and the like still go by the device.
is_skipped() { passed_out && { [ "$passed" -lt 50 ] || is "packets on the device's way out" "a few" "$passed"; }; }
is_walked() { passed_out && at_least "packets on the device's way out" 800 "$passed"; }

# Returns after the agent has looked: a line of status tells nothing of it, so packets are asked.
agent_looks() { # COMMAND...
	local i

	kill -HUP "$agent"
	for ((i = 0; i < 20 * times; i++)); do
		"$@" >"$tmp/look" 2>&1 && return
		sleep 0.2
	done
	"$@"
}

peer_yields() { # REMOVE-COMMAND -- ADD-COMMAND...: somebody comes, and goes again
	local code=0 gone=$1

	shift
	in_ns node "$@" || { echo "this kernel has none of: $*" && return 77; }
	agent_looks is_walked || code=1
	# shellcheck disable=SC2086 # a command and its arguments
	in_ns node $gone
	[ "$code" = 0 ] && agent_looks is_skipped
}

peer_yields_to_filter() {
	local code=0

	filter_add n_s1 egress || { echo "the kernel has no filters of BPF (cls_bpf)" && return 77; }
	agent_looks is_walked || code=1
	at_least "packets of the filter" 800 "$(filter_count n_s1 egress)" || code=1
	filter_remove n_s1 egress
	[ "$code" = 0 ] && agent_looks is_skipped
}

peer_yields_to_program() {
	local code=0

	programs_start out n_s1 || return
	agent_looks is_walked || code=1
	programs_end
	at_least "packets of the program" 800 "$(cat "$tmp/tcx.last")" || code=1
	[ "$code" = 0 ] && agent_looks is_skipped
}

for door in tc xdp; do
	[ -z "$W" ] || world_end
	world_up
	filter_up || die "nftables"
	filters_each filter_add || die "filters of tc"
	agent_start --forward stack || die "the agent comes up"
	config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
	row "stack: rules of nftables and connection tracking count the service's packets" rules_count 100 serves 300
	row "stack: filters of tc before and behind ours that were there first count the service's packets" \
		filters_count serves 300
	row "stack: programs of tcx before and behind ours count what comes in" programs_count in serves 300
	row "stack: programs of tcx before and behind ours count what goes out" programs_count out serves 300
	agent_end TERM
	agent_start || die "the agent comes up"
	row "rules of nftables and connection tracking count what is not ours" rules_count 100 direct 100
	row "a rule of nftables drops what it is told to" rules_drop
	row "a rule of nftables translates addresses" rules_translate
	row "a client's port talks to the service, then to an endpoint itself" port_again
	row "a bridge between devices with doors" bridges
	row "frames with somebody's VLAN tags pass the bridge whole" tags_pass
	row "filters of tc before and behind ours count what is not ours" filters_count direct 100
	row "programs of tcx before and behind ours count what is not ours, in" programs_count in direct 100
	row "programs of tcx before and behind ours count what is not ours, out" programs_count out direct 100
	filters_each filter_remove || die "filters of tc go"
	row "the service goes on when they have gone" serves 300
	filters_each filter_add || die "filters of tc"
	row "filters of tc before and behind ours that came later count what is not ours" filters_count direct 100
	row "ARP finds neighbours" neighbours_found -4 10.77.11.2 "$vip4"
	row "IPv6 neighbour discovery finds them" neighbours_found -6 fd77:11::2 "$vip6"
	row "broadcasts as of DHCP reach the node and come back" broadcasts
	row "an MTU of 9,000, no fragment" jumbo
	row "tcpdump sees what is not ours" dump_sees "host 10.77.11.2" direct 100
	[ "$door" = xdp ] || row "tcpdump sees the service's packets" dump_sees "host $vip4" serves 300
done
world_end
door=tc
world_up
agent_start || die "the agent comes up"
config 50 30 20 | apply >"$tmp/row" || die "the configuration is taken"
{ weight 1 0 0 && entry "s1 s3 s4" | apply; } >"$tmp/row" || die "s1 alone"
row "an endpoint's packets skip the way out of a bare device" is_skipped
row "and take it when a filter of tc stands there, until it goes" peer_yields_to_filter
row "and take it when a program of tcx stands there, until it goes" peer_yields_to_program
row "and take it when the device has a qdisc, until it goes" peer_yields "tc qdisc del dev n_s1 root" \
	tc qdisc add dev n_s1 root pfifo limit 1000
rows_end
