"""`kubectl perennial`: shows the loop, explains causes and carries out acts of people, with the user's credentials."""
