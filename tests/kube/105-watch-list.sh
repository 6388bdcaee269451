# Where the server has it, the state comes as a stream (WatchList); where its etcd is
# too old for that, in pages.
. ./lib.sh
server_node_up
netpol shop/p <<<"podSelector: {}"
for i in 1 2 3; do remote_pod shop/p$i 192.0.2.$i 2001:db8::$i app=old; done

# How many of them the server has ended well.
streams() {
	kubectl get --raw /metrics |
		awk '/^apiserver_watch_list_duration_seconds_count/ { n += $NF } END { print n + 0 }'
}
look() {
	source_start
	same
	kubectl label pod -n shop p1 seen=yes >/dev/null
	kubectl delete pod -n shop p2 --force --grace-period=0 >/dev/null 2>&1
	remote_pod shop/p4 192.0.2.4 2001:db8::4
	same
	source_kill
	rm "$SOURCE_LOG"
}

step "a stream each of namespaces, nodes, pods and policies"
before=$(streams)
look
[ $(($(streams) - before)) = 4 ] || fail "$(streams) streams, $before before"

step "pages, with an etcd that cannot do it"
[[ $(/usr/bin/etcd --version) == *"Version: 3.4"* ]] ||
	skip "streams work; /usr/bin/etcd is not one of 3.4, so pages were not tried"
apiserver_kill
etcd_kill
rm -r "$SERVER_DIR/etcd"
ETCD=/usr/bin/etcd
etcd_start
apiserver_start
rm "$AGENT_CONFIG"
namespace shop
for i in 1 2 3; do remote_pod shop/p$i 192.0.2.$i 2001:db8::$i app=old; done
before=$(streams)
look
[ "$(streams)" = "$before" ] || fail "$(streams) streams, $before before"
