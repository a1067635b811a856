#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The style of the house. Prints each breach; exits 1 when there is one.
# Exceptions stand in scripts/style.exceptions, with reasons.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exceptions=scripts/style.exceptions

usage() {
	cat <<'END'
Usage: scripts/style.sh CHECK...

  format     C files are as clang-format 14 with .clang-format writes them
  lines      no line of C is longer than 100 columns (a tab is eight), none of a script longer than 130
  functions  no function is longer than 60 lines
  files      bpf/ has less than 300 lines a file, user/ less than 500
  fix        formats what `format` finds (but for the exceptions)

Without a name all checks run. Exit codes: 0 clean, 1 breaches, 2 wrong usage, 77 clang-format 14 is not here.
END
}

c_files() { git ls-files --cached --others --exclude-standard '*.c' '*.h'; }
script_files() { git ls-files --cached --others --exclude-standard '*.sh' .ci/run; }

# CHECK NAME LIMIT REASON: the limit that holds for a file or function instead of the house's; "-" for none.
limit_of() { # CHECK NAME USUAL
	awk -v check="$1" -v name="$2" -v limit="$3" '
		$1 == check && $2 == name { limit = $3 }
		END { print limit }' "$exceptions"
}

# Filters "NAME SIZE" lines: what is over its limit.
over() { # CHECK USUAL WHAT
	local name size limit code=0

	while read -r name size; do
		limit=$(limit_of "$1" "$name" "$2")
		[ "$limit" = - ] || [ "$size" -le "$limit" ] || {
			echo "$name: $3 of $size, $limit is the most"
			code=1
		}
	done
	return "$code"
}

lines_longest() { # MOST FILE...
	local most=$1

	shift
	# The expanding is awk's own: one process for all files.
	awk -v most="$most" '
		index($0, "\t") || length($0) > most {
			width = 0
			count = split($0, part, "\t")
			for (i = 1; i < count; i++) width = int((width + length(part[i])) / 8 + 1) * 8
			width += length(part[count])
			if (width > most && width > worst[FILENAME]) worst[FILENAME] = width
		}
		END { for (file in worst) print file, worst[file] }' "$@"
}

check_lines() {
	local c scripts code=0

	mapfile -t c < <(c_files)
	mapfile -t scripts < <(script_files)
	lines_longest 100 "${c[@]}" | over lines 100 "a line" || code=1
	lines_longest 130 "${scripts[@]}" | over lines 130 "a line" || code=1
	return "$code"
}

# A function begins where its type stands in the first column, and ends with a brace there.
check_functions() {
	local c

	mapfile -t c < <(c_files)
	awk '
		/^[A-Za-z_].*\(/ && !/;$/ { head = FNR; name = $0; sub(/ *\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^\{/ { is_open = 1 }
		/^\}/ && is_open { if (FNR - head >= 60) print FILENAME ":" name, FNR - head + 1; is_open = 0 }' \
		"${c[@]}" | over functions 60 "a function"
}

check_files() {
	local c code=0

	mapfile -t c < <(c_files)
	wc -l "${c[@]}" | awk '$2 ~ /^bpf\// { print $2, $1 }' | over files 299 "lines" || code=1
	wc -l "${c[@]}" | awk '$2 ~ /^user\// { print $2, $1 }' | over files 499 "lines" || code=1
	return "$code"
}

# Releases of clang-format differ in what they write.
formatter_find() {
	local name

	for name in clang-format-14 clang-format; do
		"$name" --version 2>&1 | grep -q 'version 14\.' && echo "$name" && return
	done
	echo "clang-format 14 is not installed" >&2
	return 77
}

files_to_format() {
	c_files | while read -r file; do
		[ "$(limit_of format "$file" 0)" = - ] || echo "$file"
	done
}

check_format() {
	local formatter

	formatter=$(formatter_find) || return
	set +o pipefail # it fails when it finds something, and so does grep
	# Its diagnostics name the file for each line; one a file is enough.
	files_to_format | xargs "$formatter" --dry-run -Werror 2>&1 |
		awk -F: '/: error:/ && !seen[$1]++ {
			print $1 ":" $2 ": not as clang-format writes it; scripts/style.sh fix" }' |
		{ ! grep .; }
}

fix() {
	local formatter

	formatter=$(formatter_find) || return
	files_to_format | xargs "$formatter" -i
}

case ${1-} in -h | --help) usage && exit ;; esac
[ $# -gt 0 ] || set -- format lines functions files
worst=0
for check; do
	case $check in
	format) check_format ;;
	lines) check_lines ;;
	functions) check_functions ;;
	files) check_files ;;
	fix) fix ;;
	*)
		echo "scripts/style.sh: unknown check \"$check\"" >&2
		usage >&2
		exit 2
		;;
	esac || worst=$?
done
exit "$worst"
