"""The report: one HTML page and one JSON per session, the terminal summary, interop."""
