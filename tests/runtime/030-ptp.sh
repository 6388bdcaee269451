# The same where pods are joined by routes instead of a bridge.
CNI=ptp
. ./020-bridge.sh
