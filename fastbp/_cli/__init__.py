"""The command line: one function for each command of `fastbp`."""
