#!/bin/bash
# A whole cluster of one node: containerd, API server, controller manager, scheduler,
# kubelet and kube-proxy, in the namespaces of node.sh.  Source it with bash, after
# node.sh and server.sh.
#
#	cluster_up		starts all of it; the node is ready afterwards
#	cluster_image NAME:TAG FILE=PATH...	an image that pods can name
#	cluster_probe_image	makes CLUSTER_PROBE, with tests/tools/probe.c
#	pod_links NAMESPACE	the network of its pods as /run/netns/NAMESPACE.NAME
#
# What the kubelet runs logs to CLUSTER_DIR/NAME.log; pods in CLUSTER_DIR/static are
# static.

CLUSTER_DIR=/run/cluster
CLUSTER_AGNHOST=bulkhead.test/agnhost:1
CLUSTER_PROBE=bulkhead.test/probe:1

# cluster_start NAME COMMAND...: in the background
cluster_start() {
	local log=$CLUSTER_DIR/$1.log
	shift
	"$@" >"$log" 2>&1 </dev/null &
}

# What the kubelet keeps goes with the node.  It shares its volumes with containers.
cluster_mounts() {
	local d
	for d in /var/lib/kubelet /var/log/pods /var/log/containers; do
		mkdir -p $d && mount -t tmpfs tmpfs $d || return
	done
	mount --make-rshared /
}

# The node's own address, and a way out that leads nowhere.
cluster_uplink() {
	ip link add uplink type veth peer name beyond && ip link set beyond up &&
		ip addr add $SERVER_IP4/24 dev uplink &&
		ip addr add $SERVER_IP6/64 dev uplink nodad && ip link set uplink up &&
		ip route add default via 172.31.255.1 &&
		ip -6 route add default via fd00:172::1
}

# Where pods' cgroups go, in every hierarchy there is; node_clean finds them there.
cluster_cgroups() {
	local c
	for c in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ ! -e "$c/cgroup.procs" ] || mkdir -p "$c/$NODE_NAME" || return
	done
}

# All of it keeps the kubelet from managing a machine that is not its own.
cluster_kubelet() {
	cat >"$CLUSTER_DIR/kubelet.yaml" <<-X
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix://$CRI_SOCKET
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $SERVER_DIR/ca.crt}
		authorization: {mode: Webhook}
		tlsCertFile: $SERVER_DIR/kubelet.crt
		tlsPrivateKeyFile: $SERVER_DIR/kubelet.key
		cgroupDriver: cgroupfs
		cgroupRoot: /$NODE_NAME
		enforceNodeAllocatable: []
		failSwapOn: false
		localStorageCapacityIsolation: false
		evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
		imageGCHighThresholdPercent: 100
		serializeImagePulls: false
		staticPodPath: $CLUSTER_DIR/static
		syncFrequency: 5s
		clusterDNS: [10.96.0.10]
		clusterDomain: cluster.local
	X
	certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" &&
		kubeconfig "$SERVER_DIR/kubelet.conf" "$(by_certificate kubelet)" &&
		cluster_start kubelet kubelet --config="$CLUSTER_DIR/kubelet.yaml" \
			--kubeconfig="$SERVER_DIR/kubelet.conf" --hostname-override="$NODE_NAME" \
			--node-ip=$SERVER_IP4,$SERVER_IP6
}

cluster_programs() {
	cluster_start controller-manager kube-controller-manager --kubeconfig="$ADMIN" \
		--service-account-private-key-file="$SERVER_DIR/accounts.key" \
		--root-ca-file="$SERVER_DIR/ca.crt" --use-service-account-credentials \
		--leader-elect=false --secure-port=0 --allocate-node-cidrs=false
	cluster_start scheduler kube-scheduler --kubeconfig="$ADMIN" --leader-elect=false \
		--secure-port=0
	cluster_start kube-proxy kube-proxy --kubeconfig="$ADMIN" --proxy-mode=nftables \
		--hostname-override="$NODE_NAME" --cluster-cidr=$NODE_POD_CIDR4,$NODE_POD_CIDR6 \
		--conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
		--conntrack-tcp-timeout-close-wait=0
}

cluster_image() {
	local tar=$CLUSTER_DIR/image.tar
	"$NODE_LIB/image.py" "$tar" "$@" && node_ctr images import "$tar" >/dev/null && rm -f "$tar"
}

# The probe with the libraries it needs, beside busybox.
cluster_probe_image() {
	local probe=$BH_BUILD/tests/tools/probe
	cluster_image $CLUSTER_PROBE /bin/busybox=/bin/busybox "$probe=/bin/probe" \
		$(ldd "$probe" | grep -oE '/[^ ]+' | sed 's/.*/&=&/')
}

node_is_ready() { kubectl get node "$NODE_NAME" --no-headers | grep -q ' Ready '; }
# Pods are refused before their namespace has its account.
account_is_there() { kubectl get serviceaccount default; }

cluster_up() {
	mkdir -p "$CLUSTER_DIR/static" && cluster_mounts && cluster_cgroups && node_start bridge && cluster_uplink || return
	server_up --kubelet-preferred-address-types=InternalIP \
		--kubelet-client-certificate="$SERVER_DIR/admin.crt" \
		--kubelet-client-key="$SERVER_DIR/admin.key" || return
	cluster_kubelet && cluster_programs &&
		cluster_image $CLUSTER_AGNHOST "$(command -v agnhost)=/agnhost" || return
	wait_until 90 "the node is ready" node_is_ready &&
		wait_until 30 "the default account is there" account_is_there
}

pod_links() {
	local id pod state
	while read -r id pod state; do
		[ "${pod%/*}" = "$1" ] && [ "$state" = ready ] || continue
		ln -sf "$(cri netns "$id")" "/run/netns/${pod/\//.}"
	done < <(cri list)
}
