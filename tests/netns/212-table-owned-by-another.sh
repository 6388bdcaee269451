# Another program takes our table's name and owns it, so that the kernel refuses all
# we do: the agent says that it does not enforce, and is as before once it can.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:81
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{port: 81}]
YAML
agent_start
blocked shop/web tcp shop/db 80
open shop/web tcp shop/db 81

# A table with an owner lives as long as its owner's socket.
mkfifo "$WORK/orders"
nft -i <"$WORK/orders" >"$WORK/log/owner" 2>&1 &
OWNER=$!
exec 7>"$WORK/orders"
echo "delete table inet bulkhead; add table inet bulkhead { flags owner; }" >&7
is_owned() { [[ $(nft list table inet bulkhead 2>&1) == *owner* ]]; }
eventually eval 'is_owned || grep -q Error "$WORK/log/owner"'
is_owned || skip "this nft makes no table with an owner: $(head -n 1 "$WORK/log/owner")"
eventually eval '[ "$(status .ready)" = false ]'
status .not_ready
exec 7>&-
kill $OWNER 2>/dev/null || true
wait $OWNER 2>/dev/null || true

step "the owner is gone"
"$BULKHEAD" --control "$CONTROL" status --wait --timeout 60 >/dev/null || fail "not ready again"
blocked shop/web tcp shop/db 80
open shop/web tcp shop/db 81
