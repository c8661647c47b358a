# The workload's state, and what each event does to it. Sourced by the supervisor, which alone calls these.
# state: waiting (for its claim), running, backoff, stopped, failed (it ended too often). wanted: running, restart, stopped.
state=waiting restarts=0 last_exit=null wanted=running
recent='' # when it ended by itself, within ten minutes; milliseconds since 1970
run_number=0 pid='' alive='' started_at=0 backoff_ms=0 # of the current run
due='' grace_until=0                                   # milliseconds since 1970
waiters='' terminating=''

now_ms() { # sets now
  local moment=$EPOCHREALTIME
  now=${moment%.*}${moment#*.}
  now=${now%???}
}

# Waits for a line of the FIFO, or until something is due.
next_event() { # sets event, first, second
  local left
  event=none first='' second=''
  if [ -z "$due" ]; then
    read -r event first second <&5 || :
    return 0
  fi
  now_ms
  left=$((due - now))
  [ "$left" -gt 0 ] || left=1
  read -r -t "$((left / 1000)).$(printf %03d $((left % 1000)))" event first second <&5 || event=due
}

# Over what is there, in one write of always the same length: that needs no room on a disk that is full, and a reader
# never sees half of it.
write_state() {
  printf '%-40s\n' "$state $restarts $last_exit" 1<> "$private/state"
}

answer() { # REPLY_FIFO…: tells whoever waits what the state is now
  local reply
  for reply; do
    [ ! -p "$private/$reply" ] || echo "$state $restarts $last_exit" 1<> "$private/$reply"
  done
}

launch() { # COMMAND…
  run_number=$((run_number + 1)) pid='' alive=yes wanted=running due='' state=running
  now_ms
  started_at=$now
  read_oom_kills
  oom_kills_before=$oom_kills
  ( # waits and reports; the one that it starts becomes the workload
    run_workload "$@" &
    echo "started $run_number $!" >&5
    wait $!
    echo "exited $run_number $?" >&5
  ) &
  write_state
}

# Becomes the workload: own session, own user, no way to new privileges, and its own environment only.
run_workload() { # COMMAND…
  echo 300 > /proc/self/oom_score_adj # when memory runs out the workload goes first, so that a save stays possible
  local groups=--clear-groups
  [ "$user" != "$user_name" ] || groups=--init-groups # those that the image gives a user by name
  set -- /usr/bin/setsid /usr/bin/setpriv --reuid "$uid" --regid "$gid" "$groups" \
    --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
  export HOME="$home" USER="${user_name:-$uid}" LOGNAME="${user_name:-$uid}"
  unset PATH LC_ALL
  # These may set any name, ours included: only the arguments are used after them.
  export_all /run/boilerhouse/private/env.boot
  export_all /run/boilerhouse/private/claim/env
  exec "$@" 5>&-
}

export_all() { # FILE of KEY=VALUE\0…; names that a shell cannot hold, and ours, are left out
  local pair
  [ -e "$1" ] || return 0
  while IFS= read -r -d '' pair; do
    case ${pair%%=*} in
      '' | [0-9]* | *[!A-Za-z0-9_]* | BOILERHOUSE_*) ;;
      pair) ;;
      *) export "$pair" ;;
    esac
  done < "$1"
}

on_start() { # REPLY_FIFO COMMAND…
  local reply=$1
  shift
  case $state:$wanted in
    waiting:* | stopped:*) launch "$@" ;;
    failed:*)
      recent=''
      launch "$@"
      ;;
    running:stopped) wanted=restart ;;
  esac
  answer "$reply"
}

on_restart() { # COMMAND…: for a claim's environment; neither counted nor delayed
  [ "$state" = running ] || { launch "$@"; return; }
  wanted=restart
  end_within 5000
}

on_stop() { # GRACE_MS REPLY_FIFO
  wanted=stopped
  waiters="$waiters $2"
  if [ "$state" = running ]; then end_within "$1"; else finish_stop; fi
}

on_started() { # RUN PID
  [ "$1" = "$run_number" ] || return 0
  pid=$2
  [ "$wanted" = running ] || signal_group TERM # asked to end before its number was known
}

on_exited() { # RUN CODE COMMAND…
  [ "$1" = "$run_number" ] || return 0
  alive='' last_exit=$2
  shift 2
  if [ "$wanted" = running ]; then back_off; else settle "$@"; fi
}

on_due() { # COMMAND…
  now_ms
  [ -n "$due" ] && [ "$now" -ge "$due" ] || return 0
  if [ "$state" = backoff ]; then
    restarts=$((restarts + 1))
    launch "$@"
  else
    settle "$@"
  fi
}

end_within() { # GRACE_MS
  now_ms
  grace_until=$((now + $1)) due=$((now + $1))
  signal_group TERM
}

# It was told to end: is it over, with its whole process group?
settle() { # COMMAND…
  now_ms
  if [ "$now" -ge "$grace_until" ]; then
    signal_group KILL
    [ -z "$alive" ] || { due=$((now + 50)); return; }
  elif [ -n "$alive" ]; then
    due=$grace_until
    return
  elif group_lives; then
    due=$((now + 5)) # nothing announces the end of a grandchild
    return
  fi
  if [ "$wanted" = restart ]; then
    signal_group KILL
    launch "$@"
    answer $waiters
    waiters=''
  else
    finish_stop
  fi
}

finish_stop() {
  sweep
  state=stopped due='' pid=''
  write_state
  answer $waiters
  waiters=''
}

# It ended by itself: again after 0.2 s, doubling to 10 s; a run of ten seconds starts the pauses anew. The fifth end within
# ten minutes is the last: then it is for whoever carries the container to go on (docs/container.md).
back_off() {
  signal_group KILL # what it left behind might still hold its port
  now_ms
  remember_end
  pid=''
  if [ "$ends" -ge 5 ]; then
    state=failed due=''
    write_state
    report false
    return
  fi
  if [ "$backoff_ms" = 0 ] || [ $((now - started_at)) -ge 10000 ]; then
    backoff_ms=200
  else
    backoff_ms=$((backoff_ms * 2))
    [ "$backoff_ms" -le 10000 ] || backoff_ms=10000
  fi
  state=backoff due=$((now + backoff_ms))
  write_state
  report true
}

remember_end() { # at now; sets ends
  local at kept=''
  ends=1
  for at in $recent; do
    [ $((now - at)) -lt 600000 ] || continue
    kept="$kept $at" ends=$((ends + 1))
  done
  recent="$kept $now"
}

report() { # WHETHER_IT_IS_STARTED_AGAIN
  local oom=null
  read_oom_kills
  if [ -n "$oom_kills" ] && [ -n "$oom_kills_before" ]; then
    oom=false
    [ "$oom_kills" -le "$oom_kills_before" ] || oom=true
  fi
  "$lib/report" "$last_exit" "$restarts" "$1" "$oom" < /dev/null 5>&- &
}

# How often the kernel killed something in here for its memory. Empty where that cannot be read: another kernel's files.
read_oom_kills() { # sets oom_kills
  local file key value rest
  oom_kills=''
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ -r "$file" ] || continue
    while read -r key value rest; do
      [ "$key" != oom_kill ] || oom_kills=$value
    done < "$file"
    return 0
  done
}
