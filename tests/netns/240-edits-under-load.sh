# Edits in quick succession under traffic: when status --wait returns, the policy
# written before is the one that packets meet.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81
serve shop/web tcp:80
policy_of() {
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 81}, {port: $1}]
YAML
}
wait_for_it() { "$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >/dev/null; }
for port in 79 80; do
	policy_of $port
	mv "$POLICIES/policy-shop.db.yaml" "$WORK/$port"
done
# Whole or not at all, and as quick as a process can be.
edit() {
	cp "$WORK/$1" "$WORK/.new"
	mv "$WORK/.new" "$POLICIES/policy-shop.db.yaml"
}
edit 80
agent_start

# Never touched by the edits: allowed by each of them, or denied by each.
echo "tcp ${ADDR4[shop/db]} 81 open" >"$WORK/open"
echo "tcp ${ADDR4[shop/db]} 82 blocked" >"$WORK/blocked"
for want in open blocked; do
	ms=3000
	[ $want = open ] || ms=200
	spawn shop/web "$PROBE" matrix -t $ms -n 0 <"$WORK/$want" >"$WORK/log/$want" 2>&1
	MATRIX+=($!)
done

step "200 edits, about 20 a second: the last one is in force"
first=$(status .generation)
from=$(date +%s%N)
for i in $(seq 200); do
	edit $((79 + (i + 1) % 2))
	sleep 0.045
done
edit 79
wait_for_it
blocked shop/web tcp shop/db 80
last=$(status .generation)
echo "200 edits in $((($(date +%s%N) - from) / 1000000)) ms, $((last - first)) generations"
[ "$last" -gt "$first" ] || fail "the generation stands at $last"

step "after --wait, what was written before is in force: one probe, at once"
for i in $(seq 40); do
	edit $((79 + i % 2))
	wait_for_it
	# A first packet that is lost is tried again after a second.
	got=$(try_one 4 900 shop/web tcp shop/db 80)
	[ "$got" = "$([ $((i % 2)) = 1 ] && echo open || echo timeout)" ] ||
		fail "edit $i: the first packet after --wait is $got"
done

step "a file touched and not changed is nothing to wait for"
touch "$POLICIES/policy-shop.db.yaml"
wait_for_it || fail "still waiting"

step "what did not change never wavered"
for m in "${MATRIX[@]}"; do
	kill "$m"
	wait "$m" || fail "wrong verdicts: $(cat "$WORK/log/open" "$WORK/log/blocked")"
done
cat "$WORK/log/open" "$WORK/log/blocked"
