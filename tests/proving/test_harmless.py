"""Changes that change nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pytest_perfgate.proving.harmless import (
    EDITS,
    KINDS,
    Harmless,
    changed,
    copy_code,
    harmless_changes,
)
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite import reading

SUITE = """
[suite]
task = "detection"
model = "code.model:build"
data = { calibration = "code.data:few", validation = "code.data:all" }

[[recipe]]
name = "fp32"
runtime = "torch"

[[recipe]]
name = "onnx"
from = "fp32"
steps = [{ export = "onnx" }]
runtime = { name = "onnxruntime", threads = 1 }

[[recipe]]
name = "int8"
from = "onnx"
steps = [{ quantize = "static", weights = "int8", per_channel = true }]
[recipe.budgets]
map = { drop = 0.01 }
latency_p50 = { regression = "5%" }
"""
CODE = """\
'''A module.'''

LIMIT = 3  # of all


def build():
    '''Builds.'''
    return LIMIT
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite in a project with code."""
    root = tmp_path / "project"
    (root / "suites" / "cars").mkdir(parents=True)
    (root / "code").mkdir()
    (root / "code" / "model.py").write_text(CODE)
    (root / "code" / "weights.bin").write_bytes(b"weights")
    (root / "suites" / "cars" / "recipes.toml").write_text(SUITE)
    suite = reading.read(root / "suites" / "cars" / "recipes.toml", root).suite
    assert suite is not None
    return suite


def test_there_are_as_many_as_wanted_of_every_kind() -> None:
    """The same ones every time, each with a name of its own; one in ten is a copy of the code."""
    changes = harmless_changes(100)
    assert changes == harmless_changes(100)
    assert len({change.name for change in changes}) == 100
    assert {change.kind for change in changes} == KINDS.keys() | EDITS.keys()
    assert sum(change.copies for change in changes) == 10


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_recipe_is_stays(kind: str, suite: Suite) -> None:
    """Names and orders differ; steps, options, runtime and budgets are equal."""
    before = suite.recipes["int8"]
    for number in range(5):
        ours, recipe = changed(Harmless(number, kind), suite, before)
        assert ours.recipes[recipe.name] == recipe
        assert (recipe.chain, recipe.runtime) == (before.chain, before.runtime)
        assert set(recipe.budgets) == set(before.budgets)
        assert (ours.data, ours.input, ours.output) == (suite.data, suite.input, suite.output)
        assert ours.recipes.keys() >= suite.recipes.keys() - {"int8"}


def test_names_and_orders_do_change(suite: Suite) -> None:
    """A harmless change that changed nothing at all would prove nothing."""
    before = suite.recipes["int8"]
    assert changed(Harmless(1, "recipe_renamed"), suite, before)[1].name != "int8"
    assert changed(Harmless(1, "parent_renamed"), suite, before)[1].parent != "onnx"
    orders = {
        (
            *changed(Harmless(number, "recipes_reordered"), suite, before)[0].recipes,
            *changed(Harmless(number, "tables_reordered"), suite, before)[0].data,
            *changed(Harmless(number, "budgets_reordered"), suite, before)[1].budgets,
            *changed(Harmless(number, "options_reordered"), suite, before)[1].chain[-1].options,
        )
        for number in range(5)
    }
    assert len(orders) > 1


@pytest.mark.parametrize("kind", sorted(EDITS))
def test_a_copy_of_the_code_computes_the_same(kind: str, suite: Suite, tmp_path: Path) -> None:
    """Its Python files are edited, other files and the suite are as they were; the original is
    untouched.
    """
    root = tmp_path / "copy"
    root.mkdir()
    files = ["code/model.py", "code/weights.bin", "/outside.py", "code/gone.py"]
    file, edited = copy_code(Harmless(9, kind), suite, files, root)
    assert file.read_text() == SUITE
    assert (root / "code" / "weights.bin").read_bytes() == b"weights"
    assert (suite.root / "code" / "model.py").read_text() == CODE
    text = (root / "code" / "model.py").read_text()
    assert edited == (() if kind == "copied" else ("code/model.py",))
    assert (text == CODE) == (kind == "copied")
    namespace: dict[str, object] = {}
    exec(compile(ast.parse(text), "copy", "exec"), namespace)  # noqa: S102 - the text above
    build = namespace["build"]
    assert callable(build)
    assert build() == 3
