"""What a session does not ask of a host of ssh."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.recipe_record import Failure, Link, RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.session import on_target
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.targets_file import Target

DESK = Target("desk", "ssh", "desk")


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"base_env": "onnxruntime==1.30"}, "--perf-base-env"), ({"share": object()}, "--perf-cores")],
)
def test_what_is_not_built_there_is_an_error(asked: dict[str, Any], words: str) -> None:
    """It names the option and the target, and how to go on without either."""
    settings: Any = SimpleNamespace(**{"base_env": "", "share": None, **asked})
    with pytest.raises(PerfgateError, match=words) as raised:
        on_target._refuse_others(DESK, settings)
    assert raised.value.next_step == "leave it out, or leave out the target: -k 'not desk'"


def test_a_suite_file_that_has_changed_is_not_measured(tmp_path: Path) -> None:
    """The host would judge by limits that this session has not read; white space is no change."""
    file = tmp_path / "recipes.toml"
    settings: Any = SimpleNamespace(root=tmp_path)
    read = SuiteFile(file, None, data={"limit": 1})
    file.write_text("limit  = 1\n")
    on_target._refuse_changed(read, settings)
    for text in ("limit = 2\n", "limit = ", None):
        file.unlink() if text is None else file.write_text(text)
        with pytest.raises(PerfgateError, match=r"recipes.toml: the suite file has changed since"):
            on_target._refuse_changed(read, settings)


def test_the_record_says_what_was_built_where() -> None:
    """Nothing is said where the target has built all."""

    def suite(*machines: str) -> Any:
        links = [
            Link(step=step, options={}, effect={}, seconds=1.0, cached=False, key="", machine=one)
            for step, one in zip(("model", "export", "tensorrt"), machines, strict=True)
        ]
        return SimpleNamespace(recipes=[SimpleNamespace(name="trt", lineage=links)])

    assert on_target.built_where(suite("", "", "")) == ()
    assert on_target.built_where(suite("epyc", "epyc", "")) == (
        "built on epyc and copied to the target: trt: model, export",
        "built on the target: trt: tensorrt",
    )


def test_a_failure_of_a_whole_suite_names_the_host() -> None:
    """A disk that is full there would be freed here. A recipe's own failure is as it was."""
    full, own = (Failure(stage="suite", problem=words) for words in ("disk full", "no torch"))
    record = SuiteRecord.model_construct(
        failure=full,
        recipes=tuple(RecipeRecord.model_construct(failure=one) for one in (full, own)),
        verdicts=tuple(Verdict.model_construct(reason=one.problem) for one in (full, own)),
    )
    named = on_target.failed_on(record, "desk")
    assert named.failure is not None
    assert named.failure.problem == "desk: disk full"
    assert [one.failure for one in named.recipes] == [named.failure, own]
    assert [one.reason for one in named.verdicts] == ["desk: disk full", "no torch"]
    measured = record.model_copy(update={"failure": None})
    assert on_target.failed_on(measured, "desk") is measured
