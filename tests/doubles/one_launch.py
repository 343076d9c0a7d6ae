"""A pytest plugin: sessions measure one launch, for tests that assert no time.

No bound on times can be proven from one launch, so verdicts on times stay INCONCLUSIVE or come out
as they would; what else a session does is whole.
"""

import pytest
from pytest_perfgate.baselines import update
from pytest_perfgate.measure import bench
from pytest_perfgate.session import suite_launches
from pytest_perfgate.worker.protocol import LaunchPlan
from pytest_perfgate.workloads.varied_images import ROUNDS


def measure(config, launches):
    """Sets how many launches a session measures, until its end."""
    constants = pytest.MonkeyPatch()
    for name in ("_FEWEST", "_MOST"):
        constants.setattr(suite_launches, name, launches)
    constants.setattr(update, "FEWEST_LAUNCHES", launches)
    config.add_cleanup(constants.undo)


def pytest_configure(config):
    """One launch, of one visit where the launches are short."""
    measure(config, 1)
    if config.pluginmanager.has_plugin("short_launches"):
        patch = pytest.MonkeyPatch()
        patch.setattr(bench, "LaunchPlan", lambda **plan: LaunchPlan(**plan | {"rounds": ROUNDS}))
        config.add_cleanup(patch.undo)
