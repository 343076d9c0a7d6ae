"""Test configuration of the project itself."""

pytest_plugins = ["pytester"]
