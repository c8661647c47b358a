# The files that were listed at that time are the vault's now.
case $at in
  '' | *[!0-9]* | ????????????????????*) fail '400 Bad Request' bad_request 'at must be a time in nanoseconds' ;;
esac
. "$lib/clock.sh"
tick
set_baseline "$at" "$tick"
respond '200 OK' "{\"bootId\":\"$boot_id\",\"baseline\":\"$at\"}"
