"""The worker processes, `python -m pytest_perfgate.worker`: they build, evaluate and are timed."""
