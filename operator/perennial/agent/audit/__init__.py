"""Command `audit`: append to the audit log, verify it, show entries of it."""
