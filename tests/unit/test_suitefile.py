"""Reading `recipes.toml`: every kind of bad input, and what its message says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.recipe import LimitKind
from harness.suitefile import SuiteFile, read

GOOD = """\
[suite]
task  = "detection"
model = "project.model:build"
trainer = "project.train:fit"
[suite.data]
train       = "project.data:train"
calibration = "project.data:calibration"
validation  = "project.data:validation"

[[recipe]]
name    = "fp32"
runtime = "torch"
[recipe.budgets]
map         = { min = 0.5, regression = 0.005 }
latency_p95 = { max = "60 ms", regression = "5%" }

[[recipe]]
name    = "int8"
from    = "fp32"
steps   = [{ export = "onnx" }, { quantize = "static", activations = "uint8" }]
runtime = { name = "onnxruntime", threads = 2 }
[recipe.budgets]
map         = { drop = 0.006 }
latency_p95 = { speedup = 1.5, when = { cpu = "avx512_vnni", memory = "1 GB" } }
peak_memory = { growth = "-10%" }

[[recipe]]
name    = "openvino"
from    = "int8"
runtime = "openvino"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite file's place."""
    folder = tmp_path / "suites" / "demo"
    folder.mkdir(parents=True)
    return folder / "recipes.toml"


def load(file: Path, text: str) -> SuiteFile:
    """Reads `text` as the suite file."""
    file.write_text(text)
    return read(file, file.parents[2])


def test_a_good_file_is_read_whole(suite: Path) -> None:
    """Chains are inherited, the root is the reference, quantities are in base units."""
    found = load(suite, GOOD)
    assert found.suite is not None
    assert not found.problems
    recipes = found.suite.recipes
    assert found.suite.name == "demo"
    assert [step.name for step in recipes["openvino"].chain] == ["export", "quantize"]
    assert recipes["openvino"].own_steps == 0
    assert recipes["openvino"].reference == "fp32"
    assert recipes["fp32"].is_reference
    assert recipes["int8"].runtime.options["threads"] == 2
    limits = {limit.kind: limit.value for limit in recipes["fp32"].budgets[1].limits}
    assert limits == {LimitKind.MAX: 0.06, LimitKind.REGRESSION: 0.05}
    when = recipes["int8"].budgets[1].when
    assert when is not None
    assert (when.cpu, when.memory) == ("avx512_vnni", 1e9)


BROKEN_RECIPES = {
    "unknown key": (
        'from    = "fp32"',
        'form = "fp32"',
        "'form' is not a key",
        "did you mean 'from'",
    ),
    "unknown parent": ('from    = "fp32"', 'from = "fp23"', "no recipe 'fp23'", "mean 'fp32'"),
    "unknown step": ("quantize =", "quantise =", "no step 'quantise'", "mean 'quantize'"),
    "unknown option": ("activations =", "activation =", "'activation' is not a key", ""),
    "bad option": ('"uint8"', '"uint9"', "'uint9'", "'uint8' or 'int8'"),
    "unknown runtime": ('"onnxruntime"', '"onnxruntim"', "no runtime 'onnxruntim'", "onnxruntime"),
    "unknown metric": ("peak_memory =", "peak_memori =", "no metric 'peak_memori'", "peak_memory"),
    "unknown limit": ("speedup =", "speed_up =", "'speed_up' is not a key", "speedup"),
    "limit of another metric": ("drop = 0.006", "max = 0.006", "max does not fit map", "min, drop"),
    "limit of another kind": (
        "speedup = 1.5",
        "drop = 1.5",
        "drop does not fit latency_p95",
        "max",
    ),
    "unit that does not fit": ('"-10%"', '"10 ms"', "'ms' is not a unit that fits", "%"),
    "no effect possible": ("speedup = 1.5", "speedup = 0", "too small", ""),
    "unknown condition": ("cpu =", "cpus =", "'cpus' is not a key", "cpu"),
    "steps in the wrong order": (
        '{ export = "onnx" }, ',
        "",
        "the step 'quantize' takes onnx, and what comes before it gives torch",
        'add { export = "onnx" } before it',
    ),
    "name that leaves": (
        'name    = "int8"',
        'name = "../int8"',
        "cannot be a recipe's name",
        "digit",
    ),
    "two of one name": ('name    = "int8"', 'name = "fp32"', "two recipes named 'fp32'", ""),
    "empty budget": ("{ drop = 0.006 }", "{}", "the budget has no limit", "max, min"),
}


@pytest.mark.parametrize("case", BROKEN_RECIPES)
def test_a_broken_recipe_fails_alone_with_a_message(suite: Path, case: str) -> None:
    """The message names file, recipe and value, and what is valid; other recipes are read."""
    before, after, problem, help_text = BROKEN_RECIPES[case]
    assert before in GOOD
    found = load(suite, GOOD.replace(before, after, 1))
    assert found.suite is not None
    text = "\n".join(str(error) for errors in found.problems.values() for error in errors)
    assert problem in text
    assert help_text in text
    assert "suites/demo/recipes.toml: recipe " in text
    assert "fp32" in found.suite.recipes or case == "two of one name"
    assert "int8" not in found.suite.recipes


def test_what_is_derived_from_a_broken_recipe_fails_with_its_name(suite: Path) -> None:
    """The derived recipe says which one to mend first."""
    found = load(suite, GOOD.replace("quantize =", "quantise =", 1))
    (error,) = found.problems["openvino"]
    assert "'int8'" in str(error) or "quantise" in str(error)


def test_a_circle_is_named(suite: Path) -> None:
    """Recipes that derive from each other are told the way round."""
    circle = '\n[[recipe]]\nname = "a"\nfrom = "b"\n\n[[recipe]]\nname = "b"\nfrom = "a"\n'
    found = load(suite, GOOD + circle)
    assert "goes in a circle" in str(found.problems["a"][0])
    assert found.suite is not None
    assert "int8" in found.suite.recipes


def test_a_reference_has_nothing_to_compare_with(suite: Path) -> None:
    """`speedup` on the reference itself is refused."""
    found = load(suite, GOOD.replace('max = "60 ms"', "speedup = 2", 1))
    assert "this recipe is the reference" in str(found.problems["fp32"][0])


BROKEN_SUITES = {
    "malformed": ("[suite]", "[suite", "it is not TOML"),
    "unknown table": ("[suite]", "[suit]\nx = 1\n[suite]", "'suit' is not a key of the file"),
    "unknown key": ("task  =", "batsh = 3\ntask  =", "'batsh' is not a key"),
    "unknown task": ('"detection"', '"detektion"', "no task 'detektion'"),
    "missing model": ('model = "project.model:build"\n', "", "'model' is missing"),
    "model that is no path": (
        '"project.model:build"',
        '"project/model.py"',
        "is not an import path",
    ),
    "missing file": (
        '"project.model:build"',
        '"absent.onnx"',
        "the file 'absent.onnx' is not there",
    ),
    "file outside": ('"project.model:build"', '"../../../up.onnx"', "leaves the project"),
    "unknown split": ("calibration =", "calibracion =", "'calibracion' is not a split"),
    "no validation": ('validation  = "project.data:validation"\n', "", "no validation data"),
}


@pytest.mark.parametrize("case", BROKEN_SUITES)
def test_a_broken_suite_says_where(suite: Path, case: str) -> None:
    """What is wrong with the whole file is one problem with its place."""
    before, after, says = BROKEN_SUITES[case]
    assert before in GOOD
    found = load(suite, GOOD.replace(before, after, 1))
    assert found.suite is None
    (error,) = found.suite_problems
    assert says in str(error)
    assert str(error).startswith("suites/demo/recipes.toml")


def test_an_empty_file_and_a_missing_one_are_problems_too(suite: Path) -> None:
    """Nothing is raised for them."""
    assert load(suite, "").suite is None
    suite.unlink()
    assert "cannot be read" in str(read(suite, suite.parents[2]).suite_problems[0])
