"""A pytest plugin: whatever else this machine does, each launch counts as a steady one.

For tests of what a session of many launches stores; beside other work nothing would be.
"""

import pytest
from pytest_perfgate.machine import steadiness


def pytest_configure(config):
    """Until the session's end."""
    patch = pytest.MonkeyPatch()
    patch.setattr(steadiness, "severity", lambda _: 0.0)
    config.add_cleanup(patch.undo)
