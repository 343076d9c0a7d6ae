"""The fuzzer of models in workers: it must be able to tell a refusal of its own making."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import models
from tests.faults.models import fuzz_models

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")


def test_a_damaged_model_is_refused_and_the_whole_one_read(tmp_path: Path) -> None:
    """The whole one is built and evaluated by a worker, and does not count among the damaged."""
    outcome = fuzz_models(1, tmp_path)
    assert not outcome.findings, outcome.findings[0].problem
    assert outcome.read + outcome.refused == 1
    assert outcome.slowest > 0


def test_a_whole_model_that_is_refused_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was fuzzed where each model is refused for the fuzzer's own suite."""
    monkeypatch.setattr(models, "SUITE", models.SUITE.replace("[suite]", "[suit]"))
    (finding,) = fuzz_models(0, tmp_path).findings
    assert finding.problem == "the whole model was refused"
