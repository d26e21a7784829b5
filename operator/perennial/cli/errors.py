"""The one error that commands show to a user."""


class CliError(Exception):
    """What is wrong and what to do next. Printed as text; the command exits with status 1."""
