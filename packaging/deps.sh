#!/bin/sh
# deps.sh missing PACKAGE...   prints those that dpkg does not have installed
# deps.sh install PACKAGE...   installs what is missing; needs root
set -eu
op=$1
shift
missing=
for p; do
	dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' ||
		missing="$missing $p"
done
case $op in
missing) echo $missing ;;
install)
	[ -z "$missing" ] && exit 0
	if [ "$(id -u)" != 0 ]; then
		echo "these Debian packages are missing:$missing" >&2
		echo "install them with: sudo apt-get install$missing" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
	;;
esac
