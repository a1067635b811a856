#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints kernels.txt anew: of each Debian release the newest cloud kernel that the mirror has now. The lists of packages are
# believed only as far as Debian's signature reaches: the key ring of debian-archive-keyring, InRelease, the list's sha256.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mirror=${VM_MIRROR:-http://deb.debian.org}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# A release a line: archive and suite, as often as there are suites that may have the newest.
releases="debian/bullseye debian-security/bullseye-security
debian/bookworm debian-security/bookworm-security
debian/trixie debian-security/trixie-security
debian/forky debian/sid"

case ${1-} in
'') ;;
-h | --help)
	cat <<-END
		Usage: vm-test/newest.sh >kernels.new && mv kernels.new vm-test/kernels.txt
		  VM_MIRROR  where packages come from (http://deb.debian.org)
	END
	exit
	;;
*)
	echo "Usage: vm-test/newest.sh" >&2
	exit 2
	;;
esac

die() {
	echo "newest.sh: $*" >&2
	exit 1
}

get() { curl -fsS --retry 3 --max-time 300 "$@"; }

# The list of a suite's packages, checked.
packages_get() { # ARCHIVE SUITE FILE
	local sum at=main/binary-amd64/Packages.xz

	get -o "$scratch/signed" "$mirror/$1/dists/$2/InRelease" || die "$mirror/$1/dists/$2/InRelease cannot be fetched"
	gpgv -q --keyring "$keyring" -o "$scratch/release" "$scratch/signed" 2>"$scratch/gpgv" ||
		die "$1/dists/$2/InRelease is not signed by a key of $keyring: $(tail -n 1 "$scratch/gpgv")"
	sum=$(awk -v at="$at" '/^SHA256:/ { inside = 1; next } /^[^ ]/ { inside = 0 } inside && $3 == at { print $1 }' \
		"$scratch/release")
	get -o "$scratch/list.xz" "$mirror/$1/dists/$2/$at" || die "$mirror/$1/dists/$2/$at cannot be fetched"
	echo "$sum  $scratch/list.xz" | sha256sum --quiet --check - >&2 || die "$1/dists/$2/$at is not what InRelease says"
	xz -dc "$scratch/list.xz" >"$3"
}

# "VERSION SHA256 PATH" of every package that a kernel is made of: one before 7, three since.
kernels_of() { # ARCHIVE FILE
	awk -v archive="$1" '
		/^Package: / { name = $2 }
		/^Version: / { version = $2 }
		/^Filename: / { path = $2 }
		/^SHA256: / { sum = $2 }
		/^$/ {
			if (name ~ /^linux-image-[0-9][^ ]*-cloud-amd64$/ && version ~ /^[56]\./ ||
			    name ~ /^linux-(binary|modules|base)-[0-9][^ ]*-cloud-amd64$/ && version ~ /^[7-9]\./)
				if (name !~ /unsigned/ && version !~ /~/) print version, sum, archive "/" path
			name = ""
		}' "$2"
}

newest_of() { # ARCHIVE/SUITE...
	local suite version

	: >"$scratch/kernels"
	for suite; do
		packages_get "${suite%%/*}" "${suite#*/}" "$scratch/packages"
		kernels_of "${suite%%/*}" "$scratch/packages" >>"$scratch/kernels"
	done
	version=$(cut -d' ' -f1 "$scratch/kernels" | sort -V | tail -n 1)
	[ -n "$version" ] || die "no cloud kernel in $*"
	awk -v version="$version" '$1 == version { split(version, part, "."); print part[1] "." part[2], $2, $3 }' \
		"$scratch/kernels" | sort -u | awk '!seen[$2]++'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
grep '^#' "$here/kernels.txt"
while read -r -a suites; do
	newest_of "${suites[@]}"
done <<<"$releases"
