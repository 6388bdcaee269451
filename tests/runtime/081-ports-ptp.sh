# The same where each pod has a link of its own.
CNI=ptp
. ./080-ports.sh
