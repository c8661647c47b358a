# Files of the state directory as one stream: those that the request names, or all. Nothing is written on the way, since a
# full disk is to be saved as well: what tar says, and how it ended, comes before the gateway's answer.
[ -n "$state_dir" ] || fail '409 Conflict' no_state 'there is no state directory'
mark="tar.$$."
nl='
'

list() {
  if [ "${CONTENT_LENGTH:-0}" = 0 ]; then printf '.\0'; else head -c "$CONTENT_LENGTH"; fi
}
recursion=--recursion
[ "${CONTENT_LENGTH:-0}" = 0 ] || recursion=--no-recursion

# Of a workload that runs on, mod-times are sent to the nanosecond, so that a file that changed meanwhile is noticed.
set -- --format=gnu
[ "$times" != exact ] || set -- --format=posix --pax-option=delete=atime,delete=ctime

left
answer=$(
  {
    {
      list | tar --create "$@" --numeric-owner --hard-dereference --one-file-system \
        -C "$state_dir" --null $recursion --files-from=- 2>&3
      printf '%s%s\n' "$mark" $? >&3
    } | curl -q -sS --connect-timeout 5 --max-time "$left_s" -H "@$private/headers" -H 'Content-Type: application/x-tar' \
      -T - -w '\n%{http_code}' http://sink.internal/.bundle/staging.tar 2>&1
  } 3>&1
) || fail '502 Bad Gateway' bundle_failed "$answer"

said=${answer%%"$mark"*} answer=${answer#*"$mark"}
tar_status=${answer%%"$nl"*} answer=${answer#*"$nl"}
# 1: a file changed while it was read, as a live one may.
[ "$tar_status" -le 1 ] || fail '502 Bad Gateway' bundle_failed "tar ended with $tar_status: $said"
json_string "${answer%"$nl"*}"
respond '200 OK' "{\"bootId\":\"$boot_id\",\"status\":${answer##*"$nl"},\"body\":$json}"
