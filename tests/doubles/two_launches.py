"""A pytest plugin: sessions measure two launches, the fewest whose times can be told from others.

They are too few to call a machine loud, so tests that write baselines can run beside other work.
"""

from one_launch import measure


def pytest_configure(config):
    """Two launches."""
    measure(config, 2)
