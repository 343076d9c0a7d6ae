"""An edit of declared data builds no link anew that has not read it; any other edit does."""

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

from tests.squares import HEAD, coco_folder, squares_model

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

PROJECT = {
    "model.py": "",
    "data.py": "import readers\n\nSETTINGS = open('settings.yaml').read()\n",
    "readers.py": "",
    "settings.yaml": "",
    "images/0.txt": "",
    "images/1.txt": "",
    "images/weights.bin": "",
    "annotations.json": "",
}
READ = """\
import importlib, json, sys
from pathlib import Path
from pytest_perfgate.building.project_code import Watch

sys.path.insert(0, "")
watch = Watch(Path.cwd(), Path("cache"))
import model
with watch.reading_data():
    import data
    for name in ("images/0.txt", "images/1.txt", "images/weights.bin", "annotations.json"):
        Path(name).read_bytes()
for name in sys.argv[1:]:
    Path(name).read_bytes()
print(json.dumps(sorted(watch.files_without([Path("images"), Path("annotations.json")]))))
"""
ALWAYS = ["data.py", "images/weights.bin", "model.py", "readers.py", "settings.yaml"]


@pytest.mark.parametrize(
    ("step_reads", "also"),
    [([], []), (["images/1.txt"], ["images/1.txt"]), (["annotations.json"], ["annotations.json"])],
)
def test_declared_data_counts_for_a_link_that_reads_it_itself(
    tmp_path: Path, step_reads: list[str], also: list[str]
) -> None:
    """What was opened only to load the data does not. Code counts, and what it opens, though data
    had it first: a trainer may use either through a name that no import statement has.
    """
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ, *step_reads],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == sorted([*ALWAYS, *also])


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
    for name in ("own_data", "own_boxes"):
        sys.modules.pop(name, None)
    suite = read(folder / "recipes.toml", folder).suite
    assert suite is not None
    messages: list[object] = []
    job = PrepareJob(suite, recipe, folder / ".perfgate", folder / "images.npz")
    prepare(job, messages.append)
    assert isinstance(messages[-1], Prepared), messages[-1]
    return {link.step: link.cached for link in messages[-1].lineage}


def test_edits_of_declared_data_build_no_link_anew_and_those_of_code_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels and boxes of validation images do not; the code that loads the calibration data builds
    steps anew, and not the model, which was made before any data were read.
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
    assert cached(tmp_path, "half") == {"model": True, "half": True}
    assert cached(tmp_path, "int8") == {"model": True, "quantize": True}
    (tmp_path / "own_data.py").write_text(OWN_DATA + "\n")
    assert cached(tmp_path, "int8") == {"model": True, "quantize": False}


SCORED = (
    HEAD
    + """\
[suite.output]
postprocess = "own_boxes:boxes"
[[recipe]]
name = "int8"
runtime = "onnxruntime"
steps = [{ quantize = "static", accuracy_drop = 1.0 }]
"""
)
OWN_BOXES = """\
import numpy as np


def boxes(outputs, metas):
    return [(np.array([[0.0, 0, 8, 8]]), np.ones(1), np.zeros(1, int)) for _ in metas]
"""


def test_an_edit_of_postprocessing_builds_a_scored_step_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was imported with the data, and makes the scores by which layers stay in float."""
    squares_model(tmp_path / "squares.onnx")
    coco_folder(tmp_path, "calibration", 2, seed=1)
    coco_folder(tmp_path, "validation", 3, seed=2)
    (tmp_path / "own_boxes.py").write_text(OWN_BOXES)
    (tmp_path / "recipes.toml").write_text(SCORED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert cached(tmp_path, "int8") == {"model": False, "quantize": False}
    assert cached(tmp_path, "int8") == {"model": True, "quantize": True}
    (tmp_path / "own_boxes.py").write_text(OWN_BOXES + "\n")
    assert cached(tmp_path, "int8") == {"model": True, "quantize": False}
