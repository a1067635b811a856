#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One state folder, two releases (build/other, see tests/other): what either writes the other reads, and loses nothing of it.
. "$(dirname "$0")/lib.sh"

here=$build other=$build/other

# The other's agent and commands write revisions and endpoints, each with a line that this release does not know.
other_writes() {
	bin=$other
	agent_start || return 1
	config 50 30 20 | apply >"$tmp/deed" && weight 0 40 60 && weight 0 0 1 || return 1
	agent_end TERM
	is "revisions with a line that is not known" 3 "$(grep -l '^# later word$' "$state"/revisions/* | wc -l)" &&
		grep -q '^# later word$' "$state/endpoints.yaml" && sha256sum "$state"/revisions/* >"$tmp/sums"
}

listed() { # COUNT
	sluice history -o json >"$tmp/history" 2>"$tmp/said" && is "what history says beside" "" "$(cat "$tmp/said")" &&
		is "revisions listed" "$1" "$(grep -c '"parent":' "$tmp/history")"
}

this_reads() {
	bin=$here
	agent_start || return 1
	is "the active revision" 3 "$(active)" && listed 3 && ask open --to "$vip4" --port 80 --count 200 &&
		is "answers of v3" 200 "$(field v3)" &&
		is "warnings" "" "$(grep -i 'warning: .*\(damaged\|another release of\)' "$tmp/agent.log")"
}

# To one that is hot, then a change of its own, then by way of the disk alone.
this_goes_back() {
	sluice rollback --to 2 >"$tmp/deed" && ask open --to "$vip4" --port 80 --count 200 &&
		is "answers of v1" 0 "$(field v1)" && weight 1 0 0 && ask open --to "$vip4" --port 80 --count 200 &&
		is "answers of v1 after the change" 200 "$(field v1)" || return 1
	agent_end TERM
	detach && agent_start && sluice rollback --to 3 >"$tmp/deed" && ask open --to "$vip4" --port 80 --count 200 &&
		is "answers of v3" 200 "$(field v3)" && sha256sum --quiet -c "$tmp/sums" &&
		is "files set aside" "" "$(find "$state" -path '*/damaged/*')"
}

other_reads() {
	agent_end TERM
	bin=$other
	agent_start && listed 4 && sluice rollback --to 4 >"$tmp/deed" && ask open --to "$vip4" --port 80 --count 200 &&
		is "answers of v1" 200 "$(field v1)"
}

[ -x "$other/sluiced" ] || die "the other release is not built: make other"
world_up
row "another release writes a state folder with lines that this one does not know" other_writes
row "this release reads it, and serves by it" this_reads
row "this release goes back to the other's revisions, hot and cold, and alters none" this_goes_back
row "the other release reads what this one added" other_reads
rows_end
