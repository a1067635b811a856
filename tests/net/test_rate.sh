#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many weight changes under load: how many is what is asked for, and how fast they went is told alone, for that is the machine's.
# The state folder is in memory, so that the disk's speed is not in it.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$(dirname "$0")/lib.sh"

changes=$((${RATE_CHANGES:-4000} / times)) opens=$((${RATE_CHANGES:-4000} * 5 / times))

flipping() { # VIP
	local load

	hold_start held --to "$1" --port 80 --count 100 || return 1
	start c1 "$tools/client" open --to "$1" --port 80 --rate $((1200 / times)) --for $((3600 * times)) --concurrency 256 \
		>"$tmp/opened"
	load=$!
	in_ns node "$tools/flipper" "$state" "$pins" reviews $((200 / times)) "$changes" >"$tmp/flips" || return 1
	kill -TERM "$load"
	wait "$load"
	pids=${pids/ $load/}
	cp "$tmp/flips" "$tmp/answer"
	flips=$(field rate)
	is "weight changes" "$changes" "$(field changes)" || return 1
	cp "$tmp/opened" "$tmp/answer"
	opened=$(field rate)
	at_least "new connections" "$opens" "$(field ok)" && is "failed connections" 0 "$(field failed)" &&
		hold_end held 100
}

world_up
agent_start || die "the agent comes up"
config 1 2 3 | apply >"$tmp/row" || die "the configuration is taken"
live="promise_7_live_connections_stay:"
row "$live $changes weight changes while $opens connections are opened" flipping "$vip4"
note "${flips-0} weight changes a second by node_commit (lock, disk, kernel, flip), ${opened-0} new connections a second"
rows_end
