# The state directory as one stream. tar's own outcome travels beside the pipe: a stream that broke off must not count.
[ -n "$state_dir" ] || fail '409 Conflict' no_state 'there is no state directory'
outcome=$private/bundle.$$
trap 'rm -f "$outcome" "$outcome.body"' EXIT

http_status=$(
  {
    tar --create --format=gnu --numeric-owner --hard-dereference --one-file-system -C "$state_dir" . 2> /dev/null
    echo $? > "$outcome"
  } | curl -q -sS --connect-timeout 5 --max-time 115 -H "@$private/headers" -H 'Content-Type: application/x-tar' \
    -T - -o "$outcome.body" -w '%{http_code}' http://sink.internal/.bundle/staging.tar 2>&1
) || fail '502 Bad Gateway' bundle_failed "$http_status"

read -r tar_status < "$outcome"
# 1: a file changed while it was read, as a live one may.
[ "$tar_status" -le 1 ] || fail '502 Bad Gateway' bundle_failed "tar ended with $tar_status"
body=$(head -c 65536 "$outcome.body" 2> /dev/null; echo .) # the dot keeps a last newline
json_string "${body%.}"
respond '200 OK' "{\"bootId\":\"$boot_id\",\"status\":$http_status,\"body\":$json}"
