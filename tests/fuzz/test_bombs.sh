#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Inputs that were made to hurt, and inputs that are only very large. The first must be refused, or taken for what they
# are, within a second of processor time and 256 MB of memory; the others may take what they need, up to a limit.
# Needs no root: nothing is applied.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$here/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

head="apiVersion: v1
kind: Service
metadata: {name: a}"

# awk is quick, and everywhere.
times() { awk -v n="$1" -v text="$2" 'BEGIN { for (i = 0; i < n; i++) printf "%s", text }'; }
numbered() { awk -v n="$1" -v form="$2" 'BEGIN { for (i = 0; i < n; i++) printf form, i, i, i, i }'; }

# Runs it with limits on itself. CPU seconds, not the clock's: other work on the machine is none of the input's.
limited() { # SECONDS MEGABYTES FILE
	# shellcheck disable=SC2016 # the inner shell's words
	bash -c 'ulimit -t "$1" -v $(($2 * 1024)) && shift 2 && exec "$@"' bash "$1" "$2" \
		"$build/sluice" --state "$tmp/state" --pins "$tmp/pins" apply --dry-run -f "$3"
}

row() { # SENTENCE EXIT-CODE MESSAGE [SECONDS [MEGABYTES]]; the input is $tmp/bomb
	local code=0 began=$SECONDS

	limited "${4-1}" "${5-256}" "${input-$tmp/bomb}" >"$tmp/said" 2>&1 </dev/null || code=$?
	if [ "$code" = "$2" ] && grep -q -- "$3" "$tmp/said"; then
		passed=$((passed + 1))
		echo "ok - $1 ($((SECONDS - began)) s)"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
		echo "#   wanted exit code $2 and \"$3\"; got $code (152: no second left) and:"
		head -n 12 "$tmp/said" | cut -c1-200 | sed 's/^/#   /'
	fi
	rm -f "$tmp/bomb"
}

bomb() { cat >"$tmp/bomb"; }

entries() { # SERVICES ENDPOINTS: each with two versions
	awk -v services="$1" -v endpoints="$2" '
		function address(first, i) {
			return sprintf("%d.%d.%d.%d", first + int(i / 16777216), i / 65536 % 256, i / 256 % 256, i % 256)
		}
		function head(kind) {
			printf "---\napiVersion: networking.istio.io/v1\nkind: %s\nmetadata: {name: %s}\nspec:\n", kind, name
		}
		BEGIN {
			for (s = 0; s < services; s++) {
				name = "s" s
				head("ServiceEntry")
				printf "  hosts: [%s.test]\n  resolution: STATIC\n  addresses: [%s]\n", name, address(10, s + 1)
				printf "  ports: [{number: 80, name: tcp, protocol: TCP}]\n  endpoints:\n"
				for (e = 0; e < endpoints; e++)
					printf "  - {address: %s, labels: {version: v%d}}\n",
						address(20, s * endpoints + e), e % 2
				head("DestinationRule")
				printf "  host: %s.test\n  subsets: [{name: v0, labels: {version: v0}},", name
				printf " {name: v1, labels: {version: v1}}]\n"
				head("VirtualService")
				printf "  hosts: [%s.test]\n  tcp: [{route: [", name
				printf "{destination: {host: %s.test, subset: v0}, weight: 90},", name
				printf " {destination: {host: %s.test, subset: v1}, weight: 10}]}]\n", name
			}
		}'
}

weights() { # WEIGHT...
	local weight

	echo "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  tcp:
  - route:"
	for weight; do
		echo "    - {destination: {host: a, subset: v$weight}, weight: $weight}"
	done
}

deep="nested too deep; at most 100"
printf '%s\nspec: %s' "$head" "$(times 100000 '[')" | bomb
row "100,000 lists in each other" 3 "$deep"
printf '%s\nspec: %s' "$head" "$(times 100000 '{a: ')" | bomb
row "100,000 maps in each other" 3 "$deep"
printf '%s\nspec:\n  %sx\n' "$head" "$(times 100000 '- ')" | bomb
row "100,000 lists in each other, as blocks" 3 "$deep"
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "%*sa:\n", i, "" }' | bomb
row "3,000 maps in each other, by indentation" 3 "$deep"
times 100000 '[' | bomb
row "100,000 JSON arrays in each other" 3 "$deep"
{ echo "$head" && echo "spec: &a0 [x,x,x,x,x,x,x,x,x,x]" &&
	for i in 1 2 3 4 5 6 7 8 9; do echo "a$i: &a$i [$(times 10 "*a$((i - 1)),")]"; done; } | bomb
row "aliases of aliases: ten to the tenth fields" 3 "aliases add too many fields"
{ echo "$head" && numbered 1000 'a%d: &a%d x\n' && printf 'b: [%s]\n' "$(times 99000 '*a0,')"; } | bomb
row "99,000 aliases of the farthest of 1,000 anchors" 3 "unknown field"
{ echo "$head" && numbered 1001 'a%d: &a%d x\n'; } | bomb
row "more anchors than are allowed" 3 "too many anchors"
{ printf '%s\nspec: {' "$head" && numbered 200000 'k%d: 1, ' && echo 'k77: 2}'; } | bomb
row "a key twice among 200,000" 3 "the key \"k77\" a second time"
{ printf '%s\nspec: {' "$head" && times 200000 'a: 1, ' && echo '}'; } | bomb
row "one key 200,000 times" 3 "the key \"a\" a second time"
{ echo "$head" && echo "spec:" && numbered 500000 '  k%d: 1\n'; } | bomb
row "500,000 unknown fields: a hundred are named" 3 "more than 100 unknown fields"
times 100000 $'---\na: b\n' | bomb
row "100,000 documents that are none of ours" 3 "apiVersion: not found"
times 1000000 $'---\n' | bomb
row "a million empty documents" 0 "0 objects taken"
printf '%s\nspec: {type: "%s"}\n' "$head" "$(times 20000000 x)" | bomb
row "a word of 20 MB is no reason to fail" 0 "1 object taken"
{ printf '%s\nspec: {}\n#' "$head" && times 50000000 x && printf '\377\n'; } | bomb
row "a byte that is no UTF-8, after 50 MB" 3 "not UTF-8"
printf 'a: b\0c\n' | bomb
row "a NUL character" 3 "not UTF-8: control characters"
printf '%s\nspec: {type: "\\0"}\n' "$head" | bomb
row "a NUL character that is written out" 3 "NUL character"
printf 'a: \303\050\n' | bomb
row "half a character" 3 "not UTF-8"
printf 'a: \355\240\200\n' | bomb
row "a surrogate in UTF-8" 3 "not UTF-8"
head -c 1000000 /dev/urandom | bomb
row "a megabyte of noise" 3 "not UTF-8\|not YAML"
truncate -s 1G "$tmp/bomb"
row "a file of 1 GB" 1 "too large; less than 128 MiB"
truncate -s 8E "$tmp/bomb" 2>"$tmp/sparse" || truncate -s 8T "$tmp/bomb"
row "a file of terabytes" 1 "too large; less than 128 MiB"
input=/dev/zero
row "a stream without an end" 1 "too large; less than 128 MiB"
unset input
limit="allowed is a whole number from 0 to 1000000"
for weight in 9223372036854775807 -9223372036854775808 18446744073709551616 1000001 -1 1e99 0x7fffffffffffffff .inf; do
	weights "$weight" | bomb
	row "a weight of $weight" 3 "$limit"
done
{ echo "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a], resolution: STATIC, addresses: [10.0.0.1], ports: [{number: 80, name: t, protocol: TCP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  subsets:" && numbered 300 '  - {name: v%d, labels: {version: v%d}}\n' && echo --- && weights && numbered 300 \
	'    - {destination: {host: a, subset: v%d}, weight: 1}\n'; } | bomb
row "300 versions in one split" 3 "255"

# Legal, only large: right, and linear. What they took is said.
entries 1000 4 | bomb
row "1,000 services of 4 endpoints" 0 "s999" 10 1024
entries 100000 2 | bomb
row "100,000 services of 2 endpoints" 0 "300000 objects taken" 60 4096
entries 1000 1000 | bomb
row "a million endpoints of 1,000 services" 0 "s999" 60 2048
echo "1..$((passed + failed))"
[ "$failed" = 0 ]
