"""The exit code of `pytest --perf`: pytest's own, and one more for what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_perfgate.plugin.options import NOT_PROVEN
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.junit_properties import VERDICT

_WORSE = {Status.FAIL.value, Status.PASS.value}  # PASS: another assertion of the test failed


class Failures:
    """Counts failed tests whose budgets are not broken: ERROR, and under `--perf-strict` SKIPPED,
    INCONCLUSIVE, NO BASELINE and NO MACHINE.
    """

    def __init__(self) -> None:
        self._unproven = 0

    def add(self, report: pytest.TestReport) -> None:
        """A report of a test; in the controller of pytest-xdist too."""
        verdict: Any = dict(report.user_properties).get(VERDICT)
        if report.failed and report.when != "teardown" and verdict and verdict not in _WORSE:
            self._unproven += 1

    def exit_code(self, session: pytest.Session, exitstatus: int, problems: int) -> int:
        """The exit code that takes the place of `exitstatus`; `problems` counts absences and
        outputs that could not be written.
        """
        if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} and problems:
            return NOT_PROVEN
        if exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed == self._unproven > 0:
            return NOT_PROVEN
        return exitstatus
