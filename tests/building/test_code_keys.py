"""The code that keys of the cache digest: all files of a runtime, and those of a step's name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.building.implementation_code import digest_folder, own_code, whole_code


@pytest.fixture
def piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A runtime of four files beside an unrelated one."""
    folder = tmp_path / "engines"
    folder.mkdir()
    files = {
        "__init__": "",
        "swift": "def late():\n    from engines.shared import helper\n\nclass Swift:\n    pass\n",
        "swift_binding": "",
        "shared": "from engines import deeper\n",
        "deeper": "",
        "unrelated": "",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("engines.swift", fromlist=["Swift"]).Swift()
    for name in [name for name in sys.modules if name.partition(".")[0] == "engines"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "whole", "own"),
    [
        ("swift", True, True),
        ("swift_binding", True, True),
        ("shared", True, False),
        ("deeper", True, False),
        ("__init__", True, False),
        ("unrelated", False, False),
    ],
)
def test_an_edited_file_is_another_key_where_it_is_part_of_the_code(
    piece: Any, tmp_path: Path, name: str, whole: bool, own: bool
) -> None:
    """A runtime is all that it imports from its folder; a step is the files of its name."""
    before = whole_code(piece), own_code(piece)
    file = tmp_path / "engines" / f"{name}.py"
    file.write_text(file.read_text() + "# edited\n")
    assert (before[0] != whole_code(piece), before[1] != own_code(piece)) == (whole, own)


def test_ranges_of_quantize_are_part_of_its_code() -> None:
    """Its calibration is a file of its own, found by its name."""
    step = registry.find(registry.STEPS, "quantize")
    folder = Path(sys.modules[type(step).__module__].__file__ or "").parent
    assert (folder / "quantize_ranges.py") in set(folder.glob("quantize*.py"))


def test_a_folder_is_all_modules_in_it_however_deep(tmp_path: Path) -> None:
    """Tasks lie in folders of their own, and what evaluates is all of them."""
    deep = tmp_path / "detection" / "parts"
    deep.mkdir(parents=True)
    (deep / "scores.py").write_text("half = 0.5\n")
    before = digest_folder(tmp_path)
    (deep / "scores.py").write_text("half = 0.6\n")
    assert digest_folder(tmp_path) != before
