"""`perennial agent drift`: compare a window with the reference, write the report, return a verdict."""
