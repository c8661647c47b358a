# How the control script answers. Every answer is one write, so that it is one packet.

respond() { # STATUS BODY
  printf 'Status: %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' "$1" "${#2}" "$2"
}

fail() { # STATUS CODE DETAIL
  json_string "$3"
  respond "$1" "{\"bootId\":\"$boot_id\",\"error\":\"$2\",\"detail\":$json}"
  exit 0
}

json_string() { # TEXT; sets json
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\r'/\\r}
  text=${text//$'\t'/\\t}
  case $text in *[![:print:]]*) text=$(printf %s "$text" | tr -d '\000-\037') ;; esac
  json="\"$text\""
}

respond_status() { # with state, restarts, last_exit
  respond '200 OK' "{\"bootId\":\"$boot_id\",\"workload\":\"$state\",\"restarts\":$restarts,\"lastExitCode\":$last_exit}"
}

elapsed() { # sets now_us and since_ms, the time since the last call
  local moment=$EPOCHREALTIME before=${now_us:-0}
  now_us=${moment%.*}${moment#*.}
  since_ms=$(((now_us - before) / 1000))
}

# What takes long ends a little before its caller stops listening, so that the reason is heard. However long that is: how
# large a state may be is for whoever set the deadline.
left() { # sets left_s, the seconds that are left of timeout_ms; at least one
  local moment=$EPOCHREALTIME spent_ms
  spent_ms=$(((${moment%.*}${moment#*.} - ${began%.*}${began#*.}) / 1000))
  left_s=$(((timeout_ms - timeout_ms / 20 - spent_ms) / 1000))
  [ "$left_s" -ge 1 ] || left_s=1
}

# Asks the supervisor and waits for its answer; false when none comes within the limit.
ask() { # LIMIT_SECONDS REQUEST…; sets state, restarts, last_exit
  local limit=$1 reply=reply.$$ outcome
  shift
  mkfifo "$private/$reply"
  exec 7<> "$private/$reply"
  echo "$* $reply" 1<> "$events"
  read -r -t "$limit" state restarts last_exit <&7
  outcome=$?
  rm -f "$private/$reply"
  return $outcome
}

tell() { # REQUEST…: without waiting
  echo "$*" 1<> "$events"
}

is_number() {
  case $1 in '' | *[!0-9]* | ???????????????*) return 1 ;; esac
}
