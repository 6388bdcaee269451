# One tenant's flood of long records: each is bounded, so are file and ring, and the records of
# others are all there.
. ./lib.sh
node_up
LABELS=$(python3 -c 'print(" ".join("k%04d.example/%s=%s" % (i, "n" * 20, "v" * 60) for i in range(550)))')
pod evil/a 11 app=a $LABELS
pod evil/b 12 app=b $LABELS
pod shop/web 13 app=web
pod shop/db 14 app=db
for ns in evil shop; do
	netpol $ns/deny <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
done

# flood SECONDS: new flows of one tenant, as fast as the kernel hands them out
flood() {
	in_pod evil/a python3 - "${ADDR4[evil/b]}" "$1" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end, port = time.monotonic() + float(sys.argv[2]), 1
while time.monotonic() < end:
    for i in range(10):
        port = port % 65000 + 1
        s.sendto(b"x", (sys.argv[1], port))
    time.sleep(0.05)
PY
}

# check_log FLOWS: no number is missing without a gap record, no line is split or too long,
# and all of shop's FLOWS are there
check_log() {
	python3 - "$FLOW_LOG" "$1" <<'PY'
import glob, json, os, sys
log, flows = sys.argv[1], int(sys.argv[2])
files = sorted(glob.glob(log + ".old.*"), key=lambda f: -int(f.rsplit(".", 1)[1])) + [log]
print([(os.path.basename(f), os.path.getsize(f)) for f in files])
last, longest, omitted, seen = None, 0, 0, set()
for f in files:
    assert os.path.getsize(f) <= 131072, f
    for line in open(f):
        assert line.endswith("\n"), line
        r = json.loads(line)
        longest = max(longest, len(line))
        first = r.get("gap.first_sequence", r["event.sequence"])
        assert last is None or first == last + 1, (last, line[:300])
        last = r["event.sequence"]
        if "gap.records" in r:
            assert r["gap.reason"] == "byte-rate", line
        if r.get("source.k8s.namespace.name") == "shop":
            seen.add(r["destination.port"])
        omitted = max(omitted, r.get("source.k8s.pod.labels_omitted", 0))
print("longest", longest, "labels left out", omitted, "of shop", len(seen))
assert longest < 12288 and omitted > 500 and len(seen) == flows, sorted(seen)
PY
}

step "flood and trickle"
agent_start --flow-log-rate 24K --flow-log-max-size 128K --flow-log-keep 20 --metrics 127.0.0.1:9633
flood 5 &
F=$!
for i in $(seq 20); do
	burst shop/web "${ADDR4[shop/db]}" $((5000 + i)) 1 1
	sleep 0.2
done
wait $F
# What was left out at the end is told at the next tick.
sleep 1.5
check_log 20 || fail "the log is not as it should be"
[ "$(status .flow_log.rotations)" -gt 0 ] || fail "not rotated: $(status .flow_log)"
[ "$(status .flow_log.left_out_by_rate)" -gt 0 ] || fail "nothing left out: $(status .flow_log)"
curl -s http://127.0.0.1:9633/metrics |
	grep -q 'flow_log_left_out_total{reason="byte-rate"} [1-9]' || fail "no metric"
[ "$(status .packets.lost)" = 0 ] || fail "lost: $(status .packets)"

step "rotation by others goes on working"
mv "$FLOW_LOG" "$FLOW_LOG.1"
settle
burst shop/web "${ADDR4[shop/db]}" 6000 1 1
eventually logged "src == 'shop/web' and port == 6000"
