#!/bin/sh
# tidy.sh BUILD-DIR [OPTION...]: clang-tidy over every file of the library and programs.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
if ! command -v clang-tidy >/dev/null; then
	echo "clang-tidy is not installed"
	exit 77
fi
git ls-files 'policy/*.c' 'src/*.c' |
	xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" \
		--extra-arg=-Wno-unknown-warning-option "$@" 2>/dev/null
