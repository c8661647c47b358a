# Directories that the workload may have made: nothing of ours follows a symlink into or through them.

as_user() { # COMMAND…
  /usr/bin/setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs -- "$@"
}

# Every component of PATH is a directory and no symlink afterwards, or was a moment ago. What is missing is created, the
# workload's. As root only below directories that nobody else can change: what is swapped for a symlink meanwhile then
# leads no further than its owner could go.
own_directory() { # PATH; sets created, or problem
  local rest=${1#/} at='' name trusted=yes attributes
  created=false problem=''
  case $1 in
    /*) ;;
    *) problem='path must be absolute'; return 1 ;;
  esac
  while [ -n "$rest" ]; do
    name=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
    at=$at/$name
    case $name in '' | . | .. | *[!A-Za-z0-9._@-]*) problem="$1 is no such path"; return 1 ;; esac
    if [ -L "$at" ]; then problem="$at is a symlink"; return 1; fi
    if [ ! -d "$at" ]; then
      if [ -e "$at" ]; then problem="$at is not a directory"; return 1; fi
      if [ -n "$trusted" ]; then
        mkdir -m 0755 "$at" && { [ -n "$rest" ] || chown -h "$uid:$gid" "$at"; }
      else
        as_user mkdir -m 0755 "$at" 2> /dev/null
      fi || { problem="$at cannot be created"; return 1; }
      created=true
    fi
    attributes=$(stat -c '%u %A' "$at")
    case $attributes in 0\ d????-??-*) ;; *) trusted='' ;; esac # root's, and nobody else's to change
  done
}
