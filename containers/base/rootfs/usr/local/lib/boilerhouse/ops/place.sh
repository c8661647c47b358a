# Puts what the agent has fetched (private/incoming/FROM) into a directory, and deletes the names in the body (each ends
# with NUL) from it. Both are the workload's doing, as far as the kernel is concerned: the directory is its own, with
# whatever symlinks it made.
. "$lib/directories.sh"
is_number "$from" || fail '400 Bad Request' bad_request 'from must be a whole number'
resolve_user
incoming=$private/incoming/$from
names=$private/place.$$
trap 'rm -rf "$names" "$names.log" "$incoming"' EXIT
cat > "$names"
own_directory "$path" || fail '409 Conflict' bad_directory "$problem"

if [ -d "$incoming" ]; then
  set -o pipefail
  tar --create --format=gnu -C "$incoming" . 2> "$names.log" |
    as_user sh -c 'cd -- "$1" && exec tar -x -f - --no-same-owner --same-permissions --no-overwrite-dir' sh "$path" 2>> "$names.log"
  placed=$?
  set +o pipefail
  [ "$placed" = 0 ] || fail '500 Internal Server Error' place_failed "$(head -c 1000 "$names.log")"
fi
if [ -s "$names" ]; then
  as_user sh -c 'cd -- "$1" && exec xargs -0 rm -f --' sh "$path" < "$names" 2> "$names.log" ||
    fail '500 Internal Server Error' place_failed "$(head -c 1000 "$names.log")"
fi
respond '200 OK' "{\"bootId\":\"$boot_id\",\"placed\":true}"
