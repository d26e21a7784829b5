"""The Job of one attempt: how it is built, suspended and queued."""
