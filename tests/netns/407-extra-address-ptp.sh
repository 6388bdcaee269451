# The same where each pod has a link of its own.
export NODE_KIND=ptp
. ./405-extra-address.sh
