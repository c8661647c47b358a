# This boot's settings, as boilerhouse-init wrote them down; its keys, once there are any; the workload's user as numbers.
{
  read -r start_mode
  read -r user
  read -r state_dir
  read -r secrets_dir
  read -r agent
} < "$private/settings"

read_keys() { # sets boot_id, boot_key, access_key; false when there are none yet
  boot_id='' boot_key='' access_key=''
  [ -e "$private/keys" ] || return 1
  {
    read -r boot_id
    read -r boot_key
    read -r access_key
  } < "$private/keys"
  [ -n "$boot_key" ]
}

# Sets uid, gid, home and user_name from `name` or `uid[:gid]`; false when there is no such user.
resolve_user() {
  local name _ found_uid found_gid found_home
  uid='' gid='' home=/ user_name=''
  case $user in
    *[!0-9:]* | '') ;;
    *:*) uid=${user%%:*} gid=${user#*:} ;;
    *) uid=$user gid=$user ;;
  esac
  while IFS=: read -r name _ found_uid found_gid _ found_home _; do
    [ "$name" = "$user" ] || [ "$found_uid" = "$uid" ] || continue
    case $user in *:*) ;; *) gid=$found_gid ;; esac
    uid=$found_uid home=$found_home user_name=$name
    break
  done < /etc/passwd
  [ -n "$uid" ] && [ -n "$gid" ]
}
