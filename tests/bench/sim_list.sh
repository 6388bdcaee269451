#!/bin/sh
# sim_list.sh [WORKLOADS PODS_PER_WORKLOAD]   `bulkhead sim list` and `sim diff`, timed
#
# Prints JSON lines.  $NETPOL_ANALYZER names netpol-analyzer's program, to be
# timed on the same manifests; without it, it is left out with a word.
set -eu
cd "$(dirname "$0")/../.."
workloads=${1:-1000} pods=${2:-10}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

python3 tests/bench/sim_gen.py "$dir/old" "$workloads" "$pods" 2
python3 tests/bench/sim_gen.py "$dir/new" "$workloads" "$pods" 2 $((workloads / 50))

# measure WHAT COMMAND...: a difference is exit status 1, and no failure
measure()
{
	python3 - "$workloads" "$pods" "$@" <<'PY'
import json, resource, subprocess, sys, time
workloads, pods, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
start = time.monotonic()
done = subprocess.run(sys.argv[4:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
seconds = time.monotonic() - start
if done.returncode > 1:
    sys.exit("%s: exit status %d" % (what, done.returncode))
print(json.dumps({"bench": "sim_list", "what": what, "pods": workloads * pods, "workloads": workloads,
                  "policies": workloads * 2, "lines": done.stdout.count(b"\n"),
                  "seconds": round(seconds, 2),
                  "rss_kb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}))
PY
}

measure "sim list" "$BH_BUILD/bulkhead" sim list "$dir/old"
measure "sim diff" "$BH_BUILD/bulkhead" sim diff "$dir/old" "$dir/new"
if [ -n "${NETPOL_ANALYZER:-}" ]; then
	measure "netpol-analyzer list" "$NETPOL_ANALYZER" list -q --multiple-networks=false --dirpath "$dir/old"
else
	echo "netpol-analyzer is not timed: NETPOL_ANALYZER is not set" >&2
fi
