# The same with pods that are routed.
export NODE_KIND=ptp
. ./301-cut-grid.sh
