"""`perennial agent evaluate`: lets two revisions score the same labelled rows and measures quality and fairness."""
