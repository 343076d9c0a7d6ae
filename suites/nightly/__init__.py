"""Every step and runtime on the digit detector."""
