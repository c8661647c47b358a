# The keys of this boot: three lines, the boot id, the boot key, the access key. Believed once, because nothing of the
# workload's runs yet; the same ones again are fine, others are refused.
read -r id && read -r key && read -r access || fail '400 Bad Request' bad_request 'three lines: boot id, boot key, access key'
case $id$key$access in
  *[!A-Za-z0-9_.-]*) fail '400 Bad Request' bad_request 'keys are made of letters, digits, - _ and .' ;;
esac
set -C # one of two at once creates the file
{ printf '%s\n' "$id" "$key" "$access" > "$private/keys"; } 2> /dev/null
set +C
read_keys
[ "$boot_id $boot_key $access_key" = "$id $key $access" ] || fail '409 Conflict' already_booted 'this container has the keys of another boot'
ask 10 boot || fail '500 Internal Server Error' start_failed 'the supervisor does not answer'
respond_status
