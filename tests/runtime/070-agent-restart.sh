# The agent is killed: rules stay; on return it adopts them and finds what it missed.
. ./lib.sh
. ./shop.sh
node_up
shop_pods
shop_policies
agent_start
open shop/api tcp shop/db 5432

step "killed: the rules stay"
agent_kill
open shop/api tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "meanwhile one pod goes and one comes"
gone4=${ADDR4[shop/api]}
pod_gone shop/api
pod shop/api2 app=api
blocked shop/api2 tcp shop/db 5432

step "back: both are right before it says that it is ready"
agent_start
in_kernel in4 "${ADDR4[shop/api2]}"
not_in_kernel in4 "$gone4"
open shop/api2 tcp shop/db 5432
blocked shop/other tcp shop/db 5432

step "stopped and started: the same"
agent_stop
open shop/api2 tcp shop/db 5432
agent_start
open shop/api2 tcp shop/db 5432
blocked shop/other tcp shop/db 5432
