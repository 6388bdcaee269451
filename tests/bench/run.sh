#!/bin/bash
# run.sh [packet|guard|control|flood|followers|start|events|hostile|simulator|kube]...   measures, side by side in one run, and prints tables
#
# Needs root; works in network namespaces of its own.  Quote the ratios and
# medians, not single times: machines are noisy.  JSON lines go to
# $BH_BUILD/bench.json.
set -eu
cd "$(dirname "$0")/../.."
: "${BH_BUILD:=$PWD/build/release}"
export BH_BUILD
out=$BH_BUILD/bench.json
what=${*:-packet guard control flood followers start events hostile simulator kube}

[ "$(id -u)" = 0 ] || { echo "measuring needs root (network namespaces)" >&2; exit 1; }
: >"$out"

echo "machine   $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, kernel $(uname -r)"
echo "versions  bulkhead $("$BH_BUILD/bulkhead" version | awk 'NR == 1 { print $NF }'), $(nft --version | cut -d' ' -f1,2), libnftnl $(pkg-config --modversion libnftnl), $(gcc --version | head -n 1)"
echo "date      $(date -u +%Y-%m-%d)"

instructions() {
	# Those of the events alone: a run with them minus a run without.
	local n=200 kinds=5 with without
	count() {
		valgrind --tool=callgrind --callgrind-out-file=/dev/null \
			"$BH_BUILD/tests/bench/control_bench" "$1" "$2" "$3" --no-kernel 2>&1 >/dev/null |
			awk '/Collected/ { print $NF }'
	}
	with=$(count "$1" "$2" "$n")
	without=$(count "$1" "$2" 0)
	printf '{"bench": "instructions", "pods": %d, "policies": %d, "per_event": %d}\n' \
		"$1" "$2" $(((with - without) / (n * kinds)))
}

for w in $what; do
	case $w in
	packet) tests/bench/packet.sh "${ROUNDS:-15}" | tee -a "$out" >/dev/null ;;
	guard) tests/bench/guard.sh "${ROUNDS:-9}" >>"$out" ;;
	control)
		for size in "1000 100" "10000 1000" "100000 10000"; do
			# shellcheck disable=SC2086
			"$BH_BUILD/tests/bench/control_bench" $size 2000 >>"$out"
		done
		for size in "1000 100" "10000 1000"; do
			# shellcheck disable=SC2086
			instructions $size >>"$out"
		done
		;;
	simulator)
		tests/bench/sim_batch.py >>"$out"
		tests/bench/sim_list.sh >>"$out"
		;;
	kube) tests/bench/kube.sh >>"$out" ;;
	start) tests/bench/start.sh "${PODS:-100}" >>"$out" ;;
	events) tests/bench/pod_event.sh "${PODS:-1000}" >>"$out" ;;
	hostile) tests/bench/hostile.py >>"$out" ;;
	followers) tests/bench/followers.sh >>"$out" ;;
	flood) "$BH_BUILD/tests/bench/nflog_bench" >>"$out" ;;
	*)
		echo "no such measurement: $w" >&2
		exit 2
		;;
	esac
done

python3 - "$out" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
def table(title, head, body):
    if not body:
        return
    body = [[str(c) for c in row] for row in body]
    width = [max(len(r[i]) for r in [head] + body) for i in range(len(head))]
    print("\n" + title)
    for row in [head] + body:
        print("  " + "  ".join(c.ljust(width[i]) if i == 0 else c.rjust(width[i]) for i, c in enumerate(row)))
of = lambda name: [r for r in rows if r["bench"] == name]
table("Packet path: cost against another layout (medians of ratios)",
      ["layout", "against", "established", "new flow", "new flow, ns"],
      [[r["layout"], r["base"], "%.2f" % r["established_ratio"], "%.2f" % r["new_ratio"], r["new_ns"]] for r in of("packet")])
table("Guard of pods' ports: cost of the tables netdev and bridge, on against off (medians of pairs)",
      ["ports", "established, ns", "ratio", "new flow, ns", "ratio", "bulk TCP, ns/KiB", "ratio"],
      [[r["ports"]] + ["%s" % r[k + unit] for k, u in (("established", "ns"), ("new", "ns"), ("bulk", "ns_per_kib"))
                       for unit in ("_" + u, "_ratio")] for r in of("guard")])
kinds = ["pod_added", "pod_removed", "pod_relabelled", "local_pod", "policy_changed"]
table("Control path: decoded object to acknowledged transaction, us, p50 / p99",
      ["pods/policies"] + kinds,
      [["%d/%d" % (r["pods"], r["policies"])] +
       ["%.0f / %.0f" % (r[k + "_us"]["p50"], r[k + "_us"]["p99"]) for k in kinds] for r in of("control")])
table("From nothing", ["pods/policies", "load ms", "compile ms", "commit ms", "elements", "peak MB"],
      [["%d/%d" % (r["pods"], r["policies"]), "%.0f" % r["load_ms"], "%.0f" % r["compile_ms"],
        "%.0f" % r["commit_ms"], r["elements"], "%.0f" % (r["rss_kb"] / 1024)] for r in of("control")])
table("Instructions of our own code per event (callgrind)", ["pods/policies", "instructions"],
      [["%d/%d" % (r["pods"], r["policies"]), r["per_event"]] for r in of("instructions")])
table("Simulator: questions answered by sim eval --batch",
      ["pods/policies", "questions", "seconds", "CPU seconds", "peak MB"],
      [["%d/%d" % (r["pods"], r["policies"]), r["questions"], r["seconds"], r["cpu_seconds"],
        "%.0f" % (r["rss_kb"] / 1024)] for r in of("sim_batch")])
table("Simulator: sim list and sim diff",
      ["pods/workloads/policies", "what", "lines", "seconds", "peak MB"],
      [["%d/%d/%d" % (r["pods"], r["workloads"], r["policies"]), r["what"], r["lines"], r["seconds"],
        "%.0f" % (r["rss_kb"] / 1024)] for r in of("sim_list")])
table("The agent on a Kubernetes API server",
      ["pods/policies/nodes", "rules in force, s", "CPU s", "received MB", "peak MB", "steady MB",
       "100 changes/s: % of a core", "kB/s", "to the kernel, mean ms"],
      [["%d/%d/%d" % (r["pods"], r["policies"], r["nodes"]), "%.1f" % (r["ready_ms"] / 1000),
        "%.1f" % (r["cpu_ms"] / 1000), r["received_mb"], r["peak_mb"], r["steady_mb"],
        r["change_cpu_percent"], r["change_kb_per_s"], r["change_mean_ms"]] for r in of("kube")])
table("Followers of the flow log: the agent's CPU time for a record, us",
      ["followers", "records/s", "without them", "with them", "agent's memory, MB"],
      [[r["followers"], r["records_per_s"], r["alone_us"], r["with_us"], "%.1f" % (r["rss_kb"] / 1024)] for r in of("followers")])
table("Start of a pod, us", ["pods", "event to kernel, p50", "p99", "fact to acknowledgement, mean", "agent's memory, MB"],
      [[r["pods"], r["p50_us"], r["p99_us"], r["agent_mean_us"], "%.1f" % (r["rss_kb"] / 1024)] for r in of("start")])
table("A pod of this node comes or goes: the agent's processor time, all threads, ms",
      ["by", "pods", "entries in conntrack", "comes", "goes"],
      [[r["by"], r["pods"], r["entries"], r["come_ms"], r["go_ms"]] for r in of("pod_event")])
table("Objects of 1.5 MB that a tenant may make to hurt others: edited in, and there at the start",
      ["kind", "moment", "in force, s", "CPU s", "another tenant's pod isolated, s", "another program's nft, s", "peak MB", "closed"],
      [[r["kind"], r["moment"], r["settle_s"], r["cpu_s"], r["other_tenant_s"], r["other_program_s"], r["peak_mb"],
        "yes" if r["closed"] else "no"] for r in of("hostile")])
flood = of("nflog")
if flood:
    print("\nDenied-packet flood")
    for r in flood:
        print("  " + ", ".join("%s %s" % (k, v) for k, v in r.items() if k != "bench"))
PY
