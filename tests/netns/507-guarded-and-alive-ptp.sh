# The same on routed ports.
KIND=ptp
. ./506-guarded-and-alive.sh
