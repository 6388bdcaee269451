# The same on routed ports.
KIND=ptp
. ./509-misaddressed.sh
