# The same where only the objects cannot be read.
WITHOUT=objects
. ./015-lists-alone.sh
