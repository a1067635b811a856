#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies the sources into a folder, and changes them by layout.sed. Usage: tests/other/copy.sh FOLDER
set -euo pipefail
case ${1-} in -h | --help | '') sed -n '3s/^# //p' "$0" && exit ;; esac
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$1"
mkdir -p "$1"
to=$(cd "$1" && pwd)
mkdir "$to/scripts"
cp -a "$here/../../bpf" "$here/../../user" "$to"
cp -a "$here/../../scripts/style.exceptions" "$to/scripts"
cd "$to"
files=(bpf/abi.h bpf/way.h bpf/layout.h user/store/head.c user/store/store.c)
while IFS= read -r line; do
	[ "${line:0:1}" = s ] || continue
	cat "${files[@]}" >before
	sed -i "$line" "${files[@]}"
	if cat "${files[@]}" | cmp -s before -; then
		echo "tests/other/layout.sed: changes nothing: $line" >&2
		exit 1
	fi
done <"$here/layout.sed"
rm before
touch copied
