# The server no longer has what the watch asks for (410 Gone): listed again, and
# told is the difference.
. ./lib.sh
server_node_up
relay_start
for i in 1 2 3; do remote_pod shop/p$i 192.0.2.$i 2001:db8::$i app=old; done
source_start
same

step "while it hears nothing, much happens, and all of it is compacted away"
relay off
kubectl delete pod -n shop p1 --force --grace-period=0 >/dev/null 2>&1
for i in $(seq 10); do kubectl label pod -n shop p2 "n=$i" --overwrite >/dev/null; done
remote_pod shop/p4 192.0.2.4 2001:db8::4 app=new
etcd_compact
apiserver_kill
apiserver_start
mark
relay pass
same
never_told 'key == "shop/p3"'
[ "$(was_told 'key == "shop/p1" and event == "delete"' | wc -l)" = 1 ] || fail "p1 is not deleted once"
[ "$(was_told 'key == "shop/p2"' | wc -l)" = 1 ] || fail "p2 is not told once"

step "and followed again"
remote_pod shop/p5 192.0.2.5 2001:db8::5
same
