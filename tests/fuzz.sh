#!/usr/bin/env bash
# Runs every fuzz test of the module for the given time each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fuzz() { # directory, name
	go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1x </dev/null >"$log" 2>&1
}

grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
	dir=$(dirname "$file")
	grep -ohE '^func Fuzz[A-Za-z0-9_]*' "$file" | awk '{print $2}' | while read -r name; do
		# The go command sometimes takes the end of the time for a failure
		#; an input that really fails does so again.
		fuzz "$dir" "$name" || { grep -q 'context deadline exceeded' "$log" && fuzz "$dir" "$name"; } || { cat "$log"; exit 1; }
		echo "ok  $dir $name: $(grep -oE 'execs: [0-9]+' "$log" | tail -1)"
	done
done
