"""What a suite's judge reads of the stored baselines, before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.baselines.elsewhere import Here
from pytest_perfgate.baselines.store import Store, read_file
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.session.arms import Arms
from pytest_perfgate.session.suite_judge import SuiteJudge
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.reading import read
from pytest_perfgate.verdicts.evidence import Risk

from tests.baselines.test_store import MACHINE, baseline
from tests.session.test_arms import SUITE


@pytest.mark.parametrize("there", [True, False])
def test_a_baseline_of_another_suite_of_the_name_is_an_error(tmp_path: Path, there: bool) -> None:
    """While that suite is there; after a move the baseline is this suite's."""
    file = tmp_path / "b" / "demo" / "recipes.toml"
    file.parent.mkdir(parents=True)
    file.write_text(SUITE)
    if there:
        (tmp_path / "a" / "demo").mkdir(parents=True)
        (tmp_path / "a" / "demo" / "recipes.toml").write_text(SUITE)
    suite = read(file, tmp_path).suite
    assert suite is not None
    stored = baseline("fp32").model_copy(update={"folder": "a/demo"})
    settings = for_command(tmp_path, "pytest")
    written = Store(settings.baselines).write(stored)
    metrics, wanted = metrics_of(suite.task), {"fp32": ["latency_p50"]}
    arms = Arms(suite, wanted, metrics, None)
    with Bench([], settings, lambda _: None) as bench:
        judge = SuiteJudge(
            suite,
            wanted,
            metrics,
            arms,
            bench,
            store=Store(settings.baselines),
            here=Here(MACHINE, stored.environment),
            base=None,
            risk=Risk(fail=0.01),
            skipped={},
            searches={},
        )
        (verdict,) = judge.verdicts()
        evidence = judge.evidence(suite.recipes["fp32"])
    assert verdict.status is Status.ERROR
    assert ("the suite in a/demo, which has the name" in verdict.reason) is there
    assert evidence.baseline == (None if there else read_file(written))
