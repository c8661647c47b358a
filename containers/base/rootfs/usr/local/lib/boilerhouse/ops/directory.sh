# Makes sure that a directory is there for a transfer.
. "$lib/directories.sh"
resolve_user
own_directory "$path" || fail '409 Conflict' bad_directory "$problem"
respond '200 OK' "{\"bootId\":\"$boot_id\",\"created\":$created}"
