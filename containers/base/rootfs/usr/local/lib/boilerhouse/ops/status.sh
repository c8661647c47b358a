read -r state restarts last_exit < "$private/state"
respond '200 OK' "{\"bootId\":\"$boot_id\",\"workload\":\"$state\",\"restarts\":$restarts,\"lastExitCode\":$last_exit}"
