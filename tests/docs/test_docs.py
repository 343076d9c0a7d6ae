"""The docs say what the code does: tables made from the code, links, commands."""

from __future__ import annotations

import configparser
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from pytest_perfgate import registry
from pytest_perfgate.metric import OVER_FOLDS, Rule
from pytest_perfgate.plugin.options import OPTIONS
from pytest_perfgate.suite.corruptions import corruption_metrics
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.tables import BudgetTable, RecipeTable, SuiteTable

from tests.sources.graphs import IMAGES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*FRONT, *sorted(DOCS.glob("*.md"))]


@pytest.fixture(scope="module")
def site_tables() -> ModuleType:
    """The hook of the docs site."""
    spec = importlib.util.spec_from_file_location("site_tables", DOCS / "site_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(site_tables: ModuleType, page: str) -> str:
    """The Markdown of a page with its tables."""
    return str(site_tables.on_page_markdown((DOCS / page).read_text()))


@pytest.mark.parametrize("task", registry.names(registry.TASKS))
def test_every_metric_is_defined_in_the_words_of_the_report(
    site_tables: ModuleType, task: str
) -> None:
    """docs/metrics.md has each metric's own definition, docs/robustness.md those of corruptions,
    docs/folds.md those over folds.
    """
    text = built(site_tables, "metrics.md")
    corruptions = built(site_tables, "robustness.md")
    folds = built(site_tables, "folds.md")
    under = corruption_metrics(registry.find(registry.TASKS, task))
    for name in under:
        assert f"`{name.rpartition('@')[2]}`" in corruptions
    for metric in metrics_of(task).values():
        if metric.name in under:
            continue
        if metric.rule is Rule.FOLDS:
            assert f"`accuracy{OVER_FOLDS}`" in folds
            continue
        assert f"| `{metric.name}` |" in text
        assert metric.meaning in text


@pytest.mark.parametrize(
    "group", [registry.SOURCES, registry.STEPS, registry.RUNTIMES, registry.WORKLOADS]
)
def test_every_option_of_everything_that_has_some_has_an_entry(
    site_tables: ModuleType, group: str
) -> None:
    """docs/recipes.md names each with its options, and the words of the code."""
    text = built(site_tables, "recipes.md")
    for name in registry.names(group):
        assert any(part in text for part in (f"`{name}`", f"{{ {name} = ", f"`{name}:"))
        for option, field in registry.find(group, name).Options.model_fields.items():
            assert re.search(
                rf"^\| `{option}` \|.*{re.escape(field.description)}", text, re.MULTILINE
            )


def test_every_key_of_a_suite_file_has_an_entry(site_tables: ModuleType) -> None:
    """docs/recipes.md names each key of suite, recipe and budget."""
    text = built(site_tables, "recipes.md")
    for table in (SuiteTable, RecipeTable, BudgetTable):
        for name, field in table.model_fields.items():
            assert f"| `{field.alias or name}` |" in text


def test_every_option_of_the_command_line_has_an_entry(site_tables: ModuleType) -> None:
    """docs/command_line.md has the parser's table."""
    text = built(site_tables, "command_line.md")
    for option in OPTIONS:
        assert f"| `{option.name}" in text
        assert option.help in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_table_of_options_is_written_by_hand(page: Path) -> None:
    """A second copy would be wrong some day."""
    assert not re.search(
        r"^\| (key|option|metric) \|.*(default|unit)", page.read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("line", ["options: step prunes", "options: suites", "metrics: task"])
def test_a_table_that_the_code_does_not_have_ends_the_build(
    site_tables: ModuleType, line: str
) -> None:
    """The error names the line."""
    with pytest.raises(site_tables.UnknownTableError, match=line):
        site_tables.on_page_markdown(f"{{{{ {line} }}}}")


@pytest.mark.parametrize("page", FRONT, ids=lambda page: page.name)
def test_every_environment_of_tox_exists(page: Path) -> None:
    """`tox run -e NAME` on a front page names an environment of tox.ini."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    for names in re.findall(r"tox run -e ([a-z,]+)", page.read_text()):
        for name in names.split(","):
            assert tox.has_section(f"testenv:{name}"), name


def test_every_page_is_in_the_navigation_once() -> None:
    """mkdocs.yml lists each page of docs/."""
    listed = re.findall(r"^ +- (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))


def test_the_style_page_is_short() -> None:
    """A page that nobody reads to its end helps nobody."""
    assert len((DOCS / "style.md").read_text().splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_suite_of_the_readme_can_be_read(tmp_path: Path) -> None:
    """The ten lines that a new user copies are right."""
    from pytest_perfgate.suite.reading import read

    block = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    (tmp_path / "detector.onnx").write_bytes(IMAGES)
    (tmp_path / "recipes.toml").write_text(block)
    result = read(tmp_path / "recipes.toml", tmp_path)
    assert result.suite is not None
    assert not result.problems
