#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A canary release and its rollback, with real servers and real connections: `make demo`. Needs root; touches nothing of
# the machine: network, BPF file system and state are the demo's own and end with it.
#
#              client 10.60.1.2 ---- node (sluiced) -+- 10.60.11.2 reviews v1.a
#   asks for the VIP 10.96.60.1:9080                 +- 10.60.12.2 reviews v1.b
#                                                    +- 10.60.13.2 reviews v2.a
#                                                    +- 10.60.14.2 reviews v3.a
#
# DEMO_DOOR=both|tc|xdp   which door of the data plane (both: all steps with tc, then the main ones with XDP)
# DEMO_CONNECTIONS=3000   new connections that each step opens and counts
# Exit code 0: every promise was kept. 1: one was broken, or the demo could not run.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
doors=${DEMO_DOOR:-both}
connections=${DEMO_CONNECTIONS:-3000}
held_each=8
vip=10.96.60.1 port=9080
servers=(v1.a v1.b v2.a v3.a) # the n-th has 10.60.1n.2
rules=deploy/examples/bookinfo

fail() {
	echo "demo: $*" >&2
	exit 1
}

case $doors in both) doors="tc xdp" ;; tc | xdp) ;; *) fail "DEMO_DOOR=$doors; allowed are both, tc and xdp" ;; esac
[[ $connections =~ ^[1-9][0-9]{1,5}$ ]] || fail "DEMO_CONNECTIONS=$connections; allowed are 10 to 999999"
[ "$(id -u)" = 0 ] || fail "needs root: sudo make demo"
for program in sluice sluiced tests/net/client; do
	[ -x "$root/build/$program" ] || fail "build/$program is not there; run: make demo"
done
for tool in nginx jq ip ethtool bpftool setpriv; do
	command -v $tool >/dev/null || fail "$tool is missing; run: scripts/deps.sh demo"
done
# In mounts of its own, so that they end with it whatever ends it, and /sys/fs/bpf stays as it is.
if [ -z "${SLUICE_DEMO_INSIDE:-}" ]; then
	export SLUICE_DEMO_INSIDE=1
	exec unshare --mount --propagation private "$0"
fi

# --- what it starts, and its end ---

tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-demo.XXXXXX") || exit 1
started=()

everything_end() {
	local status=$?
	trap '' INT TERM HUP
	processes_end
	umount --lazy --recursive "$tmp" 2>/dev/null
	rmdir "$tmp"
	exit $status
}
processes_end() {
	[ ${#started[@]} -gt 0 ] || return
	kill -TERM "${started[@]}" 2>/dev/null
	wait "${started[@]}" 2>/dev/null
	started=()
}
trap everything_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# In network NAME; the file systems stay as they are (`ip netns exec` would hide the BPF file system).
at() { nsenter --net="$tmp/$1" -- "${@:2}"; }
# The same in the background. It dies with this script, even when that is killed. `pid` is its number.
start() {
	setpriv --pdeathsig KILL nsenter --net="$tmp/$1" -- "${@:2}" &
	pid=$!
	started+=("$pid")
}
# Until the command holds; ten seconds at most.
wait_for() {
	for ((tries = 0; tries < 500; tries++)); do
		"$@" && return
		sleep 0.02
	done
	return 1
}

# --- the network ---

network_add() { : >"$tmp/$1" && unshare --net="$tmp/$1" true && at "$1" ip link set lo up; }

# link_add NETWORK DEVICE SUBNET: the network's eth0 (.2) and the node's DEVICE (.1)
link_add() {
	at node ip link add "$2" type veth peer name eth0 netns "$tmp/$1" &&
		at node ip addr add "$3.1/24" dev "$2" && at node ip link set "$2" up &&
		at "$1" ip addr add "$3.2/24" dev eth0 && at "$1" ip link set eth0 up &&
		at "$1" ip route add default via "$3.1" || return
	# What a wire does not do either. XDP sees the bytes as they are, so the sender must have summed them up; and what XDP
	# redirects into a veth is taken only by a peer that polls, which GRO turns on.
	[ "$door" != xdp ] || at "$1" ethtool -K eth0 tx off tso off gso off gro on >/dev/null
}

network_make() {
	network_add client && network_add node && link_add client to-client 10.60.1 || return
	for i in "${!servers[@]}"; do
		network_add "${servers[i]}" &&
			link_add "${servers[i]}" "to-${servers[i]}" "10.60.$((i + 11))" || return
	done
	# A port that waits in TIME_WAIT may be used again, as on a busy client.
	at node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' &&
		at client sh -c 'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range
			echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse'
}

server_start() {
	local folder=$tmp/nginx-$1
	mkdir "$folder" && cat >"$folder/conf" <<-END || return
		daemon off;
		master_process off;
		user root;
		pid $folder/pid;
		error_log $folder/log;
		events { worker_connections 8192; }
		http {
			access_log off;
			keepalive_timeout 1h;
			keepalive_requests 1000000;
			client_body_temp_path $folder/body;
			proxy_temp_path $folder/proxy;
			fastcgi_temp_path $folder/fastcgi;
			uwsgi_temp_path $folder/uwsgi;
			scgi_temp_path $folder/scgi;
			server {
				listen $port backlog=4096;
				location / { return 200 "$1\n"; }
			}
		}
	END
	start "$1" nginx -p "$folder" -e "$folder/log" -c "$folder/conf"
}
is_serving() { [ -n "$(at "$1" ss -Hltn "sport = :$port")" ]; }

agent_start() {
	mkdir "$tmp/bpf" && mount -t bpf bpf "$tmp/bpf" || return
	start node "$tmp/bin/sluiced" --device 'to-*' --door "$door" --flows 65536 \
		--state "$tmp/state" --pins "$tmp/bpf/sluice" 2>"$tmp/agent.log"
	agent=$pid
	wait_for grep -q ready "$tmp/agent.log"
}
run_sluice() { at node "$tmp/bin/sluice" --state "$tmp/state" --pins "$tmp/bpf/sluice" "$@"; }

# --- looks ---

plain='' bold='' red='' green=''
colour=([1]='' [2]='' [3]='')
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	plain=$'\e[0m'
	colour=([1]=$'\e[30;42m' [2]=$'\e[30;46m' [3]=$'\e[30;43m')
	bold=$'\e[1m' red=$'\e[1;31m' green=$'\e[1;32m'
fi

# bar COUNT-OF-V1 COUNT-OF-V2 COUNT-OF-V3: thirty digits, each the version that has that part
bar() {
	local sum=$(($1 + $2 + $3)) upto=0 from=0 to cells
	for i in 1 2 3; do
		upto=$((upto + ${!i}))
		to=$(((60 * upto + sum) / (2 * sum)))
		printf -v cells '%*s' $((to - from)) ''
		printf '%s%s%s' "${colour[i]}" "${cells// /$i}" "$plain"
		from=$to
	done
}
# percents COUNT COUNT COUNT: three numbers with one decimal
percents() {
	local sum=$(($1 + $2 + $3)) tenths
	for i in 1 2 3; do
		tenths=$(((2000 * ${!i} + sum) / (2 * sum)))
		printf '%d.%d ' $((tenths / 10)) $((tenths % 10))
	done
}
shares() {
	local part
	read -r -a part < <(percents "$@")
	printf 'v1 %5s %%  v2 %5s %%  v3 %5s %%' "${part[0]}" "${part[1]}" "${part[2]}"
}
short() {
	local part
	read -r -a part < <(percents "$@")
	printf '%5s %5s %5s' "${part[0]}" "${part[1]}" "${part[2]}"
}

# --- counting ---

broken=0
promise_broken() {
	broken=$((broken + 1))
	verdict=BROKEN
	printf '   %sBROKEN: %s%s\n' "$red" "$*" "$plain"
}

# New connections, one request each. Adds to asked, sets counts (by version) and errors.
count_answers() {
	local result
	result=$(at client "$tmp/bin/client" open --http --to $vip --port $port --count "$connections" \
		--concurrency 32) || return
	read -r -a counts < <(jq -r '[.by.v1, .by.v2, .by.v3, .failed] | map(. // 0) | @tsv' <<<"$result")
	errors=${counts[3]}
	asked=$((asked + connections))
	unset 'counts[3]'
}

# How many standard deviations COUNT of N is away from WEIGHT of SUM, in hundredths. No chance at all: 0 or very many.
deviation() {
	awk -v k="$1" -v n="$2" -v w="$3" -v s="$4" 'BEGIN {
		p = w / s; d = k - n * p; sd = sqrt(n * p * (1 - p))
		printf "%d", d == 0 ? 0 : sd == 0 ? 99900 : (d < 0 ? -d : d) / sd * 100 + 0.5 }'
}
worst_deviation() {
	local one
	worst=0
	for i in 0 1 2; do
		one=$(deviation "${counts[i]}" $((counts[0] + counts[1] + counts[2])) "${weights[i]}" \
			$((weights[0] + weights[1] + weights[2])))
		[ "$one" -le "$worst" ] || worst=$one
	done
}

# Connections that stay open the whole time, a request every quarter of a second.
hold_start() {
	local ready=$tmp/ready-$1
	start client "$tmp/bin/client" hold --http --to $vip --port $port --count $held_each --every 250 \
		--timeout 2000 --ready "$ready" >"$tmp/hold-$1" 2>>"$tmp/hold.log"
	holds[$1]=$pid
	wait_for test -e "$ready" || promise_broken "connections to hold open were not answered"
}
# New connections at a steady pace, across all changes.
stream_start() {
	start client "$tmp/bin/client" open --http --to $vip --port $port --rate 100 --concurrency 8 \
		--for 3600 >"$tmp/stream" 2>>"$tmp/hold.log"
	stream=$pid
}
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
# Sets held (still with who answered first) of held_all.
held_ask() {
	local lines
	held=0 held_all=0
	for name in "${!holds[@]}"; do
		lines=$(wc -l <"$tmp/hold-$name")
		kill -USR1 "${holds[$name]}" 2>/dev/null
		held_all=$((held_all + held_each))
		wait_for has_lines "$tmp/hold-$name" $((lines + 1)) &&
			held=$((held + $(tail -n 1 "$tmp/hold-$name" | jq '.started - .failed - .moved')))
	done
}

# --- one step ---

indent() { sed 's/^/   /'; }

# step "W1 W2 W3" COMMAND...: runs it, measures, says how it went
step() {
	local text="${*:2}" said verdict=ok
	read -r -a weights <<<"$1"
	number=$((number + 1))
	text=${text/run_/} text=${text/at node } text=${text/"$tmp/bpf"//sys/fs/bpf}
	printf '%s%2d $ %s%s\n' "$bold" "$number" "$text" "$plain"
	if ! said=$("${@:2}" 2>&1); then
		promise_broken "the command failed"
		indent <<<"$said"
	fi
	[ "$number" != 1 ] || { hold_start first && stream_start; }
	printf '   intended %s  %s\n' "$(bar "${weights[@]}")" "$(shares "${weights[@]}")"
	count_answers || fail "the client failed"
	worst_deviation
	if [ "$worst" -gt 300 ]; then
		# Chance alone does this to one honest measure in 370, and to two in a row never.
		echo "   (more than 3 standard deviations away: measured once more, this one counts)"
		count_answers || fail "the client failed"
		worst_deviation
	fi
	sleep 0.3 # a request at least on every held connection since the change
	held_ask
	step_show
	rows+=("$(printf '%-4s %2d   %s   %s   %3d.%d sd %11s %6d %6s  %s' "$door" "$number" "$(short "${weights[@]}")" \
		"$(short "${counts[@]}")" $((worst / 100)) $((worst % 100 / 10)) \
		$((counts[0] + counts[1] + counts[2])) "$errors" "$held/$held_all" "$verdict")")
}

step_show() {
	printf '   measured %s  %s  %s errors, held %s of %s\n' "$(bar "${counts[@]}")" \
		"$(shares "${counts[@]}")" "$errors" "$held" "$held_all"
	[ "$worst" -le 300 ] || promise_broken "the share is $((worst / 100)) standard deviations away"
	[ "$errors" = 0 ] || promise_broken "$errors connections failed"
	[ "$held" = "$held_all" ] || promise_broken "$((held_all - held)) held connections moved or broke"
}

# --- all of it, through one door ---

steps_run() {
	step "100 0 0" run_sluice apply -f "$rules"
	step "90 0 10" run_sluice apply -f "$rules/canary"/reviews-90-10.yaml
	$is_short || step "50 0 50" run_sluice weight reviews v1=50 v3=50
	step "0 0 100" run_sluice apply -f "$rules/canary"/reviews-v3-100.yaml
	hold_start last
	kill -KILL "$agent"
	wait "$agent" 2>/dev/null
	echo "   (sluiced is killed here, with SIGKILL: going back needs nobody)"
	if $is_short; then
		step "90 0 10" run_sluice rollback
	else
		step "50 0 50" run_sluice rollback
		echo "   (by hand, without sluice: the number of the revision is all that changes)"
		step "90 0 10" at node bpftool map update pinned "$tmp/bpf/sluice/active" key 0 0 0 0 value 2 0 0 0
	fi
	step "100 0 0" run_sluice rollback --to 1
}

# Ends what was held and streamed, and looks at what they say at their end.
clients_end() {
	local verdict all name
	kill -TERM "$stream" "${holds[@]}" 2>/dev/null
	wait "$stream" "${holds[@]}" 2>/dev/null
	for name in "${!holds[@]}"; do
		[ "$name" = first ] && all=v1 || all=v3
		[ "$(tail -n 1 "$tmp/hold-$name" | jq "[.by.$all, .failed, .moved] == [$held_each, 0, 0]")" = true ] ||
			promise_broken "held connections: $(tail -n 1 "$tmp/hold-$name")"
	done
	read -r streamed failed < <(jq -r '[.ok, .failed] | @tsv' "$tmp/stream")
	[ "$failed" = 0 ] || promise_broken "$failed connections failed while weights changed: $(cat "$tmp/stream")"
	asked=$((asked + streamed + failed + held_all))
	printf '   Held to the end: %d connections on v1 since step 1, %d on v3 since it had all. Opened across\n' \
		$held_each $held_each
	printf '   the changes: %s more, %s errors. ' "$streamed" "$failed"
}

# What the clients opened, the doors must have counted, by the versions and by the doors.
kernel_compare() {
	local opened here
	read -r opened here < <(run_sluice stats -o json | jq -r --arg door "$door" '[
		([.versions[].opened] | add),
		([.counters[] | select(.counter | startswith("open_")) | .[$door]] | add)] | @tsv')
	printf 'The kernel counted %s of %s connections, %s at the %s door.\n' \
		"$opened" "$asked" "$here" "$door"
	[ "$opened" = "$asked" ] || promise_broken "the kernel's count is not the clients'"
	[ "$((here * 100))" -ge "$((asked * 95))" ] || promise_broken "the $door door saw too few of them"
}

look_around() {
	echo
	echo "${bold}   \$ sluice status$plain"
	run_sluice status 2>&1 | sed -n '/^services/q; s/^/   /p'
	echo "${bold}   \$ sluice explain 10.60.1.3:40000 $vip:$port$plain"
	run_sluice explain 10.60.1.3:40000 $vip:$port 2>&1 | indent
}

door_run() {
	local -A holds=()
	local number=0 asked=0 stream=''
	door=$1
	# After the other door the main steps are enough.
	is_short=false
	[ "$door" = "${doors%% *}" ] || is_short=true
	mount -t tmpfs -o mode=700 sluice-demo "$tmp" || fail "cannot mount a tmpfs"
	# Copies: a build meanwhile must not change them in the middle.
	mkdir "$tmp/bin"
	cp build/sluice{,d} build/tests/net/client "$tmp/bin" || fail "cannot copy the programs"
	network_make || fail "cannot make the network"
	for name in "${servers[@]}"; do server_start "$name" || fail "cannot start nginx"; done
	for name in "${servers[@]}"; do
		wait_for is_serving "$name" || fail "nginx does not start: $(cat "$tmp/nginx-$name/log")"
	done
	agent_start || fail "sluiced does not start: $(cat "$tmp/agent.log")"
	printf '\n%s== The %s door ==%s\n' "$bold" "$door" "$plain"
	steps_run
	clients_end
	kernel_compare
	[ "$door" != "${doors##* }" ] || look_around
	processes_end
	umount --lazy --recursive "$tmp"
}

cd "$root" || exit 1
rows=()
cat <<END
A canary release of the service reviews and its rollback: client -- node (sluiced) -- nginx ${servers[*]}
Each step changes the split, then opens $connections new connections and counts which version answers each. A bar's digits
are the versions' parts. "held" are connections kept open all the while: they must stay where they began.
END
for door in $doors; do door_run "$door"; done

printf '\n%s%s%s\n' "$bold" "door step  intended v1 v2 v3   measured v1 v2 v3   off by connections errors   held" "$plain"
printf '%s\n' "${rows[@]}"
if [ $broken != 0 ]; then
	echo "${red}Promises broken: $broken.$plain"
	exit 1
fi
echo "${green}Every promise kept:$plain shares within 3 standard deviations, no error, no connection moved or reset." \
	"${SECONDS} s."
