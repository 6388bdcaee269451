# lib.sh: a node with pods, for the cases of run.sh.  Source it first.
#
# The case runs in the node's network namespace; pods are namespaces behind it.
#
#	node_up [bridge|ptp]                how pods are joined; both families
#	pod shop/web-1 11 app=web ...       10.244.0.11 and fd00:244::11, with a manifest
#	pod_gone shop/web-1                 namespace and manifest go
#	outside 192.0.2.10 2001:db8::10     a host beyond the node (in `out`)
#	policy NAME <<EOF                   writes a manifest; `unpolicy NAME` removes it
#	netpol shop/NAME <<EOF              the same, with only the spec to write
#	agent_start [OPTION...]             bulkheadd, waits until it is ready; a system
#	                                    call that its table lacks ends it
#	agent_stop, agent_kill              SIGTERM (and exit status 0), SIGKILL
#	settle                              what was written is in the kernel
#	in_pod shop/web-1 COMMAND...        runs in the pod (or `out`)
#	spawn shop/web-1 COMMAND...         the same in the background, as $!
#	serve shop/web-1 tcp:80 udp:53 ...  probe's server in the pod, in the background
#	open|blocked SRC PROTO DST [PORT]   packets, over both families; SRC is a pod,
#	                                    `out` or `node`; DST one of those or an address
#	burst SRC ADDR PORT PORTS EACH      UDP packets to so many ports from PORT on
#	status .KEY                         a value of `status`, as JSON path
#	namespace shop [ANNOTATION...]      a manifest of the namespace
#	records                             the flow log's lines so far
#	logged EXPR                         prints the records for which this Python
#	                                    expression holds, fails if there is none
#	in_kernel MAP ADDRESS               that map of the kernel's table holds it
#	explains VERDICT EGRESS INGRESS ... what `bulkhead explain ...` answers: the verdict,
#	                                    and the reason of each direction
#	eventually COMMAND...               tries for 10 s
set -euo pipefail

WORK=/run/case
PROBE=$BH_BUILD/tests/tools/probe
BULKHEADD=$BH_BUILD/bulkheadd
BULKHEAD=$BH_BUILD/bulkhead
POLICIES=$WORK/policies
FLOW_LOG=$WORK/flow.log
CONTROL=$WORK/control.sock
# What a failure shows the end of.
LOGS=("$WORK/log/agent")
V4=10.244.0
V6=fd00:244:
AGENT_PID=
SECCOMP=(--seccomp kill)
declare -A ADDR4=() ADDR6=()
# What must come through gets time, what must not is waited for shortly.
OPEN_MS=5000
BLOCKED_MS=400

# --net shows other namespaces' /sys and /run otherwise.
mount -t tmpfs tmpfs /run
mkdir -p /run/netns "$POLICIES" "$WORK/log"

fail() {
	local l
	echo "FAILED at line ${BASH_LINENO[*]:0:3}: $*"
	for l in "${LOGS[@]}"; do
		echo "--- ${l##*/}"
		# Without what Kubernetes' programs say when all is well.
		{ grep -v '^[IW][0-9]' "$l" | tail -n 60; } 2>/dev/null || true
	done
	echo "--- flow log"
	tail -n 12 "$FLOW_LOG" 2>/dev/null || true
	echo "--- nft"
	nft list table inet bulkhead 2>/dev/null | head -n 120 || true
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

step() { echo "# $*"; }

# --- network ---------------------------------------------------------------------

node_up() {
	NODE_KIND=${1:-bridge}
	ip link set lo up
	sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
	if [ "$NODE_KIND" = bridge ]; then
		ip link add br0 type bridge || skip "this kernel has no bridges"
		ip link set br0 up
		ip addr add $V4.1/24 dev br0
		ip addr add ${V6}:1/64 dev br0 nodad
		ip addr add fe80::1/64 dev br0 nodad
		sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 ||
			skip "br_netfilter is not there"
	fi
	ADDR4[node]=$V4.1 ADDR6[node]=${V6}:1
}

netns_of() { echo "${1/\//.}"; }

# wire NETNS HOST-LINK V4/LEN V6/LEN: a veth pair, up at both ends
wire() {
	ip netns add "$1"
	ip link add "$2" type veth peer name eth0 netns "$1"
	nsenter --net="/run/netns/$1" sh -ec "
		sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		ip link set lo up
		ip addr add $3 dev eth0
		ip addr add $4 dev eth0 nodad
		ip link set eth0 up"
	ip link set "$2" up
}

N_LINKS=0
attach_bridge() {
	wire "$1" "v$N_LINKS" "$2/24" "$3/64"
	ip link set "v$N_LINKS" master br0
	ip netns exec "$1" sh -ec "ip route add default via $V4.1; ip -6 route add default via ${V6}:1"
}

# As the ptp CNI plugin does it: a route to each pod, the node as the only neighbour.
attach_ptp() {
	wire "$1" "v$N_LINKS" "$2/32" "$3/128"
	ip addr add $V4.1/32 dev "v$N_LINKS"
	ip addr add ${V6}:1/128 dev "v$N_LINKS" nodad
	ip route add "$2/32" dev "v$N_LINKS"
	ip -6 route add "$3/128" dev "v$N_LINKS"
	ip netns exec "$1" sh -ec "
		ip route add $V4.1 dev eth0; ip route add default via $V4.1 dev eth0
		ip -6 route add ${V6}:1 dev eth0; ip -6 route add default via ${V6}:1 dev eth0"
}

# pod_net NS/NAME N: the network of a pod, without manifest
pod_net() {
	local name
	name=$(netns_of "$1")
	N_LINKS=$((N_LINKS + 1))
	ADDR4[$1]=$V4.$2 ADDR6[$1]=${V6}:$2
	"attach_$NODE_KIND" "$name" "${ADDR4[$1]}" "${ADDR6[$1]}"
}

# write NAME: standard input becomes a manifest, whole or not at all
write() {
	cat >"$WORK/.new"
	mv "$WORK/.new" "$POLICIES/$1.yaml"
}

# pod_manifest NS/NAME [LABEL=VALUE...]; PORTS="http=8080/TCP ..." names ports;
# NETNS_ANNOTATION=no leaves out where its network namespace is
pod_manifest() {
	local pod=$1 l p
	shift
	{
		echo "apiVersion: v1"
		echo "kind: Pod"
		echo "metadata:"
		echo "  namespace: ${pod%/*}"
		echo "  name: ${pod#*/}"
		if [ $# -gt 0 ]; then
			echo "  labels:"
			for l; do echo "    ${l%%=*}: \"${l#*=}\""; done
		fi
		if [ "${NETNS_ANNOTATION:-yes}" = yes ]; then
			echo "  annotations:"
			echo "    bulkhead.dev/netns: /run/netns/$(netns_of "$pod")"
		fi
		if [ -n "${PORTS:-}" ]; then
			echo "spec:"
			echo "  containers:"
			echo "  - name: main"
			echo "    image: none"
			echo "    ports:"
			for p in $PORTS; do
				echo "    - name: ${p%%=*}"
				echo "      containerPort: $(sed -E 's|.*=(.*)/.*|\1|' <<<"$p")"
				echo "      protocol: ${p##*/}"
			done
		fi
		echo "status:"
		echo "  phase: Running"
		echo "  podIP: ${ADDR4[$pod]}"
		echo "  podIPs:"
		echo "  - ip: ${ADDR4[$pod]}"
		echo "  - ip: ${ADDR6[$pod]}"
	} | write "pod-$(netns_of "$pod")"
}

pod() {
	local pod=$1 n=$2
	shift 2
	pod_net "$pod" "$n"
	pod_manifest "$pod" "$@"
}

pod_gone() {
	rm -f "$POLICIES/pod-$(netns_of "$1").yaml"
	ip netns del "$(netns_of "$1")"
}

outside() {
	ADDR4[out]=$1 ADDR6[out]=$2
	wire out up0 "$1/24" "$2/64"
	ip addr add "${1%.*}.1/24" dev up0
	ip addr add "${2%:*}:1/64" dev up0 nodad
	ip netns exec out sh -ec "ip route add default via ${1%.*}.1
		ip -6 route add default via ${2%:*}:1"
}

in_pod() {
	local where=$1
	shift
	if [ "$where" = node ]; then
		"$@"
	else
		nsenter --net="/run/netns/$(netns_of "$where")" "$@"
	fi
}

# spawn WHERE COMMAND...: in the background; $! is the command's own process
spawn() {
	local where=$1
	shift
	# Without <&0, what runs in the background has no standard input.
	if [ "$where" = node ]; then
		"$@" <&0 &
	else
		nsenter --net="/run/netns/$(netns_of "$where")" "$@" <&0 &
	fi
}

# --- policies --------------------------------------------------------------------

policy() { write "policy-$1"; }
unpolicy() { rm -f "$POLICIES/policy-$1.yaml"; }

# netpol NS/NAME [ANNOTATION: VALUE]: standard input is the spec, not indented
netpol() {
	{
		echo "apiVersion: networking.k8s.io/v1"
		echo "kind: NetworkPolicy"
		echo "metadata:"
		echo "  namespace: ${1%/*}"
		echo "  name: ${1#*/}"
		if [ $# -gt 1 ]; then
			echo "  annotations:"
			echo "    $2"
		fi
		echo "spec:"
		sed 's/^/  /'
	} | policy "$(netns_of "$1")"
}

# namespace NAME [ANNOTATION: VALUE]...
namespace() {
	local a
	{
		echo "apiVersion: v1"
		echo "kind: Namespace"
		echo "metadata:"
		echo "  name: $1"
		if [ $# -gt 1 ]; then
			echo "  annotations:"
			for a in "${@:2}"; do echo "    $a"; done
		fi
	} | write "ns-$1"
}

# --- the agent -------------------------------------------------------------------

# agent_exec [OPTION...]: starts it and does not wait
agent_exec() {
	"$BULKHEADD" --policies "$POLICIES" --control "$CONTROL" --flow-log "$FLOW_LOG" \
		--log-level debug "${SECCOMP[@]}" "$@" >>"$WORK/log/agent" 2>&1 &
	AGENT_PID=$!
}

agent_start() {
	agent_exec "$@"
	"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >"$WORK/log/status" 2>&1 ||
		fail "the agent is not ready: $(cat "$WORK/log/status")"
}

agent_stop() {
	local rc=0
	kill -TERM "$AGENT_PID"
	wait "$AGENT_PID" || rc=$?
	AGENT_PID=
	[ $rc = 0 ] || fail "the agent ended with $rc"
}

agent_kill() {
	kill -KILL "$AGENT_PID"
	wait "$AGENT_PID" 2>/dev/null || true
	AGENT_PID=
}

settle() {
	"$BULKHEAD" --control "$CONTROL" reload >"$WORK/log/status" 2>&1 &&
		"$BULKHEAD" --control "$CONTROL" status --wait --timeout 30 >"$WORK/log/status" 2>&1 ||
		fail "the agent does not settle: $(cat "$WORK/log/status")"
}

# status .packets.denied
status() {
	{ "$BULKHEAD" --control "$CONTROL" status -o json 2>/dev/null || true; } | python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].strip(".").split("."):
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, str) else json.dumps(v))' "$1"
}

records() { cat "$FLOW_LOG"; }

explains() {
	local got
	got=$({ "$BULKHEAD" --control "$CONTROL" explain -o json "${@:4}" || true; } | python3 -c '
import json, sys
v = json.load(sys.stdin)
print(v["verdict"], v["egress"]["reason"], v["ingress"]["reason"])')
	[ "$got" = "$1 $2 $3" ] || fail "explain ${*:4} says $got"
}

# logged EXPR: r[KEY] is a member, None where it is not there; for short, action,
# dir, by (default_deny_by), near (nearest_miss), proto, port (the destination's),
# src and dst (pod as ns/name, else the entity), and count
logged() {
	python3 -c '
import json, sys
class Record(dict):
    def __missing__(self, key):
        return None
def end(r, e):
    if r[e + ".k8s.pod.name"]:
        return r[e + ".k8s.namespace.name"] + "/" + r[e + ".k8s.pod.name"]
    return r[e + ".entity"]
found = False
expr = compile("(" + sys.argv[2] + ")", "expression", "eval")
for line in open(sys.argv[1]):
    if not line.endswith("\n"):
        continue
    r = Record(json.loads(line))
    if eval(expr, dict(r=r, action=r["event.action"], dir=r["network.direction"],
                       by=r["policy.default_deny_by"], near=r["policy.nearest_miss"],
                       proto=r["network.transport"], port=r["destination.port"],
                       src=end(r, "source"), dst=end(r, "destination"),
                       count=r["flow.count"])):
        found = True
        print(line, end="")
sys.exit(0 if found else 3)' "$FLOW_LOG" "$1"
}

# An expression that fails is no answer.
never_logged() {
	local rc=0
	logged "$1" || rc=$?
	[ $rc = 3 ] || fail "logged, or not an answer ($rc): $1"
}

# in_kernel MAP ADDRESS
in_kernel() { nft get element inet bulkhead "$1" "{ $2 }"; }
not_in_kernel() { ! in_kernel "$@"; }

eventually() {
	local i
	for i in $(seq 100); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	fail "never came true: $*"
}

# --- packets ---------------------------------------------------------------------

serve() {
	local where=$1 out
	out=$WORK/log/serve-$(netns_of "$1")
	shift
	spawn "$where" "$PROBE" serve "$@" >"$out" 2>&1
	eventually grep -q ready "$out"
}

# try_one FAMILY MS SRC PROTO DST [PORT]: prints open, refused or timeout
try_one() {
	local family=$1 ms=$2 src=$3 proto=$4 dst=$5 port=${6:-} addr=$5
	if [ -n "${ADDR4[$dst]:-}" ]; then
		[ "$family" = 4 ] && addr=${ADDR4[$dst]} || addr=${ADDR6[$dst]}
	fi
	in_pod "$src" "$PROBE" try -t "$ms" "$proto" "$addr" $port || true
}

families_of() {
	case ${ADDR4[$1]:-$1} in
	*:*) echo 6 ;;
	*) [ -n "${ADDR4[$1]:-}" ] && echo "${FAMILIES:-4 6}" || echo 4 ;;
	esac
}

open() {
	local f got
	for f in $(families_of "$3"); do
		got=$(try_one "$f" $OPEN_MS "$@")
		[ "$got" = open ] || fail "IPv$f $1 -> $2 ${*:3} is $got and should be open"
	done
}

blocked() {
	local f got
	for f in $(families_of "$3"); do
		got=$(try_one "$f" $BLOCKED_MS "$@")
		[ "$got" = timeout ] || fail "IPv$f $1 -> $2 ${*:3} is $got and should be blocked"
	done
}

# burst WHERE ADDRESS FIRST-PORT PORTS PACKETS-EACH: UDP, from one socket, no answer expected
burst() {
	in_pod "$1" python3 - "${@:2}" <<'PY'
import socket, sys
addr, first, ports, each = sys.argv[1], *map(int, sys.argv[2:])
s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
for port in range(first, first + ports):
    for i in range(each):
        s.sendto(b"x", (addr, port))
PY
}

# stream NAME SRC PROTO ADDR PORT: one connection in the background, a line each 100 ms
stream() {
	local name=$1 src=$2
	shift 2
	spawn "$src" "$PROBE" stream "$@" >"$WORK/log/stream-$name" 2>&1
	eventually grep -q ok "$WORK/log/stream-$name"
}

# stream_lives NAME: it gets answers from now on; stream_is_cut: it gets none
stream_lives() {
	local n
	n=$(grep -c ok "$WORK/log/stream-$1")
	eventually eval "[ \$(grep -c ok '$WORK/log/stream-$1') -gt $((n + 2)) ]"
}
stream_is_cut() { eventually eval "tail -n 4 '$WORK/log/stream-$1' | grep -c miss | grep -q 4"; }

# watch_verdicts NAME SRC [PROTO DST PORT open|blocked]...: new connections of SRC all the
# time over both families, with what each must be; verdicts_were_right ends all of them
declare -A WATCHES=()
watch_verdicts() {
	local name=$1 src=$2 f
	shift 2
	for f in 4 6; do
		local -n addr=ADDR$f
		: >"$WORK/watch-$name$f"
		local args=("$@")
		while [ ${#args[@]} -gt 0 ]; do
			echo "${args[0]} ${addr[${args[1]}]} ${args[2]} ${args[3]}" >>"$WORK/watch-$name$f"
			args=("${args[@]:4}")
		done
		spawn "$src" "$PROBE" matrix -t 600 -n 0 <"$WORK/watch-$name$f" \
			>"$WORK/log/watch-$name$f" 2>&1
		WATCHES[$name$f]=$!
	done
}
verdicts_were_right() {
	local w
	for w in "${!WATCHES[@]}"; do
		kill "${WATCHES[$w]}"
		wait "${WATCHES[$w]}" || fail "wrong verdicts: $(cat "$WORK/log/watch-$w")"
		grep -q '[0-9] rounds of [0-9]* probes, 0 wrong' "$WORK/log/watch-$w" ||
			fail "$w: $(cat "$WORK/log/watch-$w")"
	done
	WATCHES=()
}
