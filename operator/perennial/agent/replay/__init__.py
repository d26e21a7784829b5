"""`perennial agent replay`: sends captured requests to a candidate and compares its answers with the captured ones."""
