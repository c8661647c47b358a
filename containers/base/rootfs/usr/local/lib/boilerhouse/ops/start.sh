ask 10 start || fail '500 Internal Server Error' start_failed 'the supervisor does not answer'
respond '200 OK' "{\"bootId\":\"$boot_id\",\"workload\":\"$state\"}"
