"""The digit detector behind a server."""
