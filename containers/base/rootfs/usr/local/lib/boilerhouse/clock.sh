# Since when a file of the state directory may differ from what the vault has: the baseline, in ns by the clock that stamps
# inodes (it runs some milliseconds behind the other one), and beside it how far that clock was ahead of the uptime, in
# hundredths of a second. A clock that was set in between makes every later comparison worthless, so there is no baseline then.

tick() { # sets tick: when a file that is changed now would say that it was
  touch "$private/tick"
  tick=$(stat -c %.9Z "$private/tick")
  tick=${tick%.*}${tick#*.}
}

ahead_of_uptime() { # NS; sets ahead
  local up rest
  read -r up rest < /proc/uptime
  ahead=$(($1 / 10000000 - ${up%.*}${up#*.}))
}

set_baseline() { # NS NOW_NS
  ahead_of_uptime "$2"
  echo "$1 $ahead" > "$private/baseline"
}

read_baseline() { # NOW_NS; sets baseline, empty when there is none
  local before=''
  baseline=''
  [ -e "$private/baseline" ] || return 0
  read -r baseline before < "$private/baseline" || return 0
  ahead_of_uptime "$1"
  ahead=$((ahead - before))
  [ "${ahead#-}" -le 100 ] || baseline=''
}
