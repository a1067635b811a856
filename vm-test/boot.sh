#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots one kernel and waits until its tests have ended. What came of them is then in the folder OUT: `code` (the exit
# code of tests/run.sh), `tests`, `logs/`, `insns`, `console`, and `boot` (seconds until the first program ran). A guest that
# does not come up, or falls silent (it says every half minute that it lives), is started anew, three times in all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
boot_seconds=${VM_BOOT_SECONDS:-90}
silent_seconds=${VM_SILENT_SECONDS:-240}
memory=${VM_MEMORY:-1536}
accel=${VM_ACCEL:-}
qemu=''

usage() {
	cat <<-END
		Usage: vm-test/boot.sh KERNEL_FOLDER ROOT_DISK WORK_DISK OUT
		  VM_ACCEL           kvm or tcg; found out when it is not given
		  VM_MEMORY          megabytes (1536)
		  VM_BOOT_SECONDS    until a guest that has not come up is given up (90)
		  VM_SILENT_SECONDS  until one that says nothing is (240)
	END
}

guest_cpu() {
	case $accel in
	kvm) echo -accel kvm -cpu host ;;
	*) echo -accel tcg,thread=multi -cpu max ;;
	esac
}

# A program and the libraries that it wants, into a tree.
tree_add() { # TREE PROGRAM...
	local tree=$1 program

	shift
	for program; do
		cp -L "$(command -v "$program")" "$tree/bin/"
		ldd "$(command -v "$program")" | grep -o '/[^ ]*' | while read -r library; do
			mkdir -p "$tree$(dirname "$library")"
			cp -L "$library" "$tree$library"
		done
	done
}

# The modules in the order in which they need each other; without compression, which not every insmod undoes.
modules_add() { # TREE FOLDER MODULE...
	local tree=$1 folder=$2 module path number=10

	shift 2
	for module; do
		modprobe -d "$folder/tree" -S "$(cat "$folder/version")" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
		module=$(basename "${path%.xz}")
		case $path in
		*.xz) xz -dc "$path" ;;
		*) cat "$path" ;;
		esac >"$tree/modules/$((number++))-$module"
	done
}

initramfs_make() { # FOLDER FILE
	local tree

	tree=$(mktemp -d)
	mkdir -p "$tree"/{bin,dev,proc,lower,upper,root,modules}
	cp "$here/init.sh" "$tree/init"
	chmod 755 "$tree/init"
	tree_add "$tree" bash mount umount insmod sleep mkdir switch_root
	modules_add "$tree" "$1" virtio_pci virtio_blk overlay
	(cd "$tree" && find . | cpio --quiet -o -H newc) >"$2"
	rm -rf "$tree"
}

# A hypervisor may offer KVM and then not run a plain guest: what counts is that a kernel says something.
kvm_works() { # VMLINUZ
	[ -w /dev/kvm ] || return 1
	timeout 15 qemu-system-x86_64 -nodefaults -machine q35 -accel kvm -cpu host -m 512 -display none -no-reboot \
		-serial stdio -kernel "$1" -append "console=ttyS0 panic=-1" </dev/null 2>&1 | grep -q 'Linux version'
}

start() {
	local cpu ours=sluice.accel=$accel

	read -r -a cpu <<<"$(guest_cpu)"
	rm -f "$out/console" "$out/result"
	truncate -s 128M "$out/result"
	qemu-system-x86_64 -nodefaults -machine q35 "${cpu[@]}" -smp 2 -m "$memory" -display none -no-reboot \
		-serial file:"$out/console" -kernel "$folder/vmlinuz" -initrd "$out/initramfs" \
		-append "console=ttyS0 panic=-1 quiet loglevel=4 no_timer_check mitigations=off rdinit=/init $ours" \
		-drive file="$root_disk",if=virtio,format=raw,readonly=on \
		-drive file="$folder/modules.img",if=virtio,format=raw,readonly=on \
		-drive file="$work_disk",if=virtio,format=raw,readonly=on \
		-drive file="$out/result",if=virtio,format=raw </dev/null >"$out/qemu" 2>&1 &
	qemu=$!
}

stop() {
	[ -z "$qemu" ] || { kill -KILL "$qemu" && wait "$qemu"; } 2>/dev/null || true
	qemu=''
}

runs() { kill -0 "$qemu" 2>/dev/null; }

has_come_up() {
	local began=$SECONDS

	while runs && [ $((SECONDS - began)) -lt "$boot_seconds" ]; do
		if grep -qs 'sluice-vm: up' "$out/console"; then
			awk -v began="$started" -v now="$(date +%s.%N)" 'BEGIN { printf "%.1f\n", now - began }' >"$out/boot"
			return
		fi
		sleep 0.2
	done
	return 1
}

# What the tests say goes on to whoever waits.
follow() {
	local size=0 now=0 told=0 spoke=$SECONDS lines

	while runs && [ $((SECONDS - spoke)) -lt "$silent_seconds" ]; do
		sleep 1
		now=$(stat -c %s "$out/console")
		[ "$now" = "$size" ] || spoke=$SECONDS
		size=$now
		lines=$(grep -ac 'sluice-vm: |.*s)' "$out/console" || true)
		[ "$lines" = "$told" ] || grep -a 'sluice-vm: |.*s)' "$out/console" | tail -n +$((told + 1)) |
			sed 's/^sluice-vm: | /    /; s/\r//' >&2
		told=$lines
	done
	! runs
}

case ${1---help} in
-h | --help) usage && exit ;;
-*) usage >&2 && exit 2 ;;
esac
[ $# = 4 ] || { usage >&2 && exit 2; }
folder=$1 root_disk=$2 work_disk=$3 out=$4
mkdir -p "$out"
trap stop EXIT
trap 'exit 1' INT TERM
[ -n "$accel" ] || { kvm_works "$folder/vmlinuz" && accel=kvm || accel=tcg; }
initramfs_make "$folder" "$out/initramfs"
for try in 1 2 3; do
	started=$(date +%s.%N)
	start
	if ! has_come_up; then
		echo "boot.sh: no guest after $boot_seconds s (try $try of 3)" >&2
		stop
		continue
	fi
	echo "$try" >"$out/tries"
	if ! follow; then
		echo "boot.sh: the guest said nothing for $silent_seconds s (try $try of 3)" >&2
		cp "$out/console" "$out/console.$try"
		stop
		continue
	fi
	wait "$qemu" || true
	qemu=''
	tar -xf "$out/result" -C "$out" 2>>"$out/qemu" || true
	rm -f "$out/result" "$out/initramfs"
	[ -e "$out/code" ] || { echo "boot.sh: the guest ended without a result: see $out/console" >&2 && exit 1; }
	exit 0
done
echo "boot.sh: given up: see $out/console and $out/qemu" >&2
exit 1
