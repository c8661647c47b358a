# Ending processes: the workload's group, and whatever else its user has started.

signal_group() { # SIGNAL
  [ -z "$pid" ] || kill "-$1" "-$pid" 2> /dev/null || :
}

group_lives() {
  [ -n "$pid" ] && kill -0 "-$pid" 2> /dev/null
}

# After this no process of the workload's user is left, so that nothing writes during the last save.
# A user who is root, or a process namespace shared with others, leaves only the group to go by.
sweep() {
  local tries=0
  signal_group KILL
  if [ "$uid" = 0 ] || [ "$PPID" != 1 ]; then return 0; fi
  # One kill(-1) as that user is atomic: a chain of forks cannot run ahead of it as it could of a list.
  /usr/bin/setpriv --reuid "$uid" --regid "$gid" --clear-groups /bin/busybox sh -c 'kill -KILL -1' 5>&- 2> /dev/null
  while user_lives && [ "$tries" -lt 400 ]; do
    tries=$((tries + 1))
    sleep 0.005
  done
}

user_lives() {
  local status key value rest process_state
  for status in /proc/[0-9]*/status; do
    process_state=''
    while read -r key value rest; do
      case $key in
        State:) process_state=$value ;;
        Uid:)
          [ "$value" = "$uid" ] && [ "$process_state" != Z ] && return 0
          break
          ;;
      esac
    done 2> /dev/null < "$status"
  done 2> /dev/null
  return 1
}
