# The same where each pod has a link of its own and no bridge.
export NODE_KIND=ptp
. ./020-allow-list.sh
