"""Tests of `pytest_perfgate.live`."""
