is_number "$grace_ms" || fail '400 Bad Request' bad_request 'graceMs must be a whole number'
# Beyond the grace: the time to kill, and to see that nothing is left.
ask "$((grace_ms / 1000 + 10))" stop "$grace_ms" || fail '500 Internal Server Error' stop_failed 'the workload did not end'
respond '200 OK' "{\"bootId\":\"$boot_id\",\"stopped\":true,\"exitCode\":$last_exit}"
