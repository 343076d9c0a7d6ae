"""Whether the answers of a recipe behind an endpoint are those of the version that is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.session.arms import Arms
from pytest_perfgate.session.served_at import refuse_foreign, refuse_shared
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.metrics import metrics_of

from tests.squares import squares_model

SUITE = """
[suite]
task = "detection"
model = "model.onnx"
data = {{ validation = "data:validation" }}

[[recipe]]
name = "served"
workload = "serving"
[recipe.runtime]
name = "kserve"
{runtime}
[recipe.budgets]
request_latency_p50 = {{ regression = "2%" }}
"""
RUNNING = 'url = "http://127.0.0.1:8000"'
STARTED = 'start = ["{python}", "-m", "server", "--port={port}"]'


def read(folder: Path, runtime: str) -> Suite:
    """The suite with these options of its runtime."""
    file = folder / "recipes.toml"
    model = folder / "model.onnx"
    if not model.exists():
        squares_model(model)
    file.write_text(SUITE.format(runtime=runtime))
    result = reading.read(file, folder)
    assert result.suite is not None, result.suite_problems
    return result.suite


def test_a_server_that_runs_already_is_no_base_of_itself(tmp_path: Path) -> None:
    """Both versions would be answered by it, and every change would pass."""
    suite = read(tmp_path, RUNNING)
    tree = BaseTree(Commit("main", "0" * 40, tmp_path, ""), tmp_path, is_working=True)
    result = Arms(suite, {"served": []}, metrics_of(suite.task), tree)
    assert [arm.label for arm in result.all(())] == ["served", "served@copy"]
    assert "the server at http://127.0.0.1:8000 runs already" in result.problems["served"]
    assert "runtime.start" in result.problems["served"]


def test_servers_of_two_addresses_or_that_are_started_are_compared(tmp_path: Path) -> None:
    """Another port, another model, or a command."""
    ours = read(tmp_path, RUNNING).recipes["served"]
    for other in ('url = "http://127.0.0.1:8001"', f'{RUNNING}\nmodel = "second"', STARTED):
        refuse_shared(ours, read(tmp_path, other).recipes["served"], "main")
    started = read(tmp_path, STARTED).recipes["served"]
    refuse_shared(started, started, "main")


@pytest.mark.parametrize("option", ["start", "environment"])
def test_the_bases_server_has_no_file_of_the_working_tree(tmp_path: Path, option: str) -> None:
    """By an absolute path, as an argument or behind an option. What no commit holds is that of
    both.
    """
    working, top = tmp_path / "project", tmp_path / "base"
    for file in (working / "serve.py", top / "serve.py", working / ".venv" / "python"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    tree = CodeTree(top, working, "main (abc)")

    def named(path: Path) -> None:
        text = f'start = ["{working}/.venv/python", "--app={path}", "--port={{port}}"]'
        if option == "environment":
            text = f'{STARTED}\nenvironment = {{ PATHS = "/usr:{path}" }}'
        refuse_foreign(read(tmp_path, text).recipes["served"], tree)

    named(Path("serve.py"))
    named(top / "serve.py")
    with pytest.raises(RecipeError, match=r"the working tree's .*project/serve\.py"):
        named(working / "serve.py")
