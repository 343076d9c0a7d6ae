"""Links that one machine has built, and another goes on with."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from pytest_perfgate.building import builder as building
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_link import first_links
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import BuildError
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.recipe_record import Failure, Link
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps.quantize import Quantize
from pytest_perfgate.steps.simplify import Simplify
from pytest_perfgate.suite import requirements
from pytest_perfgate.suite.portable_steps import portable_steps
from pytest_perfgate.suite.reading import read

from tests.squares import HEAD, PLAIN

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxslim", reason="python -m pip install 'pytest-perfgate[onnxslim]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

CHAIN = """
[[recipe]]
name    = "small"
from    = "plain"
steps   = [{ simplify = "onnxslim" }, { quantize = "dynamic" }]
runtime = "onnxruntime"
[recipe.budgets]
map = { drop = 0.02 }
"""


@pytest.fixture
def suite(tiny_suite: Path, tmp_path: Path) -> Suite:
    """The tiny suite with a recipe of two steps, and a node to simplify."""
    shutil.copytree(tiny_suite, tmp_path, dirs_exist_ok=True)
    model = onnx.load(str(tmp_path / "squares.onnx"))
    nodes = model.graph.node
    nodes[0].input[0] = "same"
    nodes.insert(0, onnx.helper.make_node("Identity", ["x"], ["same"]))
    onnx.save(model, str(tmp_path / "squares.onnx"))
    (tmp_path / "recipes.toml").write_text(HEAD + PLAIN + CHAIN)
    result = read(tmp_path / "recipes.toml", tmp_path)
    assert not result.problems
    assert result.suite is not None
    return result.suite


def request(suite: Suite, recipe: Recipe, cache: str) -> building.BuildRequest:
    """A build with a cache of its own: that of another machine."""
    store, watch = ArtifactStore(suite.root / ".perfgate" / cache), Watch(suite.root)
    first = first_links(suite, recipe, store, watch)
    return building.BuildRequest(
        suite, recipe, store, watch, SuiteData(suite), lambda *_: None, first
    )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step runs anywhere, the second is for one machine, like an engine."""
    monkeypatch.setattr(Quantize, "machine", lambda *_: {"gpu": "A"})


def sent(suite: Suite, recipe: Recipe) -> tuple[Recipe, Path]:
    """The recipe as its target gets it, and the folder of its artifact there."""
    answer = building.build_portable(request(suite, recipe, "here"))
    there = suite.root / ".perfgate" / "sent"
    shutil.copytree(suite.root / ".perfgate/here/artifacts" / answer.built.entry, there / "k" / "v")
    return replace(recipe, built=replace(answer.built, entry=there / "k" / "v")), there / "k" / "v"


@pytest.mark.usefixtures("engine")
def test_a_chain_goes_on_where_the_machine_begins_to_matter(suite: Suite) -> None:
    """Nothing before it is built again; keys and the artifact are those of one machine alone."""
    recipe = suite.recipes["small"]
    assert portable_steps(recipe) == 1
    begun, _ = sent(suite, recipe)
    there = request(suite, begun, "there")
    built = building.build(there)
    assert [(link.step, link.machine) for link in built.lineage] == [
        *(("model", this_machine().id), ("simplify", this_machine().id)),
        ("quantize", ""),
    ]
    assert len(list(there.store.artifacts.iterdir())) == 1
    alone = building.build(request(suite, recipe, "alone"))
    assert [link.key for link in built.lineage] == [link.key for link in alone.lineage]
    assert built.info.digest == alone.info.digest
    assert built.files.items() <= (there.store.read or {}).items()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", ["model.onnx", "link.json", "link.sha256", ""])
def test_an_artifact_that_is_not_the_one_that_was_sent_is_an_error(suite: Suite, name: str) -> None:
    """It is named, and nothing is built in its place. With a seal that fits, too."""
    begun, folder = sent(suite, suite.recipes["small"])
    if name:
        (folder / name).write_bytes(b"another")
    else:
        shutil.rmtree(folder)
    with pytest.raises(BuildError, match="the artifact k is not the one that was sent") as raised:
        request(suite, begun, "there")
    assert raised.value.where == str(folder)


@pytest.mark.usefixtures("engine")
def test_an_artifact_with_another_seal_is_an_error(suite: Suite) -> None:
    """It is whole, and of another build."""
    begun, _ = sent(suite, suite.recipes["small"])
    assert begun.built is not None
    other = replace(begun, built=replace(begun.built, seal="0" * 64))
    with pytest.raises(BuildError, match="its description is another"):
        request(suite, other, "there")


@pytest.mark.parametrize(
    ("built", "missing"),
    [
        (None, ["model", "simplify", "quantize"]),
        (BuiltLinks((), "torch"), ["model", "simplify", "quantize"]),
        (BuiltLinks(("model", "simplify"), "onnx"), ["quantize"]),  # type: ignore[arg-type] # counted
        (BuiltLinks(("model", "simplify", "quantize"), "onnx"), []),  # type: ignore[arg-type] # as above
    ],
)
def test_a_target_needs_no_package_of_a_step_that_was_built(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, built: Any, missing: list[str]
) -> None:
    """Of a module it needs all: its source and its steps make it again."""

    def absent(name: str) -> tuple[Requirement, ...]:
        return (Requirement(f"no_{name}", f"pip install {name}"),)

    source = type(requirements.source_of(suite.model.name)[0])
    monkeypatch.setattr(source, "requires_with", lambda *_: absent("model"))
    for step, name in ((Simplify, "simplify"), (Quantize, "quantize")):
        monkeypatch.setattr(step, "requires_with", lambda *_, name=name: absent(name))
    recipe = replace(suite.recipes["small"], built=built)
    names = [one.module for one in requirements.missing_packages(suite, recipe)]
    assert sorted(names) == sorted(f"no_{name}" for name in missing)
    lacking = requirements.lacking_to_build(suite, recipe)
    assert lacking is not None
    assert "no_model, no_simplify, no_quantize, on the host of this session" in lacking.problem
    assert lacking.next_step.endswith('build = "there" in perfgate.toml')


def test_a_recipe_that_could_not_be_built_elsewhere_says_why(suite: Suite) -> None:
    """The target does not build it in another way."""
    failure = Failure(stage="build", problem="step simplify could not be applied")
    recipe = replace(suite.recipes["small"], built=BuiltLinks(failure=failure))
    assert requirements.lacking(suite, recipe) is failure
    assert recipe.built is not None
    assert recipe.built.steps == 0
    link = Link(step="model", options={}, effect={}, seconds=0.0, cached=False, key="k")
    assert BuiltLinks((link, link)).steps == 1
