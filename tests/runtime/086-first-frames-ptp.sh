# The same on routed ports.
CNI=ptp
. ./085-first-frames.sh
