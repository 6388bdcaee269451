# The same as 423 where pods share a bridge.
KIND=bridge
. ./423-closed-until-known.sh
