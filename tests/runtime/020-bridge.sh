# Policies on pods of a real runtime: labels, named ports and addresses come from it.
. ./lib.sh
. ./shop.sh
node_up "${CNI:-bridge}"
shop_pods
agent_start

step "without a policy everything is open"
open shop/other tcp shop/db 5432
open shop/web icmp shop/api

step "the shop's policies in force"
shop_policies
settle
open shop/other tcp shop/web 8080
open shop/web tcp shop/api 8080
open shop/api tcp shop/db 5432
open node tcp shop/db 5432
blocked shop/other tcp shop/api 8080
blocked shop/other tcp shop/db 5432
blocked shop/web tcp shop/db 5432
blocked shop/web icmp shop/api
blocked shop/other udp shop/web 53

step "a named port is the one that the pod's annotation says"
netpol shop/named <<YAML
podSelector: {matchLabels: {app: web}}
ingress:
- ports:
  - {port: dns, protocol: UDP}
YAML
settle
open shop/other udp shop/web 53
blocked shop/other udp shop/api 53

step "a pod that goes takes its addresses out of the kernel"
in_kernel in4 "${ADDR4[shop/web]}"
in_kernel in6 "${ADDR6[shop/web]}"
gone4=${ADDR4[shop/web]} gone6=${ADDR6[shop/web]}
pod_gone shop/web
eventually not_in_kernel in4 "$gone4"
eventually not_in_kernel in6 "$gone6"
