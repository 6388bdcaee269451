#!/bin/bash
# A node: containerd with its CRI and CNI plugins, apart from the host's, in
# namespaces of its own for network, mounts and processes.  Source it with bash.
#
# Outside:
#	node_missing		succeeds and prints why, if a node cannot run here
#	node_enter NAME COMMAND...
#				runs COMMAND in new namespaces; when it ends, or
#				whoever called this dies, everything in them ends too
#	node_clean NAME		ends what still runs and removes what the kernel kept
# Inside:
#	node_start [bridge|ptp]	makes the folders and starts containerd, without the
#				plugins of NODE_DISABLED and with NODE_RUNC as its runc
#	containerd_start, containerd_kill
#	cri ...			the runtime's client (tests/tools/cri.c)
#	wait_until SECONDS WHAT COMMAND...
#
# All files are on a tmpfs over /run that only the node sees; pods' cgroups, named
# NAME, are what the kernel keeps.  BH_BUILD is the build tree.

NODE_DIR=/run/node
NODE_POD_CIDR4=10.88.0.0/24
NODE_POD_CIDR6=fd00:10:88::/64
NODE_GATEWAY4=10.88.0.1
NODE_GATEWAY6=fd00:10:88::1
NODE_BUSYBOX=bulkhead.test/busybox:1
NODE_PAUSE=bulkhead.test/pause:1
NODE_LIB=$(realpath "$(dirname "${BASH_SOURCE[0]}")")

# --- outside ---------------------------------------------------------------------

node_missing() {
	local p
	[ "$(id -u)" = 0 ] || { echo "a container runtime needs root"; return 0; }
	for p in containerd ctr runc python3 nft ip; do
		command -v $p >/dev/null || { echo "$p is not installed"; return 0; }
	done
	for p in bridge ptp host-local loopback; do
		[ -x /usr/lib/cni/$p ] || { echo "the CNI plugin $p is not installed"; return 0; }
	done
	[ -x /bin/busybox ] || { echo "busybox-static is not installed"; return 0; }
	unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null ||
		{ echo "this machine makes no namespaces"; return 0; }
	[ -w /sys/fs/cgroup ] || { echo "/sys/fs/cgroup cannot be written"; return 0; }
	return 1
}

# exec: the caller's child is the holder of the namespaces, and dies with it.  A
# session of its own, so that a terminal's Ctrl-C reaches the caller alone.
node_enter() {
	local name=$1
	shift
	export NODE_NAME=$name
	exec setsid setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child=KILL \
		--mount-proc --propagation private "$@"
}

# The cgroups of a node whose processes are gone, in every hierarchy there is.
node_clean() {
	local c tries
	for c in /sys/fs/cgroup /sys/fs/cgroup/*; do
		for tries in 1 2 3 4 5 6 7 8 9 10; do
			[ -d "$c/$1" ] || break
			find "$c/$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
			sleep 0.2
		done
	done
}

# --- inside ----------------------------------------------------------------------

wait_until() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "gave up waiting until $what" >&2
			return 1
		fi
		sleep 0.05
	done
}

cri() { "$BH_BUILD/tests/tools/cri" "$@"; }

# Pods get their addresses at once, without the wait for duplicates.
node_sysctls() {
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 &&
		sysctl -qw net.bridge.bridge-nf-call-iptables=1 \
			net.bridge.bridge-nf-call-ip6tables=1
}

node_cni() {
	local extra=
	[ "$1" = bridge ] && extra='"bridge": "cni0", "isGateway": true, "hairpinMode": true,'
	cat >"$NODE_DIR/cni/10-pods.conflist" <<-X
		{ "cniVersion": "1.0.0", "name": "pods", "plugins": [ {
		  "type": "$1", $extra "ipMasq": false,
		  "ipam": { "type": "host-local", "dataDir": "$NODE_DIR/ipam",
		    "ranges": [ [ { "subnet": "$NODE_POD_CIDR4" } ],
		                [ { "subnet": "$NODE_POD_CIDR6" } ] ],
		    "routes": [ { "dst": "0.0.0.0/0" }, { "dst": "::/0" } ] } } ] }
	X
}

# restrict_oom_score_adj: where the machine is a container itself, the score of a
# process may not be lowered.
node_config() {
	cat >"$NODE_DIR/containerd.toml" <<-X
		version = 2
		root = "$NODE_DIR/root"
		state = "$NODE_DIR/state"
		disabled_plugins = [${NODE_DISABLED:-}]
		[grpc]
		  address = "$NODE_DIR/containerd.sock"
		[ttrpc]
		  address = "$NODE_DIR/containerd.ttrpc"
		[debug]
		  level = "warn"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$NODE_DIR/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$NODE_PAUSE"
		  netns_mounts_under_state_dir = true
		  restrict_oom_score_adj = true
		  disable_tcp_service = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$NODE_DIR/cni"
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		      runtime_type = "io.containerd.runc.v2"
		      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		        BinaryName = "${NODE_RUNC:-runc}"
	X
}

# The pause container only has to stay there.
node_images() {
	cat >"$NODE_DIR/pause" <<-'X'
		#!/bin/busybox sh
		trap 'exit 0' TERM INT
		/bin/busybox sleep 1000000 &
		wait
	X
	"$NODE_LIB/image.py" "$NODE_DIR/pause.tar" $NODE_PAUSE "$NODE_DIR/pause=/bin/pause" \
		/bin/busybox=/bin/busybox &&
		"$NODE_LIB/image.py" "$NODE_DIR/busybox.tar" $NODE_BUSYBOX /bin/busybox=/bin/busybox
}

node_ctr() { ctr -a "$NODE_DIR/containerd.sock" -n k8s.io "$@"; }

containerd_start() {
	containerd -c "$NODE_DIR/containerd.toml" >>"$NODE_DIR/containerd.log" 2>&1 </dev/null &
	CONTAINERD_PID=$!
	# Its CRI plugin refuses what comes before it has found its sandboxes again.
	wait_until 20 "containerd answers" cri list
}

containerd_kill() {
	kill -KILL "$CONTAINERD_PID"
	wait "$CONTAINERD_PID" 2>/dev/null || true
}

node_start() {
	local kind=${1:-bridge} d
	mkdir -p "$NODE_DIR"/{root,state,cni,ipam,logs} /run/netns
	for d in /var/lib/cni; do
		mkdir -p $d && mount -t tmpfs tmpfs $d || return
	done
	ip link set lo up
	node_sysctls && node_cni "$kind" && node_config && node_images || return
	export CRI_SOCKET=$NODE_DIR/containerd.sock CRI_CGROUP=/$NODE_NAME \
		CRI_LOGS=$NODE_DIR/logs
	containerd_start || return
	node_ctr images import "$NODE_DIR/pause.tar" >/dev/null &&
		node_ctr images import "$NODE_DIR/busybox.tar" >/dev/null
}
