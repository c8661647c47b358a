# Applies what a claim delivers. Once in a container's life; asked again for the same epoch, the recorded answer.
. "$lib/clock.sh"
. "$lib/restore.sh"
is_number "$epoch" || fail '400 Bad Request' bad_request 'epoch must be a whole number'
resolve_user

record=$private/claim.answer # one line: the status, then the body
finish() { # STATUS BODY
  printf '%s\n%s\n' "$1" "$2" > "$record"
  respond "$1" "$2"
  exit 0
}

replay() {
  local tries=0 status body
  # A first attempt of the same epoch may still be restoring.
  until [ -s "$record" ]; do
    [ "$tries" -lt $((timeout_ms / 50)) ] || fail '504 Gateway Timeout' claim_pending 'the claim is still being applied'
    tries=$((tries + 1))
    sleep 0.05
  done
  { read -r status; read -r body; } < "$record"
  respond "$status" "$body"
  exit 0
}

# Creating this file is the lock: of two at once, one wins.
set -C
if ! { echo "$epoch" > "$private/claim.epoch"; } 2> /dev/null; then
  read -r claimed < "$private/claim.epoch" || claimed=''
  [ "$claimed" = "$epoch" ] || fail '409 Conflict' already_claimed "this container was claimed for epoch $claimed"
  replay
fi
set +C

elapsed
parcel=$private/claim
log=$private/claim.log
if ! timeout 60 busybox tar -x -f - -C "$parcel" 2> "$log"; then
  rm -rf "$parcel"/* "$private/claim.epoch"
  fail '400 Bad Request' bad_claim "$(head -c 1000 "$log")"
fi
# Two copies at once: this is most of what a warm claim takes. `env` stays where it is; the workload's start reads it.
if [ -d "$parcel/secrets" ]; then
  install -m 0400 -o "$uid" -g "$gid" "$parcel/secrets"/* "$secrets_dir/" &
fi
set --
for file in config.json gateway-token; do
  [ ! -e "$parcel/$file" ] || set -- "$@" "$parcel/$file"
done
if [ $# -gt 0 ]; then
  install -m 0400 -o "$uid" -g "$gid" "$@" "$run/"
fi
wait
elapsed
apply_ms=$since_ms restore_ms=0 verify_ms=0 restored=null

if [ -e "$parcel/restore" ]; then
  read -r path files bytes < "$parcel/restore"
  if ! restore "$path" "$files" "$bytes"; then
    json_string "$problem"
    finish '502 Bad Gateway' "{\"bootId\":\"$boot_id\",\"error\":\"restore_failed\",\"detail\":$json}"
  fi
  restored="{\"files\":$files,\"bytes\":$bytes}"
elif [ -e "$parcel/fresh" ] && [ -n "$state_dir" ]; then
  chown "$uid:$gid" "$state_dir" && chmod 0755 "$state_dir"
fi

case $start_mode in
  on-claim) [ -e "$parcel/hold" ] || tell start - ;; # held: something else is to be there first
  *) [ ! -e "$parcel/env" ] || tell restart ;;
esac
rm -rf "$parcel/secrets" "$parcel/config.json" "$parcel/gateway-token" > /dev/null 2>&1 < /dev/null &

finish '200 OK' "{\"bootId\":\"$boot_id\",\"epoch\":$epoch,\"restored\":$restored,\"timings\":{\"applyMs\":$apply_ms,\"restoreMs\":$restore_ms,\"verifyMs\":$verify_ms}}"
