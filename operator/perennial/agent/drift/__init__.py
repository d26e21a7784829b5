"""`perennial agent drift`: compares current data with a reference, writes the report and the verdict."""
