"""A pytest plugin: the rounds of a launch end after two visits, however slow its arms are.

For tests that assert no time, and for faults that are planted far beyond the noise: a few rounds
show them as well as many.
"""

import pytest
from pytest_perfgate.measure import bench
from pytest_perfgate.session import suite_launches


def pytest_configure(config):
    """Until the session's end."""
    patch = pytest.MonkeyPatch()
    for module in (bench, suite_launches):
        patch.setattr(module, "launch_seconds", lambda _: 0.1)
    config.add_cleanup(patch.undo)
