# Listed into a file first: a listing that failed half-way must not look like a short one.
[ -n "$state_dir" ] || fail '409 Conflict' no_state 'there is no state directory'
listing=$private/manifest.$$
if find "$state_dir" -xdev -printf '%y %m %U %G %s %T@ %C@ %i %P\0%l\0' > "$listing"; then
  printf 'Status: 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: %s\r\n\r\n' "$(stat -c %s "$listing")"
  cat "$listing"
  rm -f "$listing"
else
  rm -f "$listing"
  fail '500 Internal Server Error' manifest_failed 'the state directory changed while it was listed'
fi
