"""What talks to the outside: the API server. The only home of `kubernetes`."""
