# Starts the agent where it was left out. It listens soon after.
tell agent
respond '200 OK' "{\"bootId\":\"$boot_id\",\"agent\":\"starting\"}"
