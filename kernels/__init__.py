"""Arrays in, arrays out: the table of contents of medkern's kernels."""
