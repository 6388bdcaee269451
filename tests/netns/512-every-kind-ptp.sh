# The same on routed ports.
KIND=ptp
. ./511-every-kind.sh
