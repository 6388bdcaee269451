# The agent in the container of packaging/kubernetes/daemonset.yaml, for 030-image.sh:
# runs in tests/runtime, within a node of its own, with the archive IMAGE.
. ./lib.sh
. ./shop.sh
STATE=$WORK/state
# The pod's view of the node: what the DaemonSet mounts, where it mounts it.
CONTROL=/run/bulkhead/control.sock
FLOW_LOG=$STATE/flows.json
mkdir -p /run/bulkhead "$STATE"

# Of containerd's defaults, all but what is added.
drop_all() {
	local c
	for c in CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP \
		NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE; do
		echo "--cap-drop CAP_$c"
	done
}

bind() { echo "--mount type=bind,src=$1,dst=$2,options=rbind:$3"; }

# in_container NAME [CTR-OPTION...] -- [ARGUMENT...]
in_container() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	node_ctr run --net-host --read-only --seccomp --cgroup "/$NODE_NAME/$name" \
		$(drop_all) "${options[@]}" bulkhead.test/bulkhead:1 "$name" "$@"
}

agent_exec() {
	in_container agent --detach --log-uri "file://$WORK/log/agent" --cap-add CAP_NET_ADMIN \
		$(bind "$NODE_DIR" /run/node ro) $(bind /run/bulkhead /run/bulkhead rw) \
		$(bind "$POLICIES" /etc/bulkhead/policies ro) $(bind "$STATE" "$STATE" rw) -- \
		/usr/sbin/bulkheadd --policies /etc/bulkhead/policies --runtime "unix://$CRI_SOCKET" \
		--node "$NODE_NAME" --flow-log "$FLOW_LOG" --metrics 127.0.0.1:9633 "$@" ||
		fail "no container"
	AGENT_PID=$(node_ctr tasks ls | awk '$1 == "agent" { print $2 }')
}

# end_agent SIGNAL: and the container is gone
end_agent() {
	node_ctr tasks kill --signal "$1" agent
	eventually node_ctr tasks rm agent
	node_ctr containers rm agent
}

node_up
node_ctr images import "$IMAGE" >/dev/null

step "without any capability its version is told"
got=$(in_container version --rm -- /usr/sbin/bulkheadd --version) || fail "$got"
[ "$got" = "$("$BULKHEADD" --version)" ] || fail "$got"

step "one capability, a filter of system calls, a root that cannot be written"
shop_pods
agent_start
of() { sed -n "s/^$1:[[:blank:]]*//p" "/proc/$AGENT_PID/status"; }
for set in CapEff CapPrm CapBnd; do
	[ "$(of $set)" = 0000000000001000 ] || fail "$set is $(of $set)"
done
[ "$(of NoNewPrivs) $(of Seccomp)" = "1 2" ] || fail "NoNewPrivs $(of NoNewPrivs), Seccomp $(of Seccomp)"
grep -q ' / / ro' "/proc/$AGENT_PID/mountinfo" || fail "$(grep ' / / ' "/proc/$AGENT_PID/mountinfo")"

step "it enforces, and writes what it denies"
open shop/other tcp shop/db 5432
shop_policies
settle
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432
eventually logged "src == 'shop/other' and dst == 'shop/db' and action == 'flow-denied'"

step "a connection that is no longer allowed is cut"
stream live shop/api tcp "${ADDR4[shop/db]}" 5432
netpol shop/db <<YAML
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
YAML
settle
stream_is_cut live
shop_policies
settle
open shop/api tcp shop/db 5432

step "the probes' pages"
python3 - <<'PY'
import urllib.request
for page in "healthz", "readyz", "metrics":
    print(page, urllib.request.urlopen("http://127.0.0.1:9633/" + page).status)
PY

step "kubectl exec: bulkhead is found and talks to the agent"
node_ctr tasks exec --exec-id e1 agent bulkhead status >"$WORK/log/status" || fail "$(cat "$WORK/log/status")"
grep -q "filtered, mode errno" "$WORK/log/status" || fail "no filter of its own: $(cat "$WORK/log/status")"

step "stopped, killed or replaced: the rules stay, and the new agent takes them over"
# Without what packets change.
table() { nft -s list table inet bulkhead | grep -v expires; }
for signal in SIGTERM SIGKILL; do
	end_agent $signal
	blocked shop/other tcp shop/db 5432
	open shop/api tcp shop/db 5432
	before=$(table)
	agent_start
	blocked shop/other tcp shop/db 5432
	open shop/api tcp shop/db 5432
	[ "$before" = "$(table)" ] || fail "the rules changed: $(diff <(echo "$before") <(table))"
done
