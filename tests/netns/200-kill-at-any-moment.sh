# Killed at random moments while policies and pods change: pairs whose verdict never
# changes get it every time, the table is adopted, and the flow log has no half lines.
. ./lib.sh
SEED=${SEED:-4711}
ROUNDS=${ROUNDS:-40}
echo "SEED=$SEED ROUNDS=$ROUNDS"
RANDOM=$SEED
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod other/tool 13 app=tool
pod_net shop/spare 14
serve shop/db tcp:80 tcp:5432
serve other/tool tcp:80 tcp:81
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 80}]
YAML
netpol shop/web <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to: [{podSelector: {matchLabels: {app: db}}}]
- to: [{namespaceSelector: {}}]
  ports: [{port: 80}]
YAML
agent_start
handle() { nft -a list table inet bulkhead | sed -n 's/.*chain forward { # handle //p'; }
before=$(handle)

# lines FAMILY VERDICT SRC: what a matrix in the pod tries
lines() {
	local f=$1 want=$2 src=$3 i
	declare -n addr=ADDR$f
	for i in 1 2 3; do
		case $src-$want in
		shop/web-open) printf 'tcp %s 80 open\n' "${addr[shop/db]}" "${addr[other/tool]}" ;;
		shop/web-blocked)
			echo "tcp ${addr[shop/db]} 5432 blocked"
			echo "tcp ${addr[other/tool]} 81 blocked"
			;;
		other/tool-blocked) printf "tcp ${addr[shop/db]} %s blocked\n" 80 5432 ;;
		esac
	done
}

# Open ones return at once and start anew, denied ones wait; so they are separate.
N_MATRICES=0
matrix() {
	local f=$1 want=$2 src=$3 ms=$4 n=$N_MATRICES
	lines "$f" "$want" "$src" >"$WORK/matrix$n"
	spawn "$src" "$PROBE" matrix -t "$ms" -n 0 <"$WORK/matrix$n" >"$WORK/log/matrix$n" 2>&1
	MATRIX[n]=$!
	N_MATRICES=$((n + 1))
}
for f in 4 6; do
	matrix $f open shop/web 3000
	matrix $f blocked shop/web 200
	matrix $f blocked other/tool 200
done

# Edits touch the profiles, sets and maps that the pairs above are judged by, and
# never a verdict of theirs.
edit() {
	local n=$1
	case $((n % 6)) in
	0) netpol shop/extra <<YAML
podSelector: {}
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: spare}}}, {ipBlock: {cidr: 192.0.2.$((n % 250))/32}}]
  ports: [{port: $((1000 + n))}]
YAML
		;;
	1) pod_manifest shop/spare app=$([ $((n % 12)) = 1 ] && echo web || echo spare) ;;
	2) pod_manifest shop/web app=web "round=$n" ;;
	3) netpol shop/out <<YAML
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 198.51.100.$((n % 250))/32}}]
YAML
		;;
	4) rm -f "$POLICIES/pod-shop.spare.yaml" ;;
	5) unpolicy shop.extra; unpolicy shop.out ;;
	esac
}
(
	n=0
	while :; do
		edit $n
		n=$((n + 1))
		echo $n >"$WORK/edits"
		sleep 0.0$((RANDOM % 6 + 1))
	done
) &
EDITOR=$!

# Half of the agents get to the first commit and past it, others not even there.
for _ in $(seq "$ROUNDS"); do
	sleep "0.$(printf %03d $((RANDOM % 600)))"
	agent_kill
	agent_exec
done
kill $EDITOR
wait $EDITOR 2>/dev/null || true
"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >"$WORK/log/status" ||
	fail "the last one is not ready"
settle
echo "$(cat "$WORK/edits") edits, $ROUNDS kills"

for n in "${!MATRIX[@]}"; do
	kill "${MATRIX[n]}"
	wait "${MATRIX[n]}" || fail "wrong verdicts: $(cat "$WORK/matrix$n" "$WORK/log/matrix$n")"
	grep -q '[1-9][0-9]* rounds of 6 probes, 0 wrong' "$WORK/log/matrix$n" || fail "$(cat "$WORK/log/matrix$n")"
	cat "$WORK/log/matrix$n"
done
[ "$(handle)" = "$before" ] || fail "the table was made anew instead of patched"

step "what is in the kernel is what a new agent wants"
agent_stop
table() { nft -a list table inet bulkhead | sed '/ expires /d;s/packets [0-9]* bytes [0-9]*//'; }
table >"$WORK/left"
agent_start
table >"$WORK/found"
diff "$WORK/left" "$WORK/found" || fail "the table was not what was wanted"

step "every line of the flow log is whole"
agent_stop
python3 - "$FLOW_LOG" <<'PY' || fail "a half line in the flow log"
import json, sys
n = 0
for line in open(sys.argv[1], "rb"):
    assert line.endswith(b"\n"), line
    json.loads(line)
    n += 1
print(n, "records")
PY
