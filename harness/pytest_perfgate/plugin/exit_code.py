"""The exit code of `pytest --perf`: pytest's own, and one more for what was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plugin.options import NOT_PROVEN
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.junit_properties import VERDICT
from pytest_perfgate.units import count_of

_WORSE = {Status.FAIL.value, Status.PASS.value}  # PASS: another assertion of the test failed
_RED = {Status.FAIL.value, Status.ERROR.value}
_RED_WHEN_STRICT = _RED | {Status.INCONCLUSIVE.value, Status.NO_BASELINE.value}
_SHOWN = 3


@dataclass
class _Outcome:
    """What became of a test that has a verdict.

    Attributes:
        status: of the verdict.
        is_failed: whether a phase of it failed.
        is_expected: whether a mark turned its failure into an expected one (`xfail`).
    """

    status: str
    is_failed: bool = False
    is_expected: bool = False

    def is_unheeded(self, *, strict: bool) -> bool:
        """Whether the verdict is red and the test is not."""
        if self.is_failed:
            return False
        if self.is_expected:
            return self.status != Status.PASS.value and (strict or self.status in _RED)
        return self.status in (_RED_WHEN_STRICT if strict else _RED)


class Failures:
    """What tests make of their verdicts: failed tests whose budgets are not broken (ERROR, and
    under `--perf-strict` SKIPPED, INCONCLUSIVE, NO BASELINE and NO MACHINE), and tests that did not
    fail though their verdicts are red.
    """

    def __init__(self) -> None:
        self._unproven = 0
        self._outcomes: dict[str, _Outcome] = {}

    def add(self, report: pytest.TestReport) -> None:
        """A report of a test; in the controller of pytest-xdist too."""
        verdict: Any = dict(report.user_properties).get(VERDICT)
        if not verdict:
            return
        outcome = self._outcomes.setdefault(report.nodeid, _Outcome(verdict))
        outcome.is_failed |= report.failed
        outcome.is_expected |= hasattr(report, "wasxfail")
        if report.failed and report.when != "teardown" and verdict not in _WORSE:
            self._unproven += 1

    def unheeded(self, *, strict: bool) -> tuple[list[PerfgateError], list[PerfgateError]]:
        """Tests that are green though their verdicts are not, in two parts: those that turn the
        session red, and those that are only shown, since a mark of the project expects the failure
        and `strict` is not set.
        """
        tests = {
            test: one for test, one in self._outcomes.items() if one.is_unheeded(strict=strict)
        }
        expected = [test for test, one in tests.items() if one.is_expected]
        ignored = [test for test in tests if test not in expected]
        by_mark = self._named(expected, "an xfail mark expects the failure", "take the mark off")
        by_test = self._named(
            ignored,
            "the test does not fail by it",
            "call budget.check() in the test: def test_budget(budget): budget.check()",
        )
        return (by_test + by_mark, []) if strict else (by_test, by_mark)

    def _named(self, tests: list[str], why: str, remedy: str) -> list[PerfgateError]:
        if not tests:
            return []
        shown = ", ".join(f"{test} ({self._outcomes[test].status})" for test in tests[:_SHOWN])
        more = f" and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else ""
        verdicts = f"{count_of(len(tests), 'verdict')} without effect, because {why}"
        return [PerfgateError(f"{verdicts}: {shown}{more}", next_step=remedy)]

    def exit_code(
        self,
        session: pytest.Session,
        exitstatus: int,
        problems: int,
        *,
        strict: bool,
        broken: int = 0,
    ) -> int:
        """The exit code that takes the place of `exitstatus`; `problems` counts absences, verdicts
        without effect and outputs that could not be written, `broken` the verdicts that are FAIL,
        those of tests that did not run any more (`-x`) too.
        """
        ends = {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        if exitstatus in {*ends, pytest.ExitCode.TESTS_FAILED} and self._hides_a_broken(
            strict=strict
        ):
            return pytest.ExitCode.TESTS_FAILED
        if exitstatus in ends and problems:
            return NOT_PROVEN
        if exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed == self._unproven > 0:
            heard = sum(one.status == Status.FAIL.value for one in self._outcomes.values())
            return NOT_PROVEN if heard >= broken else pytest.ExitCode.TESTS_FAILED
        return exitstatus

    def _hides_a_broken(self, *, strict: bool) -> bool:
        return any(
            one.status == Status.FAIL.value
            and one.is_unheeded(strict=strict)
            and (strict or not one.is_expected)
            for one in self._outcomes.values()
        )
