# What the agent's source tells of a runtime's pods, through its restarts.
. ./lib.sh
node_up

step "pods that are there before are told before it is in sync"
POD_OPTIONS="--uid u1" PORTS="http=8080/TCP" pod shop/web app=web tier=front io.kubernetes.pod.uid=u1
source_start --interval 1000
grep -B 100 synced "$SOURCE_LOG" | grep -q "put shop/web" || fail "shop/web comes after synced"
told "put shop/web uid=u1 node=here label:app=web label:tier=front port:http=8080/TCP ip:${ADDR4[shop/web]} ip:${ADDR6[shop/web]}"

step "a new pod's addresses are told before the runtime says it runs"
pod shop/api app=api
grep -qF "put shop/api uid=uid-api node=here label:app=api ip:${ADDR4[shop/api]} ip:${ADDR6[shop/api]}" \
	"$SOURCE_LOG" || told "ip:${ADDR4[shop/api]}"

step "a container's named ports are the pod's"
cri start "$(sandbox shop/api)" main $NODE_BUSYBOX \
	--annotation 'io.kubernetes.container.ports=[{"name":"dns","containerPort":53,"protocol":"UDP"}]' \
	-- /bin/busybox sleep 1000 >/dev/null
told_last shop/api "port:dns=53/UDP"

step "a process that ends beside the first one does not end the pod"
C=$(container shop/api side sleep 1000)
cri exec "$C" /bin/busybox true

step "a pod in the node's network has no address of its own"
cri run kube-system/proxy --host-network >/dev/null
told_last kube-system/proxy "host-network"

step "a malformed annotation is told with the pod's name"
cri run shop/odd --annotation 'bulkhead.dev/ports=[{"name":"a","containerPort":0}]' >/dev/null
told "problem pod shop/odd: annotation bulkhead.dev/ports [0]: containerPort is not within 1-65535"

step "a pod whose first process is killed owns no address"
ps -e -o pid=,args= | grep -q pause
kill -KILL "$(node_ctr tasks ls | awk -v id="$(sandbox shop/api)" '$1 == id { print $2 }')"
told_last shop/api finished
grep -F " shop/api " "$SOURCE_LOG" | tail -n 1 | grep -q "ip:" && fail "it still has an address"

step "the newest sandbox stands for a pod"
old=${SANDBOX[shop/web]}
POD_OPTIONS="--uid u1 --attempt 1" pod shop/web app=web
told_last shop/web "ip:${ADDR4[shop/web]}"
n=$(grep -c "" "$SOURCE_LOG")
cri rm "$old"
sleep 2.5 # two lists
tail -n +$((n + 1)) "$SOURCE_LOG" | grep "shop/web" && fail "the old sandbox is told"

step "containerd dies: told once, and nothing is forgotten"
containerd_kill
told "the container runtime does not answer, its pods stay as last seen"
sleep 1
[ "$(grep -c "does not answer" "$SOURCE_LOG")" = 1 ] || fail "told more than once"
grep -q "delete shop/web" "$SOURCE_LOG" && fail "shop/web is forgotten"

step "it comes back: what happened meanwhile is found"
containerd_start
told "$CRI_SOCKET: over"
pod shop/late app=late
told_last shop/late "ip:${ADDR4[shop/late]}"
pod_gone shop/late
told "delete shop/late"

step "containerd stops answering without dying"
n=$(grep -c "" "$SOURCE_LOG")
kill -STOP "$CONTAINERD_PID"
wait_until 40 "it is noticed" sh -c "tail -n +$((n + 1)) '$SOURCE_LOG' | grep -q 'no answer within'" ||
	fail "not noticed"
kill -CONT "$CONTAINERD_PID"
eventually sh -c "tail -n +$((n + 1)) '$SOURCE_LOG' | grep -q ': over'"
tail -n +$((n + 1)) "$SOURCE_LOG" | grep "delete" && fail "a pod is forgotten"

step "a pod that is removed is deleted"
pod_gone shop/web
told "delete shop/web uid=u1"
