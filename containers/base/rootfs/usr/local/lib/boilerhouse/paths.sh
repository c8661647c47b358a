# Where things are inside a container.
lib=/usr/local/lib/boilerhouse
run=/run/boilerhouse
private=$run/private
events=$private/events
