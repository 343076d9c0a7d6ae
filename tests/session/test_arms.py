"""Which arms a suite has, and which take turns at every inference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.session.arms import Arms
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.metrics import metrics_of

SUITE = """
[suite]
task = "detection"
model = "model:build"
data = { validation = "data:validation" }

[[recipe]]
name = "fp32"
runtime = "torch"
[recipe.budgets]
latency_p50 = { max = "1 s", regression = "5%" }

[[recipe]]
name = "fast"
from = "fp32"
runtime = "torch"
[recipe.budgets]
latency_p50 = { speedup = 1.5, regression = "5%" }
peak_memory = { regression = "5%" }

[[recipe]]
name = "plain"
from = "fp32"
runtime = "torch"
[recipe.budgets]
latency_p50 = { regression = "5%" }
"""


def arms(folder: Path, wanted: dict[str, list[str]], *, base: bool = False) -> Arms:
    """Those of the suite above."""
    file = folder / "recipes.toml"
    file.write_text(SUITE)
    suite = reading.read(file, folder).suite
    assert suite is not None
    tree = BaseTree(Commit("main", "0" * 40, folder, ""), folder) if base else None
    return Arms(suite, wanted, metrics_of(suite.task), tree)


def open_verdict(recipe: str, kind: str) -> Verdict:
    """One whose limit of this kind is still open."""
    limit = LimitResult(
        kind=kind, text="5%", status=Status.INCONCLUSIVE, limit=0.05, reason="too few launches"
    )
    return Verdict(
        recipe=recipe,
        metric="latency_p50",
        status=Status.INCONCLUSIVE,
        unit="s",
        limits=(limit,),
        reason="too few launches",
    )


def test_a_recipe_takes_turns_with_its_reference(tmp_path: Path) -> None:
    """And the reference with its unchanged copy, which nobody has to ask for."""
    result = arms(tmp_path, {"fast": ["latency_p50"]})
    assert result.blocks() == [("fp32", "fp32@copy"), ("fast", "fp32")]


def test_with_a_base_a_recipe_takes_turns_with_itself_there(tmp_path: Path) -> None:
    """With its reference too only where a limit asks for that."""
    wanted = {"fast": ["latency_p50"], "plain": ["latency_p50"]}
    result = arms(tmp_path, wanted, base=True)
    assert result.blocks() == [
        ("fp32", "fp32@copy"),
        ("fast", "fast@base", "fp32"),
        ("plain", "plain@base"),
    ]


@pytest.mark.parametrize(
    ("kind", "base", "block"),
    [
        ("max", False, ("fast",)),
        ("speedup", False, ("fast", "fp32")),
        ("regression", False, ("fast", "fp32")),
        ("regression", True, ("fast", "fast@base")),
        ("speedup", True, ("fast", "fp32")),
    ],
)
def test_what_is_decided_leaves(
    tmp_path: Path, kind: str, base: bool, block: tuple[str, ...]
) -> None:
    """Only the arms that the open limit compares stay, and the pair of unchanged copies."""
    result = arms(tmp_path, {"fast": ["latency_p50"], "plain": ["latency_p50"]}, base=base)
    blocks = result.blocks([open_verdict("fast", kind)])
    assert sorted(blocks) == sorted([block, ("fp32", "fp32@copy")])


def test_with_nothing_open_nothing_is_measured(tmp_path: Path) -> None:
    """Not even the copy."""
    assert arms(tmp_path, {"fast": ["latency_p50"]}).blocks([]) == []


def test_a_recipe_that_is_not_at_the_base_takes_turns_without_it(tmp_path: Path) -> None:
    """It is new: there is nothing to compare it with, and it is measured all the same."""
    result = arms(tmp_path, {"fast": ["latency_p50"], "plain": ["latency_p50"]}, base=True)
    (tmp_path / "recipes.toml").write_text(SUITE.replace('name = "plain"', 'name = "other"'))
    labels = {arm.label for arm in result.all(())}
    assert "plain@base" not in labels
    assert ("plain",) in result.blocks()
    assert {label for block in result.blocks() for label in block} <= labels


def test_every_arm_of_a_block_exists(tmp_path: Path) -> None:
    """A block names labels of arms, with and without a base."""
    for base in (False, True):
        result = arms(tmp_path, {"fast": ["latency_p50"]}, base=base)
        labels = {arm.label for arm in result.all(())}
        assert {label for block in result.blocks() for label in block} <= labels


SEARCHED = (
    SUITE
    + """
[[recipe]]
name = "found"
from = "fp32"
runtime = { name = "torch", threads = { search = { choices = [1, 2] } } }
search = { trials = 2 }
[recipe.budgets]
map = { drop = 0.01 }
"""
)


@pytest.mark.parametrize(
    ("option", "same"), [("threads = {", True), ("threads = 1, compile = {", False)]
)
def test_the_base_gets_the_values_that_were_found_here(
    tmp_path: Path, option: str, same: bool
) -> None:
    """Two versions of the code are compared by one recipe; where it has no such ranges, not."""
    (tmp_path / "base").mkdir()
    base = SEARCHED.replace("threads = {", option)
    if not same:
        base = base.replace("[1, 2]", "[true, false]")
    (tmp_path / "base" / "recipes.toml").write_text(base)
    file = tmp_path / "recipes.toml"
    file.write_text(SEARCHED)
    read = reading.read(file, tmp_path)
    assert read.suite is not None
    values = {"runtime.threads": 2}
    result = reading.filled(read, tmp_path, "found", values)
    suite = replace(read.suite, recipes={**read.suite.recipes, "found": result})
    tree = BaseTree(Commit("main", "0" * 40, tmp_path, ""), tmp_path / "base")
    metrics = metrics_of(suite.task)
    ours = Arms(suite, {"found": ["map"]}, metrics, tree, values={"found": values})
    other = [arm for arm in ours.all([]) if arm.label == "found@base"]
    if same:
        assert [arm.recipe for arm in other] == [result]
        assert [arm.suite.recipes["found"] for arm in other] == [result]
    else:
        assert other == []
        assert "do not allow the values" in ours.problems["found"]


def test_nothing_is_needed_beside_a_recipe_that_will_not_be_measured(tmp_path: Path) -> None:
    """Its reference neither; one that is asked for itself stays."""
    file = tmp_path / "recipes.toml"
    file.write_text(SEARCHED)
    suite = reading.read(file, tmp_path).suite
    assert suite is not None
    metrics = metrics_of(suite.task)
    for wanted in ({"found": ["map"]}, {"found": ["map"], "plain": ["latency_p50"]}):
        ours = Arms(suite, wanted, metrics, None, hopeless=["found"])
        beside = {"fp32"} if "plain" in wanted else set()
        assert {recipe.name for recipe in ours.recipes} == {*wanted, *beside}
