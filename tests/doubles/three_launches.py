"""A pytest plugin: sessions measure three launches, the fewest that tell slower code from a base.

Beside a base the allowed error is shared by both directions, so two launches prove nothing.
"""

from one_launch import measure


def pytest_configure(config):
    """Three launches."""
    measure(config, 3)
