# Killed and started again under traffic: not one wrong verdict, and what changed
# meanwhile is patched in.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 80}]
YAML
agent_start
open shop/web tcp shop/db 80
blocked shop/web tcp shop/db 5432

# New connections all the time, allowed and denied ones, with what each must be.
for f in 4 6; do
	declare -n addr=ADDR$f
	{
		for i in 1 2 3 4; do echo "tcp ${addr[shop/db]} 80 open"; done
		for i in 1 2 3 4; do echo "tcp ${addr[shop/db]} 5432 blocked"; done
	} >"$WORK/matrix$f"
	spawn shop/web "$PROBE" matrix -t 250 -n 0 <"$WORK/matrix$f" >"$WORK/log/matrix$f" 2>&1
	MATRIX[f]=$!
done
stream live shop/web tcp "${ADDR4[shop/db]}" 80

for round in 1 2 3; do
	step "kill -9 and start, round $round"
	agent_kill
	nft list table inet bulkhead >/dev/null || fail "the rules are gone"
	sleep 0.5
	agent_start
done
step "SIGTERM leaves the rules too"
agent_stop
nft list table inet bulkhead >/dev/null || fail "the rules are gone"
blocked shop/web tcp shop/db 5432

step "what changed while nobody looked is patched in"
handle() { nft -a list table inet bulkhead | sed -n 's/.*chain forward { # handle //p'; }
before=$(handle)
pod other/tool 13 app=tool
netpol other/tool <<YAML
podSelector: {}
policyTypes: [Ingress]
YAML
agent_start
blocked shop/web tcp other/tool 80
[ "$(handle)" = "$before" ] || fail "the table was made anew instead of patched"
stream_lives live

for f in 4 6; do
	kill "${MATRIX[f]}"
	wait "${MATRIX[f]}" || fail "wrong verdicts: $(cat "$WORK/log/matrix$f")"
	grep -q '[0-9][0-9] rounds of 8 probes, 0 wrong' "$WORK/log/matrix$f" || fail "$(cat "$WORK/log/matrix$f")"
done
