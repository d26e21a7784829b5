"""`perennial agent fetch`: pull inputs or a published model and verify every byte."""
