#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Promise 8 and 11 where they are hard: each command is killed before its system calls, and its system calls fail. Then
# connections are answered by the old revision or by the new one, and the next ordinary command puts everything right.
#
# Tries some of the points. ALL=1 tries every one (a quarter of an hour, and hours for the commands that make or remove a data
# plane), and each error at every call that changes something; POINTS=N another number. Which ones differ from run to run:
# SEED chooses them as in a run before. ONLY names commands (a pattern), N calls, KIND kill or fail, ERRNO one error instead
# of three in turn, BIN another build.
# shellcheck disable=SC2053,SC2086
. "$(dirname "$0")/../net/lib.sh"

tools=$build/tests/crash
bin=${BIN:-$build}
vips="10.96.0.10:80 10.96.0.11:80 10.96.0.12:80"
sizes="--flows 1024 --services 64 --versions 128 --endpoints 64 --slots 256"
points_cheap=${POINTS:-8} points_dear=${POINTS:-4}
errors=(ENOSPC EIO ENOMEM)
seed=${SEED:-$RANDOM$RANDOM}

# --- the node, without neighbours: nothing here needs a packet ---

node_up() {
	[ "$(id -u)" = 0 ] || die "the tests of crashes make a network namespace and BPF maps: run them as root"
	W=slc$$
	all_worlds=$W
	# In memory: thousands of commands wait for the disk, and none of them for a power cut.
	tmp=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
	all_tmp=$tmp
	state=$tmp/state
	pins=/sys/fs/bpf/$W
	trap world_end EXIT
	trap 'exit 1' INT TERM
	ip netns add "$W-node"
	ip -n "$W-node" link add n_a type veth peer name a
	ip -n "$W-node" link add n_b type veth peer name b
	# This run's own, by which the kernel's objects are known for its.
	printf '%016x%016x\n' "$$" "$(date +%s%N)" >"$tmp/seed"
}

sluice() { in_ns node "$bin/sluice" --state "$state" --pins "$pins" "$@"; }
once() {
	in_ns node "$bin/sluiced" --once --device 'n_*' --seed-file "$tmp/seed" --state "$state" --pins "$pins" $sizes
}

# --- configurations ---

service() { # NAME LAST-BYTE-OF-VIP "VERSION WEIGHT ENDPOINTS"...
	local name=$1 byte=$2 line version weight endpoints endpoint

	shift 2
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: $name}
		spec:
		  hosts: [$name.test]
		  resolution: STATIC
		  addresses: [10.96.0.$byte]
		  ports: [{number: 80, name: tcp, protocol: TCP, targetPort: 8080}]
		  endpoints:
	END
	for line; do
		read -r version weight endpoints <<<"$line"
		for endpoint in $endpoints; do
			echo "  - {address: 10.77.$byte.$endpoint, labels: {version: $version}}"
		done
	done
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: {name: $name}
		spec:
		  host: $name.test
		  subsets:
	END
	for line; do
		echo "  - {name: ${line%% *}, labels: {version: ${line%% *}}}"
	done
	cat <<-END
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: $name}
		spec:
		  hosts: [$name.test]
		  tcp:
		  - route:
	END
	for line; do
		read -r version weight endpoints <<<"$line"
		echo "    - {destination: {host: $name.test, subset: $version}, weight: $weight}"
	done
}

configs_write() {
	{
		service alpha 10 "v1 90 1 2" "v2 10 3"
		service beta 11 "v1 100 1" "v2 0 2"
	} >"$tmp/first.yaml"
	# One service has other weights and a version more, one is gone, one is new.
	{
		service alpha 10 "v1 20 1 2" "v2 30 3" "v3 50 4"
		service gamma 12 "v1 50 1" "v2 50 2"
	} >"$tmp/second.yaml"
	# Other endpoints, too.
	{
		service alpha 10 "v1 40 1 5" "v2 60 3 6"
		service beta 11 "v1 10 1 4 5" "v2 90 2"
	} >"$tmp/third.yaml"
}

# --- where commands start: a state folder, and the tables ---

pins_list() { echo "$pins"/* "$pins"/links/*; }

# Links, and where there are none, because the kernel has no tcx, filters.
doors() {
	local links

	links=$("$tools/doors" list "$pins")
	[ -z "$links" ] || { echo "$links" && return; }
	in_ns node bpftool -j net show | tr '{' '\n' | grep -o '"devname.*\(sl_tc_[a-z]*\|sl_xdp\)' | sort
}
left() { "$tools/doors" left "$(cat "$tmp/seed")"; }
is_left() { [ "$(left)" = "$1" ]; }

pins_remove() { [ ! -e "$pins" ] || rm -r "$pins"; }

pins_make() {
	[ "$(pins_list)" = "$(cat "$tmp/pins")" ] && return
	pins_remove
	rm -rf "$tmp/made"
	state=$tmp/made once >"$tmp/made.log" 2>&1 || {
		cat "$tmp/made.log"
		return 1
	}
}

start_keep() { # NAME
	cp -a "$state" "$tmp/start.$1"
	"$tools/tables" "$pins" save "$tmp/start.$1.tables"
}

# "down" is the state folder of a node that was started anew: no pins.
start_restore() { # NAME
	rm -rf "$state"
	cp -a "$tmp/start.${1%-down}" "$state"
	case $1 in
	*-down) pins_remove ;;
	*) pins_make && "$tools/tables" "$pins" restore "$tmp/start.$1.tables" ;;
	esac
}

starts_make() {
	local i

	once || return 1
	pins_list >"$tmp/pins"
	doors >"$tmp/doors"
	at_least "doors" 2 "$(grep -c sl_tc_ "$tmp/doors")" || return 1
	left >"$tmp/left"
	start_keep empty
	# Made without a data plane, all but the last fifteen are cold.
	pins_remove
	sluice apply -f "$tmp/first.yaml" || return 1
	for i in $(seq 1 19); do
		sluice weight alpha "v1=$((90 - i))" "v2=$((10 + i))" || return 1
	done
	sluice weight beta v1=70 v2=30 || return 1
	sluice endpoint add alpha 10.77.10.8 --label version=v1 && once || return 1
	start_keep busy
	# The directory of hot revisions is full: the next change evicts.
	for i in $(seq 1 48); do
		sluice weight alpha "v1=$((90 - i))" "v2=$((11 + i))" || return 1
	done
	start_keep full
}

# --- what is compared ---

answers() { "$tools/tables" "$pins" answers $vips | cut -d ' ' "-f1-$answer_words"; }

# All that a change leaves behind on disk, but for times.
disk() {
	sed '/^# time/d' "$state/active" 2>>"$tmp/end"
	ls "$state/revisions"
	# An inventory that is empty and none are the same.
	sed '/^#/d' "$state/endpoints.yaml" 2>>"$tmp/end" | sha256sum
}

# Does the file equal one of those that are allowed? Its name says which.
which_of() { # FILE CANDIDATE...
	local file=$1 candidate

	shift
	for candidate; do
		cmp -s "$file" "$tmp/$candidate" && echo "$candidate" && return
	done
	echo neither
}

member() { # NAME FILE: of a tree as people read it
	local line

	while IFS= read -r line; do
		[[ $line =~ \"$1\":\ *([^,]*) ]] && echo "${BASH_REMATCH[1]}" && return
	done <"$2"
}

hot() { sluice status -o json 2>&1 | tr -d ' \n' | grep -o '"hot_revisions":[^]]*'; }

# Read-only, on what the crash left: it may find fault, but never fail.
status_works() {
	local code=0

	sluice status -o json >"$tmp/status" 2>"$tmp/status.errors" || code=$?
	[ "$code" -le 1 ] && grep -q '"healthy"' "$tmp/status" && return
	echo "sluice status ended with $code"
	cat "$tmp/status" "$tmp/status.errors"
	return 1
}

is_hot() {
	local active

	active=$(member active_revision "$tmp/status")
	[ -z "$active" ] || is "the obeyed revision" "$active" "$(member obeyed_revision "$tmp/status")"
}

healthy() {
	local code=0

	sluice status -o json >"$tmp/status" 2>"$tmp/status.errors" || code=$?
	is "sluice status" 0 "$code" && is "healthy" true "$(member healthy "$tmp/status")" &&
		is "drift" '[]' "$(member drift "$tmp/status")" &&
		is "the disk's active revision" "$(member active_revision "$tmp/status")" \
			"$(member disk_revision "$tmp/status")" &&
		is "files left over" '' "$(find "$state" -name '*.tmp')" &&
		"$tools/tables" "$pins" check && is "pins" "$(cat "$tmp/pins")" "$(pins_list)" &&
		is "doors" "$(cat "$tmp/doors")" "$(doors)" && return
	cat "$tmp/status" "$tmp/status.errors"
	return 1
}

# --- one point ---

run_stopped() { # STOPPER-OPTION...
	local code=0

	in_ns node "$tools/stopper" --after "$tmp/state" --report "$tmp/report" "$@" "$program" --state "$state" \
		--pins "$pins" "${arguments[@]}" >"$tmp/out" 2>"$tmp/errors" <"$input" || code=$?
	ended=$code
}

# The next ordinary command. Which one changes from point to point.
next_run() { # NUMBER
	local code=0

	case $(($1 % 6))$next in
	0* | *once | *disk) next_is=once && once ;;
	1* | 3* | 5*) next_is=apply && sluice apply -f "$tmp/third.yaml" ;;
	*)
		next_is=weight
		grep -q '"host": "alpha' <(sluice get services -o json 2>&1) || { next_is=once && once && return; }
		sluice weight alpha v1=1 v2=1
		;;
	esac >"$tmp/next" 2>&1 || code=$?
	[ "$code" = 0 ] && return
	echo "the next command ($next_is) ended with $code"
	cat "$tmp/next"
	return 1
}

# What is in force is left alone by a command that changes no rules; only what was on its way may arrive.
next_check() { # NUMBER BEFORE
	local found

	next_run "$1" && healthy || return 1
	[ "$next_is" = once ] || return 0
	# One whose file cannot be read is passed over.
	[ "$next" != once ] || [ "$ended" != 137 ] || is "hot revisions" "$(cat "$tmp/hot")" "$(hot)" || return 1
	answers >"$tmp/found"
	found=$(which_of "$tmp/found" $arrived)
	[ "$next" = disk ] && [ "$found" != neither ] && return
	[ "$found" != neither ] && [ "$2 $found" != "new $never" ] && return
	[ "$2" = new ] && cmp -s "$tmp/new" "$tmp/old" && return
	echo "answers were $2, after sluiced --once they are $found"
	diff "$tmp/found" "$tmp/new"
	return 1
}

# What ran goes on by itself: nobody has come yet to repair it. Where nothing ran, or it is being taken off, there may be none.
doors_stand() {
	[ "$stands" = 1 ] || return 0
	is "doors before anybody repairs" "$(cat "$tmp/doors")" "$(doors)" &&
		in_ns node "$tools/doors" send "$pins" $vips
}

killed_point() { # NUMBER
	local found

	start_restore "$start" || return 1
	run_stopped --kill "$1"
	[ "$ended" = 137 ] || return 0 # a call less than usual: `try` counts those that came
	stopped=$((stopped + 1))
	doors_stand || return 1
	answers >"$tmp/found"
	found=$(which_of "$tmp/found" new old $also)
	if [ "$found" = neither ]; then
		echo "answers are neither the old nor the new revision's"
		diff "$tmp/old" "$tmp/found"
		return 1
	fi
	status_works && is_hot && next_check "$1" "$found"
}

# A command that failed has changed nothing, or everything and says so; one that did not fail, everything.
failed_check() {
	local on_disk found

	answers >"$tmp/found"
	disk >"$tmp/found.disk"
	found=$(which_of "$tmp/found" new old $also)
	on_disk=$(which_of "$tmp/found.disk" new.disk old.disk)
	if [ "$ended" -ge 124 ]; then
		echo "ended with $ended"
	elif [ "$ended" != 0 ] && [ ! -s "$tmp/errors" ]; then
		echo "ended with $ended and said nothing"
	elif [ "$ended" = 0 ] && ! cmp -s "$tmp/found" "$tmp/new"; then
		echo "ended well, but answers are not the new ones"
	elif [ "$ended" != 0 ] && [ "$next" != once ] &&
		! { cmp -s "$tmp/found" "$tmp/old" && [ "$on_disk" = old.disk ]; } &&
		! { cmp -s "$tmp/found" "$tmp/new" && [ "$on_disk" = new.disk ] &&
			grep -q "the change itself is made" "$tmp/errors"; }; then
		echo "ended with $ended, but answers are $found and the disk is $on_disk"
		diff "$tmp/old.disk" "$tmp/found.disk"
	elif [ "$found" = neither ]; then
		echo "answers are neither the old nor the new revision's"
		diff "$tmp/old" "$tmp/found"
	else
		failed_found=$found
		return
	fi
	return 1
}

failed_point() { # NUMBER ERRNO
	start_restore "$start" || return 1
	run_stopped --fail "$1" --errno "$2"
	grep -q 'at=-' "$tmp/report" || stopped=$((stopped + 1))
	doors_stand && failed_check && status_works && is_hot || return 1
	# Without a kernel's side to wait for, what is there is whole at once.
	if [ "$next" = any ] && [ -e "$pins" ]; then
		is "healthy after the failure" true "$(member healthy "$tmp/status")" || {
			cat "$tmp/status"
			return 1
		}
	fi
	next_check "$1" "$failed_found"
}

# --- all points of a command ---

# What changes something first; of the rest as many. Where the steps through them begin is the seed's and the row's.
points() { # MOST KIND
	local most=$1 chance


	if [ -n "${N-}" ]; then
		echo "$N"
	elif [ -n "${ALL-}" ]; then
		seq 1 "$(wc -l <"$tmp/list")"
	else
		chance=$(cksum <<<"$seed $what $2")
		awk -v most="$most" -v chance="${chance%% *}" '
			BEGIN { srand(chance) }
			/^[0-9]/ { others[++other] = NR; next }
			{ changes[++change] = NR }
			function some(list, count, wanted,   i, step) {
				step = count > wanted ? count / wanted : 1
				for (i = 1 + rand() * step; int(i) <= count; i += step) print list[int(i)]
			}
			END { some(changes, change, int(most * 3 / 4)); some(others, other, int(most / 4)) }' "$tmp/list"
	fi
}

# Run to its end: what it calls, and how answers and disk are before and after.
baseline() {
	start_restore "$start" || return 1
	answers >"$tmp/old"
	disk >"$tmp/old.disk"
	run_stopped --list "$tmp/list"
	answers >"$tmp/new"
	disk >"$tmp/new.disk"
	arrived="new old"
	if [ "$next" = disk ]; then
		once && answers >"$tmp/new.up" && start_restore "$start" && once && answers >"$tmp/old.up" || return 1
		arrived="new.up old.up"
	fi
	if [ "$next" = once ]; then
		once && hot >"$tmp/hot" || return 1
	fi
	[ "$ended" = 0 ] && return
	echo "ended with $ended without any failure"
	cat "$tmp/out" "$tmp/errors"
	return 1
}

# Three in turn; with ALL each of them, where the call changes something.
errors_of() { # POINT NUMBER
	if [ -n "${ERRNO-}" ]; then
		echo "$ERRNO"
	elif [ -n "${ALL-}" ] && sed -n "$1p" "$tmp/list" | grep -q '^[^0-9]'; then
		echo "${errors[@]}"
	else
		echo "${errors[$2 % 3]}"
	fi
}

# Each try is a line "POINT [ERRNO]".
tries() { # KIND
	local point error number=0 most=$points_cheap

	[ "$next" = any ] || most=$points_dear
	for point in $(points "$most" "$1"); do
		number=$((number + 1))
		[ "$1" = fail ] || { echo "$point" && continue; }
		for error in $(errors_of "$point" "$number"); do
			echo "$point $error"
		done
	done
}

# A row that stops next to nothing shows nothing: a call less than usual is one thing, none at all another.
stopped_enough() { # TRIED
	at_least "points that were tried" 1 "$1" && at_least "of $1 points stopped" "$((($1 + 1) / 2))" "$stopped"
}

# All that a row makes goes again with who made it, a moment later; what is left is somebody's forever.
nothing_leaks() {
	wait_for "as many maps, programs and links as there were" is_left "$(cat "$tmp/left")" && return
	is "left in the kernel" "$(cat "$tmp/left")" "$(left)"
}

try() { # KIND
	local point error bad=0 tried=0

	stopped=0
	tries "$1" >"$tmp/tries"
	while read -r point error <&3; do
		tried=$((tried + 1))
		if [ "$1" = kill ]; then
			killed_point "$point"
		else
			failed_point "$point" "$error"
		fi >"$tmp/point" 2>&1 && continue
		bad=$((bad + 1))
		[ "$bad" -gt "${SHOW:-5}" ] && continue
		echo "call $point${error:+, $error}: $(cat "$tmp/report")"
		head -n 40 "$tmp/point"
		head -n 5 "$tmp/errors"
	done 3<"$tmp/tries"
	[ "$bad" = 0 ] || echo "$bad of $tried points"
	stopped_enough "$tried" && nothing_leaks || bad=$((bad + 1))
	echo "$(($(cat "$tmp/tried" 2>>"$tmp/end") + tried))" >"$tmp/tried"
	return $((bad > 0))
}

# --- a disk that is full, not for one call but for good, or read-only, or two of them ---

disk_end() {
	! mountpoint -q "$tmp/disk/state/revisions" || umount "$tmp/disk/state/revisions"
	! mountpoint -q "$tmp/disk" || umount "$tmp/disk"
	state=$tmp/state
	return "$1"
}

disk_begin() {
	input=/dev/null answer_words=2
	start_restore busy && mkdir -p "$tmp/disk" && mount -t tmpfs -o size=1m none "$tmp/disk" &&
		cp -a "$state" "$tmp/disk" || return 1
	state=$tmp/disk/state
}

fill() { cat /dev/zero 2>"$tmp/dd" >"$1/filler"; }
turn() { mount -o "remount,$1" "$tmp/disk"; }

full_rollback() {
	disk_begin || return 1
	fill "$tmp/disk"
	is "the active revision" 21 "$(active)" && sluice rollback && is "rolled back to" 20 "$(active)" &&
		sluice rollback && is "and forward to" 21 "$(active)" &&
		sluice rollback --to 10 && is "rolled back to" 10 "$(active)" || return 1
	sluice weight alpha v1=1 v2=1 && echo "a weight was taken that cannot be kept" && return 1
	is "after a weight that is refused" 10 "$(active)" || return 1
	turn ro && sluice rollback --to 20 && is "rolled back on a disk that is read-only to" 20 "$(active)" || return 1
	turn rw && rm "$tmp/disk/filler" || return 1
	sluice weight alpha v1=1 v2=1 && healthy
}

as_noted() { # AFTER-WHAT
	answers >"$tmp/found" && disk >"$tmp/found.disk"
	is "answers after $1" old "$(which_of "$tmp/found" old)" &&
		is "the disk after $1" old.disk "$(which_of "$tmp/found.disk" old.disk)"
}

refused() { # REASON COMMAND...: in words, and nothing changes
	local reason=$1

	shift
	! "$@" >"$tmp/refused" 2>&1 || { echo "$* was taken" && return 1; }
	grep -q "error: .*$reason" "$tmp/refused" || { echo "$* said:" && cat "$tmp/refused" && return 1; }
	as_noted "$*, refused"
}

changes_refused() { # REASON
	refused "$1" sluice apply -f "$tmp/second.yaml" &&
		refused "$1" sluice weight alpha v1=1 v2=1 &&
		refused "$1" sluice endpoint add alpha 10.77.10.9 --label version=v1 &&
		refused "$1" sluice endpoint drain alpha 10.77.10.1
}

full_changes() {
	disk_begin || return 1
	answers >"$tmp/old" && disk >"$tmp/old.disk"
	fill "$tmp/disk"
	once && as_noted "a start on a full disk" && changes_refused "No space left" &&
		pins_remove && once && as_noted "a first start on a full disk" || return 1
	turn ro && once && as_noted "a start on a read-only disk" && changes_refused "Read-only" &&
		pins_remove && once && as_noted "a first start on a read-only disk" || return 1
	turn rw && rm "$state/agent.lock" && turn ro && refused "agent.lock.*Read-only" once || return 1
	turn rw && rm "$tmp/disk/filler" || return 1
	sluice apply -f "$tmp/second.yaml" && healthy
}

# What cannot be renamed across is set aside nowhere: it is passed over where it lies.
two_disks() {
	disk_begin && mv "$state/revisions" "$tmp/disk/revisions" && mkdir "$state/revisions" &&
		mount -t tmpfs -o size=1m none "$state/revisions" && cp -a "$tmp/disk/revisions/." "$state/revisions" || return 1
	once && sluice weight alpha v1=1 v2=1 && is "a weight's revision" 22 "$(active)" && healthy &&
		sluice rollback && is "rolled back to" 21 "$(active)" && healthy || return 1
	fill "$state/revisions"
	answers >"$tmp/old" && disk >"$tmp/old.disk"
	refused "No space left" sluice apply -f "$tmp/second.yaml" && rm "$state/revisions/filler" || return 1
	echo more >>"$state/revisions/0000000003.yaml"
	disk >"$tmp/old.disk"
	refused "" sluice rollback --to 3 && grep -q "0000000003.yaml.*damaged" "$tmp/refused" || return 1
	sluice apply -f "$tmp/second.yaml" && is "an apply's revision" 23 "$(active)" && healthy && pins_remove && once && healthy
}

disk_row() { # SENTENCE FUNCTION
	local code=0

	[[ "a full disk" == ${ONLY:-*} ]] || return
	row "$1" "$2" || code=$?
	disk_end "$code"
}

# NEXT "any": an ordinary change; "once": it concerns pins, which only sluiced puts right; "disk": there is no data plane.
crash_rows() { # SENTENCE START NEXT PROGRAM ARGUMENT...
	local what=$1 began=$SECONDS

	[[ $what == ${ONLY:-*} ]] || return
	start=$2 next=$3 program=$bin/$4
	shift 4
	arguments=("$@") stands=1
	[[ "$start $*" != *-down\ * && "$*" != detach ]] || stands=0
	rm -f "$tmp/tried"
	baseline >"$tmp/base" 2>&1 || {
		cat "$tmp/base"
		rows_failed=$((rows_failed + 1))
		echo "not ok - $what runs"
		return
	}
	[ "${KIND-kill}" != kill ] ||
		row "$what, killed before any system call: the old or the new, and the next command repairs" try kill
	[ "${KIND-fail}" != fail ] ||
		row "$what, any system call failing: nothing or everything, said so, and never a crash" try fail
	note "$what: $(wc -l <"$tmp/list") calls, $(cat "$tmp/tried") points, $((SECONDS - began)) s"
}

[[ -x $tools/stopper && -x $tools/tables ]] || die "the tools are not built: make crash-tools"
node_up
configs_write
starts_make >"$tmp/starts" 2>&1 || {
	tail -n 20 "$tmp/starts"
	die "the states to start from cannot be made"
}
echo "no data plane" >"$tmp/bare"
for _ in $vips; do
	for _ in {1..20}; do echo passes; done
done >"$tmp/pass"

input=/dev/null also='' never=old answer_words=2
note "SEED=$seed chooses the points"
once_arguments=(--once --device 'n_*' --seed-file "$tmp/seed")
read -ra words <<<"$sizes"
once_arguments+=("${words[@]}")

crash_rows "the first apply" empty any sluice apply -f "$tmp/first.yaml"
crash_rows "an apply of other rules" busy any sluice apply -f "$tmp/second.yaml"
# Endpoints are no part of a revision: until the flip the old one has the new.
answer_words=1
crash_rows "an apply of other endpoints" busy any sluice apply -f "$tmp/third.yaml"
answer_words=2
crash_rows "a weight" busy any sluice weight alpha v1=50 v2=50
crash_rows "a weight that evicts" full any sluice weight alpha v1=50 v2=50
crash_rows "a rollback" busy any sluice rollback
crash_rows "a rollback of one service" busy any sluice rollback beta
crash_rows "a rollback to a cold revision" busy any sluice rollback --to 3
crash_rows "an endpoint added" busy any sluice endpoint add alpha 10.77.10.9 --label version=v1
crash_rows "an endpoint drained" busy any sluice endpoint drain alpha 10.77.10.1
crash_rows "an endpoint removed" busy any sluice endpoint remove alpha 10.77.10.8
crash_rows "an apply without a data plane" busy-down disk sluice apply -f "$tmp/third.yaml"
crash_rows "a rollback without a data plane" busy-down disk sluice rollback
also="pass"
crash_rows "a first start" empty-down once sluiced "${once_arguments[@]}"
crash_rows "a start after the machine's" busy-down once sluiced "${once_arguments[@]}"
also=''
crash_rows "a start that adopts" busy once sluiced "${once_arguments[@]}"
also="pass bare" never=new
crash_rows "a detach" busy once sluice detach
disk_row "On a disk that is full or read-only rollbacks work again and again, and changes are refused" full_rollback
disk_row "On a disk that is full or read-only sluiced starts, and changes say why not and leave all as it was" full_changes
disk_row "With revisions/ on another file system changes, rollbacks and starts work; a damaged revision is named" two_disks
rows_end
