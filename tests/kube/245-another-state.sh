# The server comes back with another state than it had: restored from a backup, whose
# revisions are older than what was seen, or that of another cluster.
. ./lib.sh
# Backups are made and restored by the etcdctl of Debian; its etcd is one of the old
# ones without WatchList, for which the source takes pages.
ETCD=/usr/bin/etcd
server_node_up
export ETCDCTL_API=3
remote_pod shop/old 192.0.2.10 2001:db8::10 app=old
netpol shop/old <<<"podSelector: {}"

# is_listed_again WHY: it was told why, and that this is over
is_listed_again() {
	told "subject == 'the state of the Kubernetes API' and '$1' in text"
	told "subject == 'the state of the Kubernetes API' and not text"
}
# revisions N: the state of the server is that much later
revisions() {
	python3 - "$1" <<-'PY'
		import http.client, sys
		etcd = http.client.HTTPConnection("127.0.0.1", 2379)
		for i in range(int(sys.argv[1])):
		    etcd.request("POST", "/v3/kv/put", '{"key": "eA==", "value": "eA=="}')
		    assert etcd.getresponse().read()
	PY
}

step "a backup, and what is seen after it"
source_start --silence 3000
etcdctl snapshot save "$WORK/backup" >/dev/null 2>&1
netpol shop/new <<<"podSelector: {}"
remote_pod shop/new 192.0.2.11 2001:db8::11 app=new
revisions 500
kubectl label namespace shop seen=last >/dev/null
same

step "restored: what came after the backup is taken back, and what comes now is told"
mark
apiserver_kill
etcd_kill
mv "$SERVER_DIR/etcd" "$SERVER_DIR/etcd.lost"
etcdctl snapshot restore "$WORK/backup" --data-dir "$SERVER_DIR/etcd" \
	--initial-cluster default=http://127.0.0.1:2380 \
	--initial-advertise-peer-urls http://127.0.0.1:2380 >/dev/null 2>&1
etcd_start
apiserver_start
is_listed_again "restored from a backup"
told 'event == "delete" and key == "shop/new" and kind == "NetworkPolicy"'
kubectl label pod -n shop old restored=yes >/dev/null
told 'key == "shop/old" and labels.get("restored") == "yes"'
same

step "the same server after a restart is nothing to speak of"
mark
apiserver_kill
apiserver_start
kubectl label pod -n shop old again=yes >/dev/null
told 'key == "shop/old" and labels.get("again") == "yes"'
never_told 'subject == "the state of the Kubernetes API"'
same

step "another cluster at that address, with more behind it than the first"
mark
apiserver_kill
etcd_kill
rm -r "$SERVER_DIR/etcd"
etcd_start
wait_until 20 "etcd answers" etcdctl endpoint health
revisions 3000
apiserver_start
# Of our account that one does not know, until it is made there.
told "subject == 'namespaces' and '401' in text"
agent_account
is_listed_again "another cluster"
told 'event == "delete" and key == "shop/old" and kind == "NetworkPolicy"'
kubectl create namespace other >/dev/null
told 'key == "other" and event == "put"'
same
source_kill
