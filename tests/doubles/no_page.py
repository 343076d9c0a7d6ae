"""A pytest plugin: sessions store their results and draw no page, for tests that look at none.

The library that draws takes longer to load than most sessions of tests take to measure.
"""

import pytest
from pytest_perfgate.report import publish


def pytest_configure(config):
    """Until the session's end."""
    patch = pytest.MonkeyPatch()
    patch.setattr(publish, "draw", lambda file: file.with_suffix(".html"))
    config.add_cleanup(patch.undo)
