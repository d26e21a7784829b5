"""What the three rooms share: names, quantities, conditions, decisions. Pure, with no third-party I/O."""
