#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many weight changes under load. The state folder is in memory, so that the disk's speed is not what is measured.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$(dirname "$0")/lib.sh"

seconds=${RATE_SECONDS:-20}

flipping() { # VIP
	hold_start held --to "$1" --port 80 --count 100 || return 1
	start node "$tools/flipper" "$state" "$pins" reviews $((260 / times)) "$seconds" >"$tmp/flips"
	local flipper=$!
	ask open --to "$1" --port 80 --rate $((1200 / times)) --for "$seconds" --concurrency 256
	wait "$flipper" || { cat "$tmp/flips" && return 1; }
	cp "$tmp/answer" "$tmp/opened"
	cp "$tmp/flips" "$tmp/answer"
	flips=$(field rate)
	at_least "weight changes a second" $((200 / times)) "$flips" || return 1
	cp "$tmp/opened" "$tmp/answer"
	opened=$(field rate)
	at_least "new connections a second" $((1000 / times)) "$opened" && is "failed connections" 0 "$(field failed)" &&
		hold_end held 100
}

world_up
agent_start || die "the agent comes up"
config 1 2 3 | apply >"$tmp/row" || die "the configuration is taken"
live="promise_7_live_connections_stay:"
row "$live $((200 / times)) weight changes a second for $seconds s under $((1000 / times)) new connections a second" \
	flipping "$vip4"
note "${flips-0} weight changes a second by node_commit (lock, disk, kernel, flip), ${opened-0} new connections a second"
rows_end
