#!/bin/bash
# A real kube-apiserver on a real etcd, with TLS of its own CA and RBAC, in whatever
# network namespace the caller is in.  Source it with bash, after node.sh.
#
#	server_up [FLAG...]	certificates, etcd, and the server with these flags
#				more; waits until it is ready
#	apiserver_start [FLAG...], apiserver_kill
#	etcd_start, etcd_kill	ETCD names another program than the first etcd of PATH
#	etcd_compact		forgets all but the newest state
#	kubectl ...		as the administrator
#	kubeconfig FILE USER-FIELDS [SERVER [CA-FILE]]
#				writes one; USER-FIELDS as in its `user`
#	ca NAME, certificate NAME SUBJECT [CA]
#				NAME.crt and NAME.key in SERVER_DIR
#
# The programs are found in PATH; kube_path puts them there.

SERVER_DIR=/run/server
SERVER_IP4=172.31.255.10
SERVER_IP6=fd00:172::10
SERVER_PORT=6443
SERVER_URL=https://$SERVER_IP4:$SERVER_PORT
SERVER_SERVICES=10.96.0.0/16,fd00:10:96::/112
SERVER_NAMES="IP:127.0.0.1,IP:$SERVER_IP4,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"
ADMIN=$SERVER_DIR/admin.conf

# kube_path FOLDER: what KUBEBUILDER_ASSETS has comes before what was built
kube_path() { export PATH=${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS:}$1:$PATH; }

# --- who is who ------------------------------------------------------------------

ec_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

ca() {
	openssl req -x509 "${ec_key[@]}" -keyout "$SERVER_DIR/$1.key" -out "$SERVER_DIR/$1.crt" \
		-days 2 -subj "/CN=$1" 2>/dev/null
}

certificate() {
	local ca=$SERVER_DIR/${3:-ca} at=$SERVER_DIR/$1
	openssl req "${ec_key[@]}" -keyout "$at.key" -subj "$2" 2>/dev/null |
		openssl x509 -req -CA "$ca.crt" -CAkey "$ca.key" -out "$at.crt" -days 2 -extfile <(
			echo "subjectAltName=$SERVER_NAMES,DNS:${NODE_NAME:-node}"
			echo "extendedKeyUsage=serverAuth,clientAuth"
		) 2>/dev/null
}

kubeconfig() {
	cat >"$1" <<-X
		apiVersion: v1
		kind: Config
		clusters:
		- name: test
		  cluster: {server: "${3:-$SERVER_URL}", certificate-authority: ${4:-$SERVER_DIR/ca.crt}}
		users:
		- name: user
		  user: {$2}
		contexts:
		- name: test
		  context: {cluster: test, user: user}
		current-context: test
	X
}

# by_certificate NAME: the fields of a user who has this certificate
by_certificate() {
	echo "client-certificate: $SERVER_DIR/$1.crt, client-key: $SERVER_DIR/$1.key"
}

server_files() {
	mkdir -p "$SERVER_DIR" && ca ca && certificate server /CN=kube-apiserver &&
		certificate admin /O=system:masters/CN=admin &&
		openssl ecparam -name prime256v1 -genkey -noout -out "$SERVER_DIR/accounts.key" &&
		kubeconfig "$ADMIN" "$(by_certificate admin)"
}

# --- the two programs ------------------------------------------------------------

# One member alone elects itself at once.
etcd_start() {
	"${ETCD:-etcd}" --data-dir "$SERVER_DIR/etcd" --unsafe-no-fsync --logger=zap --log-level=warn \
		--heartbeat-interval=10 --election-timeout=100 \
		--listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 >>"$SERVER_DIR/etcd.log" 2>&1 </dev/null &
	ETCD_PID=$!
}

etcd_kill() {
	kill -KILL "$ETCD_PID"
	wait "$ETCD_PID" 2>/dev/null || true
}

etcd_compact() {
	local revision
	revision=$(ETCDCTL_API=3 etcdctl get nothing -w json |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["header"]["revision"])') &&
		ETCDCTL_API=3 etcdctl compact "$revision" >/dev/null
}

SERVER_FLAGS=()
apiserver_start() {
	[ $# = 0 ] || SERVER_FLAGS=("$@")
	kube-apiserver --etcd-servers=http://127.0.0.1:2379 --etcd-compaction-interval=0 \
		--bind-address=0.0.0.0 --advertise-address=$SERVER_IP4 --secure-port=$SERVER_PORT \
		--tls-cert-file="$SERVER_DIR/server.crt" \
		--tls-private-key-file="$SERVER_DIR/server.key" \
		--client-ca-file="$SERVER_DIR/ca.crt" --cert-dir="$SERVER_DIR/made" \
		--service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file="$SERVER_DIR/accounts.key" \
		--service-account-signing-key-file="$SERVER_DIR/accounts.key" \
		--service-cluster-ip-range=$SERVER_SERVICES --authorization-mode=Node,RBAC \
		--allow-privileged=true "${SERVER_FLAGS[@]}" \
		>>"$SERVER_DIR/apiserver.log" 2>&1 </dev/null &
	APISERVER_PID=$!
	wait_until 60 "the API server is ready" apiserver_is_ready
}

# It may die instead, and then there is nothing to wait for.
apiserver_is_ready() {
	kubectl get --raw /readyz || ! kill -0 "$APISERVER_PID"
} 2>/dev/null

apiserver_kill() {
	kill -KILL "$APISERVER_PID"
	wait "$APISERVER_PID" 2>/dev/null || true
}

server_up() {
	server_files && etcd_start && apiserver_start "$@" && kill -0 "$APISERVER_PID"
}

kubectl() { command kubectl --kubeconfig "$ADMIN" --cache-dir "$SERVER_DIR/kubectl" "$@"; }
