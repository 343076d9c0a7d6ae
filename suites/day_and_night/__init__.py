"""The digit detector by day and by night, and on a camera that is out of focus."""
