"""A search on the demo detector, for `docs/steps.md`."""
