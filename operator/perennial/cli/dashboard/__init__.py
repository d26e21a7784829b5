"""`kubectl perennial dashboard`: a read-only web page on this machine, served with the user's own credentials."""
