# A pod that is being made while the agent comes back to a restarted runtime: its
# object is older than the subscription to events, and it runs only after the list.
. ./lib.sh
. ./shop.sh
NODE_RUNC=$NODE_DIR/slow-runc
mkdir -p "$NODE_DIR"
cat >"$NODE_RUNC" <<'X'
#!/bin/sh
case " $* " in *" create "*) sleep 1 ;; esac
exec runc "$@"
X
chmod +x "$NODE_RUNC"
node_up
pod shop/web app=web
agent_start
shop_policies
settle

# Far from the 30 s after which the next list finds it anyway.
for i in 1 2 3 4; do
	step "restart $i: the new pod is in the kernel"
	containerd_kill
	eventually eval "status .problems | grep -q 'does not answer'"
	containerd_start
	pod "shop/late$i" app=late
	eventually in_kernel in4 "${ADDR4[shop/late$i]}"
	eventually in_kernel in6 "${ADDR6[shop/late$i]}"
done
