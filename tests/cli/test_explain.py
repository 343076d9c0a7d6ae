"""Where a chain is cut, and which link is named for a lost budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.cli.explain_chain import cuts, lines
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.suite.lookup import find
from pytest_perfgate.suite.metrics import metrics_of

from tests.sources.graphs import IMAGES

SUITE = """
[suite]
task = "detection"
model = "model:build"
data = { calibration = "data:few", validation = "data:all" }

[[recipe]]
name = "fp32"
runtime = "torch"

[[recipe]]
name = "onnx"
from = "fp32"
steps = [{ channels_last = true }, { export = "onnx" }]
runtime = "onnxruntime"

[[recipe]]
name = "int8"
from = "onnx"
steps = [{ quantize = "static" }]
runtime = { name = "openvino", precision = "f32" }
[recipe.budgets]
map = { drop = 0.01, regression = 0.01 }
latency_p50 = { regression = "5%" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with that suite."""
    (tmp_path / "suites" / "cars").mkdir(parents=True)
    (tmp_path / "suites" / "cars" / "recipes.toml").write_text(SUITE)
    return tmp_path


def test_a_chain_is_cut_after_every_link(folder: Path) -> None:
    """Each step, and the change of the runtime, is a link; each piece runs where it can."""
    suite, recipe = find("int8", folder, folder / "suites")
    pieces = cuts(suite, recipe)
    assert [piece.link.split("(")[0] for piece in pieces] == [
        "fp32, on torch",
        "+ channels_last",
        "+ export",
        "+ quantize",
    ]
    assert pieces[2].link.endswith(", on openvino")  # torch does not take what it gives
    assert [piece.recipe.runtime.name for piece in pieces] == ["torch", "torch", *["openvino"] * 2]
    assert [len(piece.recipe.chain) for piece in pieces] == [0, 1, 2, 3]
    assert pieces[-1].recipe.runtime == recipe.runtime
    assert pieces[-1].recipe.chain == recipe.chain


def test_a_change_of_the_runtime_is_a_link_of_its_own(folder: Path) -> None:
    """A recipe that adds nothing but a runtime is cut there."""
    file = folder / "suites" / "cars" / "recipes.toml"
    file.write_text(
        SUITE.replace('model:build"', 'detector.onnx"')
        .replace('runtime = "torch"', 'runtime = "onnxruntime"', 1)
        .replace('steps = [{ channels_last = true }, { export = "onnx" }]\n', "")
    )
    (file.parent / "detector.onnx").write_bytes(IMAGES)
    pieces = cuts(*find("int8", folder, folder / "suites"))
    assert [piece.recipe.runtime.name for piece in pieces] == ["onnxruntime"] * 2 + ["openvino"]
    assert pieces[-1].link.startswith("+ the runtime openvino(precision=f32")


def test_pieces_have_the_budgets_that_need_no_baseline(folder: Path) -> None:
    """`drop` stays, `regression` does not: no baseline of a piece is stored."""
    pieces = cuts(*find("cars/int8", folder, folder / "suites"))
    for piece in pieces[1:]:
        (budget,) = piece.recipe.budgets
        assert budget.metric == "map"
        assert [limit.kind.value for limit in budget.limits] == ["drop"]


def test_a_recipe_without_a_link_is_refused(folder: Path) -> None:
    """Before anything is measured, with those that have one."""
    with pytest.raises(RecipeError, match="'fp32' is the reference: there is no link") as reported:
        cuts(*find("fp32", folder, folder / "suites"))
    assert reported.value.valid == "onnx, int8"


def test_an_unknown_recipe_is_told_what_there_is(folder: Path) -> None:
    """With the nearest name."""
    with pytest.raises(RecipeError, match="no recipe 'int9'") as reported:
        find("int9", folder, folder / "suites")
    assert "int8" in reported.value.valid


def test_a_recipe_with_errors_says_them(folder: Path) -> None:
    """As pytest --perf does."""
    file = folder / "suites" / "cars" / "recipes.toml"
    file.write_text(SUITE.replace('quantize = "static"', 'quantise = "static"'))
    with pytest.raises(RecipeError, match="quantise"):
        find("int8", folder, folder / "suites")


def test_the_link_that_lost_a_budget_is_named(folder: Path) -> None:
    """The first piece after the last one that keeps it."""
    pieces = cuts(*find("int8", folder, folder / "suites"))
    lost = len(pieces) - 2
    verdicts = [
        Verdict(
            recipe=piece.recipe.name,
            metric="map",
            status=Status.FAIL if number >= lost else Status.PASS,
            unit="score",
            reason="map is -0.2 to its reference",
        )
        for number, piece in enumerate(pieces)
        if number
    ]
    record = SuiteRecord(
        name="cars",
        folder="suites/cars",
        task="detection",
        model="model:build",
        recipes=tuple(RecipeRecord(name=piece.recipe.name, reference="fp32") for piece in pieces),
        verdicts=tuple(verdicts),
    )
    reported = " ".join(" ".join(lines(pieces, record, metrics_of("detection"))).split())
    assert f"map: lost by {pieces[lost].link[2:].split('(')[0]}" in reported
