# An edited policy is in force, and a live connection that it no longer allows is cut;
# others live on.
. ./lib.sh
node_up
pod shop/web 11 app=web
pod shop/db 12 app=db
serve shop/db tcp:80 tcp:5432 udp:53
allow() {
	netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
  ports: [$1]
YAML
}
allow "{port: 80}, {port: 5432}, {port: 53, protocol: UDP}"
agent_start

open shop/web tcp shop/db 80
open shop/web tcp shop/db 5432
for f in 4 6; do
	declare -n addr=ADDR$f
	stream kept$f shop/web tcp "${addr[shop/db]}" 80
	stream tcp$f shop/web tcp "${addr[shop/db]}" 5432
	stream udp$f shop/web udp "${addr[shop/db]}" 53
done

step "ports 5432 and 53 are taken away"
allow "{port: 80}"
settle
for f in 4 6; do
	stream_is_cut tcp$f
	stream_is_cut udp$f
	stream_lives kept$f
done
blocked shop/web tcp shop/db 5432
blocked shop/web udp shop/db 53
open shop/web tcp shop/db 80
[ "$(status .revoked_connections)" -ge 4 ] || fail "$(status .revoked_connections) revoked"

step "a file that does not parse changes nothing and is named"
echo "spec: [" | policy shop.db
"$BULKHEAD" --control "$CONTROL" reload
eventually eval 'status .problems | grep -q policy-shop.db.yaml'
open shop/web tcp shop/db 80
blocked shop/web tcp shop/db 5432

step "inotify alone brings an edit into force"
allow "{port: 5432}"
eventually eval '[ "$(try_one 4 300 shop/web tcp shop/db 5432)" = open ]'
blocked shop/web tcp shop/db 80
[ "$(status .problems)" = "[]" ] || fail "problems: $(status .problems)"
