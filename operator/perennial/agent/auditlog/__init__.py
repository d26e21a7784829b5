"""The audit log in storage: segments, lines and the chain between them."""
