# The same as 503 on routed ports.
set -- ptp
. ./503-forged-sources.sh
