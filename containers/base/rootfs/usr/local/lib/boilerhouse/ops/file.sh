# Files, for whoever asks from outside. What the query says becomes the arguments of files/ACTION, which acts as the
# workload's user; nothing here opens a path that a tenant made. Its first line is its verdict, the rest goes on as it comes.

decoded() { # PERCENT-ENCODED; sets text, byte for byte
  case $1 in
    *[!A-Za-z0-9._~/%-]* | *%00* | *%[!0-9A-Fa-f]* | *%?[!0-9A-Fa-f]* | *% | *%[0-9A-Fa-f])
      fail '400 Bad Request' bad_request 'a path is percent-encoded, without NUL'
      ;;
  esac
  text=$(printf '%b.' "${1//%/\\x}") # the dot keeps newlines at the end
  text=${text%.}
}

volume='' path='' after='' offset=0 length='' size='' limit=1000 depth=one match='' none_match='' stage='' batch=''
IFS='&'
for pair in $QUERY_STRING; do
  value=${pair#*=}
  case $pair in
    volume=*) decoded "$value"; volume=$text ;;
    path=*) decoded "$value"; path=$text ;;
    after=*) decoded "$value"; after=$text ;;
    offset=*) offset=$value ;;
    length=*) length=$value ;;
    size=*) size=$value ;;
    limit=*) limit=$value ;;
    depth=*) depth=$value ;;
    match=*) decoded "$value"; match=$text ;;
    noneMatch=*) decoded "$value"; none_match=$text ;;
    stage=*) decoded "$value"; stage=$text ;;
  esac
done
unset IFS
for value in "$offset" "${length:-0}" "${size:-0}" "$limit"; do
  is_number "$value" || fail '400 Bad Request' bad_request 'offset, length, size and limit are whole numbers'
done

# Paths come normalised (src/files/path.ts); what is not is refused here again.
case $volume in /?*) ;; *) fail '400 Bad Request' bad_request 'volume is an absolute path' ;; esac
case /$path/ in */../* | */./* | *//?*) fail '400 Bad Request' bad_request 'the path is not normalised' ;; esac

action=${op#file-}
case $action in
  stat | read | delete | list) set -- "$volume" "$path" ;;
  write) set -- "$volume" "$path" "$size" "$stage" ;;
  commit) set -- "$volume" ;;
esac
case $action in
  read) set -- "$@" "$offset" "$length" ;;
  write | delete) set -- "$@" "$match" "$none_match" ;;
  list) set -- "$@" "$depth" "$limit" "$after" ;;
esac

resolve_user
groups=--clear-groups
[ "$user" != "$user_name" ] || groups=--init-groups
# Its environment is its own: ours holds the boot key, and the workload may read that of its user's processes.
{
  timeout --signal=KILL 900 /usr/bin/setpriv --reuid "$uid" --regid "$gid" "$groups" --reset-env \
    --no-new-privs --inh-caps=-all --bounding-set=-all -- \
    /bin/busybox sh "$lib/files/$action" "$@" 2> /dev/null
} | {
  verdict='' rest=''
  read -r verdict rest
  case $verdict in
    ok)
      sent=${rest##* } # the last word is how many bytes follow; `-` where nobody knows
      [ "$sent" = - ] && sent='' || sent="Content-Length: $sent\r\n"
      printf "Status: 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nX-Boot-Id: $boot_id\r\nX-File: %s\r\n$sent\r\n" "$rest"
      exec cat
      ;;
    no)
      status=${rest%% *} rest=${rest#* }
      fail "$status Refused" "${rest%% *}" "${rest#* }"
      ;;
  esac
  fail '500 Internal Server Error' file_failed 'the file operation ended without an answer'
}
