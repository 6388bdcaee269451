# Where packets between pods of one bridge would bypass the rules, the agent says so.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML

step "off at the start: set, and enforced"
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
agent_start
blocked shop/web tcp shop/db 80
agent_stop

step "off and read-only, as in a container: not ready, with the reason and the fix"
sysctl -qw net.bridge.bridge-nf-call-iptables=0
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
agent_exec
eventually eval 'status .not_ready | grep -q "bypasses the rules"'
status .not_ready | grep -q "sysctl -w net.bridge.bridge-nf-call-iptables=1" ||
	fail "no fix: $(status .not_ready)"
[ "$(status .ready)" = false ] || fail "it says that it is ready"

step "ready once it is set"
mount -o remount,bind,rw /proc/sys
sysctl -qw net.bridge.bridge-nf-call-iptables=1
eventually eval '[ "$(status .ready)" = true ]'
blocked shop/web tcp shop/db 80
