"""What runs in pods: fetch, publish, capture, drift. It answers only by exit code and termination message."""
