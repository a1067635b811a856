#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests of the pure rooms, and the packet rows over the data plane as plain C (tests/native), on a big-endian
# machine: built for s390x, run by qemu's user mode. Ends with "N passed, N failed, N skipped", as tests/run.sh does,
# which runs them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
build=${BUILD:-$root/build}
be=$build/be
arch=s390x
triplet=s390x-linux-gnu
packages="libyaml-0-2 libjansson4 libtalloc2 libnettle8 libcmocka0"
mirror=${VM_MIRROR:-http://deb.debian.org}
rooms="base model input plan store"
asks_no_kernel="user/kernel/arena.c" # though it is in the room that does
# What also takes in libbpf or the command line is a matter of the kernel it runs on, and is left to the other tests.
left_out="test_cli test_node test_memory"

case ${1-} in
'') ;;
-h | --help)
	echo "Usage: vm-test/big_endian.sh      VM_MIRROR: where $arch's libraries come from ($mirror)"
	exit
	;;
*)
	echo "Usage: vm-test/big_endian.sh" >&2
	exit 2
	;;
esac

# An apt of its own: this machine's knows nothing of the other architecture, and stays so.
apt_get() {
	apt-get -q -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir="$be/apt" \
		-o Dir::State::status="$be/apt/status" -o Dir::Etc::sourcelist="$be/apt/sources.list" \
		-o Dir::Etc::sourceparts=- -o Dir::Etc::parts=- -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d \
		-o APT::Sandbox::User=root "$@"
}

libraries_get() {
	local codename

	[ ! -e "$be/sysroot/done" ] || return 0
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	rm -rf "$be/apt" "$be/sysroot"
	mkdir -p "$be"/{debs,sysroot} "$be"/apt/{state,var/lib/apt}/lists/partial \
		"$be"/apt/{cache,var/cache/apt}/archives/partial
	: >"$be/apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian $codename main" \
		>"$be/apt/sources.list"
	apt_get update >"$be/apt.log" 2>&1 || { cat "$be/apt.log" >&2 && return 1; }
	# shellcheck disable=SC2086 # a list of words
	(cd "$be/debs" && apt_get download $packages >>"$be/apt.log" 2>&1) || { cat "$be/apt.log" >&2 && return 1; }
	for deb in "$be"/debs/*.deb; do
		dpkg-deb -x "$deb" "$be/sysroot"
	done
	touch "$be/sysroot/done"
}

cross() { # WHAT gcc gets
	$triplet-gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE \
		-DSLUICE_VERSION='"big-endian"' -I"$root" "$@"
}

# The rooms, once for all tests.
rooms_make() {
	local room source

	mkdir -p "$be/obj"
	for room in $rooms; do
		for source in "$root/user/$room"/*.c; do
			echo "$source" "$be/obj/$room-$(basename "$source" .c).o"
		done
	done | { cat && echo "$root/$asks_no_kernel" "$be/obj/arena.o"; } | while read -r source object; do
		if [ ! "$object" -nt "$source" ] || [ -n "$(find "$root/user" "$root/bpf" -name '*.h' -newer "$object")" ]; then
			cross -c -o "$object" "$source"
		fi
	done
	rm -f "$be/rooms.a"
	$triplet-ar rcs "$be/rooms.a" "$be"/obj/*.o
}

# As tests/run.sh wants them: a program a test, which runs by qemu.
by_qemu() { # LEVEL NAME PROGRAM
	printf '#!/bin/sh\nexec qemu-%s -L /usr/%s -E LD_LIBRARY_PATH=%s %s "$@"\n' "$arch" "$triplet" "$libs" \
		"$3" >"$be/tests/$1/$2"
	chmod 755 "$be/tests/$1/$2"
}

test_make() { # SOURCE
	local name=${1##*/}

	name=${name%.c}
	cross -o "$be/tests/unit/$name.$arch" "$1" "$be/rooms.a" "${libraries[@]}" -Wl,--allow-shlib-undefined -lm
	by_qemu unit "$name" "$be/tests/unit/$name.$arch"
}

# By the Makefile's rules for this machine, but for what the address sanitizer cannot do under qemu.
native_make() {
	local test

	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -C "$root" B="$be/cross" \
		CC=$triplet-gcc OBJCOPY=$triplet-objcopy \
		NATIVE_SAN="-O2 -g -fsanitize=undefined -fno-sanitize-recover=undefined" \
		NATIVE_LIBS="${libraries[*]} -Wl,--allow-shlib-undefined" native-tests
	for test in "$be"/cross/tests/native/test_*; do
		[[ $test == *.d ]] || by_qemu native "${test##*/}" "$test"
	done
}

mkdir -p "$be/tests"/{unit,native}
rm -f "$be"/tests/{unit,native}/*
libraries_get
mapfile -t libraries < <(find "$be/sysroot" -name 'lib*.so.*' -type f)
libs=$(dirname "${libraries[0]}")
rooms_make
for source in "$root"/tests/unit/test_*.c; do
	[[ " $left_out " == *" $(basename "$source" .c) "* ]] || test_make "$source"
done
native_make
echo "big-endian: $arch by $(qemu-$arch --version | head -n 1)"
BUILD=$be SLUICE_TIMES=${SLUICE_TIMES:-10} "$root/tests/run.sh" unit native
