# What the file operations share. They run as the workload's user, on paths that the workload may change meanwhile.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022
hashed=5000000 # bytes up to which an entity tag is the SHA-256 of the content; above it is size and mod-time (src/files/etag.ts)

refuse() { # STATUS CODE DETAIL…
  echo "no $*"
  exit 0
}

# Goes to the directory in which PATH's last name lies, and sets name. One name at a time, each looked at after it was entered: a
# symlink leads elsewhere than its name says. Once in a directory we stay in it, whatever is renamed around it.
enter() { # VOLUME PATH [make]: with `make`, missing directories are made
  local rest=$2
  go_to_volume "$1"
  while :; do
    case $rest in */*) ;; *) break ;; esac
    step "${rest%%/*}" "${3:-}"
    rest=${rest#*/}
  done
  name=$rest
}

# Symlinks that the image made on the way to a volume are fine; those of anyone else are not.
go_to_volume() { # VOLUME; sets here
  local at='' rest=${1#/}/
  cd -P -- "$1" 2> /dev/null || refuse 404 no_file 'the volume is not there'
  here=$PWD
  [ "$here" != "$1" ] || return 0
  while [ -n "$rest" ]; do
    at=$at/${rest%%/*} rest=${rest#*/}
    [ ! -L "$at" ] || [ "$(stat -c %u "$at")" = 0 ] || refuse 409 is_symlink 'the volume lies behind a symlink'
  done
}

step() { # NAME [make]
  if ! cd -P -- "./$1" 2> /dev/null; then
    kind_of "$1"
    case $kind:$2 in
      directory:*) refuse 403 denied 'a directory on the way may not be entered by the user of the workload' ;;
      symlink:*) refuse 409 is_symlink 'a part of the path is a symlink' ;;
      none:make) make_directory "$1" ;;
      none:*) refuse 404 no_file 'a directory on the way is not there' ;;
      *:make) refuse 409 not_directory 'a part of the path is no directory' ;;
      *) refuse 404 no_file 'a part of the path is no directory' ;;
    esac
    cd -P -- "./$1" 2> /dev/null || refuse 409 changed 'a directory on the way changed meanwhile'
  fi
  case $here in /) here=/$1 ;; *) here=$here/$1 ;; esac
  [ "$PWD" = "$here" ] || refuse 409 is_symlink 'a part of the path is a symlink'
}

make_directory() { # NAME
  local problem
  problem=$(mkdir "./$1" 2>&1) || [ -d "./$1" ] || failed_by "$problem"
}

kind_of() { # NAME; sets kind
  if [ -L "./$1" ]; then kind=symlink
  elif [ -f "./$1" ]; then kind=file
  elif [ -d "./$1" ]; then kind=directory
  elif [ -e "./$1" ]; then kind=special
  else kind=none; fi
}

only_file() { # with kind; `none` and `file` pass
  case $kind in
    symlink) refuse 409 is_symlink 'it is a symlink' ;;
    directory) refuse 409 is_directory 'it is a directory' ;;
    special) refuse 409 is_special 'it is a device, a socket or a pipe' ;;
  esac
}

failed_by() { # what a program said
  case $1 in
    *'No space left'* | *'quota exceeded'*) refuse 507 disk_full 'no space is left on the disk of the container' ;;
    *'File name too long'*) refuse 400 name_too_long 'a name in the path is longer than 255 bytes' ;;
    *'ermission denied'* | *'Read-only'* | *'not permitted'*) refuse 403 denied 'the user of the workload may not do this' ;;
    *) refuse 500 file_failed 'it could not be done' ;;
  esac
}

# What an open file, or ./NAME, is: sets size, mode and mtime (ns).
facts_of() { # FILE
  local seconds
  read -r size mode seconds << END
$(stat -L -c '%s %a %.9Y' "$1")
END
  mtime=${seconds%.*}${seconds#*.}
}

tag_of() { # FILE, after facts_of; sets tag
  tag=$size-$mtime
  [ "$size" -gt "$hashed" ] || { tag=$(sha256sum < "$1") && tag=${tag%% *}; }
}

# Whether what there is now fulfils the conditions: MATCH a tag or *, NONE_MATCH *; empty asks nothing. Others that write to this
# directory wait until we are done.
check_conditions() { # MATCH NONE_MATCH
  exec 9< .
  flock -w 10 9 || refuse 409 changed 'the directory is being written to by others'
  kind_of "$name"
  only_file
  [ -z "$2" ] || [ "$kind" = none ] || refuse 412 precondition 'it exists'
  [ -n "$1" ] || return 0
  [ "$kind" = file ] || refuse 412 precondition 'it does not exist'
  [ "$1" != '*' ] || return 0
  facts_of "./$name"
  tag_of "./$name"
  [ "$tag" = "$1" ] || refuse 412 precondition 'it changed'
}
