"""`pytest-perfgate lock`: writes what suites fetch, and is all that changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_perfgate.cli.main import main

from tests.locations.test_fetching import here
from tests.locations.web_server import Web, serving
from tests.sources.graphs import IMAGES
from tests.suite.test_locations import ONNX
from tests.suite.texts import SUITE


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A project whose suite `demo` names a model and a file of annotations on a server."""
    pytest.importorskip("obstore", reason="python -m pip install 'pytest-perfgate[stores]'")
    here(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "suites" / "demo").mkdir(parents=True)
    with serving(Web(files={"/det.onnx": IMAGES, "/val.json": b"{}"})) as server:
        write(tmp_path, f"{server.url}/det.onnx", f"{server.url}/val.json")
        yield server


def write(root: Path, model: str, annotations: str) -> None:
    """Writes the suite file."""
    data = f'{{ images = "val", annotations = "{annotations}" }}'
    text = SUITE.replace("demo.model:build", model).replace('"demo.data:validation"', data)
    (root / "suites" / "demo" / "recipes.toml").write_text(text + ONNX)


def test_the_lock_file_follows_the_suite(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """New locations are added, others stay as they are whatever the server has by now, until
    `--upgrade`; those that no key names go. `--check` fetches and writes nothing.
    """
    file = tmp_path / "suites" / "demo" / "recipes.lock"
    assert main(["lock", "--check"]) == 1
    assert f"missing {web.url}/det.onnx" in capsys.readouterr().out
    assert (file.exists(), web.requests) == (False, [])
    assert main(["lock"]) == 0
    assert f"added {web.url}/val.json" in capsys.readouterr().out
    before = file.read_text()
    assert before.startswith("# Written by `pytest-perfgate lock`")
    assert (main(["lock", "demo", "--check"]), file.read_text()) == (0, before)
    web.files["/val.json"] = b"[]"
    count = len(web.requests)
    assert (main(["lock", "suites/demo"]), file.read_text()) == (0, before)
    assert len(web.requests) == count
    capsys.readouterr()
    assert main(["lock", "--upgrade"]) == 0
    out = capsys.readouterr().out
    assert f"unchanged {web.url}/det.onnx" in out
    assert f"changed {web.url}/val.json" in out
    write(tmp_path, f"{web.url}/det.onnx", "val.json")
    assert main(["lock", "--check"]) == 1
    assert f"unused {web.url}/val.json" in capsys.readouterr().out
    assert main(["lock"]) == 0
    assert f"removed {web.url}/val.json" in capsys.readouterr().out
    assert "val.json" not in file.read_text()
    write(tmp_path, "det.onnx", "val.json")
    assert main(["lock"]) == 0
    assert not file.exists()


def test_what_cannot_be_locked_changes_nothing(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not there, a graph that is none, a suite that there is not: one error with its
    place and what to do.
    """
    file = tmp_path / "suites" / "demo" / "recipes.lock"
    del web.files["/val.json"]
    assert main(["lock"]) == 1
    said = capsys.readouterr().err
    assert "suites/demo/recipes.toml: suite.data.validation.annotations: there is no file" in said
    assert "next:  correct the URL" in said
    web.files |= {"/val.json": b"{}", "/det.onnx": b"<html>"}
    assert main(["lock"]) == 1
    assert "suite.model: " in capsys.readouterr().err
    assert not file.exists()
    assert main(["lock", "dmo"]) == 1
    assert "did you mean 'demo'?" in capsys.readouterr().err
