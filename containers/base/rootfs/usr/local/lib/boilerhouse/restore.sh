# Restores the state directory from one bundle: extracted beside it, verified, then swapped in by rename, so that the
# workload sees all of it or nothing.

restore() { # PATH FILES BYTES; sets restore_ms and verify_ms, or problem
  local nursery=${state_dir%/*}/.restoring staging
  problem=''
  [ -n "$state_dir" ] || { problem='there is no state directory'; return 1; }
  rm -rf "$nursery"
  # ext4 puts the files of a directory near its parent's, where, on a machine that removes containers all the time, it
  # has to pass over every inode that was freed in the last half minute (a thousand files: 0.6 s instead of 0.05). Under
  # a directory with this flag it chooses a place by the name instead; other file systems do not know it.
  mkdir -p -m 0700 "$nursery" && { chattr +T "$nursery" 2> /dev/null; :; }
  staging=$nursery/$EPOCHREALTIME
  mkdir -m 0700 "$staging" || { problem='no room beside the state directory'; return 1; }
  if fetch_tree "$1" "$staging" && verify_tree "$staging" "$2" "$3" && tick && swap_in "$staging"; then
    set_baseline "$tick" "$tick" # nobody has written yet
    rm -rf "$nursery" > /dev/null 2>&1 < /dev/null &
    return 0
  fi
  rm -rf "$nursery"
  return 1
}

fetch_tree() { # PATH STAGING
  local said fetched
  elapsed
  left
  # What they say is kept in memory: the disk may be full of what is being restored.
  said=$(
    set -o pipefail
    {
      curl -q -sS --fail --connect-timeout 5 --max-time "$left_s" -H "@$private/headers" "http://sink.internal/$1" |
        tar -x --same-owner --same-permissions --numeric-owner --delay-directory-restore -f - -C "$2"
    } 2>&1 | { head -c 2000; cat > /dev/null; }
  )
  fetched=$?
  elapsed
  restore_ms=$since_ms
  [ "$fetched" = 0 ] || problem="the bundle could not be fetched: $said"
  return "$fetched"
}

# `sums` comes last in the stream, so a stream that broke off has none.
verify_tree() { # STAGING FILES BYTES
  local counted=$private/restore.counted found_files='' found_bytes=''
  if ! cd "$1/tree" 2> /dev/null || [ ! -e ../sums ]; then
    problem='the bundle is truncated'
    return 1
  fi
  # Counted beside the hashing, which takes longer.
  find . \( -type f -o -type l \) -printf '%y %s\n' |
    awk '{ files++ } $1 == "f" { bytes += $2 } END { printf "%.0f %.0f\n", files, bytes }' > "$counted" &
  left
  [ ! -s ../sums ] || problem=$(timeout "$left_s" sha256sum --check --quiet --strict ../sums 2>&1) ||
    problem="the files do not match their sums: $(printf %s "$problem" | head -c 1000)"
  [ -n "$problem" ] || verify_parts
  wait
  read -r found_files found_bytes < "$counted"
  elapsed
  verify_ms=$since_ms
  if [ "$found_files $found_bytes" != "$2 $3" ]; then
    problem="$found_files files of $found_bytes bytes instead of $2 of $3. $problem"
  fi
  cd / && [ -z "$problem" ]
}

# Files that were uploaded in parts: their hash is the hash of the parts' hashes.
verify_parts() { # sets problem
  local line size hash path actual
  [ -s ../parts ] || return 0
  while IFS= read -r line; do # a path may begin or end with blanks
    size=${line%% *} line=${line#* }
    hash=${line%% *} path=${line#* }
    # As sha256sum does: a line that begins with a backslash has escapes in its path.
    case $size in
      \\*)
        size=${size#\\}
        path=$(printf '%b.' "$path")
        path=${path%.}
        ;;
    esac
    left
    actual=$(timeout "$left_s" split -b "$size" --filter='sha256sum | cut -c 1-64' -- "$path" < /dev/null | sha256sum)
    [ "${actual%% *}" = "$hash" ] || { problem="$path: does not match its parts"; return 0; }
  done < ../parts
}

swap_in() { # STAGING
  mv -T "$1/tree" "$state_dir" && return 0
  problem='the restored directory could not be moved into place'
  return 1
}
