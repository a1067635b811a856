#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the agent gives up once it has started, and that it still does all of its work afterwards.
. "$(dirname "$0")/lib.sh"

export ASAN_OPTIONS=exitcode=66 UBSAN_OPTIONS=exitcode=66 LSAN_OPTIONS=exitcode=66

status_word() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$agent/status"; }

# NET_ADMIN 12, PERFMON 38, BPF 39; and SYS_ADMIN 21 where the agent says why.
caps_wanted() {
	if grep -q 'CAP_SYS_ADMIN is kept' "$tmp/agent.log"; then echo 000000c000201000; else echo 000000c000001000; fi
}

# Not more than the test itself has: in a container that may be less.
caps_of_test() { printf '%016x\n' $((0x$1 & 0x$(sed -n 's/^CapPrm:[[:space:]]*//p' /proc/self/status))); }
caps_possible() { caps_of_test "$(caps_wanted)"; }

given_up() {
	is CapEff "$(caps_possible)" "$(status_word CapEff)" && is CapPrm "$(caps_possible)" "$(status_word CapPrm)" &&
		is CapInh 0000000000000000 "$(status_word CapInh)" && is CapAmb 0000000000000000 "$(status_word CapAmb)" &&
		is CapBnd "$(caps_possible)" "$(status_word CapBnd)" && is NoNewPrivs 1 "$(status_word NoNewPrivs)" &&
		is "Seccomp (2: a filter)" 2 "$(status_word Seccomp)"
}

# Where tcx is, nobody asks for CAP_SYS_ADMIN.
admin_only_when_asked() {
	case $(sluice status -o json) in
	*'"tcx"'*) is "CAP_SYS_ADMIN kept" 0 "$(grep -c 'CAP_SYS_ADMIN is kept' "$tmp/agent.log")" ;;
	*) is "CAP_SYS_ADMIN kept" 1 "$(grep -c 'CAP_SYS_ADMIN is kept: the kernel has no tcx' "$tmp/agent.log")" ;;
	esac
}

# Calls that a stolen agent would want, with arguments that get another answer where they are allowed.
wanted_calls="execve|setuid 0|unshare 0|kill $$ 0|umask 63|setns 0 0|memfd_create 0 0|clone 0
	socket 2 1 0|socket 10 2 0|socket 17 3 0|socket 40 1 0
	mmap 0 4096 7 34 0xffffffffffffffff 0|mprotect 0 4096 4|ioctl 0 0x5412 0
	mount 0 0 0 0 0|bpf 5 0 0"

calls_of() { # PID: one line a call, with what came of it
	local call result code

	while read -r call; do
		# shellcheck disable=SC2086 # a call and its arguments
		result=$("$tools/inject" "$1" $call)
		code=$?
		[ "$code" = 0 ] || { echo "$call: exit $code $result" && return "$code"; }
		echo "$call: $result"
	done < <(tr '|' '\n' <<<"$wanted_calls" | sed 's/^[[:space:]]*//; /^$/d')
}

refused() {
	local code=0

	calls_of "$agent" >"$tmp/calls" || code=$?
	cat "$tmp/calls"
	[ "$code" = 77 ] && tail -n 1 "$tmp/calls" && return 77
	[ "$code" = 0 ] || return 1
	# What may still have to stand beside another's XDP program may load the dispatcher.
	! grep -q 'CAP_SYS_ADMIN is kept' "$tmp/agent.log" || sed -i -E \
		's/^(bpf 5 0 0|memfd_create 0 0): EFAULT$/\1: EPERM/' "$tmp/calls"
	is "calls that were not refused" "" "$(grep -v ': EPERM$' "$tmp/calls")" &&
		at_least "calls tried" 17 "$(wc -l <"$tmp/calls")" &&
		is "getpid, which is allowed" "$agent" "$("$tools/inject" "$agent" getpid)" &&
		kill -0 "$agent" && sluice status >"$tmp/said"
}

# The same calls elsewhere: were they refused by the machine, the row above would say nothing.
refused_here_alone() {
	local other code=0

	start node sleep 60
	other=$!
	sleep 0.2
	calls_of "$other" >"$tmp/calls" || code=$?
	cat "$tmp/calls"
	kill -KILL "$other"
	wait "$other" 2>>"$tmp/end"
	pids=${pids/ $other/}
	[ "$code" != 77 ] || return 77
	# bpf and clone are left out: what they answer is the kernel's settings' and the child's.
	is "calls that fail anyway" "" "$(grep -v '^bpf\|^clone\|^mount' "$tmp/calls" | grep ': EPERM$')"
}

door_on() { sluice status -o json | tr -d '\n' | grep -q "\"device\": *\"$1\""; }
door_off() { ! door_on "$1"; }

interface_followed() {
	ip -n "$W-node" link add n_new type veth peer name n_peer
	ip -n "$W-node" link set n_new up
	wait_for "the door on a new interface" door_on n_new || return 1
	ip -n "$W-node" link del n_new
	wait_for "the door of a lost interface to go" door_off n_new
}

weight_is() { sluice get splits -o json 2>"$tmp/said" | grep -q "\"weight\": $1,"; }

# As the kubelet mounts a ConfigMap: links inside the folder, of which one is exchanged.
rules_put() { # VERSION V1 V2 V3
	mkdir "$rules/..$1"
	config "$2" "$3" "$4" >"$rules/..$1/a.yaml"
	ln -s "..$1" "$rules/..data_tmp"
	mv -T "$rules/..data_tmp" "$rules/..data"
	[ -e "$rules/a.yaml" ] || ln -s ..data/a.yaml "$rules/a.yaml"
}

config_followed() {
	rules_put 2 10 70 20
	wait_for "the ConfigMap's weights" weight_is 70 && ask open --to "$vip4" --port 80 --count 300 &&
		shares 4.5 10 70 20 || return 1
	config 20 60 20 >"$tmp/new.yaml" && mv "$tmp/new.yaml" "$rules/b.yaml" && rm "$rules/a.yaml"
	wait_for "the other file's weights" weight_is 60
}

link_out_refused() {
	config 30 40 30 >"$tmp/outside.yaml"
	ln -s "$tmp/outside.yaml" "$rules/c.yaml"
	wait_for "the refusal of an absolute link" \
		grep -q "c.yaml: is a link that leads out of the folder" "$tmp/agent.log" || return 1
	ln -sfn ../outside.yaml "$rules/c.yaml"
	sleep 0.5
	is "refusals of both links" 2 "$(grep -c 'c.yaml: is a link that leads out' "$tmp/agent.log")"
	weight_is 60 && rm "$rules/c.yaml"
}

endpoints_churn() {
	local i

	for i in 1 2 3; do
		entry "s1 s4" | apply >"$tmp/deed" && entry | apply >"$tmp/deed" || return 1
	done
	ask open --to "$vip4" --port 80 --count 300 && is "connections" 300 "$(field ok)"
}

# By hand, behind the agent's back: the next check puts both right.
repairs() {
	local pin

	pin=$(find "$pins/links" -name '*_in' | sort | head -n 1)
	if [ -n "$pin" ]; then
		rm "$pin"
		wait_for "a removed link to be made again" test -e "$pin" || return 1
	fi
	weight 1 2 3 &&
		bpftool map update pinned "$pins/active" key 0 0 0 0 \
			value hex "$(printf '%02x' $(($(active) - 1)))" 00 00 00 &&
		wait_for "the disk to follow the kernel" disk_is "$(active)"
}

disk_is() { grep -q "^active $1 " "$state/active"; }

reloads() {
	local before

	before=$(grep -c ' ready, \|applied\|no new rules' "$tmp/agent.log")
	config 40 30 30 >"$rules/b.yaml"
	kill -HUP "$agent"
	wait_for "the reload" weight_is 40 && kill -0 "$agent" && at_least "lines of the log" "$((before + 1))" \
		"$(grep -c ' ready, \|applied\|no new rules' "$tmp/agent.log")"
}

nothing_refused() {
	is "what the log says was refused" "" "$(grep -i 'not permitted\|permission denied\|cannot give up' "$tmp/agent.log")"
}

ends_well() {
	local code=0

	kill -TERM "$agent"
	wait "$agent" || code=$?
	pids=${pids/ $agent/}
	tail -n 5 "$tmp/agent.log"
	is "exit code after SIGTERM" 0 "$code" && ask open --to "$vip4" --port 80 --count 100 &&
		is "connections after it" 100 "$(field ok)"
}

adopts() { agent_start --config "$rules" --check-interval 1 && given_up && nothing_refused; }

once_too() {
	agent_end TERM
	in_ns node "$bin/sluiced" --once --device 'n_*' --door "$door" --state "$state" --pins "$pins" \
		--config "$rules" >"$tmp/once" 2>&1
	is "exit code of --once" 0 $? && is "what it could not do" "" "$(grep -i 'error\|permitted' "$tmp/once")"
}

# As the service manager starts it: by the unit's capabilities and no others, on a node that has nothing yet.
unit_start() {
	local unit=$root/deploy/sluiced.service caps before

	caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr -d '\n' | tr '[:upper:]' '[:lower:]' | sed 's/ *cap_/,+/g')
	[ -n "$caps" ] || { echo "the unit bounds nothing" && return 1; }
	grep '^NoNewPrivileges=yes' "$unit" || { echo "the unit lets new privileges in" && return 1; }
	before=$(grep -c 'ready, ' "$tmp/agent.log")
	start node setpriv --bounding-set "-all$caps" --inh-caps=-all --no-new-privs "$bin/sluiced" --device 'n_*' \
		--door "$door" --state "$state" --pins "$pins" --config "$rules" >>"$tmp/agent.log" 2>&1
	agent=$!
	wait_for "the agent, bounded as by its unit" agent_says_ready "$before" && return
	tail -n 5 "$tmp/agent.log"
	return 1
}

unit_bounds() {
	needs setpriv || return 77
	unit_start || return 1
	# What it was bounded by stays: it may not even lower its bounds.
	is CapBnd "$(caps_of_test 000000c000201000)" "$(status_word CapBnd)" &&
		is CapPrm "$(caps_possible)" "$(status_word CapPrm)" && is NoNewPrivs 1 "$(status_word NoNewPrivs)" &&
		interface_followed || return 1
	config 25 25 50 >"$tmp/new.yaml" && mv "$tmp/new.yaml" "$rules/b.yaml"
	wait_for "the folder's weights" weight_is 50 && ask open --to "$vip4" --port 80 --count 300 &&
		is "connections" 300 "$(field ok)" && shares 4.5 25 25 50 && nothing_refused && agent_end TERM
}

lacking_named() { # CAPABILITY, as setpriv spells it
	needs setpriv || return 77
	in_ns node setpriv --bounding-set "-sys_admin,-$1" "$bin/sluiced" --once --device 'n_*' --state "$tmp/lacking" \
		--pins "$pins-lacking" >"$tmp/lacks" 2>&1 && echo "it came up" && return 1
	cat "$tmp/lacks"
	grep -q "this process lacks CAP_${1^^}, which" "$tmp/lacks" &&
		is "errors" 1 "$(grep -c 'error: ' "$tmp/lacks")" &&
		is "maps and programs left" "" "$(find "$pins-lacking" -type f)"
}

detaches() {
	detach || return 1
	[ ! -e "$pins" ] || { find "$pins" && return 1; }
}

# A folder that others may look into is closed again; one that is another's is refused.
folder_closed() {
	chmod 755 "$state"
	agent_start --config "$rules" --check-interval 1 || return 1
	is "mode of the state folder" 700 "$(stat -c %a "$state")" &&
		grep -q "$state.*was open to others" "$tmp/agent.log" || return 1
	agent_end TERM
	chown nobody "$state"
	in_ns node "$bin/sluiced" --once --device 'n_*' --state "$state" --pins "$pins" >"$tmp/once" 2>&1 &&
		echo "it was taken" && return 1
	cat "$tmp/once"
	chown root "$state"
	grep -q "belongs to user" "$tmp/once"
}

for bin in "$build" "$build/san"; do
	[ -x "$bin/sluiced" ] || continue
	world_up
	rules=$tmp/rules
	mkdir "$rules" && rules_put 1 50 30 20
	as="the agent$([ "$bin" = "$build" ] || echo " with sanitizers")"
	agent_start --config "$rules" --check-interval 1 || die "$as comes up"
	row "$as keeps three capabilities, may gain none, and has a filter" given_up
	row "$as keeps CAP_SYS_ADMIN only where the kernel asks for it" admin_only_when_asked
	[ "$bin" != "$build" ] || row "$as: calls that it never makes are refused, and it lives" refused
	[ "$bin" != "$build" ] || row "the same calls are not refused to another process" refused_here_alone
	row "$as follows interfaces" interface_followed
	row "$as follows a configuration folder of links, as of a ConfigMap" config_followed
	row "$as refuses links that lead out of the folder" link_out_refused
	row "endpoints come and go beside $as" endpoints_churn
	row "$as repairs doors, and notes what was flipped by hand" repairs
	row "$as reads its folder again on SIGHUP" reloads
	row "$as was refused nothing" nothing_refused
	row "$as ends with 0 on SIGTERM" ends_well
	row "$as, started again, adopts what is there" adopts
	row "$as: --once" once_too
	for capability in bpf perfmon net_admin; do
		row "$as: a start without CAP_${capability^^} says so" lacking_named "$capability"
	done
	row "$as: --detach" detaches
	row "$as comes up and serves with the systemd unit's capabilities alone" unit_bounds
	row "$as closes its state folder to others, and takes no one else's" folder_closed
	world_end
done
rows_end
