"""A pytest plugin: the rounds of a launch end after two visits, however slow its arms are, and it
is started when the one before it has ended.

For tests that assert no time, and for faults that are planted far beyond the noise: a few rounds
show them as well as many. A launch that is started ahead is of use only where another one follows.
"""

import pytest
from pytest_perfgate.measure import bench
from pytest_perfgate.session import suite_launches


def pytest_configure(config):
    """Until the session's end."""
    patch = pytest.MonkeyPatch()
    patch.setattr(bench.Bench, "_has_room_ahead", lambda _: False)
    for module in (bench, suite_launches):
        patch.setattr(module, "launch_seconds", lambda _: 0.1)
    config.add_cleanup(patch.undo)
