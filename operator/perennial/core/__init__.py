"""Code shared by the three controllers: names, labels, conditions, decisions. Pure, without I/O."""
