"""Several commits of one project, measured in the same launches."""
