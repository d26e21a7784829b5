"""`perennial agent fetch`: downloads inputs or a published model and checks it before it is loaded."""
