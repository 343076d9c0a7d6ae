"""Other hosts that suites are measured on: what is copied there, and what they answer."""
