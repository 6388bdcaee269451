# The same with pods that are routed.
export NODE_KIND=ptp
. ./440-quarantine.sh
