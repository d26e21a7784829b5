"""What several suites share: a programmable proxy, the operator as a process, the life of pods."""
