# The kernel refuses the set of one policy: that policy's pods are closed, all others
# are enforced as ever, the log and the status name it; mended once the policy changes.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
pod shop/cache 13 app=cache
pod shop/free 14 app=free
serve shop/db tcp:80 tcp:81
serve shop/cache tcp:80 tcp:81
serve shop/free tcp:80

# The comment of a set says what it selects.
allow() {
	netpol "shop/$1" <<YAML
podSelector: {matchLabels: {app: $1}}
ingress:
- from: [{podSelector: {matchLabels: {app: web, for: $2}}}, {podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 81}]
YAML
}
allow db refused-by-kernel
export BH_REFUSE=refused-by-kernel
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
export LD_PRELOAD=$BH_BUILD/tests/tools/preload/refuse.so
agent_exec
unset LD_PRELOAD
"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >"$WORK/log/status" 2>&1 ||
	fail "the agent is not ready: $(cat "$WORK/log/status")"
allow cache other
settle

step "its pods are closed"
blocked shop/web tcp shop/db 80
blocked shop/web tcp shop/db 81

step "the others are enforced"
blocked shop/web tcp shop/cache 80
open shop/web tcp shop/cache 81
open shop/web tcp shop/free 80

step "it is named"
grep -q 'NetworkPolicy shop/db: pod shop/db is closed for ingress' "$WORK/log/agent" ||
	fail "the log does not name the policy and the pod"
[ "$(status .profiles_closed)" = 1 ] || fail "$(status .profiles_closed) profiles are closed"
errors=$(status .policies_status | python3 -c '
import json, sys
for p in json.load(sys.stdin):
    if p["error"]:
        print(p["namespace"] + "/" + p["name"])')
[ "$errors" = shop/db ] || fail "the status names '$errors'"
"$BULKHEAD" --control "$CONTROL" status | grep -q 'shop/db' || fail "nothing for people"

step "a policy that the kernel takes mends it"
allow db another
settle
blocked shop/web tcp shop/db 80
open shop/web tcp shop/db 81
[ "$(status .profiles_closed)" = 0 ] || fail "still closed"
agent_stop
