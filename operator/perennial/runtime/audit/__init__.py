"""The audit log: facts are kept in an outbox in the cluster until a pod of the agent has written them."""
