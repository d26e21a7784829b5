"""What crosses a process boundary: operator settings, agent commands, termination messages, manifests."""
