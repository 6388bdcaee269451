# A runtime without containerd's own services: its pods are listed every second.
. ./lib.sh
case ${WITHOUT:=events} in
events) NODE_DISABLED='"io.containerd.grpc.v1.events"' ;;
objects) NODE_DISABLED='"io.containerd.grpc.v1.containers"' ;;
esac
node_up
pod shop/web app=web
source_start
told_last shop/web "label:app=web ip:${ADDR4[shop/web]} ip:${ADDR6[shop/web]}"
if [ "$WITHOUT" = events ]; then
	told "problem events of $CRI_SOCKET: the runtime has no events of containerd's kind"
fi

step "a new pod is found"
pod shop/api app=api
told_last shop/api "label:app=api ip:${ADDR4[shop/api]} ip:${ADDR6[shop/api]}"
if [ "$WITHOUT" = objects ]; then
	told "problem metadata of $CRI_SOCKET: "
fi

step "so is the end of one"
cri stop "$(sandbox shop/api)"
told_last shop/api finished
pod_gone shop/web
told "delete shop/web"

step "and all of it once the runtime does better"
containerd_kill
eventually sh -c "tail -n 1 '$SOURCE_LOG' | grep -q 'the container runtime does not answer'"
sed -i "s/^disabled_plugins.*/disabled_plugins = []/" "$NODE_DIR/containerd.toml"
containerd_start
told "$CRI_SOCKET: over"
[ "$WITHOUT" = objects ] || told "problem events of $CRI_SOCKET: over"
pod shop/late app=late
told_last shop/late "ip:${ADDR4[shop/late]}"
