#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Promise 4. Seed, addresses and ports are given, so the same connections meet the same slots in every run: a share that
# is wrong is wrong always.
. "$(dirname "$0")/lib.sh"

port=4000

# Half by TCP, half by UDP. Each time from another port, because a UDP flow that is known stays where it is.
share() { # VIP FIRST-SOURCE COUNT WEIGHTS...
	port=$((port + 1))
	local vip=$1 sources=$2 count=$3

	weight "$4" "$5" "$6" || return 1
	ask open --to "$vip" --port 80 --count "$count" --from "$sources" --sources 65000 --source-port "$port" \
		--concurrency 128 || return 1
	is "TCP connections" "$count" "$(field ok)" && shares 3 "$4" "$5" "$6" || return 1
	ask open --to "$vip" --port 53 --count "$count" --from "$sources" --sources 65000 --source-port "$port" \
		--concurrency 128 --udp || return 1
	is "UDP flows" "$count" "$(field ok)" && shares 3 "$4" "$5" "$6"
}

large() {
	share "$vip4" 10.78.0.1 50000 70 25 5
}

world_up
echo 00112233445566778899aabbccddeeff >"$tmp/seed"
agent_start --seed-file "$tmp/seed" || die "the agent comes up"
config 1 1 1 | apply >"$tmp/row" || die "the configuration is taken"
row "promise_4_exact_shares: 100,000 connections at 70, 25, 5 within 3 standard deviations" large
row "promise_4_exact_shares: weights that sum to 7" share "$vip4" 10.78.0.1 4000 4 2 1
row "promise_4_exact_shares: weights of millions" share "$vip4" 10.78.0.1 4000 900000 50000 50000
row "promise_4_exact_shares: weight 0 gets nothing" share "$vip4" 10.78.0.1 4000 1 0 0
row "promise_4_exact_shares: one of two at weight 0 gets nothing" share "$vip4" 10.78.0.1 4000 0 99 1
row "promise_4_exact_shares: IPv6 at 70, 25, 5" share "$vip6" fd78::1 8000 70 25 5
rows_end
