#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs in a guest, as its only program: the tests, and then what came of them as a tar archive on the last disk. What
# stands in /sluice/vm-test/settings came from run.sh.
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mkdir -p /dev/pts /dev/shm /run/netns
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t bpf none /sys/fs/bpf
mount -t cgroup2 none /sys/fs/cgroup
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up
ulimit -n 65536
echo "sluice-vm: up $(uname -r)"
out=/run/out
mkdir -p "$out/logs"
# With the test that runs and its last row: one that is slow shows where.
while sleep 30; do
	log=$(find "$out/logs" -name '*.log' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
	echo "sluice-vm: alive: ${log:+$(basename "$log" .log): $(tail -n 1 "$log")}"
done &

uname -r >"$out/release"
accel=$(sed -n 's/.*sluice.accel=\([a-z]*\).*/\1/p' /proc/cmdline)
export accel
cd /sluice || exit
# shellcheck disable=SC1091
. vm-test/settings
code=0
if ! build/vm-test/verify build/sluice_tc.bpf.o build/sluice_xdp.bpf.o >"$out/insns" 2>"$out/refused"; then
	: >"$out/insns"
	vm-test/test_refused.sh "$out/said" >"$out/tests" 2>&1 || code=1
elif [ -n "$levels" ]; then
	# shellcheck disable=SC2086 # a list of levels
	LOGS=$out/logs tests/run.sh $levels 2>&1 | tee "$out/tests" | sed -u 's/^/sluice-vm: | /'
	code=${PIPESTATUS[0]}
fi
echo "$code" >"$out/code"
dmesg >"$out/dmesg"
tar -cf /dev/vdd -C "$out" .
sync
echo "sluice-vm: end"
echo o >/proc/sysrq-trigger
sleep 60
