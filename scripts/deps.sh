#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building, the demo and the tests need on Debian 12. Usage: scripts/deps.sh build|demo|check|bench...
# Nothing is missing: it does nothing, at once. Something is: it is installed without questions, and no service is started.
set -u

usage() {
	echo "Usage: scripts/deps.sh GROUP...    groups: build, demo, check, vm, be, bench" >&2
	exit 2
}

group_packages() {
	case $1 in
	# libc6-dev and gcc's own: apt does not bring them when recommended packages are left out
	build) echo make gcc libc6-dev pkg-config clang llvm bpftool libbpf-dev libxdp-dev libelf-dev \
		zlib1g-dev libyaml-dev libjansson-dev libtalloc-dev libmnl-dev nettle-dev libseccomp-dev ;;
	demo) echo nginx-light curl jq iproute2 ethtool procps util-linux ;;
	# libclang-rt-dev: sanitizers and libFuzzer of clang; gcc brings its own
	# netbase: wrk asks /etc/services what http is
	check) group_packages build
		group_packages demo
		echo libcmocka-dev libclang-rt-dev clang-format clang-tidy cppcheck shellcheck python3 iperf3 nftables \
			conntrack tcpdump socat iputils-ping wrk netbase xdp-tools git ;;
	vm) group_packages check
		echo qemu-system-x86 e2fsprogs cpio kmod xz-utils gpgv curl ;;
	be) group_packages build
		echo gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user ;;
	bench) echo haproxy nftables iperf3 iproute2 ethtool util-linux python3 python3-matplotlib ;;
	*) usage ;;
	esac
}

# Of the packages given, those that are not installed.
missing_of() {
	local there
	# Fails when it does not know one of them, and lists the others all the same.
	there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null)
	for package in "$@"; do
		grep -qxF "installed $package" <<<"$there" || echo "$package"
	done
}

# Debian's answer to "may this service be started now?", for the time of the installation only.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
log=
clean_up() {
	[ -z "$policy_is_ours" ] || rm -f "$policy"
	[ -z "$log" ] || rm -f "$log"
}

services_forbid() {
	[ -e "$policy" ] && return
	policy_is_ours=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

install_them() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q -o DPkg::Lock::Timeout=300 update &&
		apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
			install --no-install-recommends "$@"
}

[ $# -gt 0 ] || usage
wanted=()
for group in "$@"; do
	list=$(group_packages "$group") || exit 2
	read -r -d '' -a list <<<"$list"
	wanted+=("${list[@]}")
done
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: this is no Debian; going on. The packages' names there: ${wanted[*]}" >&2
	exit 0
fi
mapfile -t missing < <(missing_of "${wanted[@]}" | sort -u)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing: ${missing[*]}" >&2
	echo "deps: as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

trap clean_up EXIT
trap 'exit 1' INT TERM HUP
log=$(mktemp)
services_forbid
echo "deps: installing ${missing[*]}" >&2
install_them "${missing[@]}" </dev/null >"$log" 2>&1
status=$?
mapfile -t still < <(missing_of "${missing[@]}")
# A package that came for its program alone must not serve at the next boot either.
if [[ " ${missing[*]} " == *" nginx-light "* ]] && [ -d /run/systemd/system ]; then
	systemctl --quiet disable nginx 2>/dev/null
fi
if [ "$status" != 0 ] || [ ${#still[@]} -gt 0 ]; then
	echo "deps: cannot install: ${still[*]:-(all are there, but apt-get ended with $status)}" >&2
	grep -E '^(E|W|Err):' "$log" >&2 || tail -5 "$log" >&2
	exit 1
fi
