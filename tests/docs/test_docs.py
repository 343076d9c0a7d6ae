"""The docs say what the code does: metrics, keys, steps and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_perfgate import registry
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.tables import BudgetTable, RecipeTable, SuiteTable

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("task", registry.names(registry.TASKS))
def test_every_metric_is_defined_in_the_words_of_the_report(task: str) -> None:
    """docs/metrics.md has each metric's own definition."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    for metric in metrics_of(task).values():
        assert f"| `{metric.name}` |" in text
        assert metric.meaning in text


@pytest.mark.parametrize(
    "group", [registry.SOURCES, registry.STEPS, registry.RUNTIMES, registry.WORKLOADS]
)
def test_every_option_of_everything_that_has_some_has_an_entry(group: str) -> None:
    """docs/recipes.md names each with its options."""
    text = (ROOT / "docs" / "recipes.md").read_text()
    for name in registry.names(group):
        assert any(each in text for each in (f"`{name}`", f"{{ {name} = ", f"`{name}:"))
        for option in registry.find(group, name).Options.model_fields:
            assert f"`{option}`" in text


def test_every_key_of_a_suite_file_has_an_entry() -> None:
    """docs/recipes.md names each key of suite, recipe and budget."""
    text = (ROOT / "docs" / "recipes.md").read_text()
    for table in (SuiteTable, RecipeTable, BudgetTable):
        for name, field in table.model_fields.items():
            assert f"`{field.alias or name}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_suite_of_the_readme_can_be_read(tmp_path: Path) -> None:
    """The ten lines that a new user copies are right."""
    from pytest_perfgate.suite.reading import read

    block = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    (tmp_path / "detector.onnx").write_bytes(b"")
    (tmp_path / "recipes.toml").write_text(block)
    found = read(tmp_path / "recipes.toml", tmp_path)
    assert found.suite is not None
    assert not found.problems
