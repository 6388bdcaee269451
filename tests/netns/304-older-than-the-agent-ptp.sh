# The same with pods that are routed.
export NODE_KIND=ptp
. ./303-older-than-the-agent.sh
