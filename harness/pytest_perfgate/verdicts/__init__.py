"""Numbers in; verdicts with their bounds and words out. Nothing here reads a file or a clock."""
