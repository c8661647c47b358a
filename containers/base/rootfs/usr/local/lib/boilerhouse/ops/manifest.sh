# As a stream, so that a directory on a full disk can be listed too. The last record says that nothing is missing: a
# listing that failed half-way must not look like a short one.
[ -n "$state_dir" ] || fail '409 Conflict' no_state 'there is no state directory'
. "$lib/clock.sh"
tick
read_baseline "$tick"
# What is changed within the tick in which the listing begins is later than this.
printf 'Status: 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nX-Listed-At: %s\r\nX-Baseline: %s\r\n\r\n' \
  $((tick - 1)) "$baseline"
find "$state_dir" -xdev -ignore_readdir_race -printf '%y %m %U %G %s %T@ %C@ %i %P\0%l\0' && printf 'end\0\0'
