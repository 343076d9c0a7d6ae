"""An edit of what only data is read from builds no link anew; any other edit does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker.prepare import prepare
from pytest_perfgate.worker.protocol import Prepared, PrepareJob

from tests.squares import coco_folder, squares_model

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

PROJECT = {
    "model.py": "import ops\n",
    "ops.py": "from pathlib import Path\n\nWIDTH = Path('ops.json').read_text()\n",
    "ops.json": "{}",
    "data.py": "import numpy, readers\n\nLABELS = open('labels.csv').read()\n",
    "readers.py": "",
    "labels.csv": "",
    "shared.py": "",
    "images/0.txt": "",
    "images/weights.bin": "",
    "annotations.json": "",
}
READ = """\
import importlib, json, sys
from pathlib import Path
from pytest_perfgate.building.project_code import Watch

sys.path.insert(0, "")
watch = Watch(Path.cwd(), Path("cache"))
before, inside, after, roots, data = json.loads(sys.argv[1])
def use(names):
    for name in names:
        Path(name).read_bytes() if "." in name else importlib.import_module(name)
use(before)
with watch.reading_data():
    use(inside)
use(after)
print(json.dumps(sorted(watch.files_of(roots, map(Path, data)))))
"""


def counted(
    folder: Path,
    *uses: list[str],
    roots: list[str],
    data: tuple[str, ...] = (),
    edit: tuple[str, str] | None = None,
) -> list[str]:
    """The files that count, where modules and files are used before data is read, meanwhile, and
    afterwards.
    """
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    if edit:
        (folder / edit[0]).write_text(edit[1])
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ, json.dumps([*uses, roots, data])],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files: list[str] = json.loads(done.stdout)
    return files


MODEL = ["model.py", "ops.json", "ops.py"]


def test_what_data_alone_has_read_does_not_count(tmp_path: Path) -> None:
    """Neither its modules nor the files that they open; what was there before does."""
    assert counted(tmp_path, ["model"], ["data"], [], roots=["model"]) == [
        "annotations.json",  # beside a module that counts, it might be weights
        *MODEL,
    ]


def test_a_module_counts_that_data_had_imported_first(tmp_path: Path) -> None:
    """With all files that were opened meanwhile: who opened them is not known."""
    files = counted(tmp_path, [], ["data", "ops"], ["model"], roots=["model"])
    assert files == ["annotations.json", "labels.csv", *MODEL]


def test_what_is_read_afterwards_counts(tmp_path: Path) -> None:
    """Also what data had read before."""
    files = counted(
        tmp_path, ["model"], ["data"], ["labels.csv", "shared"], roots=["model", "shared"]
    )
    assert files == ["annotations.json", "labels.csv", *MODEL, "shared.py"]


def test_all_counts_where_imports_cannot_be_read_from_the_source(tmp_path: Path) -> None:
    """A name that is computed may be that of a module of the data."""
    hidden = ("ops.py", "import importlib\nname = 'readers'\nimportlib.import_module(name)\n")
    files = counted(tmp_path, ["model"], ["data"], [], roots=["model"], edit=hidden)
    assert {"data.py", "readers.py", "labels.csv"} <= set(files)


def test_declared_data_does_not_count_and_weights_in_its_folder_do(tmp_path: Path) -> None:
    """Whenever they are read: a step reads the images that it learns from."""
    files = counted(
        tmp_path,
        ["model"],
        [],
        ["images/0.txt", "images/weights.bin", "annotations.json"],
        roots=["model"],
        data=("images", "annotations.json"),
    )
    assert files == ["images/weights.bin", *MODEL]


SUITE = """\
[suite]
task = "detection"
model = "squares.onnx"
[suite.data]
calibration = "own_data:calibration"
validation = { images = "validation", annotations = "validation.json" }
[[recipe]]
name = "plain"
runtime = "onnxruntime"
[[recipe]]
name = "half"
from = "plain"
runtime = "onnxruntime"
steps = [{ half = "float16" }]
[[recipe]]
name = "int8"
from = "plain"
runtime = "onnxruntime"
steps = [{ quantize = "static" }]
"""
OWN_DATA = """\
import json
from pathlib import Path
import numpy as np
from PIL import Image
from pytest_perfgate.tasks.detection import DetectionData


def calibration():
    coco = json.loads(Path("calibration.json").read_text())
    files = [Path("calibration", image["file_name"]) for image in coco["images"]]
    return DetectionData(np.stack([np.array(Image.open(file)) for file in files]), coco)
"""


def cached(folder: Path, recipe: str) -> dict[str, bool]:
    """Which links of a recipe a session finds in the cache: its process has imported nothing."""
    sys.modules.pop("own_data", None)
    suite = read(folder / "recipes.toml", folder).suite
    assert suite is not None
    messages: list[object] = []
    job = PrepareJob(suite, recipe, folder / ".perfgate", folder / "images.npz")
    prepare(job, messages.append)
    assert isinstance(messages[-1], Prepared), messages[-1]
    return {link.step: link.cached for link in messages[-1].lineage}


def test_edits_of_data_build_what_learned_from_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels and boxes of validation images build no link anew, the code of the calibration data
    builds the link that learned from it.
    """
    squares_model(tmp_path / "squares.onnx")
    coco_folder(tmp_path, "calibration", 2, seed=1)
    coco_folder(tmp_path, "validation", 3, seed=2)
    (tmp_path / "own_data.py").write_text(OWN_DATA)
    (tmp_path / "recipes.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for recipe in ("half", "int8"):
        cached(tmp_path, recipe)
    shutil.rmtree(tmp_path / "validation")
    coco_folder(tmp_path, "validation", 4, seed=3)
    (tmp_path / "own_data.py").write_text(OWN_DATA + "\n")
    assert cached(tmp_path, "half") == {"model": True, "half": True}
    assert cached(tmp_path, "int8") == {"model": True, "quantize": False}
    (tmp_path / "own_data.py").write_text(OWN_DATA)
    assert cached(tmp_path, "int8") == {"model": True, "quantize": True}
