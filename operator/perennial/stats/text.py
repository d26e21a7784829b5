"""Numbers as categories. Apart from `samples`, so that a process without numpy can use it."""


def number_text(value: float) -> str:
    """Format a number as a category. Whole numbers have no decimal point, so that 1 and 1.0 are one."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
