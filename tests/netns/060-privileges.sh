# The agent keeps one capability, and everything it does later works with it.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432
agent_start

step "CAP_NET_ADMIN and no_new_privs, for good"
of() { sed -n "s/^$1:[[:blank:]]*//p" "/proc/$AGENT_PID/status"; }
for set in CapEff CapPrm CapBnd; do
	[ "$(of $set)" = 0000000000001000 ] || fail "$set is $(of $set)"
done
for set in CapInh CapAmb; do
	[ "$(of $set)" = 0000000000000000 ] || fail "$set is $(of $set)"
done
[ "$(of NoNewPrivs) $(of Seccomp)" = "1 2" ] || fail "NoNewPrivs $(of NoNewPrivs), Seccomp $(of Seccomp)"

step "a commit, a revocation, a flow record"
stream live shop/web tcp "${ADDR4[shop/db]}" 5432
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- ports: [{port: 80}]
YAML
settle
stream_is_cut live
blocked shop/web tcp shop/db 5432
open shop/web tcp shop/db 80
eventually grep -q flow-denied "$FLOW_LOG"

step "logrotate: the flow log is opened by name again"
mv "$FLOW_LOG" "$FLOW_LOG.1"
kill -HUP "$AGENT_PID"
eventually test -e "$FLOW_LOG"
blocked shop/web udp shop/db 53
eventually grep -qi '"udp"' "$FLOW_LOG"

step "a bridge's sysctl that was switched off is set again"
sysctl -qw net.bridge.bridge-nf-call-iptables=0
ip link add br1 type bridge
eventually grep -q 1 /proc/sys/net/bridge/bridge-nf-call-iptables

step "without the capability it does not start, and says what is missing"
out=$(setpriv --bounding-set -net_admin --inh-caps -net_admin --ambient-caps -all \
	"$BULKHEADD" --policies "$POLICIES" --control "$WORK/other.sock" 2>&1) && fail "it started"
grep -q CAP_NET_ADMIN <<<"$out" || fail "$out"
