#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes one kernel of kernels.txt ready: its packages from Debian's mirror (each checked by sha256), unpacked, its
# modules as a disk. Prints the folder. What is there already is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VM_CACHE:-$here/../build/vm-test}
mirror=${VM_MIRROR:-http://deb.debian.org}

usage() {
	cat <<-END
		Usage: vm-test/fetch.sh KERNEL      one of: $(awk '/^[0-9]/ { print $1 }' "$here/kernels.txt" | uniq | xargs)
		  VM_CACHE   where packages and disks are kept (build/vm-test)
		  VM_MIRROR  where packages come from (http://deb.debian.org)
	END
}

die() {
	echo "fetch.sh: $*" >&2
	exit 1
}

is_right() { echo "$2  $1" | sha256sum --quiet --check - >/dev/null 2>&1; }

package_get() { # SHA256 PATH
	local deb=$cache/debs/${2##*/}

	if [ ! -e "$deb" ]; then
		echo "  FETCH   ${2##*/}" >&2
		curl -fsS --retry 3 --max-time 600 -o "$deb.part" "$mirror/$2" || {
			rm -f "$deb.part"
			die "$mirror/$2 cannot be fetched. Mirrors drop a version when the next one comes:" \
				"vm-test/newest.sh prints kernels.txt anew, or point VM_MIRROR at another mirror"
		}
		mv "$deb.part" "$deb"
	fi
	is_right "$deb" "$1" || {
		rm -f "$deb"
		die "${2##*/} is not the file that kernels.txt means (sha256): removed; try again"
	}
	echo "$deb"
}

# Debian moved vmlinuz and the modules between releases.
first_of() { # PATH...
	local path

	for path; do
		[ ! -e "$path" ] || { echo "$path" && return; }
	done
	die "no $1 in the packages of $kernel"
}

modules_disk() { # TREE FOLDER
	local version

	version=$(basename "$(first_of "$1"/lib/modules/* "$1"/usr/lib/modules/*)")
	mkdir -p "$2/tree/lib"
	mv "$(dirname "$(first_of "$1"/lib/modules/* "$1"/usr/lib/modules/*)")" "$2/tree/lib/modules"
	rm -rf "$2/tree/lib/modules/$version"/{vmlinuz,build,source,kernel/sound,kernel/drivers/{gpu,scsi,infiniband}}
	depmod -b "$2/tree" "$version" 2>"$2/depmod.log"
	truncate -s 512M "$2/modules.img"
	mke2fs -q -t ext4 -O ^has_journal -d "$2/tree/lib/modules" "$2/modules.img"
	echo "$version" >"$2/version"
}

unpack() { # FOLDER DEB...
	local folder=$1 tree deb

	shift
	rm -rf "$folder.part"
	mkdir -p "$folder.part"
	tree=$folder.part/unpacked
	for deb; do
		dpkg-deb -x "$deb" "$tree"
	done
	cp "$(first_of "$tree"/boot/vmlinuz-* "$tree"/usr/lib/modules/*/vmlinuz)" "$folder.part/vmlinuz"
	modules_disk "$tree" "$folder.part"
	rm -rf "$tree" "$folder"
	mv "$folder.part" "$folder"
}

case ${1---help} in
-h | --help) usage && exit ;;
-*) usage >&2 && exit 2 ;;
esac
kernel=$1
lines=$(awk -v kernel="$kernel" '$1 == kernel { print $2, $3 }' "$here/kernels.txt")
[ -n "$lines" ] || { usage >&2 && exit 2; }
mkdir -p "$cache/debs" "$cache/kernels"
debs=()
while read -r sum path; do
	deb=$(package_get "$sum" "$path")
	debs+=("$deb")
done <<<"$lines"
folder=$cache/kernels/$kernel-$(md5sum <<<"$lines" | cut -c1-12)
[ -e "$folder/version" ] || unpack "$folder" "${debs[@]}"
echo "$folder"
