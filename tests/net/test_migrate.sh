#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Upgrade and downgrade to an agent whose maps are laid out otherwise (build/other, see tests/other), under load: the
# flows are moved, the doors replaced, and the other's maps removed. Not one numbered datagram may be lost, and no
# connection may break or move, old or new. The weights have moved away from where the old ones are, so that one that
# is not found again shows.
#
# POINTS says before how many of its system calls a takeover is killed (4), and how many fail (4), up and down; ALL=1 takes
# each. Which ones differ from run to run: SEED chooses them as in a run before. DOORS names doors.
# shellcheck disable=SC2046
. "$(dirname "$0")/lib.sh"

# What a slow machine cannot carry it would lose by itself, so it gets as much less as it gets more time.
rate=$((1000 / times)) # datagrams a second and family
here=$build other=$build/other
stopper=$build/tests/crash/stopper
seed=${SEED:-$(($(date +%s%N) % 1000000))}
errors=(ENOSPC EIO ENOMEM)

numbers_config() {
	config 50 30 20 | sed '/number: 53,/a\  - {number: 54, name: numbers, protocol: UDP, targetPort: 8081}'
}

echoes_start() {
	local name

	for name in s1 s2 s3 s4; do
		start "$name" "$tools/numbered" echo 8081 "$name"
	done
}

# Every connection here is redirected. A packet that no door knows goes up the stack, where the usual firewall, which never
# saw the connection, takes it for invalid: it counts as lost.
guard_start() {
	command -v nft >"$tmp/nft" || { note "no nft: what goes up the stack is not counted" && return; }
	in_ns node nft -f - <<-END
		table inet guard {
			counter unknown { }
			chain forward {
				type filter hook forward priority 0
				ip daddr 10.77.0.0/16 counter name unknown
				ip6 daddr fd77::/32 counter name unknown
			}
		}
	END
}

guard_reset() { ! command -v nft >"$tmp/nft" || in_ns node nft reset counters >"$tmp/nft"; }

guard_end() {
	command -v nft >"$tmp/nft" || return 0
	in_ns node nft list counter inet guard unknown >"$tmp/nft"
	grep packets "$tmp/nft" | tr -s '\t' ' ' >>"$tmp/figures"
	is "packets that no door knew" 0 "$(sed -n 's/.*packets \([0-9]*\).*/\1/p' "$tmp/nft")"
}

# --- the load: started with the weights of before, and judged at the end ---

numbers_start() { # NAME ADDRESS
	rm -f "$tmp/$1.ready"
	start c1 "$tools/numbered" send "$2" 54 "$rate" 600 32 "$tmp/$1.ready" >"$tmp/$1"
	sender=$!
	wait_for "answers to numbered datagrams" test -e "$tmp/$1.ready"
}

numbers_end() { # NAME
	kill -TERM "$sender"
	wait "$sender"
	pids=${pids/ $sender/}
	cp "$tmp/$1" "$tmp/answer"
	cat "$tmp/answer" >>"$tmp/figures"
	at_least "datagrams of $1" "$rate" "$(field sent)" && is "datagrams lost of $1" 0 "$(field lost)" &&
		is "datagrams of $1 that came twice" 0 "$(field twice)" &&
		is "datagrams of $1 that another endpoint answered" 0 "$(field moved)" &&
		is "datagrams of $1 that were refused" 0 "$(field refused)"
}

held_end() { # NAME WANTED
	hold_end "$1" "$2" || return 1
	cat "$tmp/answer" >>"$tmp/figures"
	at_least "exchanges of $1" "$2" "$(field exchanges)"
}

# New ones all the time, of a client whose ports nobody else uses.
news_start() { # NAME OPTION...
	local file=$tmp/$1

	shift
	start c2 "$tools/client" open --for $((600 * times)) --concurrency 32 --rate $((500 / times)) "$@" \
		>"$file" 2>"$file.errors"
	news=$!
}

news_end() { # NAME
	kill -TERM "$news"
	wait "$news"
	pids=${pids/ $news/}
	cp "$tmp/$1" "$tmp/answer"
	cut -c1-250 "$tmp/answer" >>"$tmp/figures"
	cat "$tmp/$1.errors"
	at_least "new connections of $1" 200 "$(field ok)" && is "new connections of $1 that failed" 0 "$(field failed)" &&
		is "new connections of $1 to the version without weight" 0 "$(field v1)"
}

load_start() {
	weight 50 30 20 || return 1
	numbers_start four "$vip4" && four=$sender || return 1
	numbers_start six "$vip6" && six=$sender || return 1
	hold_start tcp --to "$vip4" --port 80 --count 100 --every $((10 * times)) && tcp=$hold || return 1
	hold_start bulk --to "$vip6" --port 80 --count 10 --every $((10 * times)) --get $((100000 / times)) &&
		bulk=$hold || return 1
	# What was there keeps its endpoint; what comes goes elsewhere.
	weight 0 40 60 || return 1
	news_start new4 --to "$vip4" --port 80 && new4=$news
	news_start new6 --to "$vip6" --port 80 && new6=$news
	guard_reset
}

load_end() {
	local bad=0

	nap 0.5
	guard_end || bad=1
	news=$new4 && news_end new4 || bad=1
	news=$new6 && news_end new6 || bad=1
	sender=$four && numbers_end four || bad=1
	sender=$six && numbers_end six || bad=1
	hold=$tcp && held_end tcp 100 || bad=1
	hold=$bulk && held_end bulk 10 || bad=1
	return "$bad"
}

# --- one agent after the other ---

abi_of() { "$1/sluiced" --version | sed -n 's/.*(ABI \([0-9]*\)).*/\1/p'; }
abi_pinned() { sluice version -o json | sed -n 's/.*"pinned_abi": *\([0-9]*\).*/\1/p'; }
flows_used() { sluice status -o json | tr -d ' \n' | grep -o '"map":"flows","used":[0-9]*' | grep -o '[0-9]*$'; }
pins_beside() { find "$pins" -mindepth 1 \( -name next -o -name commit \); }

# Links that are at an interface and whose program reads the pinned maps, and on kernels without tcx the filters.
doors_count() {
	{
		"$build/tests/crash/doors" list "$pins" | grep ' at [1-9].* sl_tc_.* pinned maps'
		in_ns node bpftool net show | grep sl_tc_
	} | wc -l
}

to() { # BUILD
	bin=$1
	agent_start
}

whole() { # BUILD: the other's maps are gone, each interface has two doors of tc's, and they are this one's
	is "the ABI that is pinned" "$(abi_of "$1")" "$(abi_pinned)" && is "folders left over" "" "$(pins_beside)" &&
		is "doors of tc" 12 "$(doors_count)" &&
		is "drift" "" "$(sluice status -o json | tr -d ' \n' | sed -n 's/.*"drift":\[\([^]]*\)\].*/\1/p')"
}

took_over() { # BUILD: what the agent says of it
	local line

	line=$(grep 'took over' "$tmp/agent.log" | tail -n 1)
	echo "$line" >>"$tmp/figures"
	[[ $line =~ ABI\ $(abi_of "$1"):\ ([0-9]+)\ connections\ moved,\ 0\ could ]] || {
		echo "the agent did not say that it moved all: $line"
		return 1
	}
	# The held ones, and the sockets of numbered datagrams.
	at_least "connections moved" 174 "${BASH_REMATCH[1]}"
}

both_ways() { # SIGNAL
	load_start || return 1
	nap 0.3
	agent_end "$1" && to "$other" && took_over "$here" && whole "$other" && nap 0.5 &&
		agent_end "$1" && to "$here" && took_over "$other" && whole "$here"
	moved=$?
	load_end && return "$moved"
}

# Weights and a rollback are this agent's own again.
afterwards() {
	weight 1 0 0 && ask open --to "$vip4" --port 80 --count 100 && is "answers of v1" 100 "$(field v1)" &&
		sluice rollback >"$tmp/rollback" && ask open --to "$vip4" --port 80 --count 100 &&
		is "answers of v1 after the rollback" 0 "$(field v1)" &&
		is "agents' errors" "" "$(grep 'error:' "$tmp/agent.log")" &&
		is "revisions said to be lost" "" "$(grep 'held no revision' "$tmp/agent.log")"
}

# Before any load, so that nothing but the held ones is in the table: what was closed is swept from it at any time.
counted() {
	local before abi

	agent_end TERM
	hold_start still --to "$vip4" --port 80 --count 60 --every $((200 * times)) || return 1
	for abi in "$other" "$here"; do
		before=$(flows_used)
		is "ways of held connections" 120 "$before" || return 1
		to "$abi" || return 1
		is "ways in the table" "$before" "$(flows_used)" || return 1
		agent_end TERM
	done
	hold_end still 60 || return 1
	to "$here"
}

# --- killed ---

once() { # BUILD [STOPPER-OPTION...]
	local of=$1

	shift
	in_ns node $([ $# = 0 ] || echo "$stopper" --after "$state" --report "$tmp/report") "$@" "$of/sluiced" --once \
		--device 'n_*' --door "$door" --state "$state" --pins "$pins" --flows 65536 --services 1024 --versions 256 \
		--endpoints 1024 >>"$tmp/once.log" 2>&1
}

# The calls of a start that change maps, programs, links and pins, the last first; the seed says where the steps begin.
points() { # MOST LIST KIND
	local chance

	if [ -n "${ALL-}" ]; then
		seq 1 "$(wc -l <"$tmp/$2")"
		return
	fi
	chance=$(cksum <<<"$seed $door $2 $3")
	awk -v most="$1" -v chance="${chance%% *}" '
		/^(bpf|rename|unlink|rmdir|mkdir)/ { list[++count] = NR }
		END {
			srand(chance)
			step = count > most ? count / most : 1
			for (i = count - rand() * step; i >= 1; i -= step) print list[int(i)]
		}' "$tmp/$2"
}

# Each try is a line "up|down POINT [ERRNO]". Up and down take turns with whether the start that was stopped is done again
# or the one of before comes back: up and done, down and back, down and done, up and back.
tries() { # KIND MOST
	local ways=(up down down up) calls n way error='' count=0

	for way in up down; do
		points $((${POINTS:-$2} / 2)) "$way" "$1" >"$tmp/$way.points"
		n=$(wc -l <"$tmp/$way.points")
		count=$((n > count ? n : count))
	done
	for ((n = 0; n < 2 * count; n++)); do
		way=${ways[n % 4]}
		mapfile -t calls <"$tmp/$way.points"
		[ "$1" = kill ] || error=${errors[n % 3]}
		# Where one has more than the other, the other's last comes again.
		echo "$way ${calls[n / 2]:-${calls[-1]}} $error"
	done
}

# The next start is that of the release that was stopped, or of the one before.
after_stop() { # NUMBER BEFORE STOPPED
	local next=$3

	[ $(($1 % 2)) = 1 ] || next=$2
	once "$next" && bin=$next && whole "$next"
}

# It has done all, or says that it has not.
failed_well() { # CODE STOPPED
	if [ "$1" = 0 ]; then
		bin=$2
		whole "$2"
	elif [ "$1" -ge 124 ]; then
		echo "a start whose call failed ended with $1" && return 1
	else
		grep -q 'error: ' "$tmp/once.log" || { echo "a start ended with $1 and said nothing" && return 1; }
	fi
}

stop_one() { # NUMBER WAY POINT [ERRNO]
	local before=$here stopped=$other code=0

	[ "$2" = up ] || { before=$other && stopped=$here; }
	: >"$tmp/once.log"
	once "$stopped" "--$kind" "$3" ${4:+--errno "$4"} || code=$?
	grep -q 'at=-' "$tmp/report" || reached=$((reached + 1))
	nap 0.2
	if [ "$kind" = kill ]; then
		is "the end of a start that is killed" 137 "$code" || return 1
	else
		failed_well "$code" "$stopped" || return 1
	fi
	after_stop "$1" "$before" "$stopped" && return
}

stopped() { # KIND MOST
	local bad=0 tried=0 reached=0 kind=$1 way point error

	[ -x "$stopper" ] || { echo "the stopper is not here (make crash-tools)" && return 77; }
	agent_end TERM
	if ! { once "$other" --list "$tmp/up" && once "$here" --list "$tmp/down"; }; then
		cat "$tmp/once.log"
		return 1
	fi
	tries "$kind" "$2" >"$tmp/tries"
	load_start || return 1
	while read -r way point error <&3; do
		tried=$((tried + 1))
		stop_one "$tried" "$way" "$point" "$error" && continue
		echo "$way, call $point of $(wc -l <"$tmp/$way") $error, $tried: $(cat "$tmp/report")"
		cat "$tmp/once.log"
		bad=1
		break
	done 3<"$tmp/tries"
	echo "{\"$kind\":$tried,\"up\":$(wc -l <"$tmp/up"),\"down\":$(wc -l <"$tmp/down")}" >>"$tmp/figures"
	at_least "starts that were tried" 2 "$tried" &&
		at_least "of $tried starts stopped" $(((tried + 1) / 2)) "$reached" || bad=1
	load_end && [ "$bad" = 0 ] && to "$here"
}

[ -x "$other/sluiced" ] || die "the other release is not built: make other"
note "SEED=$seed chooses the calls"
for door in ${DOORS:-tc xdp}; do
	world_up
	echoes_start
	bin=$here
	agent_start || die "the agent comes up"
	numbers_config | apply >"$tmp/row" || die "the configuration is taken"
	guard_start
	migrate="migrate_under_load: no datagram lost, no connection broken:"
	row "migrate: no flow comes or goes" counted
	row "$migrate an agent of another layout takes over, and back" both_ways TERM
	row "$migrate the agents before were killed" both_ways KILL
	row "migrate: weights and rollback are obeyed after it" afterwards
	row "$migrate the start that takes over, up or down, is killed before its system calls" stopped kill 4
	row "$migrate the start that takes over, up or down, has a system call fail" stopped fail 4
	[ ! -s "$tmp/figures" ] || while read -r line; do note "$line"; done <"$tmp/figures"
	world_end
done
rows_end
