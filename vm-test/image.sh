#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the disk that all guests have as their root: this machine's own programs, by the packages that the tests ask for
# and all that those depend on. So the same tests run inside, and what lacks here lacks there. Prints the disk's path;
# one that was made of the same packages is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
build=${BUILD:-$root/build}
cache=${VM_CACHE:-$build/vm-test}
packages="bpftool conntrack curl ethtool iperf3 iproute2 iputils-ping jq kmod libxdp1 mawk mount netbase nftables
	nginx-light procps python3 socat tcpdump wrk xdp-tools xz-utils"

usage() {
	cat <<-END
		Usage: vm-test/image.sh
		  VM_CACHE  where the disk is kept (build/vm-test)
	END
}

# What is installed of the packages, of those that every Debian has, and of all that they need.
closure() {
	# shellcheck disable=SC2046,SC2086,SC2016 # lists of words; what dpkg-query expands
	apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances $packages $(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p') 2>/dev/null |
		sed -n 's/^\([a-z0-9][a-z0-9.+-]*\)\(:.*\)\{0,1\}$/\1/p' | sort -u |
		{ xargs dpkg-query -W -f '${db:Status-Status} ${binary:Package} ${Version}\n' 2>/dev/null || true; } |
		sed -n 's/^installed //p' # virtual packages are known to nobody, and fail the query
}

# Programs that the build made may need libraries that no package of the list has: sanitizers, libbpf.
libraries() {
	{ find "$build" -maxdepth 3 -type f -perm -u+x ! -path '*/vm-test/*' -exec ldd {} + 2>/dev/null || true; } |
		sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u
}

# Each path by the folder where it really is: /bin is a link to /usr/bin here, but not in the packages' lists.
files() {
	closure | cut -d' ' -f1 | xargs dpkg-query -L |
		grep -vE '^/\.$|^/usr/(include|share/(doc|man|locale|info|i18n|lintian|bug|zoneinfo))(/|$)' |
		sed -E 's,^/(bin|sbin|lib|lib64|lib32|libx32)/,/usr/\1/,' | sort -u
	libraries | while read -r library; do
		echo "$(cd "$(dirname "$library")" && pwd -P)/$(basename "$library")"
		readlink -f "$library"
	done
	find /etc/alternatives /etc/ld.so.conf.d
	find /usr/bin /usr/sbin -lname '/etc/alternatives/*'
	printf '%s\n' /etc/passwd /etc/group /etc/ld.so.conf /etc/nsswitch.conf /etc/services /etc/protocols
}

disk_make() { # DISK
	local tree=$1.tree

	rm -rf "$tree"
	mkdir -p "$tree"/{proc,sys,dev,run,tmp,root,var/tmp,etc,usr/{bin,sbin,lib,lib64},lib/modules,sluice}
	rmdir "$tree/lib/modules" "$tree/lib"
	for folder in bin sbin lib lib64; do
		ln -s "usr/$folder" "$tree/$folder"
	done
	mkdir -p "$tree/usr/lib/modules"
	files | sort -u | while read -r path; do
		[ ! -L "$path" ] && [ ! -f "$path" ] || echo "${path#/}"
	done | tar -C / -cf - --no-recursion -T - | tar -C "$tree" -xf -
	ldconfig -r "$tree"
	truncate -s 2G "$1.part"
	mke2fs -q -t ext4 -O ^has_journal -d "$tree" "$1.part"
	rm -rf "$tree"
	mv "$1.part" "$1"
}

case ${1-} in
'') ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac
mkdir -p "$cache"
mark=$({ closure && libraries | xargs stat -L -c "%n %s %Y" && cat "$0"; } | sha256sum | cut -c1-12)
disk=$cache/root-$mark.img
if [ ! -e "$disk" ]; then
	echo "  DISK    $disk" >&2
	find "$cache" -maxdepth 1 -name 'root-*.img' -delete
	disk_make "$disk"
fi
echo "$disk"
