#!/bin/bash
# demo.sh   a small shop on a private container runtime, and what Bulkhead does for it
#
# Runs as root, needs no network, touches nothing of the machine's containers,
# network or firewall, and removes everything when it ends, however it ends.  Every
# tick is a packet that was sent or a state that was read; exit status 0 only if all
# of it was as it must be.  BH_BUILD is the build tree, build/release if not set.
set -u
cd "$(dirname "$0")"
export BH_BUILD=${BH_BUILD:-$PWD/../../build/release}
BH_BUILD=$(realpath "$BH_BUILD")
. ../runtime/node.sh
. ./lib.sh
[ "${1:-}" = --inside ] || outside bulkheadd bulkhead tests/tools/cri tests/tools/probe

# --- inside ----------------------------------------------------------------------

mount -t tmpfs tmpfs /run || exit 1
DIR=/run/demo
POLICIES=$DIR/policies
CONTROL=$DIR/control.sock
PROBE=$BH_BUILD/tests/tools/probe
IMAGE=bulkhead.test/shop:1
mkdir -p "$POLICIES" "$DIR/out" /run/netns

OUTSIDE4=203.0.113.10
OUTSIDE6=2001:db8:113::10
declare -A POD=() IP4=() IP6=()

bulkhead() { "$BH_BUILD/bulkhead" --control "$CONTROL" "$@"; }

# The probe with the libraries it needs, beside busybox.
make_image() {
	local libs
	libs=$(ldd "$PROBE" | grep -oE '/[^ ]+' | sed 's/.*/&=&/')
	"$NODE_LIB/image.py" "$DIR/shop.tar" $IMAGE /bin/busybox=/bin/busybox \
		"$PROBE=/bin/probe" $libs && node_ctr images import "$DIR/shop.tar" >/dev/null
}

# sandbox NS/NAME LABEL [OPTION...]: a pod without containers yet
sandbox() {
	local pod=$1 name=${1#*/} label=$2 ips
	shift 2
	POD[$name]=$(cri run --label "$label" "$@" "$pod") || wrong "no sandbox $pod"
	mapfile -t ips < <(cri ip "${POD[$name]}")
	IP4[$name]=${ips[0]} IP6[$name]=${ips[1]}
	ln -sf "$(cri netns "${POD[$name]}")" "/run/netns/$name"
}

# server NAME COMMAND...: its container
server() {
	local name=$1
	shift
	cri start "${POD[$name]}" server $IMAGE -- "$@" >/dev/null || wrong "no container in $name"
}

pod() {
	sandbox "$1" "$2"
	server "${1#*/}" "${@:3}"
}

# wire A B NET4 NET6: links two namespaces; .1 and ::1 in A, .2 and ::2 in B
wire() {
	ip link add "to-$2" type veth peer name "to-$1" netns "$2"
	[ "$1" = node ] || ip link set "to-$2" netns "$1"
	inside_ns "$1" sh -ec "ip addr add $3.1/24 dev to-$2; ip addr add $4::1/64 dev to-$2 nodad
		ip link set to-$2 up"
	inside_ns "$2" sh -ec "ip addr add $3.2/24 dev to-$1; ip addr add $4::2/64 dev to-$1 nodad
		ip link set to-$1 up; ip link set lo up"
}

inside_ns() {
	local ns=$1
	shift
	if [ "$ns" = node ]; then
		"$@"
	else
		nsenter --net="/run/netns/$ns" "$@"
	fi
}

# node -- router -- outside
make_outside() {
	ip netns add router && ip netns add outside || return
	wire node router 192.0.2 2001:db8:2
	wire router outside 203.0.113 2001:db8:113
	inside_ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	inside_ns router sh -ec "ip route add $NODE_POD_CIDR4 via 192.0.2.1
		ip -6 route add $NODE_POD_CIDR6 via 2001:db8:2::1"
	ip route add 203.0.113.0/24 via 192.0.2.2
	ip -6 route add 2001:db8:113::/64 via 2001:db8:2::2
	inside_ns outside sh -ec "ip addr add $OUTSIDE4/24 dev to-router
		ip addr add $OUTSIDE6/64 dev to-router nodad
		ip route add default via 203.0.113.1 src $OUTSIDE4
		ip -6 route add default via 2001:db8:113::1 src $OUTSIDE6"
	inside_ns outside "$PROBE" serve tcp:443 >"$DIR/out/serve" 2>&1 &
	IP4[outside]=$OUTSIDE4 IP6[outside]=$OUTSIDE6
}

# --- who reaches whom ------------------------------------------------------------

# One service a column: key, whose, protocol, port, families.
COLUMNS_OF_TABLE=(
	"web web tcp 8080 46"
	"api api tcp 8080 46"
	"db db tcp 5432 46"
	"stats db udp 8125 46"
	"dns dns udp 53 46"
	"out4 outside tcp 443 4"
	"out6 outside tcp 443 6"
)
SOURCES="web api db attacker outside"
declare -A SEEN=()

# expected SOURCE COLUMN: what policy/examples/shop says
expected() {
	case $PHASE:$1:$2 in
	before:*) echo open ;;
	*:outside:dns) echo open ;; # another namespace, which no policy closes
	*:outside:web) echo open ;;
	*:web:api | *:api:db | *:api:out4) echo open ;;
	*:outside:*) echo closed ;;
	*:*:dns) echo open ;;
	*) echo closed ;;
	esac
}

# probe_from SOURCE FILE: a line for each column and family, as `probe matrix` has them
probe_from() {
	local column key whose proto port families
	for column in "${COLUMNS_OF_TABLE[@]}"; do
		read -r key whose proto port families <<<"$column"
		[ "$whose" = "$1" ] && continue
		case $families in *4*) echo "$proto ${IP4[$whose]} $port" ;; esac
		case $families in *6*) echo "$proto ${IP6[$whose]} $port" ;; esac
	done | inside_ns "$1" "$PROBE" matrix -t "$2" >"$3"
}

# All sources at once; SEEN[source,column] is open, closed or mixed.
look() {
	local source column key whose proto port families result jobs=()
	for source in $SOURCES; do
		probe_from "$source" "$1" "$DIR/out/$source" &
		jobs+=($!)
	done
	wait "${jobs[@]}"
	N_PROBES=0
	for source in $SOURCES; do
		for column in "${COLUMNS_OF_TABLE[@]}"; do
			read -r key whose proto port families <<<"$column"
			[ "$whose" = "$source" ] && continue
			result=$(grep -E "^$proto (${IP4[$whose]}|${IP6[$whose]}) $port " "$DIR/out/$source" |
				if [ "$families" = 46 ]; then cat; elif [ "$families" = 4 ]; then
					grep -v :; else grep :; fi | awk '{ print $4 }')
			N_PROBES=$((N_PROBES + $(wc -w <<<"$result")))
			case $(sort -u <<<"$result" | tr '\n' ' ') in
			"open ") SEEN[$source,$key]=open ;;
			"timeout ") SEEN[$source,$key]=closed ;;
			*) SEEN[$source,$key]=mixed ;;
			esac
		done
	done
}

# Counts the cells that are not as expected.
n_wrong() {
	local source column n=0
	for source in $SOURCES; do
		for column in "${COLUMNS_OF_TABLE[@]}"; do
			column=${column%% *}
			[ -z "${SEEN[$source,$column]:-}" ] && continue
			[ "${SEEN[$source,$column]}" = "$(expected "$source" "$column")" ] || n=$((n + 1))
		done
	done
	echo $n
}

# A machine that is busy may answer late: what should be open gets a longer look.
look_until_right() {
	local ms
	for ms in 700 2000 5000; do
		look $ms
		[ "$(n_wrong)" = 0 ] && return
	done
}

cell() {
	local want=$1 seen=$2
	if [ -z "$seen" ]; then
		printf '%s%-9s%s' "$DIM" "  -" "$PLAIN"
	elif [ "$seen" != "$want" ]; then
		printf '%s✗ %-7s%s' "$RED" "$seen" "$PLAIN"
	elif [ "$seen" = open ]; then
		printf '%s✓ %-7s%s' "$GREEN" open "$PLAIN"
	else
		printf '%s✓%s %s%-7s%s' "$GREEN" "$PLAIN" "$DIM" closed "$PLAIN"
	fi
}

table() {
	local source column key whose proto port families
	printf '     %-9s' ""
	for column in "${COLUMNS_OF_TABLE[@]}"; do
		read -r key whose proto port families <<<"$column"
		printf '%s%-9s%s' "$BOLD" "$whose" "$PLAIN"
	done
	printf '\n     %s%-9s' "$DIM" "from"
	for column in "${COLUMNS_OF_TABLE[@]}"; do
		read -r key whose proto port families <<<"$column"
		printf '%-9s' "$port/$proto"
	done
	printf '\n     %-9s' ""
	for column in "${COLUMNS_OF_TABLE[@]}"; do
		read -r key whose proto port families <<<"$column"
		case $families in 46) printf '%-9s' "IPv4+6" ;; *) printf '%-9s' "IPv$families" ;; esac
	done
	printf '%s\n' "$PLAIN"
	for source in $SOURCES; do
		printf '     %s%-9s%s' "$BOLD" "$source" "$PLAIN"
		for column in "${COLUMNS_OF_TABLE[@]}"; do
			column=${column%% *}
			cell "$(expected "$source" "$column")" "${SEEN[$source,$column]:-}"
		done
		echo
	done
}

# try SOURCE POD PORT FAMILY: open, refused or timeout
try() {
	local addr=${IP4[$2]}
	[ "$4" = 6 ] && addr=${IP6[$2]}
	inside_ns "$1" "$PROBE" try -t 700 tcp "$addr" "$3"
}
# is open|timeout SOURCE POD PORT: over both families
is() {
	[ "$(try "$2" "$3" "$4" 4)" = "$1" ] && [ "$(try "$2" "$3" "$4" 6)" = "$1" ]
}

# in_force: what was written to the policies is in the kernel
in_force() {
	bulkhead reload >/dev/null && bulkhead status --wait --timeout 20 >/dev/null ||
		wrong "the agent does not get there"
}

# --- the story -------------------------------------------------------------------

printf '%sBulkhead%s  %sa shop of four pods, one of them an attacker%s\n' "$BOLD" "$PLAIN" \
	"$DIM" "$PLAIN"

step "A node with real pods, and a host outside"
node_start bridge || wrong "containerd does not start: $(tail -n 3 "$NODE_DIR/containerd.log")"
make_image || wrong "the image cannot be made"
make_outside || wrong "the outside cannot be made"
pod shop/web app=web /bin/probe serve tcp:8080
pod shop/api app=api /bin/probe serve tcp:8080
pod shop/db app=db /bin/probe serve tcp:5432 udp:8125
pod shop/attacker app=attacker /bin/busybox sleep 100000
pod kube-system/dns k8s-app=kube-dns /bin/probe serve udp:53
ok "$(containerd --version | awk '{ print $1, $3 }') with its own files, network and processes"
for p in web api db attacker; do
	say "$(printf '%-9s %-12s %-15s app=%s' $p "${IP4[$p]}" "${IP6[$p]}" $p)"
done
say "$(printf '%-9s %-12s %-15s %s' dns "${IP4[dns]}" "${IP6[dns]}" 'in kube-system')"
say "$(printf '%-9s %-12s %s' outside $OUTSIDE4 $OUTSIDE6), behind a router"

step "Before: everything is open"
PHASE=before
look_until_right
if [ "$(n_wrong)" != 0 ]; then
	table | sed 's/ *$//'
	wrong "not everything is open, and nothing is enforced yet"
fi
ok "$N_PROBES of $N_PROBES connections got through; the attacker reaches the database"

step "The agent starts on policy/examples/shop"
cp ../../policy/examples/shop/*.yaml "$POLICIES"
"$BH_BUILD/bulkheadd" --policies "$POLICIES" --runtime "unix://$CRI_SOCKET" --node shop-1 \
	--control "$CONTROL" --flow-log "$DIR/flows.json" >"$DIR/agent.log" 2>&1 &
bulkhead status --wait --timeout 20 >/dev/null || wrong "the agent is not ready"
PHASE=shop
look_until_right
table | sed 's/ *$//'
[ "$(n_wrong)" = 0 ] || wrong "$(n_wrong) cells are not as the policies say"
ok "all $N_PROBES connections went as the policies say (${GREEN}✓${PLAIN} is: expected and seen)"

step "Why was that denied?"
# last_record POD PORT: the newest denial of that pod at that port, as JSON
last_record() {
	bulkhead flows --pod "$1" --verdict denied -o json | grep "\"destination.port\":$2," |
		grep ipv4 | tail -n 1 | grep .
}
# field NAME TEXT: that field of a record on standard input contains it
field() {
	python3 -c 'import json, sys
sys.exit(sys.argv[2] not in str(json.load(sys.stdin).get(sys.argv[1])))' "$1" "$2"
}
say "The api sends statistics to the database, and they do not arrive:"
wait_until 5 "the denial is recorded" last_record shop/api 8125 || wrong "it is not recorded"
bulkhead flows --pod shop/api --verdict denied | sed -n '1p; /10\.88.*:8125 /p' | sed '3,$d' |
	quote "bulkhead flows --pod shop/api --verdict denied"
record=$(last_record shop/api 8125)
field policy.default_deny_by shop/default-deny <<<"$record" &&
	field policy.nearest_miss shop/api <<<"$record" ||
	wrong "the record does not name the policies: $record"
ok "the record names both pods, the policies that isolate and the rule that came nearest"
explanation=$(bulkhead explain shop/api shop/db 8125/udp)
[ $? = 1 ] || wrong "explain does not say that it is denied: $explanation"
sed "s|$POLICIES/||g" <<<"$explanation" | quote "bulkhead explain shop/api shop/db 8125/udp"
bulkhead explain shop/api shop/db 5432/tcp >/dev/null ||
	wrong "explain does not say that the api may ask the database"
ok "explain says the same without a packet, and exits with 1; with 0 for 5432/tcp"

step "The database starts again, at another address"
in_kernel() { nft get element inet bulkhead "$1" "{ $2 }" >/dev/null 2>&1; }
old4=${IP4[db]} old6=${IP6[db]}
in_kernel in4 "$old4" || wrong "the kernel does not know the database's address"
cri rm "${POD[db]}" || wrong "the pod cannot be removed"
sandbox shop/db app=db --uid uid-db-2
in_kernel in4 "${IP4[db]}" && in_kernel in6 "${IP6[db]}" ||
	wrong "${IP4[db]} is not in the kernel although the pod's network is there"
server db /bin/probe serve tcp:5432 udp:8125
ok "$old4 became ${IP4[db]}: in the kernel before the pod's first container started"
old_is_gone() { ! in_kernel in4 "$old4" && ! in_kernel in6 "$old6"; }
wait_until 5 "the old address is gone" old_is_gone || wrong "$old4 is still in the kernel"
ok "$old4 is gone from it"
wait_until 10 "api reaches db" is open api db 5432 || wrong "the api does not reach the database"
is timeout attacker db 5432 && is timeout outside db 5432 || wrong "the database is not closed"
ok "the api reaches it, the attacker and the outside do not"

step "A policy is edited, and edited back"
cp "$POLICIES/db.yaml" "$DIR/db.yaml"
rule='  - from:
    - ipBlock: {cidr: 203.0.113.10/32}
    ports:
    - port: 5432'
{ cat "$DIR/db.yaml"; echo "$rule"; } >"$DIR/new.yaml"
mv "$DIR/new.yaml" "$POLICIES/db.yaml"
in_force
say "db.yaml lets a backup server outside in:"
sed "s/.*/       $GREEN+ &$PLAIN/" <<<"$rule"
[ "$(try outside db 5432 4)" = open ] || wrong "the outside does not reach the database"
[ "$(try outside db 5432 6)" = timeout ] || wrong "the outside reaches it over IPv6 as well"
ok "in force: 203.0.113.10 reaches the database, its IPv6 address does not"

# stream SOURCE: one connection that asks every 100 ms, and writes whether it was answered
stream() {
	inside_ns "$1" "$PROBE" stream -i 100 tcp "${IP4[db]}" 5432 >"$DIR/out/stream-$1" 2>&1 &
	wait_until 5 "$1 talks to db" grep -q ok "$DIR/out/stream-$1" ||
		wrong "no connection from $1 to the database"
}
is_cut() { [ "$(tail -n 4 "$DIR/out/stream-$1" | grep -c miss)" = 4 ]; }
lives() { [ "$(tail -n 4 "$DIR/out/stream-$1" | grep -c ok)" = 4 ]; }
stream outside
stream api
cp "$DIR/db.yaml" "$DIR/new.yaml" && mv "$DIR/new.yaml" "$POLICIES/db.yaml"
in_force
wait_until 10 "the connection is cut" is_cut outside || wrong "the outside's connection lives on"
wait_until 10 "the other one lives" lives api || wrong "the api's connection does not live on"
[ "$(try outside db 5432 4)" = timeout ] || wrong "the outside still reaches the database"
ok "edited back: its open connection was cut at once, and the api's was not"

step "Status"
PHASE=shop
# The kernel's count of denied packets is what became of them, to the last one.
adds_up() {
	bulkhead status -o json | python3 -c '
import json, sys
s = json.load(sys.stdin)
p = s["packets"]
what = [p[k] for k in ("recorded", "suppressed", "pending", "lost", "in_flight")]
sys.exit(not (s["ready"] and not s["problems"] and p["denied"] == sum(what) > 0))'
}
bulkhead status | sed "s|$POLICIES|policy/examples/shop|; s|$NODE_DIR/||" | quote "bulkhead status"
wait_until 5 "the counts add up" adds_up || wrong "the counts do not add up"
ok "in sync, no problems, and every denied packet is accounted for"

printf '\n%s%d steps in %d s, all as it must be.%s\n' "$BOLD$GREEN" $STEP $SECONDS "$PLAIN"
