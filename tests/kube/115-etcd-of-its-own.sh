# Pods in an etcd of their own, as large clusters have them: its revisions have nothing
# to do with those of other kinds.
. ./lib.sh
etcd --name pods --data-dir "$WORK/etcd-pods" --unsafe-no-fsync --logger=zap --log-level=warn \
	--heartbeat-interval=10 --election-timeout=100 \
	--listen-client-urls http://127.0.0.1:2479 --advertise-client-urls http://127.0.0.1:2479 \
	--initial-advertise-peer-urls http://127.0.0.1:2480 \
	--initial-cluster pods=http://127.0.0.1:2480 \
	--listen-peer-urls http://127.0.0.1:2480 >"$WORK/log/etcd-pods" 2>&1 </dev/null &
ip link set lo up
export ETCDCTL_API=3
wait_until 20 "etcd answers" etcdctl --endpoints 127.0.0.1:2479 endpoint health
python3 - <<'PY'
import http.client
etcd = http.client.HTTPConnection("127.0.0.1", 2479)
for i in range(3000):
    etcd.request("POST", "/v3/kv/put", '{"key": "eA==", "value": "eA=="}')
    assert etcd.getresponse().read()
PY
server_node_up --etcd-servers-overrides=/pods#http://127.0.0.1:2479
relay_start
remote_pod shop/a 192.0.2.10 2001:db8::10 app=a
source_start --silence 3000
same

step "a connection that is lost and comes back is nothing to speak of"
for i in 1 2; do
	mark
	relay drop
	kubectl label pod -n shop a "n=$i" --overwrite >/dev/null
	kubectl label namespace shop "n=$i" --overwrite >/dev/null
	told "key == 'shop/a' and labels.get('n') == '$i'"
	told "key == 'shop' and labels.get('n') == '$i'"
	never_told 'subject == "the state of the Kubernetes API"'
done
same
