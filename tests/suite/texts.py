"""Texts of suite files, and what is read from them."""

from pathlib import Path

from pytest_perfgate.suite import reading

SUITE = """\
[suite]
task = "detection"
model = "demo.model:build"
[suite.data]
validation = "demo.data:validation"
"""
FP32 = '[[recipe]]\nname = "fp32"\nruntime = "torch"\n'
ONNX = '[[recipe]]\nname = "onnx"\nfrom = "fp32"\nsteps = [{ export = "onnx" }]\n' + (
    'runtime = "onnxruntime"\n'
)


def read(root: Path, text: str) -> reading.SuiteFile:
    """What is read from a suite of that text."""
    folder = root / "suites" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipes.toml").write_text(text, encoding="utf-8")
    return reading.read(folder / "recipes.toml", root)


def problem(result: reading.SuiteFile, name: str) -> str:
    """The first problem of a recipe, which must have one and not be taken."""
    assert result.suite is not None
    assert name in result.problems, f"{name} was accepted"
    assert name not in result.suite.recipes
    return str(result.problems[name][0])


def budget(root: Path, line: str, recipe: str = FP32, name: str = "fp32") -> str:
    """The problem of a recipe with one budget line."""
    base = FP32 if recipe is not FP32 else ""
    return problem(read(root, f"{SUITE}{base}{recipe}[recipe.budgets]\n{line}\n"), name)
