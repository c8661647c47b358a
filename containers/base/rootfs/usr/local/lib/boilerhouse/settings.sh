# This boot's settings, as boilerhouse-init wrote them down, and the workload's user as numbers.
{
  read -r boot_id
  read -r boot_key
  read -r start_mode
  read -r user
  read -r state_dir
  read -r secrets_dir
  read -r agent
  read -r access_key
} < "$private/settings"

# Sets uid, gid, home and user_name from `name` or `uid[:gid]`; false when there is no such user.
resolve_user() {
  local name _ found_uid found_gid found_home
  uid='' gid='' home=/ user_name=$user
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
