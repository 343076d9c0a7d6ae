"""Plugins that a whole project has for its other tests change nothing of what is measured."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest

from tests.conftest import Project, said

pytest.importorskip("pytest_timeout", reason="python -m pip install pytest-timeout")

PROJECT = """\
import pytest
from _pytest.runner import runtestprotocol


def pytest_collection_modifyitems(items):
    '''As plugins of a random order do, for one that is never the file's.'''
    items.reverse()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    '''As plugins that run failed tests again do.'''
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(2):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""

SETTINGS = """\
[pytest]
addopts = -p no:randomly -p no:hypothesispytest
timeout = 1
timeout_method = thread
faulthandler_timeout = 1
faulthandler_exit_on_timeout = true
"""


def test_a_suite_is_measured_whole_and_once(project: Project) -> None:
    """Limits on the time of a test that are shorter than the measurement, a random order, tests
    that run twice: every budget has its verdict, once.
    """
    project.pytester.makeini(SETTINGS)
    project.pytester.makeconftest(PROJECT)
    result = project.run("-k", "plain", "--junitxml=junit.xml", process=True)
    assert "ERROR" not in project.verdicts().values()
    (suite,) = project.sessions()[-1]["suites"]
    (recipe,) = suite["recipes"]
    assert len(recipe["launches"]) == 1
    assert len(suite["verdicts"]) == 3
    said(result, "3 of 3 budgets were measured")
    for case in ElementTree.parse(project.root / "junit.xml").iter("testcase"):  # noqa: S314 - ours
        names = Counter(entry.get("name") for entry in case.iter("property"))
        assert names["verdict"] == 1
        assert set(names.values()) == {1}
