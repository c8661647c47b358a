read -r state restarts last_exit < "$private/state"
respond_status
