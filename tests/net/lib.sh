# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A small world for tests with real sockets, and the rows that they are made of. A test file sources this, calls
# world_up, agent_start and `row`, and ends with rows_end. Everything goes away with the shell, by a trap.
#
#   c1, c2 --- node --- s1, s2 (v1), s3 (v2), s4 (v3)
#
# Machine number I (c1 1, c2 2, s1 11 ... s4 14) has 10.77.I.2 and fd77:I::2, the node 10.77.I.1 and fd77:I::1 on its
# device n_NAME. Ports below 10000 are never taken unasked. c1 also sends from all of 10.78.0.0/16 and fd78::/64.
# The VIPs are addresses of s4, so that what Sluice leaves alone still arrives somewhere: there the
# servers listen on 8080, never on a VIP's port.

set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$root/build}
bin=$build # build/san has the same programs with sanitizers
tools=$build/tests/net
vip4=10.96.0.10 vip6=fd96::10
legs="c1:1 c2:2 s1:11 s2:12 s3:13 s4:14"
times=${SLUICE_TIMES:-1} # a slow machine gets so many times the time
door=tc # which one agent_start asks for; test files go through both
worlds=0 W='' tmp='' all_tmp='' all_worlds='' agent='' pids=''
rows_passed=0 rows_failed=0 rows_skipped=0

# --- the world ---

in_ns() { # NAME COMMAND...: mounts stay, so the BPF file system is the same everywhere
	local name=$1

	shift
	nsenter --net="/run/netns/$W-$name" "$@"
}

# Without duplicate address detection, which would hold the first IPv6 packets back for a second.
space_up() { # NAME
	ip netns add "$W-$1"
	in_ns "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
		net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
	ip -n "$W-$1" link set lo up
}

# A leg is its own device pair: NAME NUMBER
leg_up() {
	local name=$1 i=$2

	space_up "$name"
	ip link add "n_$name" netns "$W-node" type veth peer name port netns "$W-$name"
	ip -n "$W-$name" -batch - <<-END
		link set port up
		address add 10.77.$i.2/24 dev port
		address add fd77:$i::2/64 dev port nodad
		route add default via 10.77.$i.1
		route add default via fd77:$i::1
	END
	ip -n "$W-node" -batch - <<-END
		link set n_$name up
		address add 10.77.$i.1/24 dev n_$name
		address add fd77:$i::1/64 dev n_$name nodad
	END
	in_ns "$name" sysctl -qw net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1 \
		net.core.somaxconn=4096
	[ "$door" != xdp ] || leg_for_xdp "$name"
}

# As XDP wants it: whole checksums from the sender; a receiver that takes frames which XDP sends.
leg_for_xdp() { # NAME
	in_ns "$1" ethtool -K port tx off tso off gso off gro on >"$tmp/ethtool" 2>&1
}

world_up() {
	local machine

	[ "$(id -u)" = 0 ] || die "the tests with real sockets make network namespaces: run them as root"
	W=slt$$-$((++worlds))
	all_worlds="$all_worlds $W"
	tmp=$(mktemp -d)
	all_tmp="$all_tmp $tmp"
	state=$tmp/state
	pins=/sys/fs/bpf/$W
	# A second signal must not end the clearing up: timeout(1) sends two, and whoever waits presses twice.
	trap 'trap "" INT TERM; world_end' EXIT
	trap 'trap "" INT TERM; exit 1' INT TERM
	space_up node
	in_ns node sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	machines=$legs
	for machine in $machines; do
		leg_up "${machine%:*}" "${machine#*:}"
	done
	ip -n "$W-s4" address add "$vip4/32" dev lo
	ip -n "$W-s4" address add "$vip6/128" dev lo nodad
	ip -n "$W-node" route add "$vip4" via 10.77.14.2
	ip -n "$W-node" route add "$vip6" via fd77:14::2
	ip -n "$W-node" route add 10.78.0.0/16 via 10.77.1.2
	ip -n "$W-node" route add fd78::/64 via fd77:1::2
	ip -n "$W-c1" route add local 10.78.0.0/16 dev lo
	ip -n "$W-c1" route add local fd78::/64 dev lo
	in_ns c1 sysctl -qw net.ipv6.ip_nonlocal_bind=1
	server_start s1 v1.s1
	server_start s2 v1.s2
	server_start s3 v2.s3
	server_start s4 v3.s4
}

# Whoever runs in a world: also what servers started, which outlives them, and what a subshell did, of which nobody here
# has the id.
space_end() { # PATH
	local try running

	for try in 1 2 3 4 5; do
		running=$(ip netns pids "${1##*/}")
		[ -n "$running" ] || break
		# shellcheck disable=SC2086 # a list of words
		kill -KILL $running
		sleep "0.0$try"
	done 2>>"$tmp/end"
	ip netns del "${1##*/}"
}

world_end() {
	local pid space

	[ -n "$all_tmp" ] || return
	for pid in $pids; do
		kill -KILL "$pid" && wait "$pid"
	done 2>>"$tmp/end"
	for W in $all_worlds; do
		for space in "/run/netns/$W"-*; do
			[ ! -e "$space" ] || space_end "$space"
		done
		[ ! -d "/sys/fs/bpf/$W" ] || rm -r "/sys/fs/bpf/$W"
	done
	for tmp in $all_tmp; do
		rm -rf "$tmp"
	done
	pids='' all_worlds='' all_tmp=''
}

# In the background, ended with the test. The id in $! is the program's own, because nsenter becomes it.
start() { # NAME COMMAND...
	local name=$1

	shift
	nsenter --net="/run/netns/$W-$name" "$@" &
	pids="$pids $!"
}

server_start() { # NAME ANSWER
	start "$1" "$tools/server" 8080 "$2"
	wait_for "the server on $1" in_ns "$1" "$tools/client" open --to ::1 --port 8080
}

# A moment that means as much to a slow machine.
nap() { # SECONDS
	[ "$times" = 1 ] && sleep "$1" && return
	sleep "$(awk -v seconds="$1" -v times="$times" 'BEGIN { print seconds * times }')"
}

wait_for() { # WHAT COMMAND...: up to ten seconds
	local what=$1 i

	shift
	for ((i = 0; i < 200 * times; i++)); do
		"$@" >"$tmp/wait" 2>&1 && ! grep -q '"ok":0' "$tmp/wait" && return 0
		sleep 0.05
	done
	echo "waited $((10 * times)) seconds for $what"
	return 1
}

# --- Sluice on the node ---

sluice() { in_ns node "$bin/sluice" --state "$state" --pins "$pins" "$@"; }

agent_says_ready() { [ "$(grep -c 'ready, ' "$tmp/agent.log")" -gt "$1" ]; }

agent_start() { # OPTION...
	local before

	touch "$tmp/agent.log"
	before=$(grep -c 'ready, ' "$tmp/agent.log")
	start node "$bin/sluiced" --device 'n_*' --door "$door" --state "$state" --pins "$pins" \
		--flows 65536 --services 1024 --versions 256 --endpoints 1024 "$@" >>"$tmp/agent.log" 2>&1
	agent=$!
	if ! wait_for "the agent" agent_says_ready "$before"; then
		cat "$tmp/agent.log"
		return 1
	fi
}

agent_end() { # SIGNAL
	kill "-$1" "$agent"
	wait "$agent" 2>>"$tmp/end"
	pids=${pids/ $agent/}
}

detach() { in_ns node "$bin/sluiced" --detach --state "$state" --pins "$pins" 2>>"$tmp/agent.log"; }

# The service reviews.test with weights for v1, v2 and v3; LABELS of the fourth argument replace the endpoints.
entry() { # [ENDPOINTS [ANNOTATIONS]]
	local endpoints=${1-s1 s2 s3 s4} name

	cat <<-END
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: reviews, annotations: {${2-}}}
		spec:
		  hosts: [reviews.test]
		  resolution: STATIC
		  addresses: [$vip4, "$vip6"]
		  ports:
		  - {number: 80, name: tcp, protocol: TCP, targetPort: 8080}
		  - {number: 53, name: udp, protocol: UDP, targetPort: 8080}
		  endpoints: $([ -n "$endpoints" ] || echo '[]')
	END
	for name in $endpoints; do
		echo "  - {address: 10.77.1${name#s}.2, labels: {version: $(version_of "$name")}}"
		echo "  - {address: \"fd77:1${name#s}::2\", labels: {version: $(version_of "$name")}}"
	done
}

version_of() {
	case $1 in
	s1 | s2) echo v1 ;;
	s3) echo v2 ;;
	*) echo v3 ;;
	esac
}

subsets() { # [TRAFFIC POLICY]
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: {name: reviews}
		spec:
		  host: reviews.test
		  ${1:+trafficPolicy: {$1\}}
		  subsets:
		  - {name: v1, labels: {version: v1}}
		  - {name: v2, labels: {version: v2}}
		  - {name: v3, labels: {version: v3}}
	END
}

split() { # V1 V2 V3
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: reviews}
		spec:
		  hosts: [reviews.test]
		  tcp:
		  - route:
		    - {destination: {host: reviews.test, subset: v1}, weight: $1}
		    - {destination: {host: reviews.test, subset: v2}, weight: $2}
		    - {destination: {host: reviews.test, subset: v3}, weight: $3}
	END
}

config() { # V1 V2 V3
	entry
	subsets
	split "$@"
}

apply() { sluice apply -f - "$@"; }
weight() { sluice weight reviews "v1=$1" "v2=$2" "v3=$3" >"$tmp/weight"; }
active() { sluice status -o json | sed -n 's/.*"active_revision": *\([0-9]*\).*/\1/p'; }
digest() { sluice status -o json | sed -n 's/.*"digest": *"\([0-9a-f]*\)".*/\1/p'; }

# What is pinned for interfaces, a line each, as bpftool knows it: of tcx no more than numbers, in Debian 12, whose
# `bpftool net show` names no tcx at all.
links_show() {
	local link

	for link in "$pins"/links/*; do
		[ ! -e "$link" ] || bpftool -j link show pinned "$link" && echo
	done
}
link_ids() { links_show | sed -n 's/.*"id": *\([0-9]*\),.*/\1/p' | sort -n; }

# A verdict's or note's sum over doors and CPUs.
verdict() { # NAME
	bpftool -j map dump pinned "$pins/verdicts" |
		grep -o "\"$1\":[0-9]*" | awk -F: '{ sum += $2 } END { print sum + 0 }'
}

# --- clients ---

# Asks from c1 (or $from); the answer is kept for `field`.
ask() { in_ns "${from:-c1}" "$tools/client" "$@" >"$tmp/answer"; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,}\"]*\).*/\1/p" "$tmp/answer" | grep . || echo 0; }

hold_start() { # FILE OPTION...: connections in the background, each answered once when this returns
	local file=$tmp/$1

	shift
	rm -f "$file.ready"
	start "${from:-c1}" "$tools/client" hold --ready "$file.ready" "$@" >"$file" 2>"$file.errors"
	hold=$!
	wait_for "held connections" test -e "$file.ready"
}

hold_end() { # FILE WANTED: ends them and says whether each stayed where it was
	kill -TERM "$hold"
	wait "$hold"
	pids=${pids/ $hold/}
	cat "$tmp/$1.errors"
	tail -n 1 "$tmp/$1" >"$tmp/answer" # SIGUSR1 may have made lines before it
	is "held connections that never failed" "$2" "$(field ok)" &&
		is "held connections that moved" 0 "$(field moved)" &&
		is "held connections that failed" 0 "$(field failed)"
}

# --- rows ---

die() {
	echo "not ok - $*"
	exit 1
}

row() { # SENTENCE COMMAND...: 77 is a skip, whose reason is the last line
	local sentence="$1 ($door)" code=0

	shift
	"$@" >"$tmp/row" 2>&1 || code=$?
	case $code in
	0)
		rows_passed=$((rows_passed + 1))
		echo "ok - $sentence"
		;;
	77)
		rows_skipped=$((rows_skipped + 1))
		echo "ok - $sentence # SKIP $(tail -n 1 "$tmp/row")"
		;;
	*)
		rows_failed=$((rows_failed + 1))
		echo "not ok - $sentence"
		sed 's/^/#   /' "$tmp/row"
		;;
	esac
}

rows_end() {
	echo "1..$((rows_passed + rows_failed + rows_skipped))"
	[ "$rows_failed" = 0 ]
	exit
}

note() { echo "# $*"; }

is() { # WHAT WANTED GOT
	[ "$2" = "$3" ] && return
	echo "$1: wanted $2, got $3"
	[ ! -e "$tmp/answer" ] || cut -c1-300 "$tmp/answer"
	return 1
}

at_least() { # WHAT WANTED GOT
	awk -v wanted="$2" -v got="$3" 'BEGIN { exit !(got + 0 >= wanted + 0) }' && return
	echo "$1: wanted at least $2, got $3"
	return 1
}

needs() { # PROGRAM...: the row is skipped where one is missing
	local program

	for program; do
		command -v "$program" >"$tmp/needs" || {
			echo "$program is not installed"
			return 77
		}
	done
}

# The answers' shares against weights, within so many standard deviations; a weight of 0 must get nothing.
shares() { # DEVIATIONS V1 V2 V3
	awk -v k="$1" -v w1="$2" -v w2="$3" -v w3="$4" -v n1="$(field v1)" -v n2="$(field v2)" -v n3="$(field v3)" '
		function check(name, weight, count,   part, deviation) {
			part = weight / (w1 + w2 + w3)
			deviation = sqrt(n * part * (1 - part))
			off = count - n * part
			if (off < 0) off = -off
			printf "%s: wanted %.1f of %d within %.1f, got %d\n", name, n * part, n, k * deviation, count
			if (off > k * deviation) bad = 1
		}
		BEGIN {
			n = n1 + n2 + n3
			check("v1", w1, n1); check("v2", w2, n2); check("v3", w3, n3)
			exit bad || !n
		}'
}
