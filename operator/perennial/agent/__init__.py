"""Commands that run in users' pods: fetch, publish, capture, poll, drift. They report by exit code and message."""
